/** Fifty requests in the same instant on two server processes: who wins is counted in the answers and in the rows. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { sql } from 'kysely';
import { policies } from '../../src/policy/keys.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { newSignedInVisitor, registerClient, startNodes, type TestNodes } from '../support/gapura.ts';
import { type Answer, findForm, newHttpVisitor } from '../support/http.ts';
import {
  askNode,
  type Checks,
  codeForm,
  codesOf,
  count,
  findAccountId,
  keepCookies,
  listAudit,
  listRecords,
  listSessions,
  openApp,
  openAs,
  openTab,
  password,
  requestTo,
  type Tab,
} from '../support/nodes.ts';
import { authorize } from '../support/relying-party.ts';
import { type StormAnswer, storm } from '../support/storm.ts';

let gapura: TestNodes;
const many = 50;

beforeAll(async () => {
  gapura = await startNodes();
});

afterEach(() => resetClock(gapura.db, gapura.nodes));

afterAll(() => gapura.stop());

/** What the losers were told. */
const problems = (answers: StormAnswer[]) =>
  new Set(answers.filter(({ status }) => status !== 200).map(({ body }) => JSON.parse(body).error));

test('a database that fails while tokens are written leaves what they were asked for with as it was', async () => {
  const app = await openApp(gapura, 'gagal-tulis');
  const { returned, checks } = await openAs(app, newHttpVisitor(gapura.url), 'tono');
  const fail = (model: string) =>
    sql`CREATE FUNCTION fail_writing() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN RAISE EXCEPTION 'gone' USING ERRCODE = '57P01'; END$$;
      CREATE TRIGGER fail_writing BEFORE INSERT ON oidc_records FOR EACH ROW
        WHEN (NEW.model = ${sql.lit(model)}) EXECUTE FUNCTION fail_writing()`.execute(gapura.db);
  const mend = () => sql`DROP FUNCTION fail_writing CASCADE`.execute(gapura.db);
  const ask = async (form: Record<string, string>) => {
    const [answer] = await storm(1, () => app.ask(0, form));
    return answer as StormAnswer;
  };
  for (const model of ['RefreshToken', 'AccessToken']) {
    await fail(model);
    const failed = await ask(codeForm(app, returned, checks));
    expect([failed.status, JSON.parse(failed.body).error]).toEqual([503, 'temporarily_unavailable']);
    await mend();
  }
  const given = await ask(codeForm(app, returned, checks));
  expect(given.status).toBe(200);
  const { refresh_token } = JSON.parse(given.body);
  for (const model of ['RefreshToken', 'AccessToken']) {
    await fail(model);
    expect((await ask({ grant_type: 'refresh_token', refresh_token })).status).toBe(503);
    await mend();
  }
  expect((await ask({ grant_type: 'refresh_token', refresh_token })).status).toBe(200);
});

