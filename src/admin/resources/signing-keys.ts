/** The keys that sign tokens, at the console and for programs: which there are, the next step, and the end of one in an emergency. */

import { sql } from 'kysely';
import { z } from 'zod';
import type { Database, Transaction } from '../../database.ts';
import { type KeyAlgorithm, key_algorithms } from '../../oidc/keys/key-pairs.ts';
import { endGrantsSigned } from '../../oidc/keys/signed-grants.ts';
import { keptRetired, promoteKey, publishKey, removeKey } from '../../oidc/keys/signing-keys.ts';
import { policy } from '../../policy/policy.ts';
import { moment } from '../fields.ts';
import type { Desk, Entry, Outcome, Resource } from '../resource.ts';

const states = z.enum(['next', 'current', 'retired']);
const algorithms = z.enum(key_algorithms);

export const signingKeys: Resource = {
  name: 'signing-keys',
  group: 'system',
  permission: 'signing-keys:read',
  // A thumbprint (RFC 7638).
  id: /^[\w-]{43}$/,
  entry: z.object({
    id: z.string(),
    alg: algorithms,
    state: states,
    created_at: moment(),
    current_at: moment().nullable(),
    retired_at: moment().nullable(),
    /** When it begins to sign, when its successor is due, or until when it is published. */
    until: moment(),
  }),
  select,
  list: {
    columns: ['id', 'alg', 'state', 'created_at', 'until'],
    sorts: { created_at: 'timestamptz', alg: 'text' },
    is_latest_first: true,
    filters: { state: { schema: states, where: (value: string) => sql<boolean>`r.state = ${value}` } },
  },
  title: ({ id, alg }) => `${alg} ${String(id).slice(0, 8)}`,
  operations: [
    {
      name: 'creation',
      kind: 'create',
      permission: 'signing-keys:write',
      is_weighty: true,
      input: z.object({ alg: algorithms }),
      place: async () => ({}),
      run: (tx, desk, { alg }) => publish(tx, desk, alg as KeyAlgorithm),
    },
    {
      name: 'promotion',
      kind: 'act',
      permission: 'signing-keys:write',
      is_weighty: true,
      input: z.object({}),
      applies: ({ state }) => state === 'next',
      run: (tx, _desk, _input, entry) => promote(tx, entry as Entry),
    },
    {
      name: 'removal',
      kind: 'remove',
      permission: 'signing-keys:write',
      is_weighty: true,
      four_eyes: () => 'four_eyes.signing_key',
      input: z.object({
        because: z
          .string()
          .trim()
          .min(3, 'errors.signing-key.because')
          .max(500, 'errors.too_long')
          .meta({ long: true }),
      }),
      async run(tx, { config }, { because }, entry) {
        const removed = await removeKey(tx, config, String(entry?.id));
        if (!removed) return { state: 'conflict' };
        const { kid, alg, since, successor } = removed;
        const grants = since ? await endGrantsSigned(tx, { alg, since }) : 0;
        return { state: 'done', id: kid, detail: { alg, successor, grants, because: String(because) } };
      },
    },
  ],
};

function select(db: Database) {
  return db.selectFrom('signing_keys as k').select([
    'k.kid as id',
    'k.alg',
    'k.state',
    'k.created_at',
    'k.current_at',
    'k.retired_at',
    sql<Date>`CASE k.state
      WHEN 'next' THEN k.created_at + make_interval(secs => ${policy('keys.publish_ahead')})
      WHEN 'current' THEN k.current_at + make_interval(days => ${policy('keys.rotation_days')})
      ELSE k.retired_at + make_interval(secs => ${keptRetired()}) END`.as('until'),
  ]);
}

async function publish(tx: Transaction, { config }: Desk, alg: KeyAlgorithm): Promise<Outcome> {
  const outcome = await publishKey(tx, config, alg);
  if (outcome.state === 'waiting') return { state: 'refused', errors: { alg: 'errors.signing-key.published' } };
  return { state: 'done', id: outcome.kid, detail: { alg } };
}

async function promote(tx: Transaction, { alg, id }: Entry): Promise<Outcome> {
  const outcome = await promoteKey(tx, alg as KeyAlgorithm, id);
  if (!outcome) return { state: 'conflict' };
  if (outcome.state !== 'waiting') return { state: 'done', id, detail: { alg: String(alg) } };
  const { minutes } = outcome;
  return { state: 'refused', errors: { form: { key: 'errors.signing-key.early', values: { minutes } } } };
}
