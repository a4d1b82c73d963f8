/** What tokens say of a sign-in, and what an application may ask of it: acr, amr, auth_time, sid; hints; prompts. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import * as oidc from 'openid-client';
import { recovered_acr } from '../../src/recovery/reset.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { readText } from '../support/facts.ts';
import { demo_password, registerClient, startGapura, type TestGapura } from '../support/gapura.ts';
import { findForm, type HttpVisitor, newHttpVisitor } from '../support/http.ts';
import { readSecret } from '../support/mails.ts';
import { type Answers, authorize, openParty, type TestParty } from '../support/relying-party.ts';

const password_acr = 'urn:gapura:acr:password';
const unreached_acr = 'urn:gapura:acr:multi-factor';
const food = 'Inspeksi dan Sertifikasi Produk Pangan';
const medicine = 'Inspeksi dan Sertifikasi Obat Tradisional';

let gapura: TestGapura;
let party: TestParty;
let agency: TestParty;

beforeAll(async () => {
  gapura = await startGapura();
  const told = {
    backchannel_logout_uri: 'https://rekan.contoh.example/keluar',
    backchannel_logout_session_required: true,
  };
  party = await openParty(gapura.config.issuer, await registerClient(gapura, 'rekan', { metadata: told }), 'openid');
  const of_agency = { agency_code: 'BPOM', directorate_required: true, metadata: told };
  agency = await openParty(
    gapura.config.issuer,
    await registerClient(gapura, 'badan', of_agency),
    'openid directorate',
  );
});

afterEach(async () => {
  await resetClock(gapura.db);
  for (const table of ['limits', 'mails', 'proofs', 'recoveries'] as const) await gapura.db.deleteFrom(table).execute();
});

afterAll(() => gapura.stop());

type Parameters = Record<string, string>;

/** Goes through an authorization as somebody; gives the claims of the ID token and the tokens. */
async function enter(visitor: HttpVisitor, parameters: Parameters = {}, answers: Answers = {}, who = party) {
  const { address, checks } = await who.begin(parameters);
  const returned = await authorize(visitor, address, who.redirect_uri, { password: demo_password, ...answers });
  // What is asked by max_age the library checks as well, by a clock that no test moves.
  const tokens = await who.redeem(returned, checks);
  return { claims: tokens.claims() as Record<string, unknown>, tokens };
}

const asSari = { identifier: 'sari' };

/** What an authorization ends with that shows no page. */
async function end(
  visitor: HttpVisitor,
  parameters: Parameters,
  answers: Answers = {},
): Promise<Record<string, string>> {
  const { address } = await party.begin(parameters);
  const returned = await authorize(visitor, address, party.redirect_uri, { password: demo_password, ...answers });
  return Object.fromEntries(returned.searchParams);
}

const isSignInPage = async (visitor: HttpVisitor, parameters: Parameters) => {
  const { body } = await visitor.get((await party.begin(parameters)).address);
  return body.includes('name="identifier"');
};

async function recover(visitor: HttpVisitor, interaction: string): Promise<void> {
  const address = await visitor.submit(
    await visitor.get(`/recovery?interaction=${interaction}`),
    { username: 'sari' },
    'recovery',
  );
  const code = await visitor.submit(address, {}, 'request');
  await visitor.submit(code, { code: await readSecret(gapura, 'sari.wulandari@surat.example') }, 'verification');
  const { recovery = '' } = findForm((await visitor.get('/recovery/choice')).body, 'session').fields;
  await visitor.post('/recovery/session', { recovery }, { follow: false });
}