describe('of 50 at once one wins', () => {
  test('with one authorization code; its reuse ends what the winner got', async () => {
    const app = await openApp(gapura, 'satu-kode');
    const { returned, checks } = await openAs(app, newHttpVisitor(gapura.url), 'tono');
    const answers = await storm(many, (at) => app.ask(at, codeForm(app, returned, checks)));
    expect(count(gapura, answers)).toEqual({ 200: 1, 400: many - 1 });
    expect(problems(answers)).toEqual(new Set(['invalid_grant']));
    expect((await listRecords(gapura, app.id, 'AccessToken')).length).toBeLessThanOrEqual(1);
    const { access_token, refresh_token } = JSON.parse(answers.find(({ status }) => status === 200)?.body ?? '{}');
    await expect(app.redeem(returned, checks)).rejects.toMatchObject({ error: 'invalid_grant' });
    const [refreshed, told] = await storm(2, (at) =>
      at === 0
        ? app.ask(at, { grant_type: 'refresh_token', refresh_token })
        : requestTo(gapura, at, '/connect/userinfo', { headers: { authorization: `Bearer ${access_token}` } }),
    );
    expect([refreshed?.status, told?.status]).toEqual([400, 401]);
  });

  test('with one refresh token; its reuse ends the family', async () => {
    const app = await openApp(gapura, 'satu-penyegar');
    const { returned, checks } = await openAs(app, newHttpVisitor(gapura.url), 'tono');
    const { refresh_token = '' } = await app.redeem(returned, checks);
    const answers = await storm(many, (at) => app.ask(at, { grant_type: 'refresh_token', refresh_token }));
    expect(count(gapura, answers)).toEqual({ 200: 1, 400: many - 1 });
    expect(problems(answers)).toEqual(new Set(['invalid_grant']));
    expect((await listRecords(gapura, app.id, 'RefreshToken')).length).toBeLessThanOrEqual(2);
    const next = JSON.parse(answers.find(({ status }) => status === 200)?.body ?? '{}').refresh_token;
    // Not in the same moment any more.
    await moveClock(gapura.db, 4, gapura.nodes);
    for (const token of [refresh_token, next]) {
      const [late] = await storm(1, (at) => app.ask(at, { grant_type: 'refresh_token', refresh_token: token }));
      expect(JSON.parse(late?.body ?? '{}')).toMatchObject({ error: 'invalid_grant' });
    }
  });

  test('with one interaction: one sign-in is written down, one resume gives a code, one session begins', async () => {
    const app = await openApp(gapura, 'satu-masuk');
    const visitor = newHttpVisitor(gapura.url);
    const { page, checks } = await openTab(visitor, app);
    const answers = await storm(many, (at) => requestTo(gapura, at, page.url, { visitor, form: password('sari') }));
    const done = answers.filter(({ status }) => status === 303);
    expect(done.length).toBeGreaterThanOrEqual(1);
    // The others came while the tries without a human check were all in work.
    expect(count(gapura, answers)).toEqual({
      303: done.length,
      ...(done.length < many && { 422: many - done.length }),
    });
    const ways = new Set(done.map(({ headers }) => headers.location));
    expect(ways.size).toBe(1);
    const [resume = ''] = ways;

    const resumed = await storm(many, (at) => requestTo(gapura, at, resume, { visitor }));
    const codes = codesOf(resumed, app);
    expect(codes).toHaveLength(1);
    expect(count(gapura, resumed)).toEqual({ 303: 1, 400: many - 1 });
    expect(await listRecords(gapura, app.id, 'AuthorizationCode')).toHaveLength(1);
    expect(await listSessions(gapura, 'sari')).toHaveLength(1);
    const written = await listAudit(gapura, app.id, 'sign_in');
    expect(written).toHaveLength(1);
    expect((await app.redeem(codes[0] as URL, checks)).claims()?.sub).toBe(await findAccountId(gapura, 'sari'));
  });

  test('with a wrong password exactly the tries without a human check are compared', async () => {
    const app = await openApp(gapura, 'salah-sandi');
    const visitor = newHttpVisitor(gapura.url);
    const { page } = await openTab(visitor, app);
    const form = { identifier: 'admin', password: 'bukan kata sandinya' };
    const answers = await storm(many, (at) => requestTo(gapura, at, page.url, { visitor, form }));
    expect(count(gapura, answers)).toEqual({ 422: many });
    expect(await listAudit(gapura, app.id, 'sign_in_refused')).toHaveLength(policies['human_check.after'].default);
  });

  test('with one signed assertion of a client, and with one DPoP proof', async () => {
    const { privateKey, publicKey } = await generateKeyPair('ES256');
    const jwk = await exportJWK(publicKey);
    const grant_types = ['client_credentials'];
    const common = { grant_types, redirect_uris: [], response_types: [] };
    await registerClient(gapura, 'bertanda', {
      metadata: {
        ...common,
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: { keys: [{ ...jwk, alg: 'ES256' }] },
      },
    });
    const sign = (payload: JWTPayload, header = {}) =>
      new SignJWT({ jti: crypto.randomUUID(), ...payload })
        .setProtectedHeader({ alg: 'ES256', ...header })
        .setIssuedAt()
        .sign(privateKey);
    const form = {
      grant_type: 'client_credentials',
      client_id: 'bertanda',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: await sign({
        iss: 'bertanda',
        sub: 'bertanda',
        aud: gapura.config.issuer,
        exp: Math.floor(Date.now() / 1000) + 60,
      }),
    };
    const asserted = await storm(many, (at) => requestTo(gapura, at, '/connect/token', { form }));
    expect(count(gapura, asserted)).toEqual({ 200: 1, 401: many - 1 });

    const app = await openApp(gapura, 'berkunci', { metadata: common });
    const dpop = await sign({ htm: 'POST', htu: `${gapura.config.issuer}/token` }, { typ: 'dpop+jwt', jwk });
    const proven = await storm(many, (at) => {
      const request = app.ask(at, { grant_type: 'client_credentials' });
      return { ...request, headers: { ...request.headers, dpop } };
    });
    expect(count(gapura, proven)).toEqual({ 200: 1, 400: many - 1 });
    expect(await listRecords(gapura, app.id, 'ClientCredentials')).toHaveLength(1);
  });
});

