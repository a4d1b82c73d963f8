/** What went wrong with names and browsers elsewhere, tried here: one name for two people, two names for one, a page of another. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { policies } from '../../src/policy/keys.ts';
import { addOfficer, getClientToken, newApiClient } from '../support/desk.ts';
import { demo_password, registerClient, signIn, startGapura, type TestGapura } from '../support/gapura.ts';
import { newHttpVisitor } from '../support/http.ts';
import { findAccountId } from '../support/nodes.ts';
import { authorize, openParty, type TestParty } from '../support/relying-party.ts';

let gapura: TestGapura;
let party: TestParty;

beforeAll(async () => {
  gapura = await startGapura();
  party = await openParty(gapura.config.issuer, await registerClient(gapura, 'orang'));
  await addOfficer(gapura, 'rangkap', undefined);
});

beforeEach(async () => {
  await gapura.db.deleteFrom('limits').execute();
});

afterAll(() => gapura?.stop());

test('CVE-2026-19607 and GHSA-cq42-vhv7-xr7p: nobody is given a name by which somebody else can sign in', async () => {
  const api = newApiClient(gapura.url, await getClientToken(gapura, 'jembatan', 'administrator'));
  const person = { full_name: 'Orang Lain', email: 'lain@contoh.example', language: 'id', time_zone: 'Asia/Jakarta' };
  const taken = ['rangkap', 'RANGKAP', 'ｒａｎｇｋａｐ', 'rangkap@contoh.example', 'Rangkap＠Contoh.Example'];
  for (const username of taken) {
    const answer = await api('POST', '/accounts', { ...person, username });
    expect([username, answer.status, answer.body.errors?.[0]?.field]).toEqual([username, 422, 'username']);
  }
  const answer = await api('POST', '/accounts', { ...person, username: 'orang-lain', email: 'RANGKAP@contoh.example' });
  expect([answer.status, answer.body.errors?.[0]?.field]).toEqual([422, 'email']);
});

// Each name has counters of its own, since shared ones would tell which names belong together (sign-in.ts).
test('CVE-2025-24806: a person can be tried as often as there are names, and no spelling is one more', async () => {
  const names = ['rangkap', 'rangkap@contoh.example', 'RANGKAP', ' rangkap ', 'Rangkap@Contoh.Example'];
  const account_id = await findAccountId(gapura, 'rangkap');
  const compared = async () => {
    const events = gapura.db.selectFrom('audit_events').select('id').where('kind', '=', 'sign_in_refused');
    return (await events.where('account_id', '=', account_id).execute()).length;
  };
  const visitor = newHttpVisitor(gapura.url);
  for (let times = 0; times < 3; times++) {
    for (const identifier of names) {
      const page = await visitor.get((await party.begin({ prompt: 'login' })).address);
      expect((await signIn(visitor, page, identifier, 'bukan sandinya')).status).toBe(422);
    }
  }
  expect(await compared()).toBe(2 * policies['human_check.after'].default);
});

describe('CVE-2026-7507 (a sign-in that another began)', () => {
  test('the page of one browser is nothing in another, and signs nobody in there', async () => {
    const [attacker, victim] = [newHttpVisitor(gapura.url), newHttpVisitor(gapura.url)];
    const begun = await attacker.get((await party.begin()).address);
    const opened = await victim.get(begun.url);
    expect(opened.body).not.toContain('name="identifier"');
    const fields = { identifier: 'budi', password: demo_password };
    const answer = await victim.post(begun.url, fields, { follow: false });
    expect(answer.headers.get('location') ?? '').not.toMatch(/\/connect\/auth\/|code=/);
    const resumed = await attacker.get(begun.url.href.replace('/interaction/', '/connect/auth/'), { follow: false });
    expect(resumed.headers.get('location') ?? '').not.toContain('code=');
    for (const visitor of [attacker, victim]) {
      const asked = await visitor.get('/portal');
      expect(asked.url.pathname).not.toBe('/portal');
    }
  });

  test('a cookie that was planted before the sign-in opens nothing after it', async () => {
    const victim = newHttpVisitor(gapura.url);
    const { address } = await party.begin();
    await victim.get(address);
    const planted = newHttpVisitor(gapura.url);
    planted.cookies.push(...victim.cookies.map((cookie) => ({ ...cookie })));
    await authorize(victim, address, party.redirect_uri, { identifier: 'budi', password: demo_password });
    expect((await victim.get('/portal')).url.pathname).toBe('/portal');
    expect((await planted.get('/portal')).url.pathname).not.toBe('/portal');
  });
});