describe('acr, amr, auth_time and sid tell the truth', () => {
  test('of a sign-in, of the next application’s without one, and after a refresh', async () => {
    const visitor = newHttpVisitor(gapura.url);
    const { claims, tokens } = await enter(visitor, {}, asSari);
    expect(claims).toMatchObject({ acr: password_acr, amr: ['pwd'], sid: expect.any(String) });
    expect(Math.abs(Number(claims.auth_time) - Date.now() / 1000)).toBeLessThan(30);
    await moveClock(gapura.db, 120);
    const { claims: later } = await enter(visitor);
    expect(later).toMatchObject({ acr: password_acr, amr: ['pwd'], auth_time: claims.auth_time, sid: claims.sid });
    expect(Number(later.iat)).toBeGreaterThanOrEqual(Number(claims.iat) + 110);
    const { claims: other } = await enter(visitor, {}, { directorate: food }, agency);
    expect(other.auth_time).toBe(claims.auth_time);
    expect(other.sid).not.toBe(claims.sid);
    const refreshed = (await oidc.refreshTokenGrant(party.configuration, tokens.refresh_token ?? '')).claims();
    expect(refreshed).toMatchObject({ acr: password_acr, amr: ['pwd'], auth_time: claims.auth_time, sid: claims.sid });
  });

  test('after another directorate: nobody has signed in anew', async () => {
    const visitor = newHttpVisitor(gapura.url);
    const first = await enter(visitor, {}, { ...asSari, directorate: food }, agency);
    await moveClock(gapura.db, 300);
    const second = await enter(visitor, { prompt: 'select_directorate' }, { directorate: medicine }, agency);
    expect(second.claims.directorate).toMatchObject({ code: 'OT' });
    const { acr, amr, auth_time, sid } = first.claims;
    expect(second.claims).toMatchObject({ acr, amr, auth_time, sid });
    // What the first tokens could tell is over with their directorate.
    const old = oidc.refreshTokenGrant(agency.configuration, first.tokens.refresh_token ?? '');
    await expect(old).rejects.toMatchObject({ error: 'invalid_grant' });
  });

  test('of a recovery’s session, and of the step up by the password after it', async () => {
    const visitor = newHttpVisitor(gapura.url);
    const { address, checks } = await party.begin({ acr_values: recovered_acr });
    const { url } = await visitor.get(address);
    await recover(visitor, url.pathname.split('/').at(-1) ?? '');
    const returned = await authorize(visitor, url.href, party.redirect_uri);
    const recovered = await party.redeem(returned, checks);
    expect(recovered.claims()).toMatchObject({ acr: recovered_acr, amr: ['otp'] });
    await moveClock(gapura.db, 60);
    // Nothing that was opened by a code alone becomes more by being asked again quietly.
    expect(await end(visitor, { prompt: 'none' })).toMatchObject({ error: 'login_required' });
    expect(await end(visitor, { prompt: 'none', acr_values: password_acr })).toMatchObject({ error: 'login_required' });
    const { claims } = await enter(visitor, {}, asSari);
    expect(claims).toMatchObject({ acr: password_acr, amr: ['pwd'], sub: recovered.claims()?.sub });
    expect(Number(claims.auth_time)).toBeGreaterThanOrEqual(Number(recovered.claims()?.auth_time) + 60);
    const refreshed = await oidc.refreshTokenGrant(party.configuration, recovered.refresh_token ?? '');
    expect(refreshed.claims()).toMatchObject({ acr: recovered_acr, amr: ['otp'] });
  });

  test('with max_age and prompt=login: the password is asked, and auth_time moves', async () => {
    const visitor = newHttpVisitor(gapura.url);
    const { claims } = await enter(visitor, {}, asSari);
    await moveClock(gapura.db, 100);
    expect((await enter(visitor, { max_age: '3600' })).claims.auth_time).toBe(claims.auth_time);
    expect(await end(visitor, { max_age: '60', prompt: 'none' })).toMatchObject({ error: 'login_required' });
    const aged = (await enter(visitor, { max_age: '60' }, asSari)).claims;
    expect(Number(aged.auth_time)).toBeGreaterThanOrEqual(Number(claims.auth_time) + 100);
    await moveClock(gapura.db, 200);
    const again = (await enter(visitor, { prompt: 'login' }, asSari)).claims;
    expect(Number(again.auth_time)).toBeGreaterThanOrEqual(Number(claims.auth_time) + 200);
    expect(again.sid).toBe(claims.sid);
  });
});

