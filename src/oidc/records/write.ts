/** Every statement that writes, spends or ends a record of the engine. */

import { type RawBuilder, sql, type UpdateObject } from 'kysely';
import { keyedDigest } from '../../crypto.ts';
import type { Database, Transaction } from '../../database.ts';
import type { Lane } from '../../lines.ts';
import { policy } from '../../policy/policy.ts';
import { prepare, type Statement } from '../../statements.ts';
import type { Tables } from '../../tables.ts';
import { expiry, spent } from './records.ts';
import { may_renew } from './refresh.ts';
import type { RecordStore } from './store.ts';

/** What is needed to name a record. */
type Keyed = Pick<RecordStore, 'db' | 'id_key'>;

/** A record's columns; it lives for `seconds`. */
export interface Written {
  id_hash: Buffer;
  model: string;
  account_id: string | null;
  client_id: string | null;
  grant_id: string | null;
  user_code_hash: Buffer | null;
  generation: number | null;
  payload: string;
  seconds: number;
}

type ValueOf = (key: string) => unknown;

/** The columns of a record, the `at`th of a statement. */
const row = (value: ValueOf, at = 0) => {
  const of = (key: keyof Written) => value(`${key}${at}`);
  return sql`SELECT ${of('id_hash')}::bytea, ${of('model')}::text, ${of('account_id')}::uuid, ${of('client_id')}::text,
    ${of('grant_id')}::text, ${of('user_code_hash')}::bytea, ${of('generation')}::int, ${of('payload')}::jsonb,
    ${expiry(of('seconds') as number)}`;
};

const insert = (rows: RawBuilder<unknown>) => sql`
  INSERT INTO oidc_records
    (id_hash, model, account_id, client_id, grant_id, user_code_hash, generation, payload, expires_at)
  ${rows}
  ON CONFLICT (id_hash) DO UPDATE SET account_id = excluded.account_id, client_id = excluded.client_id,
    grant_id = excluded.grant_id, user_code_hash = excluded.user_code_hash, generation = excluded.generation,
    payload = excluded.payload, expires_at = excluded.expires_at
  WHERE oidc_records.consumed_at IS NULL`;

type Values = Record<string, unknown>;

const valuesOf = (records: Written[]): Values =>
  Object.fromEntries(records.flatMap((record, at) => Object.entries(record).map(([key, one]) => [`${key}${at}`, one])));

const writer = (name: string, lane: Lane) => prepare<Values>(name, lane, (_db, value) => insert(row(value)));

const write = writer('write record', 'write');
const writeRelaxed = writer('write record, relaxed', 'relaxed');

/**
 * What a crash of the database may take along: whoever was on the way begins again, and nothing was promised. A service's token
 * for itself is one of them: it hears that the token is none, and asks for another as it does every hour.
 */
const is_loss_a_new_start = new Set([
  'Interaction',
  'AuthorizationCode',
  'PushedAuthorizationRequest',
  'ClientCredentials',
]);

const spend = (id_hash: Buffer, may: RawBuilder<boolean>) => sql`
  UPDATE oidc_records AS r SET consumed_at = coalesce(r.consumed_at, gapura_now()) WHERE r.id_hash = ${id_hash} AND ${may}`;

const unspent = sql<boolean>`r.consumed_at IS NULL`;

const consumer = (name: string, may: RawBuilder<boolean>) =>
  prepare<{ id_hash: Buffer }>(name, 'write', (_db, value) => spend(value('id_hash'), may));

/** Spends a record; counts none where it was spent before. */
export const consumeRecord = consumer('consume record', unspent);
/** The same for a refresh token, which its client may use again for a moment. */
export const consumeRefreshToken = consumer('consume refresh token', may_renew);

const statements = new Map<string, Statement<Values, unknown>>();

/** Writes the tokens of one answer, and spends what they were asked for with, or neither; false where that was spent before. */
export async function writeTokens(
  db: Database,
  tokens: Written[],
  spending?: { model: string; id_hash: Buffer },
): Promise<boolean> {
  const name = `${tokens.length} tokens for ${spending?.model ?? 'nothing'}`;
  const known = statements.get(name);
  const statement =
    known ??
    prepare<Values>(name, 'write', (_db, value) => {
      if (!spending)
        return insert(
          sql.join(
            tokens.map((_, at) => row(value, at)),
            sql` UNION ALL `,
          ),
        );
      const may = spending.model === 'RefreshToken' ? may_renew : unspent;
      const rows = tokens.map((_, at) => sql`${row(value, at)} FROM spent`);
      return sql`WITH spent AS (${spend(value('spent_hash') as Buffer, may)} RETURNING 1)
        ${insert(sql.join(rows, sql` UNION ALL `))}`;
    });
  statements.set(name, statement);
  const { count } = await statement(db, { ...valuesOf(tokens), spent_hash: spending?.id_hash });
  return count === tokens.length;
}

/** Writes a record, over one of the same id that nobody has spent; false where somebody has. */
export async function writeRecord(db: Database, record: Written): Promise<boolean> {
  const { count } = await (is_loss_a_new_start.has(record.model) ? writeRelaxed : write)(db, valuesOf([record]));
  return count === 1;
}

/** Changes a record that was neither spent nor is over, if it still is as `where` says (columns of `oidc_records`); false when not. */
export async function changeRecord(
  db: Database,
  id_hash: Buffer,
  change: UpdateObject<Tables, 'oidc_records'>,
  where: RawBuilder<boolean>,
): Promise<boolean> {
  const result = await db
    .updateTable('oidc_records')
    .set(change)
    .where('id_hash', '=', id_hash)
    .where('consumed_at', 'is', null)
    .where('expires_at', '>', sql<Date>`gapura_now()`)
    .where(where)
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}

