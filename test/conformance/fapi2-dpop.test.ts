/** FAPI 2.0 Security Profile, as its conformance suite names it: proofs of possession (RFC 9449) where tokens are given and used. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import {
  type FapiAnswer,
  type FapiClient,
  type Key,
  makeKey,
  openFapiClient,
  type Sending,
  type Spoilt,
} from '../support/fapi-client.ts';
import { type HttpVisitor, newHttpVisitor } from '../support/http.ts';
import { openSuite, type Suite } from './suite.ts';

let gapura: Suite;
let bank: FapiClient;
let stranger: Key;
let budi: HttpVisitor;

beforeAll(async () => {
  gapura = await openSuite();
  bank = await openFapiClient(gapura, 'bank');
  stranger = await makeKey();
  budi = newHttpVisitor(gapura.url);
  await bank.authorize(budi);
});

afterAll(() => gapura?.stop());

const from_now = (seconds: number) => Math.floor(Date.now() / 1000) + seconds;

/** Tokens where every request on the way carries such proofs. */
async function getTokensBy(proof: () => Spoilt): Promise<FapiAnswer> {
  const prepared = bank.prepare();
  const returned = await bank.visit(budi, await bank.begin(prepared, { proof: proof() }));
  return bank.redeem(returned, prepared, { proof: proof() });
}

/** Works at the pushed request, at the token endpoint and at the resource. */
async function expectAccepted(proof: () => Spoilt): Promise<void> {
  const { status, body } = await getTokensBy(proof);
  expect([status, body.token_type]).toEqual([200, 'DPoP']);
  expect((await bank.callResource(body.access_token, { proof: proof() })).status).toBe(200);
}

function expectRefusal({ status, body }: FapiAnswer): void {
  expect(status).toBe(400);
  expect(body.error).toMatch(/^invalid_(grant|request|dpop_proof)$/);
  expect(body).not.toHaveProperty('access_token');
}

test('fapi2-security-profile-final-access-token-type-header-case-sensitivity', async () => {
  const { access_token } = await bank.getTokens(budi);
  for (const scheme of ['DPoP', 'dpop', 'DPOP', 'dPoP'])
    expect([scheme, (await bank.callResource(access_token, { scheme })).status]).toEqual([scheme, 200]);
});

test('fapi2-security-profile-final-check-dpop-proof-nbf-exp', async () => {
  await expectAccepted(() => ({ claims: { nbf: from_now(-10), exp: from_now(60) } }));
});

test('fapi2-security-profile-final-ensure-dpopproof-with-iat-10seconds-before-succeeds', async () => {
  await expectAccepted(() => ({ claims: { iat: from_now(-10) } }));
});

test('fapi2-security-profile-final-ensure-dpopproof-with-iat-10seconds-after-succeeds', async () => {
  await expectAccepted(() => ({ claims: { iat: from_now(10) } }));
});

test('fapi2-security-profile-final-ensure-mismatched-dpop-jkt-fails', async () => {
  const { status, body } = await bank.push(bank.prepare({ dpop_jkt: stranger.thumbprint }));
  expect([status, body.error]).toEqual([400, expect.stringMatching(/^invalid_(request|dpop_proof)$/)]);
});

test('fapi2-security-profile-final-ensure-token-endpoint-fails-with-mismatched-dpop-proof-jkt', async () => {
  const { prepared, returned } = await bank.authorize(budi);
  expectRefusal(await bank.redeem(returned, prepared, { proof: { key: stranger } }));
});

test('fapi2-security-profile-final-ensure-token-endpoint-fails-with-mismatched-dpop-jkt', async () => {
  const prepared = bank.prepare({ dpop_jkt: bank.proof_key.thumbprint });
  const returned = await bank.visit(budi, await bank.begin(prepared, { proof: false }));
  expectRefusal(await bank.redeem(returned, prepared, { proof: { key: stranger } }));
});

test('fapi2-security-profile-final-ensure-dpopproof-at-par-endpoint-binding-success', async () => {
  const { prepared, returned } = await bank.authorize(budi);
  const { status, body } = await bank.redeem(returned, prepared);
  expect(status).toBe(200);
  expect((await bank.callResource(body.access_token)).status).toBe(200);
});

test('fapi2-security-profile-final-ensure-dpop-auth-code-binding-success', async () => {
  const prepared = bank.prepare({ dpop_jkt: bank.proof_key.thumbprint });
  const returned = await bank.visit(budi, await bank.begin(prepared, { proof: false }));
  const { status, body } = await bank.redeem(returned, prepared);
  expect(status).toBe(200);
  expect((await bank.callResource(body.access_token)).status).toBe(200);
});

test('a proof made more than a minute from now is refused everywhere (clause 5.3.2.1), unless a nonce dates it', async () => {
  const { access_token } = await bank.getTokens(budi);
  const { prepared, returned } = await bank.authorize(budi);
  const proof = () => ({ claims: { iat: from_now(65) } });
  expect((await bank.push(bank.prepare(), { proof: proof() })).status).toBe(400);
  expect((await bank.redeem(returned, prepared, { proof: proof() })).status).toBe(400);
  expect((await bank.callResource(access_token, { proof: proof() })).status).toBe(401);
  // Who has a clock that is wrong is told how to do without it (RFC 9449 section 8).
  const told = await bank.redeem(returned, prepared, { proof: proof() });
  expect([told.body.error, told.headers.get('dpop-nonce')]).toEqual(['use_dpop_nonce', expect.any(String)]);
  const nonce = told.headers.get('dpop-nonce');
  const dated = await bank.redeem(returned, prepared, { proof: { claims: { iat: from_now(65), nonce } } });
  expect(dated.status).toBe(200);
});

