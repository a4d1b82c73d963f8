/** The check of any page: demanded by the counters of its work, let through by an answer, its cookie the browser's own. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Context } from 'koa';
import { Secret } from '../../src/crypto.ts';
import type { Database } from '../../src/database.ts';
import { type CheckStore, openChecks } from '../../src/human-check/mail-code.ts';
import { demandCheck, keepCheck, offerCheck, turnCheck } from '../../src/human-check/page.ts';
import { type Jobs, openJobs } from '../../src/jobs.ts';
import { type Lane, openLimits } from '../../src/limits/limits.ts';
import { doWork, lettersOf } from '../support/human-check.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let db: Database;
let jobs: Jobs;
let store: CheckStore;
const secret = new Secret('a secret of the tests, long enough');
const config = { secrets: [secret], support_name: 'Meja Layanan', support_email: 'layanan@gapura.example' };
const empty = { captcha: '', captcha_id: '', captcha_work: '', check: '' };
const lanes: Lane[] = [{ limit: 'sign_in_account', key: ['name budi'], is_shared: false }];

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  jobs = await openJobs({ database_url: new Secret(database.url) });
  store = openChecks(db, openLimits(secret), jobs, config);
});

afterEach(async () => {
  for (const table of ['limits', 'human_checks', 'mails'] as const) await db.deleteFrom(table).execute();
});

afterAll(async () => {
  await jobs.stop();
  await database.drop();
});

/** A browser's requests, one after the other: what is set as a cookie is sent with the next. */
function newBrowser({ secure = false, value = '' } = {}) {
  const cookies = new Map<string, string>(value ? [['gapura_check', value]] : []);
  const set: [string, string, object][] = [];
  const request = (): Context => {
    const sent = new Map(cookies);
    const jar = {
      get: (name: string) => sent.get(name),
      set: (name: string, text: string, options: object) => {
        cookies.set(name, text);
        set.push([name, text, options]);
      },
    };
    return { cookies: jar, secure, state: { address: '192.0.2.1' } } as unknown as Context;
  };
  return { request, set };
}

const fail = async () => {
  for (let at = 0; at < 3; at += 1) await store.limits.spend(db, 'sign_in_account', ['name budi']);
};

describe('a form', () => {
  test('passes while its counters hold no failures, whatever it brings', async () => {
    const { request, set } = newBrowser();
    expect(await demandCheck(request(), store, empty, lanes)).toBeUndefined();
    expect(await demandCheck(request(), store, { ...empty, captcha: 'SALAH', captcha_id: 'x' }, lanes)).toBeUndefined();
    expect(set).toEqual([]);
  });

  test('is stopped after failures, and passes once with each answer', async () => {
    await fail();
    const { request } = newBrowser();
    let turn = await demandCheck(request(), store, empty, lanes);
    expect(turn).toMatchObject({ status: 422, because: 'missing', check: { way: 'picture' } });
    for (const work of [false, true]) {
      const check = turn?.check;
      if (!check) throw new Error('nothing is asked');
      const given = work ? { captcha_work: doWork(check) } : { captcha: lettersOf(config, check.id) };
      const brought = { ...empty, captcha_id: check.id, ...given };
      expect(await demandCheck(request(), store, brought, lanes)).toBeUndefined();
      turn = await demandCheck(request(), store, brought, lanes);
      expect(turn).toMatchObject({ status: 422, because: 'over' });
      expect(turn?.check.id).not.toBe(check.id);
    }
    const brought = { ...empty, captcha_id: turn?.check.id ?? '', captcha: 'SALAH' };
    expect(await demandCheck(request(), store, brought, lanes)).toMatchObject({ because: 'wrong' });
  });
});

describe('the cookie', () => {
  test('is of the whole site and out of scripts’ reach, and bound to the host where there is https', async () => {
    const { request, set } = newBrowser({ secure: true });
    await offerCheck(request(), store);
    expect(set).toEqual([
      [
        '__Host-gapura_check',
        expect.stringMatching(/^[\w-]{43}$/),
        expect.objectContaining({ httpOnly: true, sameSite: 'lax', secure: true, signed: false }),
      ],
    ]);
  });

  test('stays the same over several checks, so that two tabs can be answered', async () => {
    const { request, set } = newBrowser();
    const [one, other] = [await offerCheck(request(), store), await offerCheck(request(), store)];
    expect(new Set(set.map(([, value]) => value)).size).toBe(1);
    for (const { id } of [one, other]) expect((await keepCheck(request(), store, id)).id).toBe(id);
  });

  test.each(['x', 'x'.repeat(44), `${'x'.repeat(42)}\u0000`, `${'x'.repeat(42)};`])(
    'of another shape, such as %j, is replaced',
    async (value) => {
      const { request, set } = newBrowser({ value });
      await offerCheck(request(), store);
      expect(set[0]?.[1]).toMatch(/^[\w-]{43}$/);
      expect(set[0]?.[1]).not.toBe(value);
    },
  );
});

test('a button that is none of the check’s is the form’s own', async () => {
  for (const check of ['', 'apa', 'Refresh', 'mail '])
    expect(await turnCheck(newBrowser().request(), store, { ...empty, check }, 'budi')).toBeUndefined();
});

test('a code by mail for a check that is over is not sent, and a new check is shown', async () => {
  const { request } = newBrowser();
  await offerCheck(request(), store);
  const turn = await turnCheck(request(), store, { ...empty, check: 'mail', captcha_id: 'x'.repeat(24) }, 'budi');
  expect(turn).toMatchObject({ status: 422, because: 'over', check: { way: 'picture' } });
  expect(await db.selectFrom('mails').selectAll().execute()).toEqual([]);
});
