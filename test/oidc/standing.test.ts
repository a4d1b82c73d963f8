/** Who is closed, reset or past the end is out at the next request, on both server processes, with all they hold. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import type { IDToken } from 'openid-client';
import { endEverything, lockAccount } from '../../src/accounts/account.ts';
import { inTransaction } from '../../src/database.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { newSignedInVisitor, startNodes, type TestNodes } from '../support/gapura.ts';
import { type HttpVisitor, newHttpVisitor } from '../support/http.ts';
import {
  type App,
  askNode,
  type Checks,
  closeListeners,
  codeForm,
  codesOf,
  findAccountId,
  keepCookies,
  listSessions,
  openApp,
  openAs,
  openListeningApp,
  openTab,
  password,
  requestTo,
  signedInAt,
  until,
} from '../support/nodes.ts';
import { storm } from '../support/storm.ts';

let gapura: TestNodes;
let app: App;
const deed = { because: 'test' };

beforeAll(async () => {
  gapura = await startNodes({ private_hosts: ['127.0.0.1'] });
  app = await openApp(gapura, 'aplikasi');
});

afterEach(closeListeners);

afterAll(async () => {
  await resetClock(gapura.db);
  await gapura.stop();
});

/** What somebody has who works with an application. */
interface Holdings {
  visitor: HttpVisitor;
  access_token: string;
  refresh_token: string;
  /** A code that the application has not redeemed. */
  code: { returned: URL; checks: Checks };
  /** A sign-in in another browser: the password is given, the way back not yet taken. */
  begun: { visitor: HttpVisitor; resume: string; checks: Checks };
}

async function collect(identifier: string): Promise<Holdings> {
  const visitor = await newSignedInVisitor(gapura.url, identifier);
  const { returned, checks } = await openAs(app, visitor, identifier);
  const { access_token, refresh_token = '' } = await app.redeem(returned, checks);
  const other = newHttpVisitor(gapura.url);
  const tab = await openTab(other, app);
  const answer = await other.post(tab.page.url, password(identifier), { follow: false });
  expect(answer.status).toBe(303);
  return {
    visitor,
    access_token,
    refresh_token,
    code: await openAs(app, visitor, identifier),
    begun: { visitor: other, resume: answer.headers.get('location') ?? '', checks: tab.checks },
  };
}

/** What still works, by name, at the node `at`. */
async function listWorking(at: number, { visitor, access_token, refresh_token, code }: Holdings): Promise<string[]> {
  const { address } = await app.begin({ prompt: 'none' });
  const requests = {
    portal: requestTo(gapura, at, '/portal', { visitor }),
    authorization: requestTo(gapura, at, address, { visitor }),
    userinfo: requestTo(gapura, at, '/connect/userinfo', { headers: { authorization: `Bearer ${access_token}` } }),
    introspection: app.ask(at, { token: access_token }, '/connect/introspection'),
    refresh: app.ask(at, { grant_type: 'refresh_token', refresh_token }),
    code: app.ask(at, codeForm(app, code.returned, code.checks)),
  };
  const names = Object.keys(requests);
  const answers = await storm(names.length, (index) => Object.values(requests)[index] as (typeof requests)['portal']);
  return names.filter((name, index) => {
    const { status, headers, body } = answers[index] as (typeof answers)[number];
    if (name === 'authorization') return new URL(headers.location ?? '').searchParams.has('code');
    if (name === 'introspection') return JSON.parse(body).active === true;
    return status === 200;
  });
}

const all = ['portal', 'authorization', 'userinfo', 'introspection', 'refresh', 'code'];

const ways: { name: string; who: string; end: (account_id: string) => Promise<unknown> }[] = [
  {
    name: 'was reset',
    who: 'budi',
    end: (id) => inTransaction(gapura.db, (tx) => endEverything(tx, id, deed)),
  },
  { name: 'was locked', who: 'sari', end: (id) => lockAccount(gapura.db, id, 'locked', deed) },
  { name: 'was disabled', who: 'petugas', end: (id) => lockAccount(gapura.db, id, 'disabled', deed) },
  {
    name: 'ran out',
    who: 'layanan',
    end: async (id) => {
      await sql`UPDATE accounts SET expires_at = gapura_now() + interval '10 seconds' WHERE id = ${id}`.execute(
        gapura.db,
      );
      await moveClock(gapura.db, 11, gapura.nodes);
    },
  },
];

