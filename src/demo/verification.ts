/** e-BPOM's verification endpoint: Gapura asks it whether a user name and password of e-BPOM fit. */

import getRawBody from 'raw-body';
import { z } from 'zod';
import { now } from '../clock.ts';
import { CallerTokenError, readCallerToken } from './caller-token.ts';
import type { SiteContext } from './context.ts';
import type { Provider } from './gapura.ts';
import type { OwnUsers } from './own-users.ts';
import type { RelyingParty } from './relying-party.ts';
import { inTurn } from './turn.ts';
import { hashToken } from './visitor.ts';

/** Where Gapura posts its questions; not a form of a page. */
export const verification_path = '/gapura/verification';

const largest_body = 4096;

const text = (longest: number) =>
  z
    .string()
    .min(1)
    .max(longest)
    // PostgreSQL has no NUL in a text, and no person types one.
    .refine((value) => !value.includes('\0'));
const questionSchema = z.object({ username: text(200), password: text(1000) });

type Answer = { status: number; body: Record<string, string>; headers?: Record<string, string> };

/** Adds the endpoint and makes the table in which it remembers the requests that it has answered. */
export async function addVerification(party: RelyingParty, users: OwnUsers): Promise<void> {
  const { db, router } = party.ground;
  await inTurn(db, 'e_bpom_requests', async (client) => {
    await client.query(`
      CREATE TABLE IF NOT EXISTS e_bpom_requests (jti_hash text PRIMARY KEY, forget_at timestamptz NOT NULL)`);
  });
  router.all(verification_path, async (ctx) => {
    const answer = await answerRequest(party, users, ctx).catch((error: unknown): Answer => {
      // Only its kind: nothing of the request may reach a log.
      console.error(`${party.ground.title}: verification failed: ${error instanceof Error ? error.name : 'unknown'}`);
      return { status: 500, body: { error: 'server_error' } };
    });
    ctx.status = answer.status;
    ctx.set(answer.headers ?? {});
    ctx.body = answer.body;
  });
}

async function answerRequest(party: RelyingParty, users: OwnUsers, ctx: SiteContext): Promise<Answer> {
  if (ctx.method !== 'POST') return { status: 405, body: { error: 'method_not_allowed' }, headers: { allow: 'POST' } };
  if (!ctx.is('application/json')) return { status: 415, body: { error: 'unsupported_media_type' } };
  const body = await readBody(ctx);
  if (typeof body === 'number') {
    // What is left of the body is not read.
    return { status: body, body: { error: 'invalid_request' }, headers: { connection: 'close' } };
  }
  const provider = await party.findProvider().catch(() => undefined);
  if (!provider) return unavailable;
  try {
    if (!(await isCallersFirst(party, provider, ctx, body))) return unauthorized('the jti was used before');
  } catch (error) {
    // Keys that cannot be read now are not the caller's fault.
    return error instanceof CallerTokenError ? unauthorized(error.message) : unavailable;
  }
  const question = questionSchema.safeParse(parseJson(body));
  if (!question.success) return { status: 400, body: { error: 'invalid_request' } };
  return { status: 200, body: await askUsers(users, question.data.username.trim(), question.data.password) };
}

/** The body's bytes as they came, for its hash; or the status of the refusal. */
async function readBody(ctx: SiteContext): Promise<Buffer | number> {
  const length = ctx.request.length;
  try {
    return await getRawBody(ctx.req, { limit: largest_body, ...(length === undefined ? {} : { length }) });
  } catch (error) {
    return (error as { status?: number }).status ?? 400;
  }
}

/** Whether the request is Gapura's and new. Throws CallerTokenError for a request that is not Gapura's. */
async function isCallersFirst({ ground, options }: RelyingParty, { keys }: Provider, ctx: SiteContext, body: Buffer) {
  const token = /^Bearer ([\w.~+/=-]+)$/i.exec(ctx.get('authorization'))?.[1];
  if (token === undefined) throw new CallerTokenError('no bearer token');
  const audience = ground.url + verification_path;
  const { jti, forget_at } = await readCallerToken(token, body, { issuer: options.issuer, audience, keys });
  await ground.db.query('DELETE FROM e_bpom_requests WHERE forget_at <= $1', [now()]);
  const { rowCount } = await ground.db.query('INSERT INTO e_bpom_requests VALUES ($1, $2) ON CONFLICT DO NOTHING', [
    hashToken(jti),
    forget_at,
  ]);
  return rowCount === 1;
}

async function askUsers(users: OwnUsers, username: string, password: string): Promise<Record<string, string>> {
  const check = await users.check(username, password);
  if (check.state === 'wrong') return { result: 'refused' };
  // A name that waits counts as locked, too: an error would look as if e-BPOM itself were out of order.
  if (check.state !== 'right') return { result: 'locked' };
  const { id, display_name, directorate_code } = check.user;
  return {
    result: 'verified',
    subject: id,
    username: check.user.username,
    ...(display_name === null ? {} : { display_name }),
    ...(directorate_code === null ? {} : { directorate: directorate_code }),
  };
}

const unavailable: Answer = {
  status: 503,
  body: { error: 'temporarily_unavailable' },
  headers: { 'retry-after': '5' },
};

/** RFC 6750 section 3. */
function unauthorized(description: string): Answer {
  return {
    status: 401,
    body: { error: 'invalid_token', error_description: description },
    headers: { 'www-authenticate': 'Bearer error="invalid_token"' },
  };
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    return undefined;
  }
}
