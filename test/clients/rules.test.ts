/** What the fields of a client say together: combinations that would fail later, or trust too much. */

import { describe, expect, test } from '@jest/globals';
import { exportJWK, generateKeyPair } from 'jose';
import type { ClientRegistration } from '../../src/clients/client.ts';
import { checkRegistration } from '../../src/clients/rules.ts';

const pair = await generateKeyPair('ES256', { extractable: true });
const jwks = { keys: [await exportJWK(pair.publicKey)] };

const web = {
  client_name: 'Uji',
  redirect_uris: ['https://uji.contoh.example/callback'],
  grant_types: ['authorization_code'],
  response_types: ['code'],
  token_endpoint_auth_method: 'client_secret_basic',
};

const check = (metadata: Record<string, unknown>, more: Partial<ClientRegistration> = {}) =>
  Object.fromEntries(
    Object.entries(checkRegistration({ id: 'uji', ...more, metadata: { ...web, ...metadata } })).map(([field, key]) => [
      field,
      key.replace('errors.client.', ''),
    ]),
  );

test('a usual client is fine', () => {
  expect(check({})).toEqual({});
});

describe('a name', () => {
  test('that could be taken for a person or for us is refused, but not to ourselves', () => {
    const id = 'A3b1c2d4-0000-4000-8000-00000000000f';
    expect(check({}, { id })).toEqual({ client_id: 'id_like_subject' });
    expect(check({}, { id: 'portal' })).toEqual({ client_id: 'id_reserved' });
    expect(check({}, { id: 'portal', origin: 'own' })).toEqual({});
  });
});

describe('together', () => {
  test.each<[string, Record<string, unknown>, Record<string, string>]>([
    ['keys twice', { jwks, jwks_uri: 'https://uji.contoh.example/jwks' }, { jwks_uri: 'keys_twice' }],
    ['a key without a key', { token_endpoint_auth_method: 'private_key_jwt' }, { jwks: 'needs_keys' }],
    ['encryption without a key', { id_token_encrypted_response_alg: 'ECDH-ES' }, { jwks: 'needs_keys' }],
    [
      'a key that does not fit',
      { jwks, id_token_encrypted_response_alg: 'RSA-OAEP-256' },
      { id_token_encrypted_response_alg: 'no_key_for' },
    ],
    ['signed requests without a key', { require_signed_request_object: true }, { jwks: 'needs_keys' }],
    ['signed by the secret', { require_signed_request_object: true, request_object_signing_alg: 'HS256' }, {}],
    ['a secret on every telephone', { application_type: 'native' }, { token_endpoint_auth_method: 'native_secret' }],
    [
      'nobody in its own name',
      { token_endpoint_auth_method: 'none', grant_types: ['authorization_code', 'client_credentials'] },
      { grant_types: 'public_service' },
    ],
    [
      'nobody an exchange without a proof',
      {
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code', 'urn:ietf:params:oauth:grant-type:token-exchange'],
      },
      { grant_types: 'public_service' },
    ],
    ['a code without its answer', { response_types: [] }, { response_types: 'code_response' }],
    ['an answer without its code', { grant_types: ['client_credentials'] }, { grant_types: 'code_grant' }],
    ['renewal of nothing', { grant_types: ['refresh_token'], response_types: [] }, { grant_types: 'refresh_alone' }],
    ['away without renewal', { scope: 'openid offline_access' }, { scope: 'offline_alone' }],
    ['nothing at all', { grant_types: [], response_types: [] }, { grant_types: 'errors.field.required' }],
    ['a NUL in a key', { jwks: { keys: [{ ...jwks.keys[0], kid: '\0' }] } }, { form: 'characters' }],
    ['half a character', { client_name: '\ud800' }, { form: 'characters' }],
    ['too much of everything', { software_statement: 'x'.repeat(70_000) }, { form: 'too_large' }],
  ])('%s', (_what, metadata, expected) => {
    expect(check(metadata)).toEqual(expected);
  });

  test('a directorate is some agency’s', () => {
    expect(check({}, { directorate_required: true })).toEqual({ agency_code: 'needs_agency' });
    expect(check({}, { directorate_required: true, agency_code: 'BPOM' })).toEqual({});
  });
});

describe('trust', () => {
  const service = { grant_types: ['client_credentials'], response_types: [], redirect_uris: [] };

  test('at the interface is for what proves who it is and acts for itself', () => {
    expect(check({}, { api_role: 'administrator' })).toEqual({ api_role: 'api_service' });
    expect(check(service, { api_role: 'administrator' })).toEqual({});
    expect(check(service, { api_role: 'agency_officer' })).toEqual({ agency_code: 'needs_agency' });
    expect(check(service, { api_role: 'agency_officer', agency_code: 'BPOM' })).toEqual({});
  });

  test('is never for what registered itself', () => {
    expect(check(service, { origin: 'dynamic', first_party: true, api_role: 'administrator' })).toEqual({
      first_party: 'untrusted',
      api_role: 'untrusted',
    });
  });
});

