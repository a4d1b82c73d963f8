/** The bench in its short form: every row, with a handful of flows. No time is promised here, only that there are figures. */

import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { purgeRecords } from '../../src/oidc/records/write.ts';
import { growCrowd, growExpired } from './crowd.ts';
import { shorten } from './database.ts';
import { countMet, judgeAlone, judgePairs, printRows, sayVerdict, spreadOf } from './figures.ts';
import type { Found, Scale } from './measure.ts';
import { listImported, listNamed } from './page-size.ts';
import { takeFigures } from './rows.ts';
import { type Bench, startBench } from './servers.ts';

describe('a short run', () => {
  let bench: Bench;
  let found: Required<Found>;
  let before: string[];

  const listFolders = async () =>
    (await readdir(tmpdir())).filter((name) => name.startsWith(`gapura-test-${process.pid}-`));
  const tableOf = (title: string) => found.tables.find(({ head }) => head[0] === title)?.rows ?? [];

  beforeAll(async () => {
    before = await listFolders();
    bench = await startBench(2);
    const few = { sign_in: 2, single_sign_on: 4, request: 4 };
    const scale: Scale = {
      pairs: 2,
      warm_up: few,
      flows: few,
      at_once: { sign_in: 2, single_sign_on: 2 },
      storm: { at_once: 2, seconds: 0.2, per_second: 50 },
      starts: 1,
      requests: 80,
    };
    found = await takeFigures(bench, scale, 'openid profile email organization role');
  }, 240_000);
  afterAll(() => bench?.stop());

  test('has a finite figure in every row, and says what to think of it', () => {
    expect(found.rows.map((row) => row.measure)).toEqual([
      'beyond',
      ...['ratio', 'ratio', 'ratio', 'ratio', 'ratio', 'ratio', 'ratio'],
      ...['size', 'size', 'size', 'size'],
    ]);
    for (const { floor, ours, judged, target } of found.rows) {
      for (const spread of [floor ?? ours, ours]) expect(spread.min).toBeGreaterThan(0);
      for (const value of [ours, judged].flatMap((spread) => Object.values(spread)))
        expect(Number.isFinite(value)).toBe(true);
      expect(target).toBeGreaterThan(0);
    }
    const table = printRows(found.rows);
    for (const { work } of found.rows) expect(table).toContain(work);
    expect(table).not.toContain('NaN');
  });

  test('has CPU and requests in a second for every step, ours and the floor', () => {
    expect(found.steps.map(({ step }) => step)).toEqual([
      ...['authorization', 'token', 'userinfo'],
      ...['refresh', 'client credentials', 'client credentials, JWT', 'introspection'],
    ]);
    for (const { floor, ours } of found.steps)
      for (const { cpu, per_second } of [floor, ours]) {
        expect(cpu).toBeGreaterThan(0);
        expect(per_second).toBeGreaterThan(0);
      }
  });

  test('lists what each step sends to the database, by the tables', () => {
    const steps = tableOf('step');
    const sentIn = (step: string) => steps.find(([name]) => name === step)?.at(-1);
    for (const step of ['authorization', 'token', 'userinfo'])
      expect(sentIn(`single sign-on: ${step}`)).toContain('oidc_records');
    expect(sentIn('password sign-in: password')).toContain('audit_personal');
    for (const [, statements, trips] of steps) {
      expect(Number(trips)).toBeGreaterThan(0);
      expect(Number(trips)).toBeLessThanOrEqual(Number(statements));
    }
    // A step more is a wait more for everybody who comes from another application.
    const waits = steps.filter(([name]) => name?.startsWith('single sign-on: ')).map(([, , trips]) => Number(trips));
    expect(waits).toEqual([2, 2, 2]);
  });

  test('counts the rows that a flow writes and the bytes of the log: a code and a token are kept', () => {
    const [sign_in, single] = tableOf('writes of one');
    expect(sign_in?.at(-1)).toContain('audit_events +1.0');
    expect(single?.at(-1)).toContain('oidc_records +2.0');
    for (const row of [sign_in, single]) expect(Number(row?.[1])).toBeGreaterThan(100);
  });

  test('weighs the sign-in page with its stylesheet, script and mark', () => {
    const files = tableOf('sign-in page').slice(0, -1);
    expect(files.map(([path]) => /\.\w+$/.exec(path ?? '')?.[0])).toEqual([undefined, '.css', '.svg', '.js']);
    const row = found.rows.find(({ unit, work }) => unit === 'bytes' && work.includes('page'));
    expect(row?.ours.median).toBe(files.reduce((sum, [, bytes]) => sum + Number(bytes), 0));
  });

  test("a crowd is one person's rows many times over, and has no index less", async () => {
    const { db, people } = bench;
    const { rows: before } = await sql`SELECT indexdef FROM pg_indexes ORDER BY 1`.execute(db);
    const person = await db
      .selectFrom('account_identifiers as i')
      .innerJoin('account_organisations as o', 'o.account_id', 'i.account_id')
      .select(['i.account_id', 'o.organisation_id'])
      .where('i.canonical', '=', people[0] ?? '')
      .executeTakeFirstOrThrow();
    const countOf = async (table: 'accounts' | 'oidc_sessions' | 'oidc_records') => {
      const query = db.selectFrom(table).select(sql<number>`count(*)::int`.as('count'));
      return (await query.executeTakeFirstOrThrow()).count;
    };
    const sessions = await db
      .selectFrom('oidc_sessions')
      .select('uid')
      .where('account_id', '=', person.account_id)
      .execute();
    const counted = { accounts: await countOf('accounts'), sessions: await countOf('oidc_sessions') };
    await growCrowd(db, person.account_id, person.organisation_id, 5);
    expect(await countOf('accounts')).toBe(counted.accounts + 5);
    expect(await countOf('oidc_sessions')).toBe(counted.sessions + 5 * sessions.length);
    const { rows: after } = await sql`SELECT indexdef FROM pg_indexes ORDER BY 1`.execute(db);
    expect(after).toEqual(before);
    const records = await countOf('oidc_records');
    await growExpired(db, person.account_id, 2, 'uji');
    while ((await purgeRecords(db)) > 0);
    expect(await countOf('oidc_records')).toBe(records);
  });

  test('leaves nothing behind', async () => {
    const { origin } = bench.gapura;
    await bench.stop();
    expect(await listFolders()).toEqual(before);
    await expect(fetch(`${origin}/healthz`)).rejects.toThrow();
  });
});

