/** What a request of the engine will ask for, read at once: a token with its session and its grant, and how new the clients are. */

import { type RawBuilder, sql } from 'kysely';
import { type AdapterPayload, Provider } from 'oidc-provider';
import { type AccountWithName, selectAccount } from '../../accounts/store.ts';
import type { Database } from '../../database.ts';
import { prepare } from '../../statements.ts';
import { type SessionRow, session_columns, toSession } from '../sessions/session-read.ts';
import { epochExpiry, seconds_left, standing } from './records.ts';
import { is_reused } from './refresh.ts';

/** A record as it is read. */
export interface RecordRow {
  payload: AdapterPayload;
  generation: number | null;
  /** Seconds since the epoch; null for one that was never used. */
  consumed: number | null;
  is_spent: boolean;
  seconds_left: number;
}

const used = sql<boolean>`r.consumed_at IS NOT NULL`;
const record_columns = (is_spent = used) => sql`r.payload, r.generation,
  floor(extract(epoch FROM r.consumed_at))::int AS consumed, ${is_spent} AS is_spent, ${seconds_left} AS seconds_left`;

/** The number of the clients' topic, which every change of one moves (db/migrations/0027). */
const clients_version = sql<string>`(SELECT version FROM topics WHERE name = 'clients')`;

interface ReadAtOnce {
  clients: string;
  record: (RecordRow & { grant_id: string | null; session_uid: string | null }) | null;
  session: SessionRow | null;
  held_grant: RecordRow | null;
}

function readWithToken(name: string, is_spent?: RawBuilder<boolean>) {
  return prepare<{ id_hash: Buffer }, ReadAtOnce>(
    name,
    'read',
    (_db, value) => sql`
      SELECT ${clients_version} AS clients, row_to_json(record) AS record, row_to_json(session) AS session,
        row_to_json(held_grant) AS held_grant
      FROM (SELECT) AS once
      LEFT JOIN LATERAL (SELECT ${record_columns(is_spent)}, r.grant_id, r.payload ->> 'sessionUid' AS session_uid
        FROM oidc_records r WHERE r.id_hash = ${value('id_hash')} AND ${standing}) AS record ON true
      LEFT JOIN LATERAL (SELECT ${session_columns}
        FROM oidc_sessions r WHERE r.uid = record.session_uid AND ${standing}) AS session ON true
      LEFT JOIN LATERAL (SELECT ${record_columns()}
        FROM oidc_records r WHERE r.grant_id = record.grant_id AND r.model = 'Grant' AND ${standing}) AS held_grant ON true`,
  );
}

const readToken = readWithToken('token');
const readRefreshToken = readWithToken('refresh token', is_reused);

const readSessionAtOnce = prepare<{ id_hash: Buffer; client_id: string }, ReadAtOnce & { grant_id: string | null }>(
  'session with grant',
  'read',
  (_db, value) => sql`
    SELECT ${clients_version} AS clients, row_to_json(session) AS session, row_to_json(held_grant) AS held_grant,
      session.authorizations -> ${value('client_id')}::text ->> 'grantId' AS grant_id
    FROM (SELECT) AS once
    LEFT JOIN LATERAL (SELECT ${session_columns}
      FROM oidc_sessions r WHERE r.id_hash = ${value('id_hash')} AND ${standing}) AS session ON true
    LEFT JOIN LATERAL (SELECT ${record_columns()} FROM oidc_records r
      WHERE r.grant_id = session.authorizations -> ${value('client_id')}::text ->> 'grantId' AND r.model = 'Grant'
        AND ${standing}) AS held_grant ON true`,
);

const readRecord = prepare<{ id_hash: Buffer }, RecordRow & { clients: string }>(
  'record',
  'read',
  (_db, value) => sql`SELECT ${clients_version} AS clients, ${record_columns()}
    FROM oidc_records r WHERE r.id_hash = ${value('id_hash')} AND ${standing}`,
);

const readVersion = prepare<object, { clients: string }>(
  'version of the clients',
  'read',
  () => sql`SELECT ${clients_version} AS clients`,
);

/** What was read ahead for a request; each is given out once, since the request itself may change what it asks for again. */
interface Ahead {
  clients: string;
  held: Map<string, AdapterPayload | undefined>;
}

const requests = new WeakMap<object, Ahead>();

function aheadOf(clients: string): Ahead['held'] {
  const { ctx } = Provider;
  const ahead = (ctx && requests.get(ctx)) ?? { clients, held: new Map() };
  if (ctx) requests.set(ctx, ahead);
  return ahead.held;
}

/** What this request has read already of a model under an id; undefined where nothing is known. */
export function takeAhead(model: string, id: string): { payload: AdapterPayload | undefined } | undefined {
  const held = Provider.ctx && requests.get(Provider.ctx)?.held;
  const key = `${model}\0${id}`;
  if (!held?.has(key)) return undefined;
  const payload = held.get(key);
  held.delete(key);
  return { payload };
}

