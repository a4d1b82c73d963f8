/** The fields of a client: each in a group and in words, there and back again, and every preset a client that the engine takes. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { exportJWK, generateKeyPair } from 'jose';
import {
  client_scopes,
  content_algorithms,
  encryption_algorithms,
  token_algorithms,
} from '../../src/clients/choices.ts';
import { createClient } from '../../src/clients/client.ts';
import {
  type ClientInput,
  client_groups,
  clientSchema,
  flatten,
  readRegistration,
} from '../../src/clients/metadata.ts';
import { client_presets, presets } from '../../src/clients/presets.ts';
import { inTransaction } from '../../src/database.ts';
import { catalogues } from '../../src/i18n/messages.ts';
import { startGapura, type TestGapura } from '../support/gapura.ts';

let gapura: TestGapura;
let jwks: { keys: Record<string, unknown>[] };

beforeAll(async () => {
  // A proxy that tells of certificates, or two ways to say who a client is were not there.
  gapura = await startGapura({
    env: {
      GAPURA_TRUSTED_PROXIES: '127.0.0.1',
      GAPURA_CLIENT_CERTIFICATE_HEADER: 'X-SSL-Client-Cert',
      GAPURA_CLIENT_CERTIFICATE_VERDICT_HEADER: 'X-SSL-Client-Verify',
    },
  });
  const pair = await generateKeyPair('ES256', { extractable: true });
  jwks = { keys: [{ ...(await exportJWK(pair.publicKey)), kid: 'satu' }] };
});

afterAll(() => gapura.stop());

const validate = (metadata: Record<string, unknown>) =>
  gapura.gapura.engine.provider.Client.validate(metadata as { client_id: string });

/** Registers what a form would send; gives its row, or the refusals. */
async function register(input: ClientInput) {
  const values = clientSchema.parse(input);
  const outcome = await inTransaction(gapura.db, (tx) => createClient(tx, readRegistration(values), validate));
  if (outcome.state !== 'kept') return outcome;
  return gapura.db.selectFrom('clients').selectAll().where('id', '=', input.client_id).executeTakeFirstOrThrow();
}

/** The message keys of a field, a group or a preset: what it is called and what that means. */
const wordsOf = (name: string) => ({ label: `admin.clients.${name}`, help: `admin.clients.${name}_help` });

const refused = (input: Record<string, unknown>) =>
  Object.fromEntries(
    (clientSchema.safeParse({ client_id: 'uji', client_name: 'Uji', ...input }).error?.issues ?? []).map((issue) => [
      issue.path[0],
      issue.message.replace('errors.client.', ''),
    ]),
  );

describe('every field', () => {
  test.each(Object.keys(clientSchema.shape))('%s has a group, a name and an explanation', (field) => {
    const { group } = clientSchema.shape[field as keyof typeof clientSchema.shape].meta() ?? {};
    expect(client_groups).toContain(group);
    for (const key of Object.values(wordsOf(field))) {
      expect(catalogues.id).toHaveProperty([key]);
      expect(catalogues.en).toHaveProperty([key]);
    }
  });

  test('stands in one of the groups, all of which are named', () => {
    const used = Object.values(clientSchema.shape).map((field) => field.meta()?.group);
    expect(new Set(used)).toEqual(new Set(client_groups));
    for (const group of client_groups) expect(catalogues.id).toHaveProperty([wordsOf(`group_${group}`).label]);
  });

  test('offers only what the engine can do', async () => {
    const discovered = await (await fetch(`${gapura.config.issuer}/.well-known/openid-configuration`)).json();
    const { shape } = clientSchema;
    const offered = (field: keyof typeof shape): string[] => JSON.parse(JSON.stringify(listValues(shape[field])));
    const pairs: [string, readonly string[]][] = [
      ['scopes_supported', client_scopes],
      ['id_token_signing_alg_values_supported', token_algorithms],
      ['userinfo_signing_alg_values_supported', token_algorithms],
      ['introspection_signing_alg_values_supported', token_algorithms],
      ['id_token_encryption_alg_values_supported', encryption_algorithms],
      ['userinfo_encryption_enc_values_supported', content_algorithms],
      ['authorization_signing_alg_values_supported', token_algorithms],
      ['authorization_encryption_alg_values_supported', encryption_algorithms],
      ['token_endpoint_auth_methods_supported', offered('token_endpoint_auth_method')],
      ['token_endpoint_auth_signing_alg_values_supported', offered('token_endpoint_auth_signing_alg')],
      ['request_object_signing_alg_values_supported', offered('request_object_signing_alg')],
      ['grant_types_supported', offered('grant_types')],
      ['response_types_supported', offered('response_types')],
      ['response_modes_supported', offered('response_modes')],
      ['subject_types_supported', offered('subject_type')],
      ['acr_values_supported', offered('default_acr_values')],
    ];
    for (const [name, values] of pairs)
      expect([name, discovered[name]]).toEqual([name, expect.arrayContaining([...values])]);
    expect(discovered.request_object_encryption_alg_values_supported ?? []).toEqual([]);
  });
});

/** The choices of an enum, or of a list of one. */
function listValues(type: unknown): string[] {
  const { def } = type as { def: { innerType?: unknown; element?: unknown; entries?: Record<string, string> } };
  return def.entries ? Object.values(def.entries) : listValues(def.innerType ?? def.element);
}

