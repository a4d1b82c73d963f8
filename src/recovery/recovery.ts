/** Getting back in without the password: begun by a name, proven by a code, as a row that goes on one step at a time. */

import { randomUUID } from 'node:crypto';
import { browserKey } from '../accounts/browsers.ts';
import { canonicalise } from '../accounts/identifiers.ts';
import { type Account, findAccountForSignIn } from '../accounts/store.ts';
import { type AuditRequest, record } from '../audit/audit.ts';
import type { Config } from '../config.ts';
import { deriveKeys, keyedDigest, open, randomToken, seal } from '../crypto.ts';
import { type Database, inTransaction, type Transaction } from '../database.ts';
import { mailKeys } from '../delivery/outbox.ts';
import type { Jobs } from '../jobs.ts';
import type { Limits } from '../limits/limits.ts';
import type { PolicyKey } from '../policy/keys.ts';
import { policy } from '../policy/policy.ts';
import { emailCode } from './methods/email-code.ts';
import * as store from './store.ts';

/** What recovering needs. */
export interface RecoveryStore {
  db: Database;
  jobs: Jobs;
  limits: Limits;
  browser_key: Buffer;
  /** Of proofs. */
  keys: Buffer[];
  /** Of what browsers hold. */
  flow_keys: Buffer[];
  visit_keys: Buffer[];
  mail_keys: Buffer[];
  mask_key: Buffer;
  /** Gapura's own address; links in mails begin with it, whatever a request said. */
  url: string;
  /** Whom people turn to; stands in the mails. */
  support: string;
  /** The zone of people who are not known. */
  zone: string;
  /** Domains of the house, whose mail nobody reads who cannot get in. */
  own_domains: string[];
}

export async function openRecoveries(
  parts: Pick<RecoveryStore, 'db' | 'jobs' | 'limits'>,
  config: Config,
): Promise<RecoveryStore> {
  return {
    ...parts,
    browser_key: browserKey(config),
    keys: deriveKeys(config.secrets, 'proofs'),
    flow_keys: deriveKeys(config.secrets, 'recoveries'),
    visit_keys: deriveKeys(config.secrets, 'recoveries.visit'),
    mail_keys: mailKeys(config),
    mask_key: await store.readMaskKey(parts.db),
    url: config.url,
    support: `${config.support_name}, ${config.support_email}`,
    zone: config.time_zone,
    own_domains: [new URL(config.url).hostname, config.support_email.split('@')[1] ?? ''],
  };
}

/** Where a code can go; `id` null: to nobody, but shown like any other. */
export interface RecoveryTarget {
  id: string | null;
  /** Masked. */
  shown: string;
  address: string;
  canonical: string;
}

/** A way to prove without the password whose account it is. */
export interface RecoveryMethod {
  name: string;
  /** The policy that gives its place among the ways; 0 closes it. */
  place: Extract<PolicyKey, `recovery.${string}`>;
  /** Where a code can go, at least one; of nobody the same from the name alone, by the same statements. */
  listTargets(
    store: Pick<RecoveryStore, 'db' | 'mask_key'>,
    account_id: string | undefined,
    canonical: string,
  ): Promise<RecoveryTarget[]>;
  /** Sends the code; without an account the same is written and enqueued, and nothing is sent. */
  sendCode(
    tx: Transaction,
    store: Pick<RecoveryStore, 'jobs' | 'mail_keys' | 'support' | 'zone'>,
    order: {
      account: (Account & { username: string }) | undefined;
      target: RecoveryTarget;
      code: string;
      /** What the code is for; when it is over before the code is sent, the code stays here. */
      proof_id: string;
      expires_at: Date;
    },
  ): Promise<void>;
  /** Notes that a code sent to the target with this id was right. */
  noteUse(tx: Transaction, target_id: string): Promise<void>;
}

const methods: RecoveryMethod[] = [emailCode];

/** The ways there are, in the order of the policy. */
export function listWays(): RecoveryMethod[] {
  const place = ({ place: key }: RecoveryMethod) => Number(policy(key));
  return methods.filter((method) => place(method) > 0).sort((one, other) => place(one) - place(other));
}

/** A recovery as its pages need it. */
export interface Recovery extends Visit {
  id: string;
  method: RecoveryMethod;
  state: store.RecoveryState;
  subject: string | null;
  generation: number | null;
  /** Seconds until another code may be sent. */
  resend_in: number;
}

/** What was typed, and where the person came from. */
interface Visit {
  name: string;
  client_id?: string;
  /** The sign-in page it began from, and leads back to. */
  interaction?: string;
}

/** Seconds for everything up to the right code. */
const lifetime = 7200;

export type BeginOutcome = { state: 'begun'; token: string } | { state: 'waiting'; retry_after: number };

/**
 * Begins a recovery for a typed name. Nothing in what follows tells whether somebody has that name: where no code can be
 * right, the same steps are walked with a subject of nobody.
 */
export async function beginRecovery(
  parts: RecoveryStore,
  { way, visit, request }: { way: RecoveryMethod; visit: Visit; request: AuditRequest },
): Promise<BeginOutcome> {
  const { db } = parts;
  const spent = await parts.limits.spend(db, 'recovery_start', request.address);
  if (spent.state === 'refused') return { state: 'waiting', retry_after: spent.retry_after };
  const canonical = canonicalise(visit.name);
  const account = await findAccountForSignIn(db, canonical, undefined);
  const is_open = account !== undefined && account.locks.length === 0 && !account.expired;
  const [target] = await way.listTargets(parts, is_open ? account.id : undefined, canonical);
  const subject = is_open && target?.id ? account.id : null;
  const [id, token] = [randomUUID(), randomToken()];
  const row = {
    id,
    method: way.name,
    subject,
    generation: subject === null ? null : (account?.generation ?? null),
    flow_hash: hashFlow(parts, token),
    visit: seal(parts.visit_keys[0] as Buffer, JSON.stringify(visit), contextOf(id)),
  };
  await inTransaction(db, async (tx) => {
    await store.insertRecovery(tx, row, lifetime);
    const detail = { method: way.name, is_possible: subject !== null };
    await record(tx, { kind: 'recovery_begun', account_id: account?.id ?? null, detail, request });
  });
  return { state: 'begun', token };
}

const contextOf = (id: string) => `recoveries.visit ${id}`;
const hashWith = (key: Buffer, token: string) => keyedDigest(key, `flow\0${token}`);
/** What is stored of the token that a browser holds. */
export const hashFlow = ({ flow_keys: [key] }: RecoveryStore, token: string) => hashWith(key as Buffer, token);

/** The recovery that a browser's token stands for, while its time is not over. */
export async function findRecovery(parts: RecoveryStore, token: string): Promise<Recovery | undefined> {
  const hashes = parts.flow_keys.map((key) => hashWith(key, token));
  const row = await store.findByFlow(parts.db, hashes);
  const method = methods.find(({ name }) => name === row?.method);
  if (!row || !method) return undefined;
  const { id, state, subject, generation, resend_in } = row;
  const visit = JSON.parse(open(parts.visit_keys, row.visit, contextOf(id))) as Visit;
  return { ...visit, id, method, state, subject, generation, resend_in };
}

/** Where a code can go, masked. Of a closed account what was shown before: another mask would tell that it was closed. */
export async function listMasks(parts: RecoveryStore, { method, subject, name }: Recovery): Promise<string[]> {
  const canonical = canonicalise(name);
  const account = await findAccountForSignIn(parts.db, canonical, undefined);
  const targets = await method.listTargets(parts, subject ?? account?.id, canonical);
  return targets.map(({ shown }) => shown);
}
