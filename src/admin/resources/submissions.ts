/** Clients that the developers of an agency propose: an officer looks at each, approves it under an id, or says why not. */

import { sql } from 'kysely';
import { z } from 'zod';
import { createClient } from '../../clients/client.ts';
import { clientSchema } from '../../clients/metadata.ts';
import { client_presets } from '../../clients/presets.ts';
import { decideSubmission, registrationOf, type Submission } from '../../clients/submissions.ts';
import type { Database } from '../../database.ts';
import { moment } from '../fields.ts';
import type { Entry, Operation, Resource } from '../resource.ts';
import { listAgencyOptions } from './agencies.ts';

const states = ['waiting', 'approved', 'refused'] as const;
const { redirect_uris, post_logout_redirect_uris, client_uri, jwks_uri, contacts, scope } = clientSchema.shape;

/** What a developer wrote is told as it is; the fields are the clients' own. */
const wish = (field: string) => ({ label: `admin.clients.${field}`, help: `admin.clients.${field}_help`, group: '' });

const deciding = {
  kind: 'act',
  permission: 'submissions:decide',
  is_weighty: true,
  applies: ({ state }) => state === 'waiting',
} as const satisfies Partial<Operation>;

const approval: Operation = {
  ...deciding,
  name: 'approval',
  input: z.object({
    client_id: clientSchema.shape.client_id.meta({ ...wish('client_id') }),
  }),
  begin: async (_desk, entry) => ({ client_id: proposeId(String(entry?.name)) }),
  async run(tx, { jobs, actor, engine }, { client_id }, entry) {
    const submission = entry as Entry & Submission;
    const registration = registrationOf(submission, String(client_id));
    const created = await createClient(tx, registration, engine.validateClient);
    if (created.state === 'refused') return created;
    const decided = { decision: 'approved', by: actor.account_id, client_id: registration.id } as const;
    if (!(await decideSubmission(tx, jobs, submission.id, decided))) return { state: 'conflict' };
    return { state: 'done', id: submission.id, detail: { client_id: registration.id } };
  },
};

const refusal: Operation = {
  ...deciding,
  name: 'refusal',
  input: z.object({ because: z.string().trim().min(3, 'errors.client.reason').max(500, 'errors.too_long') }),
  async run(tx, { jobs, actor }, { because }, entry) {
    const id = String(entry?.id);
    const decided = { decision: 'refused', by: actor.account_id, because: String(because) } as const;
    return (await decideSubmission(tx, jobs, id, decided)) ? { state: 'done', id } : { state: 'conflict' };
  },
};

export const submissions: Resource = {
  name: 'submissions',
  group: 'applications',
  permission: 'submissions:read',
  id: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  entry: z.object({
    id: z.uuid(),
    name: z.string(),
    state: z.enum(states),
    agency_code: z.string(),
    preset: z.enum(client_presets),
    submitted_by: z.string(),
    submitted_at: moment(),
    note: z.string(),
    redirect_uris: redirect_uris.meta(wish('redirect_uris')),
    post_logout_redirect_uris: post_logout_redirect_uris.meta(wish('post_logout_redirect_uris')),
    client_uri: client_uri.meta(wish('client_uri')),
    jwks_uri: jwks_uri.meta(wish('jwks_uri')),
    contacts: contacts.meta(wish('contacts')),
    scope: scope.meta(wish('scope')),
    decided_by: z.string().nullable(),
    decided_at: moment().nullable(),
    because: z.string().nullable(),
    client_id: z.string().nullable(),
    version: z.int(),
  }),
  select,
  read: (row) => ({ ...(row.wishes as Record<string, unknown>), ...row }),
  within: ({ agencies }) => sql<boolean>`r.agency_code = ANY(${agencies})`,
  list: {
    columns: ['name', 'agency_code', 'preset', 'submitted_by', 'submitted_at', 'state'],
    sorts: { submitted_at: 'timestamptz' },
    is_latest_first: true,
    filters: {
      state: { schema: z.enum(states), where: (state: string) => sql<boolean>`r.state = ${state}` },
      agency_code: {
        schema: z.string().max(20),
        where: (code: string) => sql<boolean>`r.agency_code = ${code}`,
        options: (desk) => listAgencyOptions(desk, 'submissions:read'),
      },
    },
  },
  waiting: { state: 'waiting' },
  title: ({ name }) => String(name),
  operations: [approval, refusal],
};

function select(db: Database) {
  return db
    .selectFrom('client_submissions as s')
    .select([
      's.id',
      's.name',
      's.agency_code',
      's.preset',
      's.submitted_at',
      's.note',
      's.wishes',
      's.decided_at',
      's.because',
      's.client_id',
    ])
    .select((eb) => [
      sql<string>`coalesce(s.decision, 'waiting')`.as('state'),
      sql<number>`CASE WHEN s.decision IS NULL THEN 1 ELSE 2 END`.as('version'),
      eb.selectFrom('accounts as a').whereRef('a.id', '=', 's.submitted_by').select('a.full_name').as('submitted_by'),
      eb.selectFrom('accounts as d').whereRef('d.id', '=', 's.decided_by').select('d.full_name').as('decided_by'),
    ]);
}

/** An id made of the name, for the officer to better. */
function proposeId(name: string): string {
  const words =
    name
      .toLowerCase()
      .normalize('NFKD')
      .match(/[a-z0-9]+/g) ?? [];
  return words.join('-').slice(0, 40).replace(/-$/, '');
}
