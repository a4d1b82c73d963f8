/** Codes, links and pending changes: issued for one purpose, spent once, by one statement that counts the try. */

import { randomBytes, randomInt } from 'node:crypto';
import { type Selectable, sql } from 'kysely';
import { keyedDigest, randomToken } from './crypto.ts';
import type { Database, Transaction } from './database.ts';
import type { Proofs } from './tables.ts';

/** What is brought: a `code` typed from a mail, an `sms` typed from a telephone, a `token` that a link or application carries. */
export type SecretKind = 'code' | 'sms' | 'token';

interface Purpose {
  /** Seconds. */
  lifetime: number;
  /** Tries of one flow; sending anew renews none of them. */
  attempts: number;
  secret: SecretKind;
}

const minute = 60;
const day = 86_400;

const purposes = {
  /** In place of a picture that cannot be read (human-check/mail-code.ts). */
  human_check: { lifetime: 10 * minute, attempts: 10, secret: 'code' },
  /** The first password of an account that somebody else opened; how long it stands is policy (accounts/invitation.ts). */
  invitation: { lifetime: 7 * day, attempts: 10, secret: 'token' },
  /** A person comes back from the application that was asked whose user name it is. */
  link_callback: { lifetime: 10 * minute, attempts: 10, secret: 'token' },
  /** What a notice told of was not the person's doing. */
  not_me: { lifetime: 7 * day, attempts: 10, secret: 'token' },
  recovery_address: { lifetime: day, attempts: 10, secret: 'code' },
  reset: { lifetime: 10 * minute, attempts: 10, secret: 'code' },
} as const satisfies Record<string, Purpose>;

export type ProofPurpose = keyof typeof purposes;

/** The purposes there are. */
export const proof_purposes = Object.keys(purposes) as ProofPurpose[];

/** What a proof says of itself; none of it opens anything. */
export type Proof = Omit<Selectable<Proofs>, 'purpose' | 'flow_hash' | 'secret_hash' | 'browser_hash'> & {
  purpose: ProofPurpose;
};

export interface NewProof {
  purpose: ProofPurpose;
  /** Whose account it is; null is a decoy, which behaves like any other and which no secret fits. */
  subject: string | null;
  /** What is proven or changed. */
  target: string;
  /** The token of the flow, which the browser holds. Absent for tokens: a token is its own flow. */
  flow?: string;
  /** What the browser can show again, where no other may bring the secret. */
  browser?: string;
  client_id?: string;
  /** Small, and nothing secret. */
  detail?: Record<string, unknown>;
  /** Where the purpose's own does not hold: `sms` in place of `code`. */
  secret?: Exclude<SecretKind, 'token'>;
  /** Seconds, where the purpose's own do not hold. */
  lifetime?: number;
  /** Leaves the older ones of the same subject and target as they are. */
  keeps_others?: boolean;
}

/**
 * Issues a proof and voids the older open ones of the same purpose for the same subject and target, or of the same flow. The
 * secret exists only in the answer. Tries that the flow has used up stay used up.
 * @returns the secret as it is shown or sent, and the tries that are left for it
 * @throws Error for a code without a flow: it would be as good in any browser as in the one that asked for it
 */