describe('what only a client may do that proves who it is', () => {
  const open = { token_endpoint_auth_method: 'none' };

  test('a code without PKCE: on a server with a secret, and nowhere else', () => {
    const without = { pkce_required: false };
    expect(check({}, without)).toEqual({});
    expect(check(open, without)).toEqual({ pkce_required: 'pkce_needed' });
    const native = { application_type: 'native', token_endpoint_auth_method: 'private_key_jwt', jwks };
    expect(check(native, without)).toEqual({ pkce_required: 'pkce_needed' });
    expect(check({}, { ...without, fapi: true })).toHaveProperty('pkce_required', 'pkce_needed');
    expect(check({}, { ...without, origin: 'dynamic' })).toEqual({ pkce_required: 'untrusted' });
    expect(check(open, { pkce_required: true })).toEqual({});
  });

  test('a refresh token that stays: with a proof at each use, or a key that it is bound to', () => {
    const keeps = { refresh_rotation: 'keep' } as const;
    expect(check({}, keeps)).toEqual({});
    expect(check(open, keeps)).toEqual({ refresh_rotation: 'rotation_needed' });
    expect(check({ ...open, dpop_bound_access_tokens: true }, keeps)).toEqual({});
    expect(check({ ...open, tls_client_certificate_bound_access_tokens: true }, keeps)).toEqual({});
  });
});

describe('a certificate', () => {
  const by_authority = { token_endpoint_auth_method: 'tls_client_auth' };

  test('bears exactly one name, and only where it counts', () => {
    expect(check(by_authority)).toEqual({ tls_client_auth_subject_dn: 'certificate_name' });
    expect(check({ ...by_authority, tls_client_auth_san_dns: 'a.example' })).toEqual({});
    const two = { ...by_authority, tls_client_auth_san_dns: 'a.example', tls_client_auth_san_uri: 'urn:a' };
    expect(check(two)).toEqual({ tls_client_auth_san_uri: 'certificate_name' });
    expect(check({ tls_client_auth_san_dns: 'a.example' })).toEqual({ tls_client_auth_san_dns: 'not_here' });
  });

  test('of the client’s own making is one of its keys', () => {
    const by_itself = { token_endpoint_auth_method: 'self_signed_tls_client_auth' };
    expect(check(by_itself)).toEqual({ jwks: 'needs_keys' });
    expect(check({ ...by_itself, jwks })).toEqual({});
  });

  test('binds tokens instead of a key, not beside it', () => {
    expect(check({ dpop_bound_access_tokens: true, tls_client_certificate_bound_access_tokens: true })).toEqual({
      tls_client_certificate_bound_access_tokens: 'bound_twice',
    });
  });
});

test('an ID token beside the code is an answer with a code', () => {
  const hybrid = { response_types: ['code id_token'], grant_types: ['authorization_code', 'implicit'] };
  expect(check(hybrid)).toEqual({});
  expect(check({ ...hybrid, grant_types: ['implicit'] })).toEqual({ grant_types: 'code_grant' });
});

describe('FAPI 2.0', () => {
  const strict = {
    jwks,
    token_endpoint_auth_method: 'private_key_jwt',
    require_pushed_authorization_requests: true,
    dpop_bound_access_tokens: true,
    id_token_signed_response_alg: 'ES256',
  };
  const fapi = (metadata: Record<string, unknown>) => check({ ...strict, ...metadata }, { fapi: true });

  test('takes a client that keeps to it', () => expect(fapi({})).toEqual({}));

  test('says all that is missing of a usual one', () => {
    expect(check({}, { fapi: true })).toEqual({
      token_endpoint_auth_method: 'fapi_method',
      id_token_signed_response_alg: 'fapi_algorithm',
      require_pushed_authorization_requests: 'fapi_pushed',
      dpop_bound_access_tokens: 'fapi_bound',
    });
  });

  test.each<[string, Record<string, unknown>]>([
    ['token_endpoint_auth_signing_alg', { token_endpoint_auth_signing_alg: 'RS256' }],
    ['userinfo_signed_response_alg', { userinfo_signed_response_alg: 'RS256' }],
    ['authorization_signed_response_alg', { authorization_signed_response_alg: 'RS256' }],
    ['request_object_signing_alg', { request_object_signing_alg: 'RS256' }],
    ['redirect_uris', { redirect_uris: ['http://localhost:4000/callback'] }],
    ['response_types', { response_types: ['code', 'none'] }],
  ])('refuses a weak %s', (field, metadata) => {
    expect(fapi(metadata)).toHaveProperty(field);
  });
});
