/** What a kind of entry is to the console and the interface for programs: its shape, its list, what can be done; each is a leaf. */

import type { RawBuilder, SelectQueryBuilder } from 'kysely';
import type { z } from 'zod';
import type { AuditRequest } from '../audit/audit.ts';
import type { ClientStore } from '../clients/client.ts';
import type { Config } from '../config.ts';
import type { Database, Transaction } from '../database.ts';
import type { Jobs } from '../jobs.ts';
import type { LinkStore } from '../links/link.ts';
import type { Asked, TrialBeginning, TrialOutcome } from '../oidc/trial/trial.ts';
import type { Permission, Reach, RoleAssignment } from '../permissions.ts';
import type { FourEyesKey } from '../policy/keys.ts';
import { accounts } from './resources/accounts.ts';
import { agencies } from './resources/agencies.ts';
import { applications } from './resources/applications.ts';
import { approvals } from './resources/approvals.ts';
import { audit } from './resources/audit.ts';
import { clients } from './resources/clients.ts';
import { directorates } from './resources/directorates.ts';
import { initialAccessTokens } from './resources/initial-access-tokens.ts';
import { links } from './resources/links.ts';
import { mails } from './resources/mails.ts';
import { memberships } from './resources/memberships.ts';
import { organisations } from './resources/organisations.ts';
import { policies } from './resources/policies.ts';
import { resourceServers } from './resources/resource-servers.ts';
import { roles } from './resources/roles.ts';
import { signingKeys } from './resources/signing-keys.ts';
import { submissions } from './resources/submissions.ts';

/** A row as it is told: names as in SQL, JSON's types but for times, which are Dates. */
export type Entry = Record<string, unknown> & { id: string; version?: number };

/** Who acts: a person at the console, or a program with a token of a person or of its own. */
export interface Actor {
  /** The person; null for a client that acts for itself. */
  account_id: string | null;
  /** The client of the token; null at the console. */
  client_id: string | null;
  roles: readonly RoleAssignment[];
  /** The scopes of the token; null at the console, where the roles alone decide. */
  scopes: readonly string[] | null;
  /** Seconds since the epoch of the person's last sign-in; null where nobody signed in. */
  signed_in_at: number | null;
  /** The session of a person at the console; null for a program. */
  session_uid: string | null;
}

/** What the leaves need of the engine; handed in, since nothing here stands on it. */
export interface DeskEngine {
  /** @throws an OAuth error whose description names the field */
  validateClient(metadata: Record<string, unknown>): Promise<void>;
  /** Ends everything that was granted to a client, with every token. */
  endGrantsOfClient(tx: Transaction, client_id: string): Promise<void>;
  /** Ends the tokens with which a client that registered itself may change what it said. */
  endRegistrationTokens(tx: Transaction, client_id: string): Promise<void>;
  /** Begins a trial of a client: where it leads, or what came of it at once. */
  beginTrial(tx: Transaction, asked: Asked): Promise<TrialBeginning>;
  /** Ends a trial with the answer that came to our address; `client_id` where it was one that goes on. */
  finishTrial(
    answer: Record<string, unknown>,
    owner: { account_id: string; session_uid: string },
  ): Promise<{ client_id: string | undefined; outcome: TrialOutcome }>;
  /** Issues a token with which clients register themselves; it is shown once. */
  issueInitialToken(
    tx: Transaction,
    order: { by: string | null; expires_in: number; clients: number },
  ): Promise<{ id: string; token: string }>;
  /** Ends one session as a sign-out would: its applications hear of it. */
  endSession(tx: Transaction, uid: string): Promise<boolean>;
}

/** What everything here is given: the house, who acts, and from where. */
export interface Desk {
  db: Database;
  jobs: Jobs;
  config: Config;
  clients: ClientStore;
  links: LinkStore;
  engine: DeskEngine;
  actor: Actor;
  request: AuditRequest;
  language: 'id' | 'en';
  /** Another resource by its name. */
  findResource(name: string): Resource | undefined;
}

/** A message key, or a key with what fills its blanks. */
export type Said = string | { key: string; values: Record<string, string | number> };

/** How an operation ended. What is `shown_once` (a new secret) goes to whoever asked and is kept nowhere. */
export type Outcome =
  | {
      state: 'done';
      id: string;
      shown_once?: Record<string, string>;
      /** Where the console leads the person, instead of back to the entry. */
      go_to?: string;
      /** What came of a trial that needed nobody; the console shows it at once. */
      trial?: TrialOutcome;
      detail?: Record<string, string | number | boolean | null>;
    }
  /** By field, or under `form` for the whole. */
  | { state: 'refused'; errors: Record<string, Said> }
  /** Somebody else was first. */
  | { state: 'conflict' };

/** Where an entry would belong that is being made or moved; the centre holds it against the reach of whoever acts. */
export interface Place {
  agency_code?: string | null;
  organisation_id?: string | null;
}

/** A choice in a select; `value` is what is stored. */
export type Option = { value: string; label: string };

/**
 * Something that can be done: to nothing yet (`create`), to an entry (`change`, `remove`, `act`). The centre has checked the
 * permission, the reach, the version, the shape and, where asked, the recent sign-in and the second pair of eyes, and it writes
 * the audit row; all in the transaction that `run` gets.
 */