/** An interaction resumes once. The emptied row stays a while, so that its page can say so and lead back. */
export async function finishInteraction(db: Database, id_hash: Buffer): Promise<void> {
  if ((await finish(db, { id_hash })).count !== 1) throw spent('Interaction');
}

const finish = prepare<{ id_hash: Buffer }>('finish interaction', 'write', (db, value) =>
  db
    .updateTable('oidc_records')
    .set({ consumed_at: sql`gapura_now()`, payload: sql`'{}'` })
    .where('id_hash', '=', value('id_hash'))
    .where('consumed_at', 'is', null)
    .where('expires_at', '>', sql<Date>`gapura_now()`),
);

/** Ends a grant: its codes and tokens, and the grant itself. */
export async function endGrant(db: Database, grant_id: string): Promise<void> {
  await endGrants(db, [grant_id]);
}

/** Ends several grants. @returns how many records there were */
export async function endGrants(db: Database, grant_ids: string[]): Promise<number> {
  if (grant_ids.length === 0) return 0;
  const { numDeletedRows } = await db
    .deleteFrom('oidc_records')
    .where('grant_id', 'in', grant_ids)
    .executeTakeFirstOrThrow();
  return Number(numDeletedRows);
}

/** Ends what came of a grant, and leaves the grant. */
export async function endTokens(db: Database, grant_id: string): Promise<void> {
  await db.deleteFrom('oidc_records').where('grant_id', '=', grant_id).where('model', '<>', 'Grant').execute();
}

/** Deletes a record. */
export async function deleteRecord(db: Database, id_hash: Buffer): Promise<void> {
  await db.deleteFrom('oidc_records').where('id_hash', '=', id_hash).execute();
}

/** Ends all that a client was granted, a batch at a time so that no statement takes long, and the tokens it got for itself. */
export async function endGrantsOfClient(db: Database, client_id: string, batch = 1000): Promise<void> {
  for (let ended = 1n; ended > 0n; ) {
    const { numAffectedRows = 0n } = await sql`DELETE FROM oidc_records WHERE grant_id IN (
      SELECT grant_id FROM oidc_records WHERE model = 'Grant' AND client_id = ${client_id} LIMIT ${batch})`.execute(db);
    ended = numAffectedRows;
  }
  // These live for minutes and are found by that: an index by client would cost every token that is issued.
  await sql`DELETE FROM oidc_records WHERE model = 'ClientCredentials' AND client_id = ${client_id}
    AND expires_at < gapura_now() + interval '1 hour'`.execute(db);
}

/** Ends all that a client was granted by a person, in whatever session, and what outlived its session. */
export async function endGrantsOf(db: Database, account_id: string, client_id: string): Promise<void> {
  const grants = db
    .selectFrom('oidc_records')
    .select('grant_id')
    .where('model', '=', 'Grant')
    .where('account_id', '=', account_id)
    .where('client_id', '=', client_id);
  await db.deleteFrom('oidc_records').where('grant_id', 'in', grants).execute();
}

/** Ends the tokens that may change a client (RFC 7592), or the one that is spent on it; false when that was gone. */
export async function endRegistrationTokens(
  tx: Transaction,
  store: Keyed,
  client_id: string,
  token?: string,
): Promise<boolean> {
  const id_hash = keyedDigest(store.id_key, `RegistrationAccessToken\0${token}`);
  const result = await tx
    .deleteFrom('oidc_records')
    .where('model', '=', 'RegistrationAccessToken')
    .where('client_id', '=', client_id)
    .$if(token !== undefined, (query) => query.where('id_hash', '=', id_hash))
    .executeTakeFirst();
  return result.numDeletedRows > 0n;
}

/** Notes that a token identifier was used; false when it was used before (RFC 7523 section 3, RFC 9449 section 11.1). */
export async function insertReplayMarker(store: Keyed, id: string, expiresIn: number): Promise<boolean> {
  const result = await store.db
    .insertInto('oidc_records')
    .values({
      id_hash: keyedDigest(store.id_key, `ReplayDetection\0${id}`),
      model: 'ReplayDetection',
      payload: '{}',
      expires_at: expiry(Math.max(expiresIn, 1)),
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return result.numInsertedOrUpdatedRows === 1n;
}

/**
 * Deletes records whose time is over, and interactions that stayed long enough to lead a late visitor back: up to `batch` of
 * each, found by an index of each, so that those which still stay are not read.
 */
export async function purgeRecords(db: Database, batch = 1000): Promise<number> {
  const over = sql`expires_at < gapura_now() - interval '1 minute'`;
  const memory = sql`make_interval(secs => ${policy('interaction.memory')})`;
  const choose = (which: RawBuilder<unknown>) => sql`ARRAY(
    SELECT ctid FROM oidc_records WHERE ${which} ORDER BY expires_at LIMIT ${batch} FOR UPDATE SKIP LOCKED)`;
  const { numAffectedRows = 0n } = await sql`DELETE FROM oidc_records WHERE ctid = ANY (
    ${choose(sql`model <> 'Interaction' AND ${over}`)}
    || ${choose(sql`model = 'Interaction' AND ${over} AND expires_at < gapura_now() - ${memory}`)})`.execute(db);
  return Number(numAffectedRows);
}