describe('the figures', () => {
  test('are medians with their spread', () => {
    expect(spreadOf([9, 1, 3])).toEqual({ median: 3, min: 1, max: 9 });
    expect(spreadOf([4, 1, 2, 9])).toEqual({ median: 3, min: 1, max: 9 });
    expect(() => spreadOf([])).toThrow('no values');
  });

  test('are judged pair by pair, so that a slow minute of the machine counts on both sides', () => {
    const pairs = [
      { floor: 100, ours: 150 },
      { floor: 400, ours: 600 },
    ];
    const ratio = judgePairs({ work: 'w', measure: 'ratio', target: 1.35 }, pairs);
    expect(ratio.judged).toEqual({ median: 1.5, min: 1.5, max: 1.5 });
    const beyond = judgePairs({ work: 'w', measure: 'beyond', target: 3000 }, pairs);
    expect(beyond.judged).toEqual({ median: 125, min: 50, max: 200 });
  });

  test('say met, or how far', () => {
    const pairs = [{ floor: 1000, ours: 1500 }];
    const verdict = (measure: 'ratio' | 'beyond', target: number) =>
      sayVerdict(judgePairs({ work: 'w', measure, target }, pairs));
    expect(verdict('ratio', 1.5)).toBe('met');
    expect(verdict('ratio', 1.35)).toBe('not yet: 0.15 above; 150 µs of 1.50 ms must go');
    expect(verdict('beyond', 500)).toBe('met');
    expect(verdict('beyond', 300)).toBe('not yet: 200 µs too much');
  });

  test('are counted: a row that misses its target is none of those that meet it', () => {
    const rows = [1, 2, 3].map((target) => judgeAlone({ work: 'w', unit: 'trips', target }, [1, 2, 3]));
    expect(countMet(rows)).toBe('2 of 3 targets met');
  });
});

describe('what is read', () => {
  test.each([
    [
      'SELECT "r"."payload", ceil(extract(epoch FROM r.expires_at))::int FROM "oidc_records" AS "r"',
      'select oidc_records',
    ],
    [
      'select (select coalesce(json_agg(s.hash)) from "client_secrets" as "s") from "clients" as "c"',
      'select clients (client_secrets)',
    ],
    [
      'insert into "oidc_records" ("id_hash") values ($1) on conflict do update set "id_hash" = $2',
      'insert oidc_records',
    ],
    ['update "oidc_sessions" set "expires_at" = $1', 'update oidc_sessions'],
    ['\n  INSERT INTO limits AS l (name) VALUES ($1)', 'insert limits'],
    [
      'WITH event AS (INSERT INTO audit_events (kind) VALUES ($1) RETURNING id) INSERT INTO audit_personal (event_id) SELECT id FROM event',
      'insert audit_personal (event, audit_events)',
    ],
    ['SELECT o.row FROM (SELECT * FROM oidc_sessions) o', 'select oidc_sessions'],
    ['with a as (select 1 from limits), b as (select 2) update limits set c = 1', 'update limits'],
    ['select id from proofs where a for update skip locked', 'select proofs'],
    ['commit', 'commit'],
  ])('of %s', (statement, short) => expect(shorten(statement)).toBe(short));

  test('of a document: the files that a browser fetches with it, each once', () => {
    const html = `<link rel="stylesheet" href="/a.css"><link rel="canonical" href="/b"><link rel="icon" href="/m.svg" type="x">
      <script src="/p.js" defer></script><script src="/p.js"></script><a href="/c"></a><img src="/m.png"><img src="data:,">`;
    expect(listNamed(html)).toEqual(['/a.css', '/m.svg', '/p.js', '/m.png']);
  });

  test('of a stylesheet or a script: what it makes the browser fetch in turn', () => {
    const named = '@import "/b.css"; a { background: url(/c.png) } b { mask: url("data:,") } import x from "/d.js"';
    expect(listImported(named)).toEqual(['/b.css', '/c.png', '/d.js']);
  });
});
