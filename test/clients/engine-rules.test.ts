/** The engine's refusals in our words: every sentence that it can say is known, and stands beside its field. */

import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { asValidated, explainEngine, findRefusals, isMetadataError } from '../../src/clients/engine-rules.ts';
import { clientSchema } from '../../src/clients/metadata.ts';
import { catalogues } from '../../src/i18n/messages.ts';
import { startGapura, type TestGapura } from '../support/gapura.ts';

let gapura: TestGapura;

beforeAll(async () => {
  gapura = await startGapura();
});

afterAll(() => gapura.stop());

const web = { client_name: 'Uji', redirect_uris: ['https://uji.contoh.example/callback'] };

const validate = (metadata: Record<string, unknown>) =>
  gapura.gapura.engine.provider.Client.validate(metadata as { client_id: string });

/** What the engine itself says of a client, explained. */
async function explain(metadata: Record<string, unknown>, id = 'uji'): Promise<Record<string, string>> {
  try {
    await validate(asValidated({ id, metadata: { ...web, ...metadata } }));
    return {};
  } catch (error) {
    if (!isMetadataError(error)) throw error;
    return explainEngine(error);
  }
}

describe('the engine’s own word', () => {
  test.each<[string, Record<string, unknown>, string]>([
    ['redirect_uris', { redirect_uris: undefined }, 'errors.field.required'],
    ['redirect_uris', { redirect_uris: [] }, 'errors.field.required'],
    ['redirect_uris', { redirect_uris: 'x' }, 'errors.field.invalid'],
    ['redirect_uris', { redirect_uris: ['x'] }, 'errors.client.address_invalid'],
    ['redirect_uris', { redirect_uris: ['https://a.example/#x'] }, 'errors.client.address_fragment'],
    ['redirect_uris', { redirect_uris: ['app:/x'] }, 'errors.client.address_web'],
    [
      'redirect_uris',
      { application_type: 'native', redirect_uris: ['http://a.example/'] },
      'errors.client.address_https',
    ],
    [
      'redirect_uris',
      { application_type: 'native', redirect_uris: ['https://localhost/'] },
      'errors.client.address_claimed',
    ],
    [
      'redirect_uris',
      { application_type: 'native', redirect_uris: ['javascript:x'] },
      'errors.client.address_forbidden',
    ],
    ['post_logout_redirect_uris', { post_logout_redirect_uris: ['x'] }, 'errors.client.address_invalid'],
    ['initiate_login_uri', { initiate_login_uri: 'http://a.example/' }, 'errors.client.address_secure'],
    ['tos_uri', { tos_uri: 'ftp://a.example/' }, 'errors.client.address_web'],
    ['client_name', { client_name: '' }, 'errors.field.invalid'],
    ['contacts', { contacts: ['x'] }, 'errors.client.contact'],
    ['scope', { scope: 'openid everything' }, 'errors.client.choice'],
    ['grant_types', { grant_types: ['password'] }, 'errors.client.choice'],
    ['response_types', { response_types: ['token'] }, 'errors.client.choice'],
    ['subject_type', { subject_type: 'x' }, 'errors.client.choice'],
    ['id_token_signed_response_alg', { id_token_signed_response_alg: 'none' }, 'errors.client.choice'],
    ['token_endpoint_auth_signing_alg', { token_endpoint_auth_signing_alg: 'ES256' }, 'errors.client.not_here'],
    ['default_max_age', { default_max_age: -1 }, 'errors.field.invalid'],
    ['require_auth_time', { require_auth_time: 'yes' }, 'errors.field.invalid'],
    ['jwks', { token_endpoint_auth_method: 'private_key_jwt' }, 'errors.client.needs_keys'],
    ['jwks', { jwks: { keys: [{ kty: 'EC', crv: 'P-256', x: 'x', y: 'y', d: 'd' }] } }, 'errors.client.jwks_shape'],
    ['jwks_uri', { jwks: { keys: [] }, jwks_uri: 'https://a.example/' }, 'errors.client.keys_twice'],
    ['id_token_encrypted_response_alg', { id_token_encrypted_response_enc: 'A128GCM' }, 'errors.client.goes_together'],
    [
      'userinfo_signed_response_alg',
      { userinfo_encrypted_response_alg: 'ECDH-ES', jwks: { keys: [] } },
      'errors.client.goes_together',
    ],
    [
      'sector_identifier_uri',
      { subject_type: 'pairwise', redirect_uris: ['https://a.example/', 'https://b.example/'] },
      'errors.field.required',
    ],
    ['sector_identifier_uri', { sector_identifier_uri: 'http://a.example/' }, 'errors.client.address_secure'],
    ['sector_identifier_uri', { sector_identifier_uri: 'https://127.0.0.1:1/' }, 'errors.client.sector'],
  ])('about %s %j', async (field, metadata, expected) => {
    expect(await explain(metadata)).toEqual({ [field]: expected });
  });

  test('about an id', async () => {
    expect(await explain({}, 'klien é')).toEqual({ client_id: 'errors.client.id' });
  });
});