const part = (jwt: string, at: number) => jwt.split('.')[at] ?? '';
/** Another first character of the signature: the last one's low bits may say nothing. */
const breakSignature = (jwt: string) => {
  const [head, claims, signature = ''] = jwt.split('.');
  return [head, claims, `${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`].join('.');
};

test('fapi2-security-profile-final-dpop-negative-tests', async () => {
  const { access_token } = await bank.getTokens(budi);
  const { access_token: another } = await bank.getTokens(budi);
  const rsa = await makeKey('RS256');
  const userinfo = `${gapura.config.issuer}/userinfo`;
  const { port } = new URL(userinfo);
  const prove = (spoilt: Spoilt = {}) => bank.prove('GET', userinfo, access_token, spoilt);
  const jti = crypto.randomUUID();
  const { d } = bank.proof_key.secret.export({ format: 'jwk' });
  const call = (sending: Parameters<FapiClient['callResource']>[1]) => bank.callResource(access_token, sending);
  const by = (proof: Spoilt) => call({ proof });
  const withText = (proof: string, more: Sending = {}) => call({ proof: false, headers: { dpop: proof }, ...more });
  const header = (name: string, value: unknown) => by({ header: { [name]: value } });
  const claim = (name: string, value: unknown) => by({ claims: { [name]: value } });
  const upper = userinfo.replace('http:', 'HTTP:').replace('localhost', 'LOCALHOST');

  const blocks: [what: string, is_good: boolean, answer: () => Promise<FapiAnswer>][] = [
    ['a proper proof', true, () => by({})],
    ['the header in capitals', true, () => call({ proof: false, headers: { DPOP: prove() } })],
    ['two headers', false, () => withText(`${prove()}, ${prove()}`)],
    ['no JWT', false, () => withText('bukan-jwt')],
    ['a JWT of two parts', false, () => by({ text: (jwt) => `${part(jwt, 0)}.${part(jwt, 1)}` })],
    ['no typ', false, () => header('typ', undefined)],
    ['no alg', false, () => header('alg', undefined)],
    ['no jwk', false, () => header('jwk', undefined)],
    ['no jti', false, () => claim('jti', undefined)],
    ['no htm', false, () => claim('htm', undefined)],
    ['no htu', false, () => claim('htu', undefined)],
    ['no iat', false, () => by({ claims: { iat: undefined } })],
    ['no ath', false, () => claim('ath', undefined)],
    ['another typ', false, () => header('typ', 'JWT')],
    ['signed by RS256', false, () => by({ key: rsa })],
    ['alg none', false, () => by({ header: { alg: 'none' }, text: (jwt) => jwt.replace(/[^.]+$/, '') })],
    ['a symmetric alg', false, () => header('alg', 'HS256')],
    ['a broken signature', false, () => by({ text: breakSignature })],
    ['claims of another proof', false, () => by({ text: (jwt) => jwt.replace(part(jwt, 1), part(prove(), 1)) })],
    ['a private key in its head', false, () => header('jwk', { ...bank.proof_key.jwk, d })],
    ['another method', false, () => claim('htm', 'PUT')],
    ['the method in small letters', false, () => claim('htm', 'get')],
    ['an htu with query and fragment', true, () => claim('htu', `${userinfo}?a=1#b`)],
    ['an htu without the query that was sent', true, () => call({ query: '?a=1' })],
    ['another address', false, () => claim('htu', `${gapura.config.issuer}/token`)],
    ['another host', false, () => claim('htu', userinfo.replace('localhost', 'lain.contoh.example'))],
    ['made in an hour', false, () => claim('iat', from_now(3600))],
    ['made an hour ago', false, () => claim('iat', from_now(-3600))],
    ['a jti for the first time', true, () => claim('jti', jti)],
    ['a jti for the second time', false, () => claim('jti', jti)],
    ['a wrong ath', false, () => claim('ath', part(prove(), 2).slice(0, 43))],
    ['the ath of another token', false, () => by({ text: () => bank.prove('GET', userinfo, another) })],
    ['another key', false, () => by({ key: stranger })],
    ['unknown members', true, () => by({ header: { asing: 'x' }, claims: { asing: ['x'] } })],
    ['scheme and host of htu in capitals', true, () => claim('htu', upper)],
    ['the port of htu with a nought before it', true, () => claim('htu', userinfo.replace(port, `0${port}`))],
    ['no proof', false, () => call({ proof: false })],
    ['as a bearer token without a proof', false, () => call({ proof: false, scheme: 'Bearer' })],
    ['as a bearer token with a proof', false, () => call({ scheme: 'Bearer' })],
  ];

  const answered: string[] = [];
  for (const [what, , answer] of blocks) {
    const { status, headers, body } = await answer();
    const is_good = status === 200;
    const is_refused = [400, 401].includes(status) && body.sub === undefined;
    const says = headers.get('www-authenticate') ?? '';
    answered.push(
      `${what}: ${is_good || (is_refused && (status === 400 || says !== '')) ? is_good : `${status} ${says}`}`,
    );
  }
  expect(answered).toEqual(blocks.map(([what, is_good]) => `${what}: ${is_good}`));
});
