/** The engine through a real relying party: discovery, code with PKCE, claims, refresh, directorates, standing. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import * as oidc from 'openid-client';
import { endEverything, lockAccount, unlockAccount } from '../../src/accounts/account.ts';
import { type Database, inTransaction } from '../../src/database.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { demo_password, newSignedInVisitor, registerClient, startGapura, type TestGapura } from '../support/gapura.ts';
import { newHttpVisitor } from '../support/http.ts';
import { authorize, openParty, type TestParty } from '../support/relying-party.ts';

let gapura: TestGapura;
let party: TestParty;
let agency: TestParty;

const everything = 'openid profile email phone address organization role directorate linked_account';
const food = 'Inspeksi dan Sertifikasi Produk Pangan';
const medicine = 'Inspeksi dan Sertifikasi Obat Tradisional';

beforeAll(async () => {
  gapura = await startGapura();
  party = await openParty(gapura.config.issuer, await registerClient(gapura, 'penguji'));
  agency = await openParty(
    gapura.config.issuer,
    await registerClient(gapura, 'badan', { agency_code: 'BPOM', directorate_required: true }),
    everything,
  );
});

afterEach(() => resetClock(gapura.db));

afterAll(() => {
  if (process.env.SHOWLOG)
    console.log(
      gapura.log
        .filter((l) => l.msg !== 'request')
        .map((l) => JSON.stringify(l))
        .join('\n'),
    );
  return gapura.stop();
});

async function findAccountId(db: Database, canonical: string): Promise<string> {
  const row = await db
    .selectFrom('account_identifiers')
    .select('account_id')
    .where('canonical', '=', canonical)
    .executeTakeFirstOrThrow();
  return row.account_id;
}

async function signInAt(
  who: TestParty,
  identifier: string,
  answers = {},
  visitor = newHttpVisitor(gapura.url),
  parameters = {},
) {
  const { address, checks } = await who.begin(parameters);
  const returned = await authorize(visitor, address, who.redirect_uri, {
    identifier,
    password: demo_password,
    ...answers,
  });
  return { visitor, returned, checks, tokens: await who.redeem(returned, checks) };
}

describe('discovery', () => {
  test('names every endpoint under the issuer, and nothing that is not served', () => {
    const metadata = party.configuration.serverMetadata();
    expect(metadata.issuer).toBe(`${gapura.url}/connect`);
    expect(metadata.authorization_endpoint).toBe(`${gapura.url}/connect/auth`);
    expect(metadata.userinfo_endpoint).toBe(`${gapura.url}/connect/userinfo`);
    expect(metadata.end_session_endpoint).toBe(`${gapura.url}/connect/session/end`);
    expect(metadata.response_types_supported).toEqual(['code', 'none', 'code id_token']);
    expect(metadata.code_challenge_methods_supported).toEqual(['S256']);
    expect(metadata.authorization_response_iss_parameter_supported).toBe(true);
  });

  test('is also at the address of RFC 8414', async () => {
    const answer = await fetch(`${gapura.url}/.well-known/oauth-authorization-server/connect`);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({
      issuer: `${gapura.url}/connect`,
      token_endpoint: `${gapura.url}/connect/token`,
    });
  });

  test('publishes keys for RS256, PS256, ES256 and EdDSA and no private part', async () => {
    const { keys } = (await (await fetch(`${gapura.url}/connect/jwks`)).json()) as { keys: Record<string, string>[] };
    expect(keys.map((key) => key.alg).sort()).toEqual(['ES256', 'EdDSA', 'PS256', 'RS256']);
    for (const key of keys) expect(Object.keys(key)).not.toEqual(expect.arrayContaining(['d']));
  });
});

describe('code with PKCE', () => {
  test('gives tokens whose claims come by scope alone', async () => {
    const { tokens } = await signInAt(party, 'budi');
    const claims = tokens.claims();
    expect(claims).toMatchObject({
      iss: gapura.config.issuer,
      aud: 'penguji',
      acr: 'urn:gapura:acr:password',
      amr: ['pwd'],
    });
    const userinfo = await oidc.fetchUserInfo(party.configuration, tokens.access_token, claims?.sub ?? '');
    expect(userinfo).toMatchObject({
      name: 'Budi Contoh Santoso',
      preferred_username: 'budi',
      locale: 'id',
      zoneinfo: 'Asia/Jakarta',
    });
    for (const claim of ['email', 'address', 'organization', 'role', 'directorate', 'phone_number'])
      expect(userinfo).not.toHaveProperty(claim);
  });

  test('without PKCE is refused', async () => {
    const { address } = await party.begin();
    const url = new URL(address);
    url.searchParams.delete('code_challenge');
    url.searchParams.delete('code_challenge_method');
    const answer = await newHttpVisitor(gapura.url).get(url, { follow: false });
    expect(new URL(answer.headers.get('location') ?? '').searchParams.get('error')).toBe('invalid_request');
  });

  test('the code works once', async () => {
    const { returned, checks, tokens } = await signInAt(party, 'budi');
    await expect(party.redeem(returned, checks)).rejects.toMatchObject({ error: 'invalid_grant' });
    // What the first exchange gave is dead as well (RFC 6749 section 4.1.2).
    await expect(oidc.fetchUserInfo(party.configuration, tokens.access_token, oidc.skipSubjectCheck)).rejects.toThrow();
  });

  test('a wrong client secret is refused', async () => {
    const stranger = await openParty(gapura.config.issuer, {
      client_id: 'penguji',
      client_secret: 'not the secret',
      redirect_uri: party.redirect_uri,
    });
    const { address, checks } = await stranger.begin();
    const returned = await authorize(newHttpVisitor(gapura.url), address, party.redirect_uri, {
      identifier: 'budi',
      password: demo_password,
    });
    await expect(stranger.redeem(returned, checks)).rejects.toMatchObject({ status: 401 });
  });

  test('refreshing gives new tokens once; the old refresh token ends the family', async () => {
    const { tokens } = await signInAt(party, 'budi');
    const second = await oidc.refreshTokenGrant(party.configuration, tokens.refresh_token ?? '');
    expect(second.refresh_token).not.toBe(tokens.refresh_token);
    // Not in the same moment any more.
    await moveClock(gapura.db, 4);
    await expect(oidc.refreshTokenGrant(party.configuration, tokens.refresh_token ?? '')).rejects.toMatchObject({
      error: 'invalid_grant',
    });
    await expect(oidc.refreshTokenGrant(party.configuration, second.refresh_token ?? '')).rejects.toMatchObject({
      error: 'invalid_grant',
    });
  });

  test('no column of the database holds a code, a token or the session cookie', async () => {
    const { visitor, returned, tokens } = await signInAt(party, 'budi');
    const cookie = visitor.cookies.find((one) => one.name === 'gapura_session')?.value;
    expect(cookie).toBeTruthy();
    const dump = JSON.stringify([
      await gapura.db.selectFrom('oidc_records').selectAll().execute(),
      await gapura.db.selectFrom('oidc_sessions').selectAll().execute(),
      await gapura.db.selectFrom('sign_ins').selectAll().execute(),
    ]);
    for (const secret of [cookie, returned.searchParams.get('code'), tokens.access_token, tokens.refresh_token]) {
      expect(dump).not.toContain(secret);
    }
  });
});

describe('the directorate', () => {
  test('is asked of Budi, who has two, and reaches ID token, userinfo and introspection', async () => {
    const { tokens } = await signInAt(agency, 'budi', { directorate: food });
    const directorate = { agency: 'BPOM', code: 'PANGAN', name: food };
    expect(tokens.claims()).toMatchObject({ directorate });
    expect(
      await oidc.fetchUserInfo(agency.configuration, tokens.access_token, tokens.claims()?.sub ?? ''),
    ).toMatchObject({ directorate });
    expect(await oidc.tokenIntrospection(agency.configuration, tokens.access_token)).toMatchObject({
      active: true,
      directorate,
    });
  });

  test('is not asked of Tono, who has one', async () => {
    const { tokens } = await signInAt(agency, 'tono');
    expect(tokens.claims()).toMatchObject({ directorate: { code: 'OT' } });
  });

  test('is asked again by prompt=select_directorate; another one is a new grant and ends the old tokens', async () => {
    const first = await signInAt(agency, 'budi', { directorate: food });
    const second = await signInAt(agency, 'budi', { directorate: medicine }, first.visitor, {
      prompt: 'select_directorate',
    });
    expect(second.tokens.claims()).toMatchObject({ directorate: { code: 'OT' } });
    expect(await oidc.tokenIntrospection(agency.configuration, first.tokens.access_token)).toMatchObject({
      active: false,
    });
    await expect(oidc.refreshTokenGrant(agency.configuration, first.tokens.refresh_token ?? '')).rejects.toMatchObject({
      error: 'invalid_grant',
    });
    const info = await oidc.fetchUserInfo(
      agency.configuration,
      second.tokens.access_token,
      second.tokens.claims()?.sub ?? '',
    );
    expect(info).toMatchObject({ directorate: { code: 'OT' } });
  });

  test('chosen again as it was, keeps the grant and its tokens', async () => {
    const first = await signInAt(agency, 'budi', { directorate: food });
    await signInAt(agency, 'budi', { directorate: food }, first.visitor, { prompt: 'select_directorate' });
    expect(await oidc.tokenIntrospection(agency.configuration, first.tokens.access_token)).toMatchObject({
      active: true,
    });
  });

  test('is not told to a client of another agency', async () => {
    const other = await openParty(
      gapura.config.issuer,
      await registerClient(gapura, 'tetangga', { agency_code: 'KEMENDAG' }),
      everything,
    );
    const { visitor } = await signInAt(agency, 'budi', { directorate: food });
    const { tokens } = await signInAt(other, 'budi', {}, visitor);
    expect(tokens.claims()).not.toHaveProperty('directorate');
    const info = await oidc.fetchUserInfo(other.configuration, tokens.access_token, tokens.claims()?.sub ?? '');
    expect(info).not.toHaveProperty('directorate');
    expect(info).toMatchObject({ organization: { npwp: '0000001016000000' }, role: [{ name: 'trader' }] });
  });
});

describe('single sign-on', () => {
  test('a second application is opened without a page, and prompt=none works', async () => {
    const visitor = await newSignedInVisitor(gapura.url, 'sari');
    const { address, checks } = await party.begin({ prompt: 'none' });
    const tokens = await party.redeem(await authorize(visitor, address, party.redirect_uri), checks);
    expect(tokens.claims()?.sub).toBe(await findAccountId(gapura.db, 'sari'));
  });

  test('prompt=none without a session is answered login_required', async () => {
    const { address } = await party.begin({ prompt: 'none' });
    const returned = await authorize(newHttpVisitor(gapura.url), address, party.redirect_uri);
    expect(returned.searchParams.get('error')).toBe('login_required');
  });

  test('max_age asks for the password again', async () => {
    const visitor = await newSignedInVisitor(gapura.url, 'sari');
    const { address } = await party.begin({ max_age: '0' });
    expect((await visitor.get(address)).body).toContain('name="password"');
  });
});

describe('standing', () => {
  test('whoever is revoked is refused at the next request: session, token, refresh, userinfo', async () => {
    const { visitor, tokens } = await signInAt(party, 'layanan');
    await inTransaction(gapura.db, async (tx) => {
      await endEverything(tx, await findAccountId(tx, 'layanan'), { because: 'test' });
    });
    expect(await oidc.tokenIntrospection(party.configuration, tokens.access_token)).toMatchObject({ active: false });
    await expect(oidc.fetchUserInfo(party.configuration, tokens.access_token, oidc.skipSubjectCheck)).rejects.toThrow();
    await expect(oidc.refreshTokenGrant(party.configuration, tokens.refresh_token ?? '')).rejects.toMatchObject({
      error: 'invalid_grant',
    });
    expect((await visitor.get('/portal')).body).toContain('name="password"');
  });

  test('a code that was given before the revocation cannot be redeemed after it', async () => {
    const { address, checks } = await party.begin();
    const returned = await authorize(newHttpVisitor(gapura.url), address, party.redirect_uri, {
      identifier: 'layanan',
      password: demo_password,
    });
    await inTransaction(gapura.db, async (tx) => {
      await endEverything(tx, await findAccountId(tx, 'layanan'), { because: 'test' });
    });
    await expect(party.redeem(returned, checks)).rejects.toMatchObject({ error: 'invalid_grant' });
  });

  test('a locked account is out at once, and a new sign-in works after it is unlocked', async () => {
    const id = await findAccountId(gapura.db, 'petugas');
    const { tokens } = await signInAt(party, 'petugas');
    await lockAccount(gapura.db, id, 'frozen', { because: 'test' });
    expect(await oidc.tokenIntrospection(party.configuration, tokens.access_token)).toMatchObject({ active: false });
    await unlockAccount(gapura.db, id, 'frozen', { because: 'test' });
    expect(await oidc.tokenIntrospection(party.configuration, tokens.access_token)).toMatchObject({ active: false });
    await signInAt(party, 'petugas');
  });
});