describe('a preset', () => {
  const open: Record<string, Partial<ClientInput>> = {
    web_server: { redirect_uris: ['https://web.contoh.example/callback'] },
    single_page: { redirect_uris: ['https://spa.contoh.example/'] },
    mobile: { redirect_uris: ['id.go.contoh.aplikasi:/kembali', 'http://127.0.0.1/kembali'] },
    service: {},
    fapi2: { redirect_uris: ['https://bank.contoh.example/callback'] },
  };

  test.each(client_presets)('%s is a client that our rules and the engine take, in words', async (kind) => {
    const client_id = `preset-${kind.replaceAll('_', '-')}`;
    const keys = kind === 'fapi2' ? { jwks } : {};
    const row = await register({ client_id, client_name: kind, ...presets[kind], ...open[kind], ...keys });
    expect(row).toMatchObject({ id: client_id, first_party: false, origin: 'console', fapi: kind === 'fapi2' });
    const client = await gapura.gapura.engine.provider.Client.find(client_id);
    expect(client?.idTokenSignedResponseAlg).toBe('ES256');
    for (const key of Object.values(wordsOf(`preset_${kind}`))) expect(catalogues.id).toHaveProperty([key]);
  });

  test('of a service has neither an address to return to nor a sign-in', async () => {
    const client = await gapura.gapura.engine.provider.Client.find('preset-service');
    expect(client).toMatchObject({ grantTypes: ['client_credentials'], responseTypes: [], redirectUris: [] });
  });

  test('of what keeps no secret asks for none, and only the installed one outlives the session', () => {
    for (const kind of ['single_page', 'mobile'] as const)
      expect(presets[kind].token_endpoint_auth_method).toBe('none');
    expect(presets.single_page.scope).not.toContain('offline_access');
    expect(presets.mobile.scope).toContain('offline_access');
  });
});

test('what was typed comes back as it was typed', async () => {
  const typed: ClientInput = {
    client_id: 'bolak-balik',
    client_name: 'Bolak-Balik',
    client_name_en: 'There and Back',
    agency_code: 'BPOM',
    contacts: ['pengelola@contoh.example'],
    redirect_uris: ['https://bolak.contoh.example/callback'],
    scope: ['openid', 'role'],
    directorate_required: true,
    default_max_age: 3600,
    form_action_origins: ['https://lanjut.contoh.example'],
    jwks,
    id_token_encrypted_response_alg: 'ECDH-ES',
    id_token_signed_response_alg: 'ES256',
  };
  const row = await register(typed);
  if (!('metadata' in row)) throw new Error(JSON.stringify(row));
  expect(row.metadata).toMatchObject({ 'client_name#en': 'There and Back', scope: 'openid role' });
  expect(row.metadata).not.toHaveProperty('agency_code');
  const again = clientSchema.parse(flatten(row));
  expect(again).toMatchObject(typed);
  expect(readRegistration(again)).toEqual(readRegistration(clientSchema.parse(typed)));
  const { asking } = (await gapura.gapura.engine.prompts.findClient('bolak-balik', 'en')) ?? {};
  expect(asking?.name).toBe('There and Back');
  expect((await gapura.gapura.engine.prompts.findClient('bolak-balik', 'id'))?.asking.name).toBe('Bolak-Balik');
});

test('an emptied field is as if it had never been filled', () => {
  const empty = clientSchema.parse({
    client_id: 'kosong',
    client_name: 'Kosong',
    tos_uri: null,
    jwks: null,
    contacts: [],
  });
  expect(readRegistration(empty)).toEqual(
    readRegistration(clientSchema.parse({ client_id: 'kosong', client_name: 'Kosong' })),
  );
});

describe('a field is refused', () => {
  test.each<[string, Record<string, unknown>, string]>([
    ['client_id', { client_id: 'E-BPOM' }, 'id'],
    ['client_id', { client_id: '../x' }, 'id'],
    ['client_id', { client_id: 'x\0y' }, 'id'],
    ['client_name', { client_name: 'a'.repeat(101) }, 'name_long'],
    ['client_name', { client_name: 'Gapura\u202eX' }, 'name_characters'],
    ['client_name', { client_name: 'Gap\u200bura' }, 'name_characters'],
    ['client_name', { client_name: 'Gapura\0' }, 'name_characters'],
    ['agency_code', { agency_code: 'x\0' }, 'agency'],
    ['redirect_uris', { redirect_uris: ['javascript:alert(1)'] }, 'address_forbidden'],
    ['tos_uri', { tos_uri: 'data:text/html,x' }, 'address_forbidden'],
    ['form_action_origins', { form_action_origins: ['https://a.example/x'] }, 'address_origin'],
    ['contacts', { contacts: ['bukan email'] }, 'contact'],
    ['jwks', { jwks: { keys: [{ kty: 'EC', d: 'x' }] } }, 'jwks_private'],
  ])('%s %j', (field, input, expected) => {
    expect(refused(input)).toHaveProperty(field, expected);
  });

  test('of another type, of another name, or without end, and never by an exception', () => {
    const odd = [7, null, true, {}, [[]], 'x'.repeat(100_000), '\ud800', ['\0']];
    for (const field of Object.keys(clientSchema.shape))
      for (const value of odd)
        expect(() => clientSchema.safeParse({ client_id: 'uji', client_name: 'Uji', [field]: value })).not.toThrow();
    expect(clientSchema.safeParse({ client_id: 'uji', client_name: 'Uji', client_secret: 'x' }).success).toBe(false);
    expect(refused({ scope: ['openid', 'everything'] })).toHaveProperty('scope');
    expect(refused({ scope: [] })).toHaveProperty('scope');
    expect(refused({ default_max_age: -1 })).toHaveProperty('default_max_age');
  });
});
