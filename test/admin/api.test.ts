/** The interface for programs: tokens, scopes, versions, keys, pages, rate and problems. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import * as oidc from 'openid-client';
import { lockAccount } from '../../src/accounts/account.ts';
import { inTransaction } from '../../src/database.ts';
import { grantRole, listRoles } from '../../src/permissions.ts';
import { expectProblem } from '../contracts/resource.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import {
  type ApiClient,
  addOfficer,
  getClientToken,
  getPersonToken,
  listOperations,
  newApiClient,
  openPersonClient,
} from '../support/desk.ts';
import { registerClient, startGapura, startNodes, type TestGapura } from '../support/gapura.ts';
import { newHttpVisitor } from '../support/http.ts';
import { requestTo } from '../support/nodes.ts';
import { storm } from '../support/storm.ts';

let gapura: TestGapura;
let token: string;
let robot: ApiClient;

beforeAll(async () => {
  gapura = await startGapura();
  token = await getClientToken(gapura, 'robot', 'administrator');
  robot = newApiClient(gapura.url, token);
});

afterAll(() => gapura.stop());

beforeEach(async () => {
  await gapura.db.deleteFrom('limits').execute();
});

const npwpOf = (at: number) => `0880${String(at).padStart(12, '0')}`;
let made = 0;
function newOrganisation(name = 'PT Uji') {
  made += 1;
  return { name, npwp: npwpOf(made), time_zone: 'Asia/Jakarta' };
}
const countNamed = async (name: string) =>
  (await gapura.db.selectFrom('organisations').select('id').where('name', '=', name).execute()).length;
const setPolicy = async (ask: ApiClient, value = 864_000) => {
  const { headers } = await ask('GET', '/policies/mail.retention');
  return ask('PATCH', '/policies/mail.retention', { value, because: 'Uji' }, { 'if-match': headers.get('etag') ?? '' });
};

describe('a token', () => {
  test('must be there, in the header alone', async () => {
    const nobody = newApiClient(gapura.url, undefined);
    const missing = await nobody('GET', '/policies');
    expectProblem(missing, 401);
    expect([missing.body.code, missing.headers.get('www-authenticate')]).toEqual([
      'token_missing',
      `Bearer realm="${gapura.config.issuer}"`,
    ]);
    for (const headers of [{ authorization: `Basic ${token}` }, { authorization: 'Bearer' }, { authorization: token }])
      expectProblem(await nobody('GET', '/policies', undefined, headers), 401);
    expectProblem(await nobody('GET', `/policies?access_token=${token}`), 401);
    expectProblem(await nobody('POST', '/organisations', { access_token: token }), 401);
    const odd = await nobody('GET', '/policies', undefined, { authorization: `Bearer ${'ab.c'.repeat(50)}` });
    expect([odd.status, odd.body.code]).toEqual([401, 'invalid_token']);
    expect(odd.headers.get('www-authenticate')).toContain('error="invalid_token"');
    expect((await nobody('GET', '/policies', undefined, { authorization: `bearer ${token}` })).status).toBe(200);
  });

  test('of a program ends with its time', async () => {
    try {
      await moveClock(gapura.db, 86_400);
      const late = await robot('GET', '/policies');
      expect([late.status, late.body.code]).toEqual([401, 'invalid_token']);
    } finally {
      await resetClock(gapura.db);
    }
    expect((await robot('GET', '/policies')).status).toBe(200);
  });

  test('that was revoked, or whose client was switched off or lost its role, counts no more', async () => {
    const clientOf = async (id: string) => {
      const own = await getClientToken(gapura, id, 'administrator');
      const ask = newApiClient(gapura.url, own);
      expect((await ask('GET', '/policies')).status).toBe(200);
      return { own, ask };
    };
    const revoked = await clientOf('robot-dicabut');
    const secret = Buffer.from('robot-dicabut:secret-of-robot-dicabut-which-is-long-enough').toString('base64');
    const known = await fetch(`${gapura.config.issuer}/.well-known/openid-configuration`);
    const metadata = (await known.json()) as { revocation_endpoint: string };
    const answer = await fetch(metadata.revocation_endpoint, {
      method: 'POST',
      headers: { authorization: `Basic ${secret}` },
      body: new URLSearchParams({ token: revoked.own }),
    });
    expect(answer.status).toBe(200);
    expectProblem(await revoked.ask('GET', '/policies'), 401);

    const off = await clientOf('robot-mati');
    await gapura.db.updateTable('clients').set({ active: false }).where('id', '=', 'robot-mati').execute();
    expectProblem(await off.ask('GET', '/policies'), 401);

    const bare = await clientOf('robot-tanpa');
    await gapura.db.updateTable('clients').set({ api_role: null }).where('id', '=', 'robot-tanpa').execute();
    expectProblem(await bare.ask('GET', '/policies'), 403);
  });

  test('bound to a key is no bearer token', async () => {
    const client = await registerClient(gapura, 'robot-dpop', {
      api_role: 'administrator',
      metadata: { grant_types: ['client_credentials'], redirect_uris: [], response_types: [], scope: 'admin:read' },
    });
    const auth = oidc.ClientSecretBasic(client.client_secret);
    const configuration = await oidc.discovery(new URL(gapura.config.issuer), client.client_id, {}, auth, {
      execute: [oidc.allowInsecureRequests],
    });
    const DPoP = oidc.getDPoPHandle(configuration, await oidc.randomDPoPKeyPair());
    const bound = await oidc.clientCredentialsGrant(configuration, { scope: 'admin:read' }, { DPoP });
    expect(bound.token_type).toBe('dpop');
    expectProblem(await newApiClient(gapura.url, bound.access_token)('GET', '/policies'), 401);
    const loose = await oidc.clientCredentialsGrant(configuration, { scope: 'admin:read' });
    expect((await newApiClient(gapura.url, loose.access_token)('GET', '/policies')).status).toBe(200);
  });

  test('of a person counts while they are signed in and their account stands open', async () => {
    const account_id = await addOfficer(gapura, 'bayu', 'administrator');
    const tokenOf = await openPersonClient(gapura, 'meja-bayu');
    const visitor = newHttpVisitor(gapura.url);
    const signed_out = newApiClient(gapura.url, await tokenOf(visitor, 'bayu'));
    expect((await signed_out('GET', '/policies')).status).toBe(200);
    const question = await visitor.get(`${gapura.config.issuer}/session/end?client_id=meja-bayu`);
    await visitor.submit(question, { logout: 'yes' });
    expectProblem(await signed_out('GET', '/policies'), 401);

    const locked = newApiClient(gapura.url, await tokenOf(visitor, 'bayu'));
    expect((await locked('GET', '/policies')).status).toBe(200);
    await inTransaction(gapura.db, (tx) => lockAccount(tx, account_id, 'locked', { because: 'Uji' }));
    expectProblem(await locked('GET', '/policies'), 401);
  });

  test('of a person whose role was just taken does nothing more, on either node', async () => {
    const nodes = await startNodes();
    try {
      const account_id = await addOfficer(nodes, 'citra', 'administrator');
      const own = await getPersonToken(nodes, 'meja-citra', 'citra');
      const ask = () =>
        storm(2, (at) => requestTo(nodes, at, '/api/v1/policies', { headers: { authorization: `Bearer ${own}` } }));
      expect((await ask()).map(({ status }) => status)).toEqual([200, 200]);
      await nodes.db.deleteFrom('role_assignments').where('account_id', '=', account_id).execute();
      expect((await ask()).map(({ status }) => status)).toEqual([403, 403]);
      await grantRole(nodes.db, account_id, 'auditor');
      expect((await ask()).map(({ status }) => status)).toEqual([200, 200]);
      const change = {
        method: 'PATCH',
        headers: { authorization: `Bearer ${own}`, 'content-type': 'application/json' },
      };
      const answers = await storm(2, (at) => ({
        ...requestTo(nodes, at, '/api/v1/policies/mail.retention'),
        ...change,
        headers: { ...requestTo(nodes, at, '/').headers, ...change.headers, 'content-length': '2' },
        body: '{}',
      }));
      expect(answers.map(({ status }) => status)).toEqual([403, 403]);
    } finally {
      await nodes.stop();
    }
  });
});

describe('what somebody may do is cut', () => {
  test('by the scopes of the token, where the role goes further', async () => {
    const narrow = newApiClient(
      gapura.url,
      await getClientToken(gapura, 'robot-sempit', 'administrator', { scope: 'policies:read' }),
    );
    expect((await narrow('GET', '/policies')).status).toBe(200);
    const elsewhere = await narrow('GET', '/organisations');
    expectProblem(elsewhere, 403);
    expect(elsewhere.headers.get('www-authenticate')).toBe(
      'Bearer error="insufficient_scope", scope="organisations:read"',
    );
    expectProblem(await setPolicy(narrow), 403);
    const reader = newApiClient(
      gapura.url,
      await getClientToken(gapura, 'robot-baca', 'administrator', { scope: 'admin:read' }),
    );
    expect((await reader('GET', '/organisations')).status).toBe(200);
    const before = await robot('GET', '/policies/mail.retention');
    expectProblem(await setPolicy(reader, 2_000_000), 403);
    expectProblem(await reader('POST', '/organisations', newOrganisation()), 403);
    expect((await robot('GET', '/policies/mail.retention')).body).toEqual(before.body);
  });

  test('by the role, where the scopes go further', async () => {
    const petugas = newApiClient(gapura.url, await getPersonToken(gapura, 'meja-petugas', 'petugas'));
    expectProblem(await petugas('GET', '/policies'), 403);
    expectProblem(await petugas('POST', '/organisations', newOrganisation()), 403);
    const made_here = { code: 'UJIAN', name: 'Direktorat Uji' };
    expect((await petugas('POST', '/directorates', { ...made_here, agency_code: 'BPOM' })).status).toBe(201);
    expectProblem(await petugas('POST', '/directorates', { ...made_here, agency_code: 'KEMENDAG' }), 403);
    const tono = newApiClient(gapura.url, await getPersonToken(gapura, 'meja-tono', 'tono'));
    for (const path of ['/policies', '/organisations', '/agencies', '/audit'])
      expectProblem(await tono('GET', path), 403);
  });

  test('by a sign-in that is too long ago, for what weighs', async () => {
    const tokenOf = await openPersonClient(gapura, 'meja-lama');
    const visitor = newHttpVisitor(gapura.url);
    expect((await setPolicy(newApiClient(gapura.url, await tokenOf(visitor, 'admin')), 864_001)).status).toBe(200);
    try {
      await moveClock(gapura.db, 600);
      const stale = await setPolicy(newApiClient(gapura.url, await tokenOf(visitor, 'admin')), 864_002);
      expectProblem(stale, 401);
      expect(stale.headers.get('www-authenticate')).toBe(
        'Bearer error="insufficient_user_authentication", max_age="300"',
      );
      const fresh = newApiClient(gapura.url, await tokenOf(visitor, 'admin', { max_age: '300' }));
      expect((await setPolicy(fresh, 864_003)).status).toBe(200);
    } finally {
      await resetClock(gapura.db);
    }
  });
});

describe('versions', () => {
  test('are read, held against, and told to whoever was late', async () => {
    const read = await robot('GET', '/policies/interaction.memory');
    expect([read.status, read.body.value]).toEqual([200, 604_800]);
    const etag = read.headers.get('etag') ?? '';
    const input = { value: 700_000, because: 'Delapan hari' };
    expectProblem(await robot('PATCH', '/policies/interaction.memory', input), 428);
    for (const bent of ['*', 'x', `W/${etag}`, `${etag}, "7"`])
      expectProblem(await robot('PATCH', '/policies/interaction.memory', input, { 'if-match': bent }), 400);
    const changed = await robot('PATCH', '/policies/interaction.memory', input, { 'if-match': etag });
    expect([changed.status, changed.body.value]).toEqual([200, 700_000]);
    const late = await robot('PATCH', '/policies/interaction.memory', input, { 'if-match': etag });
    expect([late.status, late.body.code, late.body.current.value]).toEqual([412, 'version_conflict', 700_000]);
    const tag = { 'if-match': changed.headers.get('etag') ?? '' };
    const wrong = await robot('PATCH', '/policies/interaction.memory', { value: 'x' }, tag);
    expect([wrong.status, wrong.body.errors[0].field]).toEqual([422, 'value']);
    // Whoever names a version means it, also where none need be named.
    expectProblem(await robot('POST', '/policies/interaction.memory/default', {}, { 'if-match': '"99"' }), 412);
    expectProblem(await robot('POST', '/policies/interaction.memory/default', {}, { 'if-match': 'x' }), 400);
  });

  test('spare an answer that is known', async () => {
    const read = await robot('GET', '/policies/mail.retention');
    const etag = read.headers.get('etag') ?? '';
    for (const known of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
      const again = await robot('GET', '/policies/mail.retention', undefined, { 'if-none-match': known });
      expect([known, again.status, again.body, again.headers.get('etag')]).toEqual([known, 304, '', etag]);
    }
    const other = await robot('GET', '/policies/mail.retention', undefined, { 'if-none-match': '"999"' });
    expect([other.status, other.body]).toEqual([200, read.body]);
  });
});

describe('a request with an Idempotency-Key', () => {
  test('is done once and answered each time, also when it removes', async () => {
    const key = { 'idempotency-key': 'kunci-sekali-1' };
    const body = newOrganisation('PT Sekali');
    const first = await robot('POST', '/organisations', body, key);
    const again = await robot('POST', '/organisations', body, key);
    expect([first.status, again.status]).toEqual([201, 201]);
    expect([again.body, again.headers.get('location'), again.headers.get('etag')]).toEqual([
      first.body,
      first.headers.get('location'),
      first.headers.get('etag'),
    ]);
    expect([first.headers.get('idempotency-replayed'), again.headers.get('idempotency-replayed')]).toEqual([
      null,
      'true',
    ]);
    expect(await countNamed('PT Sekali')).toBe(1);
    expect(await listOperations(gapura, 'organisations', first.body.id)).toHaveLength(1);

    const { id: organisation_id } = first.body;
    const { id: directorate_id } = await gapura.db
      .selectFrom('directorates')
      .select('id')
      .limit(1)
      .executeTakeFirstOrThrow();
    const membership = await robot('POST', '/memberships', { organisation_id, directorate_id });
    const path = `/memberships/${membership.body.id}`;
    const gone = [1, 2].map(() => ({ 'idempotency-key': 'kunci-hapus-1' }));
    for (const headers of gone) expect((await robot('DELETE', path, undefined, headers)).status).toBe(204);
    expectProblem(await robot('DELETE', path, undefined, { 'idempotency-key': 'kunci-hapus-2' }), 404);
  });

  test('is refused when it asks for something else, and is another’s with another token', async () => {
    const key = { 'idempotency-key': 'kunci-sama-1' };
    expect((await robot('POST', '/organisations', newOrganisation('PT Kunci'), key)).status).toBe(201);
    const other = await robot('POST', '/organisations', newOrganisation('PT Lain'), key);
    expectProblem(other, 422);
    expect(other.body.code).toBe('idempotency_key_reused');
    expectProblem(await robot('POST', '/agencies', newOrganisation('PT Kunci'), key), 422);
    expect(await countNamed('PT Lain')).toBe(0);
    const twin = newApiClient(gapura.url, await getClientToken(gapura, 'robot-kembar', 'administrator'));
    expect((await twin('POST', '/organisations', newOrganisation('PT Lain'), key)).status).toBe(201);
    for (const bad of ['pendek', 'dua kata saja', 'x'.repeat(201)])
      expectProblem(await robot('POST', '/organisations', newOrganisation(), { 'idempotency-key': bad }), 400);
  });

  test('that was refused may be asked again, better', async () => {
    const key = { 'idempotency-key': 'kunci-ulang-1' };
    expectProblem(await robot('POST', '/organisations', { ...newOrganisation('PT Ulang'), npwp: '1' }, key), 422);
    expect((await robot('POST', '/organisations', newOrganisation('PT Ulang'), key)).status).toBe(201);
  });

  test('sent twenty times at once makes one', async () => {
    const body = JSON.stringify(newOrganisation('PT Dua Puluh'));
    const answers = await storm(20, () => ({
      url: `${gapura.url}/api/v1/organisations`,
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        'idempotency-key': 'kunci-badai-1',
      },
      body,
    }));
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(201));
    expect(new Set(answers.map((answer) => answer.body)).size).toBe(1);
    expect(answers.filter(({ headers }) => headers['idempotency-replayed'] === 'true')).toHaveLength(19);
    expect(await countNamed('PT Dua Puluh')).toBe(1);
  });

  test('that broke in the middle has left nothing, and is done when it is sent again', async () => {
    const key = { 'idempotency-key': 'kunci-patah-1' };
    const body = newOrganisation('PT Patah');
    await sql`CREATE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION 'a secret of the database'; END $$`.execute(gapura.db);
    await sql`CREATE TRIGGER break_off BEFORE INSERT ON audit_events FOR EACH ROW
      WHEN (NEW.kind = 'operation') EXECUTE FUNCTION break_off()`.execute(gapura.db);
    const kept = async () => (await gapura.db.selectFrom('api_answers').select('key_hash').execute()).length;
    const before = await kept();
    const broken = await robot('POST', '/organisations', body, key);
    expectProblem(broken, 500);
    expect(JSON.stringify(broken.body)).not.toContain('secret of the database');
    expect([await countNamed('PT Patah'), await kept()]).toEqual([0, before]);
    await sql`DROP TRIGGER break_off ON audit_events`.execute(gapura.db);
    const done = await robot('POST', '/organisations', body, key);
    expect([done.status, done.headers.get('idempotency-replayed')]).toEqual([201, null]);
    expect(await countNamed('PT Patah')).toBe(1);
  });

  test('gives a new secret again, which no table holds in clear', async () => {
    const ask = () =>
      robot('POST', '/initial-access-tokens', { days: 7, clients: 1 }, { 'idempotency-key': 'kunci-rahasia-1' });
    const first = await ask();
    expect(first.status).toBe(201);
    const [secret = ''] = Object.values(first.body.shown_once as Record<string, string>);
    expect(secret.length).toBeGreaterThan(20);
    expect((await ask()).body).toEqual(first.body);
    const read = await robot('GET', `/initial-access-tokens/${first.body.id}`);
    expect(JSON.stringify(read.body)).not.toContain(secret);
    for (const table of ['api_answers', 'audit_events', 'initial_access_tokens']) {
      const rows = await sql<{ row: string }>`SELECT x::text AS row FROM ${sql.table(table)} x`
        .execute(gapura.db)
        .catch(() => ({ rows: [] }));
      expect([table, rows.rows.filter(({ row }) => row.includes(secret))]).toEqual([table, []]);
    }
  });
});

describe('a list', () => {
  const prefix = 'daftar';
  const total = 11;

  beforeAll(async () => {
    // Many with one name, so that the id must decide.
    const names = Array.from({ length: total }, (_, at) => `${prefix} ${at < 7 ? 'sama' : 'beda'}`);
    await gapura.db
      .insertInto('organisations')
      .values(names.map((name, at) => ({ name, npwp: `077${String(at).padStart(13, '0')}` })))
      .execute();
  });

  const pathOf = (address: string) => address.slice(`${gapura.url}/api/v1`.length);
  const idsOf = (items: { id: string }[]) => items.map(({ id }) => id);

  test.each(['name', '-name', 'npwp', '-npwp'])(
    'by %s is walked to its end and back again, each entry once',
    async (sort) => {
      const all = idsOf((await robot('GET', `/organisations?q=${prefix}&sort=${sort}&size=100`)).body.items);
      expect(all).toHaveLength(total);
      const seen: string[] = [];
      let page = await robot('GET', `/organisations?q=${prefix}&sort=${sort}&size=3`);
      for (;;) {
        expect([page.status, page.body.count, page.body.has_more_than_count]).toEqual([200, total, false]);
        const links = Object.entries(page.body.links as Record<string, string>);
        expect(page.headers.get('link')).toBe(links.map(([rel, href]) => `<${href}>; rel="${rel}"`).join(', '));
        seen.push(...idsOf(page.body.items));
        if (!page.body.links.next) break;
        page = await robot('GET', pathOf(page.body.links.next));
      }
      expect(seen).toEqual(all);
      const back: string[] = idsOf(page.body.items);
      while (page.body.links.prev) {
        page = await robot('GET', pathOf(page.body.links.prev));
        back.unshift(...idsOf(page.body.items));
      }
      expect(back).toEqual(all);
      expect((await robot('GET', pathOf(page.body.links.first))).body.items).toEqual(page.body.items);
    },
  );

  test('goes on where it was when an entry is gone meanwhile', async () => {
    const [a, b] = ['x', 'y'].map((letter) => newOrganisation(`gugur ${letter}`));
    for (const one of [a, b, newOrganisation('gugur z')]) await robot('POST', '/organisations', one);
    const page = await robot('GET', '/organisations?q=gugur&size=1');
    await gapura.db.deleteFrom('organisations').where('id', '=', page.body.items[0].id).execute();
    const next = await robot('GET', pathOf(page.body.links.next));
    expect(next.body.items[0].name).toBe('gugur y');
  });

  test('takes no cursor that was bent', async () => {
    const { body } = await robot('GET', `/organisations?q=${prefix}&size=3`);
    const cursor = new URL(body.links.next).searchParams.get('cursor') ?? '';
    const parts = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as unknown[];
    const [value, id, order, way] = parts;
    const write = (...bent: unknown[]) => Buffer.from(JSON.stringify(bent)).toString('base64url');
    expect(write(...parts)).toBe(cursor);
    const bent = [
      write(value, "' OR 1=1 --", order, way),
      write(value, id, '-name', way),
      write(value, id, order, 2),
      write(value, id, order, way, 1),
      write('\0', id, order, way),
      write({}, id, order, way),
      write(value, [id], order, way),
      write('x'.repeat(1001), id, order, way),
      `${cursor}.`,
      cursor.slice(0, -3),
      'e30',
      '',
      'A'.repeat(6001),
    ];
    for (const one of bent) expectProblem(await robot('GET', `/organisations?size=3&cursor=${one}`), 400);
    expectProblem(await robot('GET', `/organisations?sort=npwp&cursor=${cursor}`), 400);

    const times = await robot('GET', '/accounts?sort=created_at&size=1');
    const time = JSON.parse(
      Buffer.from(new URL(times.body.links.next).searchParams.get('cursor') ?? '', 'base64url').toString(),
    ) as unknown[];
    const moments = ['2026-02-30 00:00:00+00', '2026-13-01 00:00:00+00', '0000-01-01 00:00:00+00', 'now', 'infinity'];
    for (const moment of [...moments, '2026-01-01 25:00:00+00', '2026-01-01 00:00:00+23', '2026-01-01'])
      expectProblem(await robot('GET', `/accounts?sort=created_at&cursor=${write(moment, ...time.slice(1))}`), 400);
    expect((await robot('GET', pathOf(times.body.links.next))).status).toBe(200);
  });

  test('says of each wrong parameter that it is', async () => {
    const { status, body } = await robot('GET', '/organisations?size=x&sort=warna&nama=1&active=maybe&q=a&q=b');
    expect(status).toBe(400);
    expect((body.errors as { field: string }[]).map(({ field }) => field).toSorted()).toEqual(
      ['active', 'nama', 'q', 'size', 'sort'].toSorted(),
    );
  });
});

test('a minute holds so many requests of one program; the next minute holds them again', async () => {
  const first = await robot('GET', '/agencies');
  expect([first.headers.get('ratelimit-policy'), first.headers.get('ratelimit')]).toEqual([
    '"api";q=600;w=60',
    '"api";r=599;t=60',
  ]);
  await gapura.db.updateTable('limits').set({ count: 599 }).where('name', '=', 'api').execute();
  const last = await robot('GET', '/agencies');
  expect([last.status, last.headers.get('ratelimit')]).toEqual([200, '"api";r=0;t=60']);
  const refused = await robot('POST', '/organisations', newOrganisation('PT Terlalu'));
  expectProblem(refused, 429);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(50);
  expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(60);
  expect(await countNamed('PT Terlalu')).toBe(0);
  const other = newApiClient(gapura.url, await getClientToken(gapura, 'robot-tetangga', 'administrator'));
  expect((await other('GET', '/agencies')).status).toBe(200);
  try {
    await moveClock(gapura.db, 61);
    expect((await robot('GET', '/agencies')).status).toBe(200);
  } finally {
    await resetClock(gapura.db);
  }
});

describe('everything that is refused is a problem document', () => {
  interface Refused {
    body?: unknown;
    headers?: Record<string, string>;
  }
  test.each<[status: number, what: string, method: string, path: string, sent: Refused]>([
    [404, 'an address of nothing', 'GET', '/nothing', {}],
    [404, 'an address with too much behind it', 'GET', '/policies/mail.retention/history/1', {}],
    [400, 'an address that does not decode', 'GET', '/policies/%zz', {}],
    [400, 'a NUL in an address', 'GET', '/policies/%00', {}],
    [405, 'a method that is not there', 'PUT', '/policies/mail.retention', { body: {} }],
    [405, 'a method that nobody knows', 'PROPFIND', '/policies', {}],
    [413, 'a body that is too large', 'POST', '/organisations', { body: { name: 'x'.repeat(300_000) } }],
    [
      415,
      'a form',
      'POST',
      '/organisations',
      { body: 'name=x', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
    ],
    [415, 'text', 'POST', '/organisations', { body: '{}', headers: { 'content-type': 'text/plain' } }],
    [415, 'a packed body', 'POST', '/organisations', { body: '{}', headers: { 'content-encoding': 'gzip' } }],
    [400, 'half a JSON', 'POST', '/organisations', { body: '{"name":' }],
    [400, 'a list of JSON', 'POST', '/organisations', { body: '[]' }],
    [400, 'nested without end', 'POST', '/organisations', { body: `${'{"a":'.repeat(30)}1${'}'.repeat(30)}` }],
    [400, 'half a character', 'POST', '/organisations', { body: '{"name":"\\udc00"}' }],
    [400, 'a NUL', 'POST', '/organisations', { body: '{"name":"a\\u0000"}' }],
    [422, 'nothing', 'POST', '/organisations', {}],
  ])('%i for %s', async (status, _what, method, path, { body, headers }) => {
    const answer = await robot(method, path, body, headers);
    expectProblem(answer, status);
    expect(answer.headers.get('cache-control')).toBe('no-store');
    if (status === 405) expect(answer.headers.get('allow')).toMatch(/GET/);
  });

  test('also what was sent to another host', async () => {
    const headers = { host: 'evil.example', authorization: `Bearer ${token}` };
    const [answer] = await storm(1, () => ({ url: `${gapura.url}/api/v1/policies`, headers }));
    expect([answer?.status, answer?.headers['content-type']]).toEqual([421, 'application/problem+json']);
    expect(JSON.parse(answer?.body ?? '{}')).toMatchObject({ status: 421, code: 'wrong_host' });
  });

  test('in the language that the program asks for', async () => {
    const ask = (language: string) => robot('POST', '/organisations', { name: 'X' }, { 'accept-language': language });
    const [id, en, other] = [await ask('id'), await ask('en-GB,en;q=0.9'), await ask('de')];
    const details = ({ body }: typeof id) => [body.title, ...body.errors.map((one: { detail: string }) => one.detail)];
    expect(details(id)).not.toEqual(details(en));
    expect(details(other)).toEqual(details(id));
    expect(en.body.errors.map((one: { code: string }) => one.code)).toEqual(
      id.body.errors.map((one: { code: string }) => one.code),
    );
  });
});

test('HEAD and OPTIONS say what there is without it', async () => {
  const head = await robot('HEAD', '/policies/mail.retention');
  expect([head.status, head.body, head.headers.get('etag')]).toEqual([200, '', expect.stringMatching(/^"\d+"$/)]);
  expect((await newApiClient(gapura.url, undefined)('HEAD', '/policies')).status).toBe(401);
  const options = await robot('OPTIONS', '/policies/mail.retention');
  expect([options.status, options.body]).toEqual([200, '']);
  expect((options.headers.get('allow') ?? '').split(', ').toSorted()).toEqual(['DELETE', 'GET', 'HEAD', 'PATCH']);
});

test('no browser of another site reads it, and no cookie opens it', async () => {
  const visitor = newHttpVisitor(gapura.url);
  const home = await visitor.submit(await visitor.get('/admin'), {
    identifier: 'admin',
    password: 'Pintu-Terbuka-2026!',
  });
  expect(home.status).toBe(200);
  expect((await visitor.get('/api/v1/policies')).status).toBe(401);
  const answer = await robot('GET', '/policies', undefined, { origin: 'https://evil.example' });
  expect(answer.headers.get('access-control-allow-origin')).toBeNull();
});

test('what a person does through a program is theirs in the audit, with the program beside it', async () => {
  const account_id = await addOfficer(gapura, 'dewi', 'service_desk');
  const dewi = newApiClient(gapura.url, await getPersonToken(gapura, 'meja-dewi', 'dewi'));
  const created = await dewi('POST', '/organisations', newOrganisation('PT Dewi'));
  const [row] = await listOperations(gapura, 'organisations', created.body.id);
  expect(row).toMatchObject({ actor_id: account_id, client_id: 'meja-dewi', detail: { operation: 'creation' } });
  expect(await listRoles(gapura.db, account_id)).toHaveLength(1);
});

test('no token stands in the log', () => {
  const lines = JSON.stringify(gapura.log);
  expect(gapura.log.length).toBeGreaterThan(100);
  expect(lines).not.toContain(token);
});
