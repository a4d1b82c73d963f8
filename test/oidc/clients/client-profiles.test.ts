/** Clients that ask for more than the usual: FAPI 2.0, signed requests, encrypted answers, names by sector; and their end. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import * as oidc from 'openid-client';
import { pino } from 'pino';
import { changeClient, createClient, disableClient, enableClient } from '../../../src/clients/client.ts';
import { describeImpact } from '../../../src/clients/impact.ts';
import { type ClientInput, clientSchema, readRegistration } from '../../../src/clients/metadata.ts';
import { presets } from '../../../src/clients/presets.ts';
import { inTransaction } from '../../../src/database.ts';
import { endGrantsOfClient } from '../../../src/oidc/records/write.ts';
import { openGapura } from '../../../src/server.ts';
import { demo_password, registerClient, startGapura, type TestGapura } from '../../support/gapura.ts';
import { type HttpVisitor, newHttpVisitor } from '../../support/http.ts';
import { authorize } from '../../support/relying-party.ts';

let gapura: TestGapura;
let signing: { key: CryptoKey; jwk: JWK };
let encrypting: { key: CryptoKey; jwk: JWK };

beforeAll(async () => {
  gapura = await startGapura();
  signing = await makeKey('ES256', { kid: 'tanda', use: 'sig', alg: 'ES256' });
  encrypting = await makeKey('ECDH-ES', { kid: 'sandi', use: 'enc' });
});

afterAll(() => gapura.stop());

async function makeKey(alg: string, more: Partial<JWK>): Promise<{ key: CryptoKey; jwk: JWK }> {
  const pair = await generateKeyPair(alg, { extractable: true });
  return { key: pair.privateKey, jwk: { ...(await exportJWK(pair.publicKey)), ...more } };
}

const validate = (metadata: Record<string, unknown>) =>
  gapura.gapura.engine.provider.Client.validate(metadata as { client_id: string });

/** Registers what a form would send, as one of our own so that nobody is asked for consent. */
async function register(input: ClientInput): Promise<string> {
  const registration = readRegistration(clientSchema.parse({ ...input, first_party: true }));
  const outcome = await inTransaction(gapura.db, (tx) => createClient(tx, registration, validate));
  expect(outcome).toEqual({ state: 'kept', version: 1 });
  return input.redirect_uris?.[0] ?? '';
}

function discover(client_id: string, metadata: Partial<oidc.ClientMetadata>, way: oidc.ClientAuth) {
  const execute = [oidc.allowInsecureRequests];
  return oidc.discovery(new URL(gapura.config.issuer), client_id, metadata, way, { execute });
}

/** The parameters of a usual request, and what its answer is checked against. */
async function prepare(redirect_uri: string, scope: string) {
  const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
  const expectedState = oidc.randomState();
  return {
    parameters: {
      redirect_uri,
      scope,
      state: expectedState,
      code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
    },
    checks: { pkceCodeVerifier, expectedState, idTokenExpected: true },
  };
}

const asBudi = (visitor: HttpVisitor, address: URL, redirect_uri: string) =>
  authorize(visitor, address.href, redirect_uri, { identifier: 'budi', password: demo_password });

describe('a FAPI 2.0 client', () => {
  const redirect_uri = 'https://bank.contoh.example/callback';
  let configuration: oidc.Configuration;

  beforeAll(async () => {
    await register({
      client_id: 'bank',
      client_name: 'Bank',
      ...presets.fapi2,
      redirect_uris: [redirect_uri],
      jwks: { keys: [{ ...signing.jwk }] },
    });
    const way = oidc.PrivateKeyJwt({ key: signing.key, kid: 'tanda' });
    configuration = await discover('bank', { id_token_signed_response_alg: 'ES256' }, way);
  });

  test('pushes its request, gets bound tokens, and its refresh token does not rotate', async () => {
    const DPoP = oidc.getDPoPHandle(configuration, await oidc.randomDPoPKeyPair('ES256'));
    const { parameters, checks } = await prepare(redirect_uri, 'openid profile');
    const address = await oidc.buildAuthorizationUrlWithPAR(configuration, parameters, { DPoP });
    const returned = await asBudi(newHttpVisitor(gapura.url), address, redirect_uri);
    const tokens = await oidc.authorizationCodeGrant(configuration, returned, checks, undefined, { DPoP });
    expect(tokens.token_type).toBe('dpop');
    const { sub } = tokens.claims() as { sub: string };
    expect(await oidc.fetchUserInfo(configuration, tokens.access_token, sub, { DPoP })).toMatchObject({ sub });
    const refreshed = await oidc.refreshTokenGrant(configuration, tokens.refresh_token as string, undefined, { DPoP });
    expect(refreshed.refresh_token ?? tokens.refresh_token).toBe(tokens.refresh_token);
    const stolen = oidc.fetchUserInfo(configuration, tokens.access_token, sub);
    await expect(stolen).rejects.toThrow();
  });

  test('gets nothing by a request that was not pushed', async () => {
    const { parameters } = await prepare(redirect_uri, 'openid');
    const address = oidc.buildAuthorizationUrl(configuration, parameters);
    const returned = await authorize(newHttpVisitor(gapura.url), address.href, redirect_uri);
    expect(returned.searchParams.get('error')).toBe('invalid_request');
  });

  test('proves itself to the issuer and to no other audience', async () => {
    const push = async (audience: string) => {
      const assertion = await new SignJWT({ jti: oidc.randomState(), sub: 'bank', iss: 'bank', aud: audience })
        .setProtectedHeader({ alg: 'ES256', kid: 'tanda' })
        .setIssuedAt()
        .setExpirationTime('1 minute')
        .sign(signing.key);
      const { parameters } = await prepare(redirect_uri, 'openid');
      const answer = await fetch(`${gapura.config.issuer}/par`, {
        method: 'POST',
        body: new URLSearchParams({
          ...parameters,
          response_type: 'code',
          client_id: 'bank',
          client_assertion: assertion,
          client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        }),
      });
      return answer.status;
    };
    expect(await push(gapura.config.issuer)).toBe(201);
    expect(await push(`${gapura.config.issuer}/token`)).toBe(401);
  });
});