// Sentences of features that are off, and those whose field is a blank in the source.
test('every sentence in the engine’s source is known', () => {
  const source = ['client_schema', 'sector_identifier', 'sector_validate']
    .map((name) =>
      readFileSync(new URL(`../../node_modules/oidc-provider/lib/helpers/${name}.js`, import.meta.url), 'utf8'),
    )
    .join('\n');
  const sentences = [
    ...source.matchAll(/(?:invalidate|InvalidClientMetadata|new Error)\(\s*(?:isAry\s*\?\s*)?([`'"])(.*?)\1/gs),
  ].map(([, , words = '']) => words);
  const others = [...source.matchAll(/^\s+: ([`'])(.*?)\1\);/gm)].map(([, , words = '']) => words);
  expect(sentences.length).toBeGreaterThan(35);
  expect(others.length).toBeGreaterThan(1);
  const blanks: Record<string, string> = { '${type}': 'web', '${prop}': 'client_id' };
  const fill = (words: string) =>
    words.replace(/\$\{[^}]*\}/g, (blank) => blanks[blank] ?? 'redirect_uris').replace(/\\'/g, "'");
  const unknown = [...sentences, ...others].filter(
    (words) => 'form' in explainEngine({ error: 'invalid_client_metadata', error_description: fill(words) }),
  );
  expect(unknown).toEqual([]);
});

test('every explanation is a text and its field one of ours', () => {
  const source = readFileSync(new URL('../../src/clients/engine-rules.ts', import.meta.url), 'utf8');
  for (const [key] of source.matchAll(/errors\.(?:client|field)\.[a-z_]+/g))
    expect(catalogues.id).toHaveProperty([key]);
  for (const [, field = ''] of source.matchAll(/\/, '([a-z_]+)', 'errors/g))
    expect(clientSchema.shape).toHaveProperty(field);
});

test('a sentence that nobody knows is told for the whole form; what is no word on metadata is none', () => {
  expect(explainEngine({ error: 'invalid_client_metadata', error_description: 'the moon is full' })).toEqual({
    form: 'errors.client.refused',
  });
  for (const odd of [undefined, null, new Error('x'), { error: 'server_error', error_description: 'x' }, { error: 7 }])
    expect(isMetadataError(odd)).toBe(false);
});

describe('the rules in their order', () => {
  test('ours come first and alone; an agency must be there; then the engine’s', async () => {
    const check = (metadata: object, more = {}) =>
      findRefusals(gapura.db, { id: 'uji', ...more, metadata: { ...web, ...metadata } }, validate);
    expect(await check({})).toBeUndefined();
    expect(await check({ redirect_uris: ['http://a.example/'], scope: 'everything' })).toEqual({
      redirect_uris: 'errors.client.address_https',
    });
    expect(await check({}, { agency_code: 'TIDAKADA' })).toEqual({ agency_code: 'errors.client.agency' });
    expect(await check({ scope: 'everything' })).toEqual({ scope: 'errors.client.choice' });
  });

  test('what fails in another way is no refusal', async () => {
    const broken = async () => {
      throw new Error('the database is away');
    };
    await expect(findRefusals(gapura.db, { id: 'uji', metadata: web }, broken)).rejects.toThrow('away');
  });
});