describe('one session', () => {
  test('opens six applications at once: six codes redeem, six entries stand in the row', async () => {
    const apps = await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((letter) => openApp(gapura, `enam-${letter}`)));
    const visitor = await newSignedInVisitor(gapura.url, 'petugas');
    const begun = await Promise.all(apps.map((app) => app.begin()));
    const answers = await storm(6, (at) => requestTo(gapura, at, begun[at]?.address ?? '', { visitor }));
    for (const [at, app] of apps.entries()) {
      const [returned] = codesOf([answers[at] as StormAnswer], app);
      await app.redeem(returned as URL, begun[at]?.checks as Checks);
    }
    const [session, ...others] = await listSessions(gapura, 'petugas');
    expect(others).toEqual([]);
    expect(Object.keys(session?.authorizations ?? {}).sort()).toEqual([...apps.map((app) => app.id), 'portal']);
  });

  test('opens one application in many tabs at once: every code redeems, one grant stands', async () => {
    const app = await openApp(gapura, 'banyak-tab');
    const visitor = await newSignedInVisitor(gapura.url, 'tono');
    const begun = await Promise.all(Array.from({ length: 6 }, () => app.begin()));
    const answers = await storm(begun.length, (at) => requestTo(gapura, at, begun[at]?.address ?? '', { visitor }));
    const codes = codesOf(answers, app);
    expect(codes).toHaveLength(begun.length);
    for (const [at, returned] of codes.entries()) await app.redeem(returned, begun[at]?.checks as Checks);
    expect(await listRecords(gapura, app.id, 'Grant')).toHaveLength(1);
  });

  test('that ends while applications are opened leaves no session, no grant and nothing that works', async () => {
    const apps = await Promise.all(['a', 'b', 'c', 'd'].map((letter) => openApp(gapura, `akhir-${letter}`)));
    let late = 0;
    for (let round = 0; round < 12; round++) {
      const visitor = await newSignedInVisitor(gapura.url, 'layanan');
      const before = await apps[0]?.begin();
      await visitor.get(before?.address ?? '', { follow: false });
      const { action, fields } = findForm((await visitor.get('/connect/session/end')).body, 'sign-out');
      const begun = await Promise.all(apps.map((app) => app.begin()));
      const answers = await storm(apps.length + 1, (at) =>
        at === round % apps.length
          ? requestTo(gapura, at + round, action, { visitor, form: { ...fields, logout: 'yes' } })
          : requestTo(gapura, at, begun[at < round % apps.length ? at : at - 1]?.address ?? '', { visitor }),
      );
      count(gapura, answers);
      expect(answers[round % apps.length]?.status).toBe(303);
      for (const [at, app] of apps.entries())
        for (const returned of codesOf(answers, app)) {
          late += 1;
          await expect(app.redeem(returned, begun[at]?.checks as Checks)).rejects.toMatchObject({
            error: 'invalid_grant',
          });
        }
      expect(await listSessions(gapura, 'layanan')).toEqual([]);
      const left = await gapura.db
        .selectFrom('oidc_records')
        .selectAll()
        .where('account_id', '=', await findAccountId(gapura, 'layanan'))
        .execute();
      expect({ round, left }).toEqual({ round, left: [] });
    }
    expect(late).toBeGreaterThan(0);
  });
});