test('a client that must sign its requests is heard only when it does', async () => {
  const redirect_uri = await register({
    client_id: 'teliti',
    client_name: 'Teliti',
    redirect_uris: ['https://teliti.contoh.example/'],
    token_endpoint_auth_method: 'private_key_jwt',
    require_signed_request_object: true,
    request_object_signing_alg: 'ES256',
    jwks: { keys: [{ ...signing.jwk }] },
  });
  const configuration = await discover('teliti', {}, oidc.PrivateKeyJwt({ key: signing.key, kid: 'tanda' }));
  const { parameters, checks } = await prepare(redirect_uri, 'openid');
  const key = { key: signing.key, kid: 'tanda' };
  const signed = await oidc.buildAuthorizationUrlWithJAR(configuration, parameters, key);
  const visitor = newHttpVisitor(gapura.url);
  const tokens = await oidc.authorizationCodeGrant(configuration, await asBudi(visitor, signed, redirect_uri), checks);
  expect(tokens.claims()?.sub).toBeTruthy();
  const plain = await authorize(visitor, oidc.buildAuthorizationUrl(configuration, parameters).href, redirect_uri);
  expect(plain.searchParams.get('error')).toBe('invalid_request');
});

test('answers can be signed and encrypted to a key of the client', async () => {
  const redirect_uri = await register({
    client_id: 'rahasia',
    client_name: 'Rahasia',
    redirect_uris: ['https://rahasia.contoh.example/'],
    token_endpoint_auth_method: 'none',
    scope: ['openid', 'profile'],
    jwks: { keys: [{ ...encrypting.jwk }] },
    id_token_signed_response_alg: 'ES256',
    id_token_encrypted_response_alg: 'ECDH-ES',
    id_token_encrypted_response_enc: 'A256GCM',
    userinfo_signed_response_alg: 'ES256',
    userinfo_encrypted_response_alg: 'ECDH-ES',
  });
  const metadata = { id_token_signed_response_alg: 'ES256', userinfo_signed_response_alg: 'ES256' };
  const configuration = await discover('rahasia', metadata, oidc.None());
  oidc.enableDecryptingResponses(configuration, undefined, { key: encrypting.key, kid: 'sandi' });
  const { parameters, checks } = await prepare(redirect_uri, 'openid profile');
  const address = oidc.buildAuthorizationUrl(configuration, parameters);
  const returned = await asBudi(newHttpVisitor(gapura.url), address, redirect_uri);
  const tokens = await oidc.authorizationCodeGrant(configuration, returned, checks);
  expect(tokens.id_token?.split('.')).toHaveLength(5);
  const { sub } = tokens.claims() as { sub: string };
  expect(await oidc.fetchUserInfo(configuration, tokens.access_token, sub)).toMatchObject({
    preferred_username: 'budi',
  });
});

