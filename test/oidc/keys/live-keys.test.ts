/** The keys of a running engine: published with an age, followed without a restart, gone at once in an emergency. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createLocalJWKSet, decodeProtectedHeader, type JWK, jwtVerify } from 'jose';
import { inTransaction } from '../../../src/database.ts';
import { key_algorithms } from '../../../src/oidc/keys/key-pairs.ts';
import { endGrantsSigned } from '../../../src/oidc/keys/signed-grants.ts';
import { keptRetired, published_for, removeKey, rotateKey, turnKeys } from '../../../src/oidc/keys/signing-keys.ts';
import { policy } from '../../../src/policy/policy.ts';
import { moveClock, resetClock } from '../../support/clock.ts';
import { demo_password, registerClient, startGapura, type TestGapura } from '../../support/gapura.ts';
import { type HttpVisitor, newHttpVisitor } from '../../support/http.ts';
import { until } from '../../support/nodes.ts';
import { authorize, openParty, type TestParty } from '../../support/relying-party.ts';

let gapura: TestGapura;

beforeAll(async () => {
  gapura = await startGapura();
});

afterEach(() => resetClock(gapura.db));
afterAll(() => gapura.stop());

// As a cache asks that looks whether its copy is still good; fetch alone would ask for no copy at all.
const fetchKeys = (headers: Record<string, string> = {}) =>
  fetch(`${gapura.config.issuer}/jwks`, { headers: { 'cache-control': 'max-age=0', ...headers } });
const readKeys = async () => ((await (await fetchKeys()).json()) as { keys: JWK[] }).keys;
const kids = async () => (await readKeys()).map(({ kid }) => kid);

async function openApp(id: string, alg: string): Promise<TestParty> {
  const client = await registerClient(gapura, id, {
    metadata: {
      id_token_signed_response_alg: alg as 'ES256',
      post_logout_redirect_uris: [`http://${id}.localhost:4999/selesai`],
    },
  });
  return openParty(gapura.config.issuer, client);
}

/** Opens an application, and gives the ID token. */
async function getToken(party: TestParty, visitor: HttpVisitor): Promise<string> {
  const { address, checks } = await party.begin();
  const answers = { identifier: 'budi', password: demo_password };
  const tokens = await party.redeem(await authorize(visitor, address, party.redirect_uri, answers), checks);
  return String(tokens.id_token);
}

/** What the sign-out says to a hint: 200 with its question, or 400. */
const hint = (token: string) =>
  fetch(`${gapura.config.issuer}/session/end?id_token_hint=${token}`).then(({ status }) => status);

describe('the published keys', () => {
  test('may be kept for some minutes, and asked for once more without being sent', async () => {
    const answer = await fetchKeys();
    expect(answer.headers.get('cache-control')).toBe('public, max-age=300');
    expect(published_for).toBe(300);
    expect(answer.headers.get('vary')).toMatch(/origin/i);
    const again = await fetchKeys({ 'if-none-match': String(answer.headers.get('etag')) });
    expect([again.status, await again.text()]).toEqual([304, '']);
    expect((await fetchKeys({ 'if-none-match': '"another"' })).status).toBe(200);
  });

  test('are one of each kind, of 128 bits of strength, each with a name of its own and without a private member', async () => {
    const keys = await readKeys();
    expect(keys.map(({ alg }) => alg)).toEqual([...key_algorithms]);
    expect(new Set(keys.map(({ kid }) => kid)).size).toBe(keys.length);
    for (const key of keys) {
      expect(
        Object.keys(key).filter((name) => !['kty', 'use', 'kid', 'alg', 'crv', 'e', 'n', 'x', 'y'].includes(name)),
      ).toEqual([]);
      expect(key.use).toBe('sig');
      if (key.kty === 'RSA') expect(Buffer.from(String(key.n), 'base64url').length).toBeGreaterThanOrEqual(384);
    }
  });

  test('are those that discovery says tokens are signed with', async () => {
    const answer = await fetch(`${gapura.config.issuer}/.well-known/openid-configuration`);
    const { id_token_signing_alg_values_supported: offered } = (await answer.json()) as Record<string, string[]>;
    expect(offered).toEqual(expect.arrayContaining([...key_algorithms]));
    expect(offered).not.toContain('none');
  });
});

test.each([...key_algorithms])('a client gets its ID token signed with %s', async (alg) => {
  const token = await getToken(await openApp(`tanda-${alg.toLowerCase()}`, alg), newHttpVisitor(gapura.url));
  expect(decodeProtectedHeader(token).alg).toBe(alg);
  await jwtVerify(token, createLocalJWKSet({ keys: await readKeys() }));
});

test('a key is published, signs, and retires without a restart, and what it signed stays good until then', async () => {
  const party = await openApp('putar', 'ES256');
  const visitor = newHttpVisitor(gapura.url);
  const first = await getToken(party, visitor);
  const turn = (at: number) => moveClock(gapura.db, at).then(() => turnKeys(gapura.db, gapura.config));
  const { kid: next } = await inTransaction(gapura.db, (tx) => rotateKey(tx, gapura.config, 'ES256'));
  await until(async () => (await kids()).includes(next));
  expect(decodeProtectedHeader(await getToken(party, visitor)).kid).toBe(decodeProtectedHeader(first).kid);

  await turn(policy('keys.publish_ahead') + 1);
  await until(async () => (await kids())[2] === next);
  const second = await getToken(party, newHttpVisitor(gapura.url));
  expect(decodeProtectedHeader(second).kid).toBe(next);
  expect(await kids()).toContain(decodeProtectedHeader(first).kid);
  expect([await hint(first), await hint(second)]).toEqual([200, 200]);

  await turn(policy('keys.publish_ahead') + keptRetired() + 10);
  await until(async () => !(await kids()).includes(decodeProtectedHeader(first).kid));
  expect([await hint(first), await hint(second)]).toEqual([400, 200]);
});

test('a key that is removed in an emergency takes with it what it signed; sessions and other applications stay', async () => {
  const [lost, kept] = [await openApp('hilang', 'EdDSA'), await openApp('tetap', 'PS256')];
  const visitor = newHttpVisitor(gapura.url);
  const [forged, good] = [await getToken(lost, visitor), await getToken(kept, visitor)];
  const grantsOf = async (id: string) => {
    const rows = gapura.db.selectFrom('oidc_records').select('model').where('client_id', '=', id);
    return (await rows.where('model', '=', 'Grant').execute()).length;
  };
  expect([await grantsOf('hilang'), await grantsOf('tetap')]).toEqual([1, 1]);
  const kid = String(decodeProtectedHeader(forged).kid);
  await inTransaction(gapura.db, async (tx) => {
    const removed = await removeKey(tx, gapura.config, kid);
    expect(removed?.since).toBeInstanceOf(Date);
    // One at a time, as a million would go a thousand at a time.
    expect(await endGrantsSigned(tx, { alg: 'EdDSA', since: removed?.since as Date }, 1)).toBeGreaterThanOrEqual(1);
  });
  await until(async () => !(await kids()).includes(kid));
  expect([await hint(forged), await hint(good)]).toEqual([400, 200]);
  expect([await grantsOf('hilang'), await grantsOf('tetap')]).toEqual([0, 1]);
  expect((await visitor.get('/portal')).status).toBe(200);
  const again = await getToken(lost, visitor);
  expect(decodeProtectedHeader(again)).toMatchObject({ alg: 'EdDSA', kid: (await kids())[3] });
});