export interface Operation {
  /** A noun, in the addresses of both: `creation`, `change`, `removal`, or one of its own such as `lock`. */
  name: string;
  kind: 'create' | 'change' | 'remove' | 'act';
  permission: Permission;
  /** A flat object of JSON types; `meta` of its fields says how a form draws them (admin/fields.ts). */
  input: z.ZodObject;
  /** The same for one entry, where the shape depends on it (a policy's unit, a verifier's settings). */
  inputOf?(entry: Entry): z.ZodObject;
  /** Asks for a sign-in of the last minutes (policy `session.console_fresh`). */
  is_weighty?: boolean;
  /** The console asks first with which of these to begin (`?preset=`), each with its `admin.<resource>.preset_<name>` words. */
  presets?: readonly string[];
  /** For people alone: the interface does not offer it. */
  is_console_only?: boolean;
  /** Whether it makes sense for this entry now; where not, it is not offered and answers 409. */
  applies?(entry: Entry, desk: Desk): boolean;
  /** What stands in the form before anybody typed; for a change, the entry's values of today. */
  begin?(desk: Desk, entry: Entry | undefined, query: Record<string, string>): Promise<Record<string, unknown>>;
  /** What `begin` gives is how it stands: the audit tells from what to what, as it does of a change. */
  tells_changes?: boolean;
  /** Where the entry will belong; must be there for `create`, and for a change that can move it. */
  place?(tx: Transaction, input: Record<string, unknown>, entry: Entry | undefined): Promise<Place>;
  /** The policy (a switch) under which it needs a second person, if it does for this input. */
  four_eyes?(entry: Entry | undefined, input: Record<string, unknown>): FourEyesKey | undefined;
  /** What speaks against it at once, by field: told before a second person is asked, who is judged in turn. */
  judge?(
    tx: Transaction,
    desk: Desk,
    input: Record<string, unknown>,
    entry: Entry | undefined,
  ): Promise<Record<string, Said> | undefined>;
  /** What it breaks or does, in sentences, on the form before it is done. */
  warn?(desk: Desk, entry: Entry): Promise<Said[]>;
  run(tx: Transaction, desk: Desk, input: Record<string, unknown>, entry: Entry | undefined): Promise<Outcome>;
}

/** One more part of an entry's page, and one more address of the interface: `/api/v1/accounts/{id}/sessions`. */
export interface Section {
  name: string;
  permission: Permission;
  /** What a row holds; the console draws a table of it unless `view` is given. */
  row: z.ZodObject;
  list(desk: Desk, entry: Entry): Promise<Record<string, unknown>[]>;
  /** Whether whoever looks gets only the rows within their reach: where there are none, no more than that is said. */
  isCut?(desk: Desk): boolean;
  /** A view under `views/parts/` that draws it instead; it gets the `rows`. */
  view?: string;
  /** Not in the interface, only on the page. */
  is_page_only?: boolean;
}

/** How a list is narrowed by one of its filters. */
export interface Filter {
  /** What may be asked; the console draws a select where there are options or an enum, else a search field. */
  schema: z.ZodType<unknown, string>;
  where(value: never): RawBuilder<boolean>;
  options?(desk: Desk): Promise<Option[]>;
}

/** PostgreSQL's type of a sort column, in which the cursor's value is compared; the column is never null. */
export type SortType = 'text' | 'integer' | 'bigint' | 'timestamptz';

export interface Resource {
  /** Segment of both addresses and prefix of its words: `/admin/agencies`, `/api/v1/agencies`, `admin.agencies.*`. */
  name: string;
  /** Under which heading of the console it stands. */
  group: 'applications' | 'people' | 'system';
  /** What it takes to see it at all. */
  permission: Permission;
  /** The shape of an id in addresses; what does not fit is 404. */
  id: RegExp;
  /** What an answer holds, field by field. Times are `moment()` of admin/fields.ts. */
  entry: z.ZodObject;
  /** Every entry with the columns of `entry`, under no condition but those that hold for everybody; `id` is among them. */
  // biome-ignore lint/suspicious/noExplicitAny: each leaf selects from tables of its own
  select(db: Database): SelectQueryBuilder<any, any, any>;
  /** Turns a row of `select` into the entry, where its fields stand inside a column. */
  read?(row: Entry): Entry;
  /** Entries within a reach, as a condition on the columns of `select` (alias `r`); without it only who reaches everything sees any. */
  within?(reach: Exclude<Reach, 'everything'>): RawBuilder<boolean>;
  list: {
    /** Fields of `entry` that the console's table shows; the first leads to the entry. */
    columns: string[];
    /** By which it sorts, the first without being asked: a column of `select`, or an expression of them (`lower(r.name)`) that an index has. */
    sorts: Record<string, SortType | { type: SortType; by: RawBuilder<unknown> }>;
    /** Entries on a page unless asked otherwise (20). */
    size?: number;
    /** Turned round unless asked otherwise. */
    is_latest_first?: boolean;
    filters?: Record<string, Filter>;
  };
  /** Filters under which entries wait for somebody; the console's home counts them. */
  waiting?: Record<string, string>;
  /** A message key that says what an entry means, or why whoever looks may do nothing to it. */
  describe?(entry: Entry, desk: Desk): string | undefined;
  /** What a person calls an entry. */
  title(entry: Entry, language: 'id' | 'en', desk: Desk): string | Promise<string>;
  /** The address of its picture, one of ours. */
  picture?(entry: Entry): string | undefined;
  /** What everybody should know who looks at the list or makes an entry, with the way to where it is decided. */
  notice?(): { text: string; href: string; label: string } | undefined;
  operations: Operation[];
  sections?: Section[];
  /** The choices for fields whose `meta` names them in `options`. */
  options?: Record<string, (desk: Desk, entry: Entry | undefined) => Promise<Option[]>>;
}

/** The resources, in the order of the console's menu; whoever writes one adds it here. */
export const resources: readonly Resource[] = [
  accounts,
  roles,
  organisations,
  memberships,
  agencies,
  directorates,
  applications,
  links,
  clients,
  submissions,
  resourceServers,
  initialAccessTokens,
  policies,
  signingKeys,
  mails,
  approvals,
  audit,
];