describe('a person', () => {
  const names: Record<string, string> = {};

  async function meet(client_id: string): Promise<string> {
    const configuration = await discover(client_id, {}, oidc.None());
    const redirect_uri = names[client_id] ?? '';
    const { parameters, checks } = await prepare(redirect_uri, 'openid');
    const address = oidc.buildAuthorizationUrl(configuration, parameters);
    const returned = await asBudi(newHttpVisitor(gapura.url), address, redirect_uri);
    const tokens = await oidc.authorizationCodeGrant(configuration, returned, checks);
    const { sub } = tokens.claims() as { sub: string };
    expect((await oidc.fetchUserInfo(configuration, tokens.access_token, sub)).sub).toBe(sub);
    return sub;
  }

  beforeAll(async () => {
    const add = async (client_id: string, address: string, subject_type: 'public' | 'pairwise') => {
      const input = { client_id, client_name: client_id, subject_type, redirect_uris: [address] };
      names[client_id] = await register({ ...input, token_endpoint_auth_method: 'none' });
    };
    await add('umum', 'https://umum.contoh.example/', 'public');
    await add('toko-satu', 'https://toko.contoh.example/satu', 'pairwise');
    await add('toko-dua', 'https://toko.contoh.example/dua', 'pairwise');
    await add('lain', 'https://lain.contoh.example/', 'pairwise');
  });

  test('is called the same within a sector, something else in another, and by no account’s id', async () => {
    const [known, one, two, other] = [
      await meet('umum'),
      await meet('toko-satu'),
      await meet('toko-dua'),
      await meet('lain'),
    ];
    expect(one).toBe(two);
    expect(new Set([known, one, other]).size).toBe(3);
    expect(await meet('toko-satu')).toBe(one);
    const rows = await gapura.db.selectFrom('pairwise_subjects').selectAll().orderBy('sector').execute();
    expect(rows).toEqual([
      { sector: 'lain.contoh.example', account_id: known, subject: other },
      { sector: 'toko.contoh.example', account_id: known, subject: one },
    ]);
  });
});

describe('the end of a client', () => {
  test('ends its tokens at once; switched on again, none of them is back', async () => {
    const { client_id, client_secret, redirect_uri } = await registerClient(gapura, 'berakhir');
    const configuration = await discover(client_id, {}, oidc.ClientSecretBasic(client_secret));
    const { parameters, checks } = await prepare(redirect_uri, 'openid profile');
    const visitor = newHttpVisitor(gapura.url);
    const address = oidc.buildAuthorizationUrl(configuration, parameters);
    const tokens = await oidc.authorizationCodeGrant(
      configuration,
      await asBudi(visitor, address, redirect_uri),
      checks,
    );
    const { sub } = tokens.claims() as { sub: string };
    const works = async () => {
      const calls = [
        oidc.fetchUserInfo(configuration, tokens.access_token, sub),
        oidc.refreshTokenGrant(configuration, tokens.refresh_token as string),
      ];
      return (await Promise.allSettled(calls)).map(({ status }) => status);
    };
    expect(await describeImpact(gapura.db, client_id)).toMatchObject({ people: 1, secrets: 1 });
    const off = { by: null, because: 'uji' };
    await inTransaction(gapura.db, (tx) => disableClient(tx, client_id, off, endGrantsOfClient));
    expect(await works()).toEqual(['rejected', 'rejected']);
    expect(await describeImpact(gapura.db, client_id)).toMatchObject({ people: 0 });
    const left = await gapura.db
      .selectFrom('oidc_records')
      .select('model')
      .where('client_id', '=', client_id)
      .execute();
    expect(left.map(({ model }) => model).filter((model) => model !== 'Interaction')).toEqual([]);

    await inTransaction(gapura.db, (tx) => enableClient(tx, client_id, endGrantsOfClient));
    expect(await works()).toEqual(['rejected', 'rejected']);
    // The person is signed in still, and gets in without being asked again.
    const again = await prepare(redirect_uri, 'openid profile');
    const silent = await authorize(
      visitor,
      oidc.buildAuthorizationUrl(configuration, again.parameters).href,
      redirect_uri,
    );
    expect(await oidc.authorizationCodeGrant(configuration, silent, again.checks)).toHaveProperty('access_token');
  });

  test('and every change is there on another node with the next request', async () => {
    const { config, db } = gapura;
    const other = await openGapura(config, pino({ level: 'silent' }));
    try {
      const input = { client_id: 'di-mana-mana', client_name: 'Satu', redirect_uris: ['https://satu.contoh.example/'] };
      await register(input);
      const find = () => other.engine.provider.Client.find('di-mana-mana');
      expect((await find())?.clientName).toBe('Satu');
      const changed = readRegistration(clientSchema.parse({ ...input, client_name: 'Dua' }));
      await inTransaction(db, (tx) => changeClient(tx, changed, validate, 1));
      expect((await find())?.clientName).toBe('Dua');
      await inTransaction(db, (tx) => disableClient(tx, 'di-mana-mana', { by: null, because: 'x' }, endGrantsOfClient));
      expect(await find()).toBeUndefined();
    } finally {
      await other.close();
    }
  });
});