describe('acr_values', () => {
  test('are a wish: what cannot be given is no error, and the token says what was', async () => {
    const { claims } = await enter(newHttpVisitor(gapura.url), { acr_values: `${unreached_acr} x` }, asSari);
    expect(claims.acr).toBe(password_acr);
    expect((party.configuration.serverMetadata().acr_values_supported as string[]).sort()).toEqual(
      [password_acr, recovered_acr].sort(),
    );
  });

  test('that a client is registered with hold for its requests', async () => {
    const metadata = { default_acr_values: [password_acr] };
    const other = await openParty(gapura.config.issuer, await registerClient(gapura, 'tegas', { metadata }), 'openid');
    const visitor = newHttpVisitor(gapura.url);
    const { address } = await party.begin({ acr_values: recovered_acr });
    await recover(visitor, (await visitor.get(address)).url.pathname.split('/').at(-1) ?? '');
    await authorize(visitor, address, party.redirect_uri);
    expect((await enter(visitor, {}, asSari, other)).claims.acr).toBe(password_acr);
  });
});

describe('an acr that must be given', () => {
  const must = (acr: object) => JSON.stringify({ id_token: { acr: { essential: true, ...acr } } });

  test('and is, changes nothing', async () => {
    const visitor = newHttpVisitor(gapura.url);
    const claims = must({ values: [unreached_acr, password_acr] });
    expect((await enter(visitor, { claims }, asSari)).claims.acr).toBe(password_acr);
    expect((await enter(visitor, { claims: must({ value: password_acr }) })).claims.acr).toBe(password_acr);
  });

  test.each([{ values: [unreached_acr] }, { value: unreached_acr }, { values: [7, null, 'x'] }])(
    'and is none of ours ends in an error, not in a page that comes back for ever: %j',
    async (acr) => {
      const visitor = newHttpVisitor(gapura.url);
      const error = 'unmet_authentication_requirements';
      expect(await end(visitor, { claims: must(acr) })).toMatchObject({ error, iss: gapura.config.issuer });
      await enter(visitor, {}, asSari);
      expect(await end(visitor, { claims: must(acr) })).toMatchObject({ error });
      expect(await end(visitor, { claims: must(acr), prompt: 'none' })).toMatchObject({ error });
    },
  );

  test('and was not reached by the sign-in that it led to, ends in that error too', async () => {
    const claims = must({ value: recovered_acr });
    const visitor = newHttpVisitor(gapura.url);
    expect(await end(visitor, { claims }, asSari)).toMatchObject({ error: 'unmet_authentication_requirements' });
  });

  test('and is written wrong is an error of the request', async () => {
    expect(await end(newHttpVisitor(gapura.url), { claims: must({ values: 'x' }) })).toMatchObject({
      error: 'invalid_request',
    });
  });
});

describe('whoever is meant', () => {
  test('by id_token_hint gets an answer without a page; anybody else is asked, or login_required is the answer', async () => {
    const visitor = newHttpVisitor(gapura.url);
    const { tokens } = await enter(visitor, {}, asSari);
    const id_token_hint = tokens.id_token ?? '';
    expect((await enter(visitor, { id_token_hint, prompt: 'none' })).claims.sub).toBe(tokens.claims()?.sub);
    const other = newHttpVisitor(gapura.url);
    await enter(other, {}, { identifier: 'tono' });
    expect(await end(other, { id_token_hint, prompt: 'none' })).toMatchObject({ error: 'login_required' });
    expect(await isSignInPage(other, { id_token_hint })).toBe(true);
  });

  test('is not replaced by who signs in instead', async () => {
    const { tokens } = await enter(newHttpVisitor(gapura.url), {}, asSari);
    const id_token_hint = tokens.id_token ?? '';
    const sub = { id_token: { sub: { value: tokens.claims()?.sub } } };
    for (const named of [{ id_token_hint }, { claims: JSON.stringify(sub) }] as Parameters[]) {
      const stranger = { identifier: 'tono' };
      expect(await end(newHttpVisitor(gapura.url), named, stranger)).toMatchObject({ error: 'login_required' });
      expect((await enter(newHttpVisitor(gapura.url), named, asSari)).claims.sub).toBe(tokens.claims()?.sub);
    }
  });

  test('by a subject that the ID token must have is nobody else, also quietly', async () => {
    const visitor = newHttpVisitor(gapura.url);
    await enter(visitor, {}, asSari);
    const claims = JSON.stringify({ id_token: { sub: { value: 'somebody-else' } } });
    expect(await end(visitor, { claims, prompt: 'none' })).toMatchObject({ error: 'login_required' });
  });

  test.each(['x', 'a.b.c', 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.'])('a hint like %s is refused', async (hint) => {
    expect(await end(newHttpVisitor(gapura.url), { id_token_hint: hint })).toMatchObject({ error: 'invalid_request' });
  });

  test('by the hint of another client’s ID token is nobody', async () => {
    const visitor = newHttpVisitor(gapura.url);
    const { tokens } = await enter(visitor, {}, { ...asSari, directorate: food }, agency);
    const hint = { id_token_hint: tokens.id_token ?? '' };
    expect(await end(visitor, hint)).toMatchObject({ error: 'invalid_request' });
  });
});