describe('two tabs of one browser', () => {
  test('sign in at once: both applications get a code that redeems, and the browser goes on', async () => {
    const apps = await Promise.all(['satu', 'dua'].map((name) => openApp(gapura, `tab-${name}`)));
    const visitor = newHttpVisitor(gapura.url);
    const tabs: Tab[] = [];
    for (const app of apps) tabs.push(await openTab(visitor, app));
    const answers: StormAnswer[] = [];
    for (const [at, { page }] of tabs.entries())
      answers.push(await askNode(gapura, at, page.url, { visitor, form: password('budi') }));
    expect(count(gapura, answers)).toEqual({ 303: 2 });
    const resumed = await storm(2, (at) => requestTo(gapura, at, answers[at]?.headers.location ?? '', { visitor }));
    for (const [at, app] of apps.entries()) {
      const [returned] = codesOf(resumed, app);
      await app.redeem(returned as URL, tabs[at]?.checks as Checks);
    }
    keepCookies(visitor, resumed);
    const home = await visitor.get('/portal');
    expect([home.status, home.url.pathname]).toEqual([200, '/portal']);
  });

  test('sign in as two people at once: no session holds what belongs to the other', async () => {
    const apps = await Promise.all(['ini', 'itu'].map((name) => openApp(gapura, `orang-${name}`)));
    for (let round = 0; round < 6; round++) {
      // In turns a browser that is signed in, and one whose session has a row but nobody in it.
      const visitor = round % 2 === 0 ? await newSignedInVisitor(gapura.url, 'tono') : newHttpVisitor(gapura.url);
      if (round % 2 === 1) await visitor.get('/connect/session/end');
      const tabs: Tab[] = [];
      for (const app of apps) tabs.push(await openTab(visitor, app, { prompt: 'login' }));
      const names = ['tono', 'sari'];
      const answers: StormAnswer[] = [];
      for (const [at, { page }] of tabs.entries())
        answers.push(await askNode(gapura, at, page.url, { visitor, form: password(names[at] ?? '') }));
      const resumed = await storm(2, (at) => requestTo(gapura, at, answers[at]?.headers.location ?? '', { visitor }));
      count(gapura, resumed);
      const mixed = await sql`SELECT s.uid FROM oidc_sessions s, jsonb_each(s.authorizations) a
        JOIN oidc_records g ON g.grant_id = a.value ->> 'grantId' WHERE g.account_id <> s.account_id`.execute(
        gapura.db,
      );
      expect(mixed.rows).toEqual([]);
    }
  });

  test('choose different directorates at once: one grant is alive, the session holds it, its code alone redeems', async () => {
    const app = await openApp(
      gapura,
      'pilih',
      { agency_code: 'BPOM', directorate_required: true },
      'openid directorate',
    );
    const visitor = await newSignedInVisitor(gapura.url, 'budi');
    const names = ['Inspeksi dan Sertifikasi Produk Pangan', 'Inspeksi dan Sertifikasi Obat Tradisional'];
    const first = await app.begin();
    await authorize(visitor, first.address, app.redirect_uri, { directorate: names[0] ?? '' });
    for (let round = 0; round < 6; round++) {
      const tabs: Tab[] = [];
      for (const _ of names) tabs.push(await openTab(visitor, app, { prompt: 'select_directorate' }));
      const answers = await storm(2, (at) => {
        const page = tabs[at]?.page as Answer;
        const directorate = new RegExp(`value="([^"]+)"[^>]*>\\s*${names[at]}`).exec(page.body)?.[1] ?? '';
        return requestTo(gapura, at, page.url, { visitor, form: { directorate } });
      });
      const resumed = await storm(2, (at) => requestTo(gapura, at, answers[at]?.headers.location ?? '', { visitor }));
      count(gapura, resumed);
      const redeemed = await Promise.allSettled(
        resumed.flatMap((answer, at) =>
          codesOf([answer], app).map((returned) => app.redeem(returned, tabs[at]?.checks as Checks)),
        ),
      );
      expect(redeemed.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      const [grant, ...others] = await listRecords(gapura, app.id, 'Grant');
      expect(others).toEqual([]);
      const sessions = await listSessions(gapura, 'budi');
      const [session] = sessions.filter((one) => one.authorizations[app.id]);
      expect(session?.authorizations[app.id]?.grantId).toBe(grant?.grant_id);
      keepCookies(visitor, resumed);
      expect((await visitor.get('/portal')).url.pathname).toBe('/portal');
    }
  });
});