describe('an account that', () => {
  test.each(ways)('$name opens nothing at the next request, on either process', async ({ who, end }) => {
    const id = await findAccountId(gapura, who);
    // Proof that the questions can be answered well: the same ones, of the same person, before.
    expect(await listWorking(0, await collect(who))).toEqual(all);
    const held = await collect(who);
    const stranger = await newSignedInVisitor(gapura.url, 'tono');

    await end(id);
    expect(await listWorking(0, held)).toEqual([]);
    expect(await listWorking(1, held)).toEqual([]);

    const { begun } = held;
    const resumed = await askNode(gapura, 1, begun.resume, { visitor: begun.visitor });
    expect(resumed.status).toBeLessThan(500);
    keepCookies(begun.visitor, [resumed]);
    expect(await signedInAt(gapura, begun.visitor)).toEqual([false, false]);
    const { address } = await app.begin({ prompt: 'none' });
    expect(codesOf([await askNode(gapura, 0, address, { visitor: begun.visitor })], app)).toEqual([]);
    for (const returned of codesOf([resumed], app)) {
      const answer = await askNode(gapura, 0, '/connect/token', {
        form: codeForm(app, returned, begun.checks),
        headers: app.ask(0, {}).headers ?? {},
      });
      expect(JSON.parse(answer.body)).toMatchObject({ error: 'invalid_grant' });
    }
    expect(await signedInAt(gapura, stranger)).toEqual([true, true]);
  });

  test('was reset may sign in again at once, and only with that', async () => {
    const id = await findAccountId(gapura, 'admin');
    const held = await collect('admin');
    await inTransaction(gapura.db, (tx) => endEverything(tx, id, deed));
    const again = await newSignedInVisitor(gapura.url, 'admin');
    expect(await signedInAt(gapura, again)).toEqual([true, true]);
    expect(await listWorking(0, held)).toEqual([]);
  });
});

describe('the sweep', () => {
  test('ends the sessions of the closed, tells their applications once, and leaves the others alone', async () => {
    const { app: hearing, listener } = await openListeningApp(gapura, 'pendengar');
    const stranger = await newSignedInVisitor(gapura.url, 'tono');
    const kept = await listSessions(gapura, 'tono');
    const visitor = await newSignedInVisitor(gapura.url, 'admin');
    const { returned, checks } = await openAs(hearing, visitor, 'admin');
    const tokens = await hearing.redeem(returned, checks);
    const { sub, sid } = tokens.claims() as IDToken;
    await lockAccount(gapura.db, await findAccountId(gapura, 'admin'), 'locked', deed);
    expect((await listSessions(gapura, 'admin')).length).toBeGreaterThan(0);

    const workers = await Promise.all([gapura.startWork(), gapura.startWork()]);
    try {
      await until(async () => (await listSessions(gapura, 'admin')).length === 0 && listener.heard.length > 0);
      const heard = listener.heard.map(({ token }) =>
        JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()),
      );
      expect(heard).toEqual([expect.objectContaining({ sub, sid, aud: hearing.id })]);
    } finally {
      await Promise.all(workers.map((worker) => worker.stop()));
    }
    for (const { who } of ways) expect(await listSessions(gapura, who)).toEqual([]);
    expect((await listSessions(gapura, 'tono')).map(({ uid }) => uid).sort()).toEqual(
      kept.map(({ uid }) => uid).sort(),
    );
    expect(await signedInAt(gapura, stranger)).toEqual([true, true]);
    const { rows } = await sql`SELECT FROM audit_events WHERE kind = 'session_ended' AND account_id = ${sub}`.execute(
      gapura.db,
    );
    expect(rows.length).toBeGreaterThan(0);
  });
});