/** Models whose records are asked for together with their session and their grant. */
const tokens = new Set(['AuthorizationCode', 'AccessToken', 'RefreshToken']);

const readPersonOfToken = prepare<{ id_hash: Buffer }, AccountWithName>('person of a token', 'read', (db, value) =>
  selectAccount(db).where(
    'a.id',
    '=',
    sql<string>`(SELECT r.account_id FROM oidc_records r WHERE r.id_hash = ${value('id_hash')})`,
  ),
);

/** Who a token of userinfo is about, if the request in progress has asked already; the token itself decides whether that is told. */
export async function takePerson(account_id: string): Promise<AccountWithName | undefined> {
  const person = await (Provider.ctx && people.get(Provider.ctx));
  return person?.id === account_id ? person : undefined;
}

/** By request: the person whose claims will be asked for, on the way in the same trip as the token. */
const people = new WeakMap<object, Promise<AccountWithName | undefined>>();

function askForPerson(db: Database, id_hash: Buffer): void {
  const { ctx } = Provider;
  if (ctx?.oidc?.route !== 'userinfo' || people.has(ctx)) return;
  const asked = readPersonOfToken(db, { id_hash }).then(({ rows }) => rows[0]);
  // Whoever takes it hears of a failure; the token's own read fails as well.
  asked.catch(() => undefined);
  people.set(ctx, asked);
}

/** A record as the engine takes it; with a token come its session and its grant, for what the engine asks next. */
export async function findRecord(
  db: Database,
  model: string,
  id: string,
  id_hash: Buffer,
): Promise<AdapterPayload | undefined> {
  const ahead = takeAhead(model, id);
  if (ahead) return ahead.payload;
  if (!tokens.has(model)) {
    const [row] = (await readRecord(db, { id_hash })).rows;
    if (row) aheadOf(row.clients);
    return toPayload(model, id, row);
  }
  askForPerson(db, id_hash);
  const { record, session, held_grant, clients } = await readTokenRow(db, model, id_hash);
  const held = aheadOf(clients);
  if (record?.session_uid) held.set(`Session\0${record.session_uid}`, session ? toSession(session) : undefined);
  if (record?.grant_id)
    held.set(`Grant\0${record.grant_id}`, toPayload('Grant', record.grant_id, held_grant ?? undefined));
  return toPayload(model, id, record ?? undefined);
}

async function readTokenRow(db: Database, model: string, id_hash: Buffer): Promise<ReadAtOnce> {
  const is_used = model === 'RefreshToken' && Provider.ctx?.oidc?.route === 'token';
  const { rows } = await (is_used ? readRefreshToken : readToken)(db, { id_hash });
  return rows[0] as ReadAtOnce;
}

/** What a token may be that comes without a word of its kind. */
const kinds_of_token = ['AccessToken', 'ClientCredentials', 'RefreshToken'];

/** Reads a token before the client is asked who it is, with all that comes with it. */
export async function readTokenAhead(db: Database, model: string, id: string, id_hash: Buffer): Promise<void> {
  const payload = await findRecord(db, model, id, id_hash);
  const held = Provider.ctx && requests.get(Provider.ctx)?.held;
  if (!held) return;
  // An id is drawn once: what is one of them is no other, and the engine asks for all at the same time.
  if (payload) for (const kind of kinds_of_token) held.set(`${kind}\0${id}`, undefined);
  held.set(`${model}\0${id}`, payload);
}

/** The session of a cookie; with it comes the grant of the client that asks. */
export async function findSessionByCookie(
  db: Database,
  id_hash: Buffer,
): Promise<ReturnType<typeof toSession> | undefined> {
  const asking = Provider.ctx?.query.client_id;
  const client_id = typeof asking === 'string' && !asking.includes('\0') ? asking : '';
  const { rows } = await readSessionAtOnce(db, { id_hash, client_id });
  const { clients, session, held_grant, grant_id } = rows[0] as (typeof rows)[number];
  const held = aheadOf(clients);
  if (grant_id) held.set(`Grant\0${grant_id}`, toPayload('Grant', grant_id, held_grant ?? undefined));
  return session ? toSession(session) : undefined;
}

/** How new the clients were when this request first read anything. */
export async function versionOfClients(db: Database): Promise<string> {
  const known = Provider.ctx && requests.get(Provider.ctx)?.clients;
  if (known !== undefined) return known;
  const { clients } = (await readVersion(db, {})).rows[0] as { clients: string };
  aheadOf(clients);
  return clients;
}

function toPayload(model: string, id: string, row: RecordRow | undefined): AdapterPayload | undefined {
  // The engine would take an expired interaction for some seconds more, and refuse only what comes of it.
  if (!row || (model === 'Interaction' && (row.consumed !== null || row.seconds_left <= 0))) return undefined;
  return {
    ...row.payload,
    jti: id,
    exp: epochExpiry(row.seconds_left),
    ...(row.generation === null ? {} : { generation: row.generation }),
    ...(row.consumed !== null && row.is_spent ? { consumed: row.consumed } : {}),
  };
}