export async function issueProof(
  tx: Transaction,
  keys: Buffer[],
  { purpose, subject, target, keeps_others = false, ...given }: NewProof,
): Promise<{ id: string; secret: string; left: number }> {
  const { attempts, ...usual } = purposes[purpose];
  const kind = given.secret ?? usual.secret;
  const secret = makeSecret(kind);
  const flow = kind === 'token' ? secret : given.flow;
  const [key] = keys;
  if (!flow || !key) throw new Error(`a proof for ${purpose} needs a flow and a key`);
  const flows = keys.map((one) => hash(one, 'flow', purpose, flow));

  // One after the other, first by person and then by flow: of several at once the last alone stays open.
  if (subject && !keeps_others) await lineUp(tx, `${purpose} ${subject} ${target}`);
  await lineUp(tx, `${purpose} ${flows[0]?.toString('base64url')}`);
  const same_flow = sql<boolean>`flow_hash IN (${sql.join(flows)})`;
  const same_thing =
    subject && !keeps_others ? sql<boolean>`(subject = ${subject} AND target = ${target})` : sql`false`;
  const { rows: voided } = await sql<{ attempts: number; is_same_flow: boolean }>`
    UPDATE proofs SET voided_at = gapura_now()
    WHERE purpose = ${purpose} AND spent_at IS NULL AND voided_at IS NULL AND (${same_flow} OR ${same_thing})
    RETURNING attempts, ${same_flow} AS is_same_flow`.execute(tx);
  const used = Math.max(0, ...voided.filter((row) => row.is_same_flow).map((row) => row.attempts));

  const { id } = await tx
    .insertInto('proofs')
    .values({
      purpose,
      subject,
      target,
      flow_hash: hash(key, 'flow', purpose, flow),
      secret_hash: subject === null ? randomBytes(32) : hash(key, 'secret', purpose, flow, fold(purpose, secret)),
      browser_hash: given.browser === undefined ? null : hash(key, 'browser', given.browser),
      client_id: given.client_id ?? null,
      detail: JSON.stringify(given.detail ?? {}),
      attempts: used,
      attempts_allowed: attempts,
      expires_at: sql<Date>`gapura_now() + make_interval(secs => ${given.lifetime ?? usual.lifetime})`,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  return { id, secret, left: attempts - used };
}

/** What is brought to spend a proof; what is named of subject, target and browser must be the proof's own. */
export interface ProofTry {
  purpose: ProofPurpose;
  /** As it was typed or came back. */
  secret: string;
  /** Absent for tokens. */
  flow?: string;
  browser?: string | undefined;
  subject?: string;
  target?: string;
}

/** Why nothing could be spent; for the audit, and for nobody's page. */
export type ProofReason = 'used_up' | 'expired' | 'voided' | 'spent' | 'unknown';

export type SpendOutcome =
  | { state: 'spent'; proof: Proof }
  | { state: 'wrong'; left: number; subject: string | null }
  | { state: 'refused'; because: ProofReason; subject: string | null };

/**
 * Spends a proof: one conditional statement counts the try and spends what fits, so that of many right ones at once one wins,
 * and no more wrong ones are looked at than are allowed.
 */
export async function spendProof(db: Database, keys: Buffer[], brought: ProofTry): Promise<SpendOutcome> {
  const { purpose, browser, subject, target } = brought;
  const flow = brought.flow ?? brought.secret;
  const secret = fold(purpose, brought.secret);
  const secrets = keys.map((key) => hash(key, 'secret', purpose, flow, secret));
  const browsers = browser === undefined ? [null] : keys.map((key) => hash(key, 'browser', browser));
  const flows = keys.map((key) => hash(key, 'flow', purpose, flow));
  const fits = sql<boolean>`(secret_hash IN (${sql.join(secrets)}) AND subject IS NOT NULL
    AND (browser_hash IS NULL OR browser_hash IN (${sql.join(browsers)}))
    ${subject === undefined ? sql`` : sql`AND subject = ${subject}`}
    ${target === undefined ? sql`` : sql`AND target = ${target}`})`;
  const row = await db
    .updateTable('proofs')
    .set({ attempts: sql`attempts + 1`, spent_at: sql<Date | null>`CASE WHEN ${fits} THEN gapura_now() END` })
    .where('purpose', '=', purpose)
    .where('flow_hash', 'in', flows)
    .where(is_open)
    .returningAll()
    .executeTakeFirst();
  if (!row) return { state: 'refused', ...(await explain(db, purpose, flows)) };
  if (row.spent_at) return { state: 'spent', proof: show(row) };
  return { state: 'wrong', left: row.attempts_allowed - row.attempts, subject: row.subject };
}

/** The open proof of a flow, without a try: what a page shows before anything is brought. A token is its own flow. */
export async function findProof(
  db: Database,
  keys: Buffer[],
  { purpose, flow }: { purpose: ProofPurpose; flow: string },
): Promise<Proof | undefined> {
  const flows = keys.map((key) => hash(key, 'flow', purpose, flow));
  const found = db.selectFrom('proofs').selectAll().where('purpose', '=', purpose).where('flow_hash', 'in', flows);
  const row = await found.where(is_open).executeTakeFirst();
  return row && show(row);
}

/** Voids what is open of a person: all of it, or what serves one purpose. */
export async function voidProofs(
  tx: Transaction,
  { purpose, subject }: { purpose?: ProofPurpose; subject: string },
): Promise<number> {
  const { numUpdatedRows } = await tx
    .updateTable('proofs')
    .set({ voided_at: sql<Date>`gapura_now()` })
    .where('subject', '=', subject)
    .where('spent_at', 'is', null)
    .where('voided_at', 'is', null)
    .$if(purpose !== undefined, (query) => query.where('purpose', '=', purpose ?? ''))
    .executeTakeFirst();
  return Number(numUpdatedRows);
}

/** A duty: deletes proofs whose time was over a day ago, a batch at a time; says how many. */
export async function purgeProofs(db: Database, batch = 1000): Promise<number> {
  const past = sql<Date>`gapura_now() - interval '1 day'`;
  const { numDeletedRows } = await db
    .deleteFrom('proofs')
    .where('id', 'in', (eb) => eb.selectFrom('proofs').select('id').where('expires_at', '<', past).limit(batch))
    .executeTakeFirst();
  return Number(numDeletedRows);
}

const is_open = sql<boolean>`spent_at IS NULL AND voided_at IS NULL AND expires_at > gapura_now()
  AND attempts < attempts_allowed`;

async function explain(
  db: Database,
  purpose: ProofPurpose,
  flows: Buffer[],
): Promise<{ because: ProofReason; subject: string | null }> {
  const row = await db
    .selectFrom('proofs')
    .select(['subject', 'spent_at', 'voided_at', sql<boolean>`expires_at <= gapura_now()`.as('is_expired')])
    .where('purpose', '=', purpose)
    .where('flow_hash', 'in', flows)
    .orderBy('created_at', 'desc')
    .executeTakeFirst();
  if (!row) return { because: 'unknown', subject: null };
  const because = row.spent_at ? 'spent' : row.voided_at ? 'voided' : row.is_expired ? 'expired' : 'used_up';
  return { because, subject: row.subject };
}

function show({ flow_hash: _, secret_hash: __, browser_hash: ___, ...row }: Selectable<Proofs>): Proof {
  return row as Proof;
}

async function lineUp(tx: Transaction, name: string): Promise<void> {
  await sql`SELECT pg_advisory_xact_lock(hashtextextended(${`proofs ${name}`}, 0))`.execute(tx);
}

// Without the letters and digits that are taken for each other: 0 O Q, 1 I L, 2 Z, 5 S, 8 B, U. Eight of these 23 are 36 bits.
const alphabet = 'ACDEFGHJKMNPRTVWXY34679';

function makeSecret(kind: SecretKind): string {
  if (kind === 'token') return randomToken();
  if (kind === 'sms') return String(randomInt(1_000_000)).padStart(6, '0');
  return Array.from({ length: 8 }, () => alphabet[randomInt(alphabet.length)]).join('');
}

/** A code as it is compared: in any case, with or without the gap, in letters of any width. A token is what it is. */
function fold(purpose: ProofPurpose, secret: string): string {
  if (purposes[purpose].secret === 'token') return secret;
  return secret.normalize('NFKC').replace(/[\s-]/g, '').toUpperCase();
}

/** Each hash is of one kind of thing for one purpose: what fits in one place fits in no other. */
function hash(key: Buffer, kind: 'flow' | 'secret' | 'browser', ...parts: string[]): Buffer {
  return keyedDigest(key, JSON.stringify([kind, ...parts]));
}
