/** The notices by which e-BPOM tells Gapura that a user's password changed: its key, its outbox, and what sends them. */

import { randomUUID } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from 'jose';
import type pg from 'pg';
import { now, nowSeconds } from '../clock.ts';
import type { SiteGround } from './site.ts';
import { inTurn } from './turn.ts';

export interface Notices {
  /** Keeps a notice about a user in the caller's transaction; `subject` is the id that Gapura was told of the user. */
  addNotice(client: pg.PoolClient, subject: string): Promise<void>;
  /** Sends what is due, once the transaction is done; does not wait for it. */
  send(): void;
  /** Ends sending; what is not sent stays for the next start. */
  stop(): Promise<void>;
}

export interface NoticesOptions {
  /** Gapura's issuer, for whom the notices are. */
  audience: string;
  /** Where Gapura takes them. */
  address: string;
}

interface Notice {
  jti: string;
  subject: string;
  tries: number;
}

/** Seconds between the tries; after the last of them a notice is given up. */
const waits = [1, 5, 30, 120, 600, 1800, 3600];
/** Seconds for which a notice is nobody else's while it is being sent. */
const claim_seconds = 30;
const call_seconds = 5;

const credential_change = 'https://schemas.openid.net/secevent/caep/event-type/credential-change';

/** Makes key and tables, adds /jwks, and begins to send what an earlier run left. */
export async function openNotices(ground: SiteGround, options: NoticesOptions): Promise<Notices> {
  const { db, router, title } = ground;
  const key = await loadKey(db);
  const { kty, crv, x, y, kid, alg, use } = key as Record<string, string>;
  router.get('/jwks', (ctx) => {
    ctx.body = { keys: [{ kty, crv, x, y, kid, alg, use }] };
  });

  const stopping = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let is_asked = false;
  const sendAll = async () => {
    do {
      is_asked = false;
      for (let notice = await claimNotice(db); notice; notice = await claimNotice(db)) {
        await settle(db, title, notice, await post(await sign(notice, key, ground.url, options), options, stopping));
        if (stopping.signal.aborted) return;
      }
    } while (is_asked);
    const wait = await findWait(db);
    if (wait !== undefined && !stopping.signal.aborted) timer = setTimeout(send, wait).unref();
  };
  const send = () => {
    is_asked = true;
    if (running || stopping.signal.aborted) return;
    clearTimeout(timer);
    running = sendAll()
      .catch((error: unknown) => {
        is_asked = false;
        console.error(`${title}: notices cannot be sent now: ${(error as Error).message}`);
        if (!stopping.signal.aborted) timer = setTimeout(send, 5000).unref();
      })
      .finally(() => {
        running = undefined;
        // Asked in the last moment, when the loop had already seen that nothing was left.
        if (is_asked) send();
      });
  };
  send();
  return {
    async addNotice(client, subject) {
      await client.query('INSERT INTO e_bpom_notices VALUES ($1, $2, 0, $3)', [randomUUID(), subject, now()]);
    },
    send,
    async stop() {
      stopping.abort();
      clearTimeout(timer);
      await running;
    },
  };
}

/** The private key, made at the first start. It stands in the table as it is: what it signs is a demonstration. */
function loadKey(db: pg.Pool): Promise<JWK> {
  return inTurn(db, 'e_bpom_notices', async (client) => {
    await client.query(`
      CREATE TABLE IF NOT EXISTS e_bpom_keys (kid text PRIMARY KEY, jwk jsonb NOT NULL);
      CREATE TABLE IF NOT EXISTS e_bpom_notices (
        jti text PRIMARY KEY, subject text NOT NULL, tries int NOT NULL, next_at timestamptz NOT NULL);`);
    const { rows } = await client.query<{ jwk: JWK }>('SELECT jwk FROM e_bpom_keys');
    if (rows[0]) return rows[0].jwk;
    const { privateKey } = await generateKeyPair('ES256', { extractable: true });
    const made = await exportJWK(privateKey);
    const jwk = { ...made, kid: await calculateJwkThumbprint(made), alg: 'ES256', use: 'sig' };
    await client.query('INSERT INTO e_bpom_keys VALUES ($1, $2)', [jwk.kid, JSON.stringify(jwk)]);
    return jwk;
  });
}

async function claimNotice(db: pg.Pool): Promise<Notice | undefined> {
  const { rows } = await db.query<Notice>(
    `UPDATE e_bpom_notices SET tries = tries + 1, next_at = $2 WHERE jti = (
       SELECT jti FROM e_bpom_notices WHERE next_at <= $1 ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED)
     RETURNING jti, subject, tries`,
    [now(), inSeconds(claim_seconds)],
  );
  return rows[0];
}

/**
 * A Security Event Token (RFC 8417). It is signed anew for each try, since Gapura takes fresh ones only; the `jti` stays, so
 * a notice whose answer was lost counts once.
 */
async function sign({ jti, subject }: Notice, key: JWK, url: string, { audience }: NoticesOptions): Promise<string> {
  const claims = {
    // As Gapura's administrators wrote the application's address.
    iss: `${url}/`,
    aud: audience,
    iat: nowSeconds(),
    jti,
    sub_id: { format: 'opaque', id: subject },
    events: { [credential_change]: { credential_type: 'password', change_type: 'update' } },
  };
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'ES256', typ: 'secevent+jwt', kid: key.kid as string })
    .sign(await importJWK(key, 'ES256'));
}

type Delivery = 'taken' | 'refused' | 'failed';

/** Push delivery (RFC 8935 section 2). Only a clear refusal ends the tries. */
async function post(token: string, { address }: NoticesOptions, stopping: AbortController): Promise<Delivery> {
  try {
    const answer = await fetch(address, {
      method: 'POST',
      headers: { 'content-type': 'application/secevent+jwt', accept: 'application/json' },
      body: token,
      redirect: 'error',
      signal: AbortSignal.any([stopping.signal, AbortSignal.timeout(call_seconds * 1000)]),
    });
    await answer.body?.cancel();
    if (answer.ok) return 'taken';
    return [400, 401, 403].includes(answer.status) ? 'refused' : 'failed';
  } catch {
    return 'failed';
  }
}

async function settle(db: pg.Pool, title: string, { jti, tries }: Notice, delivery: Delivery): Promise<void> {
  const wait = waits[tries - 1];
  if (delivery === 'failed' && wait !== undefined) {
    await db.query('UPDATE e_bpom_notices SET next_at = $2 WHERE jti = $1', [jti, inSeconds(wait)]);
    return;
  }
  if (delivery !== 'taken') console.error(`${title}: Gapura did not take the notice ${jti}: ${delivery}`);
  await db.query('DELETE FROM e_bpom_notices WHERE jti = $1', [jti]);
}

/** Milliseconds until a notice is due; undefined when none is left. */
async function findWait(db: pg.Pool): Promise<number | undefined> {
  const { rows } = await db.query<{ next_at: Date | null }>('SELECT min(next_at) AS next_at FROM e_bpom_notices');
  const next_at = rows[0]?.next_at;
  return next_at ? Math.max(0, next_at.getTime() - now().getTime()) : undefined;
}

function inSeconds(seconds: number): Date {
  return new Date(now().getTime() + seconds * 1000);
}