describe('hints', () => {
  test('login_hint stands in the field as text, cut where no name goes on, and in no log line', async () => {
    const filled = async (login_hint: string) => {
      const { body } = await newHttpVisitor(gapura.url).get((await party.begin({ login_hint })).address);
      return { body, value: findForm(body, 'login').fields.identifier };
    };
    expect((await filled('sari@contoh.example')).value).toBe('sari@contoh.example');
    const odd = await filled('"><script>alert(1)</script>');
    expect(odd.value).toBe('"><script>alert(1)</script>');
    expect(odd.body).not.toContain('<script>alert');
    expect((await filled('a'.repeat(5000))).value?.length).toBeLessThanOrEqual(256);
    await filled('petunjuk-rahasia');
    expect(JSON.stringify(gapura.log)).not.toContain('petunjuk-rahasia');
  });

  test('ui_locales decides the language of every page of the way, and of the error at its end', async () => {
    const visitor = newHttpVisitor(gapura.url);
    const { address } = await agency.begin({ ui_locales: 'fr en' });
    const login = await visitor.get(address);
    expect(login.body).toContain('<html lang="en">');
    const choice = await visitor.submit(login, { identifier: 'budi', password: demo_password });
    expect(readText(choice.body)).toContain('directorate');
    expect(choice.body).toContain('<html lang="en">');
    expect((await visitor.get('/recovery')).body).toContain('<html lang="en">');
    const lost = new URL(address);
    lost.searchParams.set('redirect_uri', 'https://lain.contoh.example/');
    expect((await newHttpVisitor(gapura.url).get(lost)).body).toContain('<html lang="en">');
  });

  test('ui_locales decides the language of the page that asks before a sign-out too', async () => {
    const visitor = newHttpVisitor(gapura.url);
    const { tokens } = await enter(visitor, {}, asSari);
    const query = new URLSearchParams({ id_token_hint: tokens.id_token ?? '', ui_locales: 'en-GB id' });
    expect((await visitor.get(`/connect/session/end?${query}`)).body).toContain('<html lang="en">');
  });

  test('display, claims_locales and parameters that nobody knows change nothing', async () => {
    const more = { display: 'wap', claims_locales: 'fr xx', tidak_dikenal: 'x', audience: 'y', max_umur: '1' };
    const { claims } = await enter(newHttpVisitor(gapura.url), more, asSari);
    expect(claims).toMatchObject({ acr: password_acr });
  });
});

describe('prompt', () => {
  test.each(['create', 'select_account', 'none login', 'none none login', 'password', 'link', 'x'])(
    '%s is an error of the request',
    async (prompt) => {
      expect(await end(newHttpVisitor(gapura.url), { prompt })).toMatchObject({ error: 'invalid_request' });
    },
  );

  test('none ends in the error that says what is missing', async () => {
    const visitor = newHttpVisitor(gapura.url);
    expect(await end(visitor, { prompt: 'none' })).toMatchObject({ error: 'login_required' });
    const outside = await registerClient(gapura, 'luar', { first_party: false });
    const other = await openParty(gapura.config.issuer, outside, 'openid profile');
    await enter(visitor, {}, { identifier: 'budi' });
    const ask = async (who: TestParty) => {
      const { address } = await who.begin({ prompt: 'none' });
      return (await authorize(visitor, address, who.redirect_uri)).searchParams.get('error');
    };
    expect(await ask(other)).toBe('consent_required');
    expect(await ask(agency)).toBe('interaction_required');
  });
});
