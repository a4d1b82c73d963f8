/** Everything that can be said of a client, field by field as a person thinks of it, and how it is kept. */

import type { Selectable } from 'kysely';
import { z } from 'zod';
import { api_scopes } from '../permissions.ts';
import type { Clients } from '../tables.ts';
import { plain_text } from '../text.ts';
import { checkOrigin, checkRedirectAddress, checkWebAddress, most_addresses } from './addresses.ts';
import type { ClientRegistration } from './client.ts';
import { checkPublicKeys } from './public-keys.ts';

/** The groups of fields, in the order in which a person decides about them. */
export const client_groups = ['what', 'returns', 'authenticates', 'asks', 'knows', 'signs_out', 'tokens'] as const;

type Group = (typeof client_groups)[number];

/** What a client may be allowed to ask for: about people, and, behind that, of the interface for programs. */
export const client_scopes = [
  'openid',
  'profile',
  'email',
  'phone',
  'address',
  'organization',
  'role',
  'directorate',
  'linked_account',
  'offline_access',
  ...api_scopes,
] as const;

export const token_algorithms = ['ES256', 'EdDSA', 'RS256'] as const;
const request_algorithms = ['ES256', 'PS256', 'EdDSA', 'Ed25519', 'RS256', 'HS256'] as const;
/** Only to the client's own public keys: an encryption with its secret would need the secret in clear. */
export const encryption_algorithms = ['ECDH-ES', 'ECDH-ES+A128KW', 'ECDH-ES+A256KW', 'RSA-OAEP-256'] as const;
export const content_algorithms = ['A128CBC-HS256', 'A128GCM', 'A256CBC-HS512', 'A256GCM'] as const;

/** The rule of a list of addresses or names, told by the first that breaks it. */
function refuseBy<T>(check: (value: T) => string | undefined) {
  return (value: T, context: z.RefinementCtx) => {
    const key = check(value);
    if (key) context.addIssue({ code: 'custom', message: key });
  };
}

const name = z
  .string()
  .trim()
  .min(1)
  .max(100, 'errors.client.name_long')
  .regex(plain_text, 'errors.client.name_characters');
const web_address = z.string().superRefine(refuseBy(checkWebAddress));
// Whether a scheme of its own is allowed is known only with the kind of application (rules.ts).
const redirect_address = z.string().superRefine(refuseBy((address: string) => checkRedirectAddress(address, true)));
const addresses = z.array(redirect_address).max(most_addresses, 'errors.client.too_many_addresses').default([]);
const origin = z.string().superRefine(refuseBy(checkOrigin));

const on = (group: Group) => z.boolean().default(false).meta({ group });
const oneOf = <const Values extends readonly [string, ...string[]]>(group: Group, values: Values) =>
  z.enum(values).nullish().meta({ group });
const web = (group: Group) => web_address.nullish().meta({ group });

/** Every field of a client (OpenID Connect Dynamic Registration 1.0 section 2, RFC 7591 section 2, and ours). */
export const clientSchema = z.strictObject({
  client_id: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]{1,62}[a-z0-9]$/, 'errors.client.id')
    .meta({ group: 'what' }),
  client_name: name.meta({ group: 'what' }),
  client_name_id: name.nullish().meta({ group: 'what' }),
  client_name_en: name.nullish().meta({ group: 'what' }),
  agency_code: z
    .string()
    .regex(/^[A-Z0-9-]{2,20}$/, 'errors.client.agency')
    .nullish()
    .meta({ group: 'what', options: 'agencies' }),
  application_type: z.enum(['web', 'native']).default('web').meta({ group: 'what' }),
  client_uri: web('what'),
  logo_uri: web('what'),
  policy_uri: web('what'),
  tos_uri: web('what'),
  contacts: z
    .array(z.email('errors.client.contact').max(254))
    .max(10)
    .default([])
    .meta({ group: 'what', personal: true }),

  redirect_uris: addresses.meta({ group: 'returns' }),
  response_types: z
    .array(z.enum(['code', 'none']))
    .default(['code'])
    .meta({ group: 'returns' }),
  response_modes: z
    .array(z.enum(['query', 'fragment', 'form_post']))
    .default([])
    .meta({ group: 'returns' }),
  initiate_login_uri: web('returns'),
  form_action_origins: z.array(origin).max(10).default([]).meta({ group: 'returns' }),

  token_endpoint_auth_method: z
    .enum(['client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt', 'none'])
    .default('client_secret_basic')
    .meta({ group: 'authenticates' }),
  token_endpoint_auth_signing_alg: oneOf('authenticates', request_algorithms),
  jwks: z
    .looseObject({ keys: z.array(z.record(z.string(), z.unknown())) })
    .superRefine(refuseBy(checkPublicKeys))
    .nullish()
    .meta({ group: 'authenticates', long: true }),
  jwks_uri: web('authenticates'),
  fapi: on('authenticates'),
  require_pushed_authorization_requests: on('authenticates'),
  require_signed_request_object: on('authenticates'),
  request_object_signing_alg: oneOf('authenticates', request_algorithms),

  grant_types: z
    .array(z.enum(['authorization_code', 'refresh_token', 'client_credentials']))
    .default(['authorization_code'])
    .meta({ group: 'asks' }),
  scope: z.array(z.enum(client_scopes)).min(1, 'errors.field.required').default(['openid']).meta({ group: 'asks' }),
  first_party: on('asks'),
  default_acr_values: z
    .array(z.enum(['urn:gapura:acr:password']))
    .default([])
    .meta({ group: 'asks' }),
  default_max_age: z.int().min(0).max(2_592_000).nullish().meta({ group: 'asks', unit: 'words.seconds' }),
  require_auth_time: on('asks'),
  api_role: oneOf('asks', ['administrator', 'agency_officer']),

  directorate_required: on('knows'),
  link_required: on('knows'),

  post_logout_redirect_uris: addresses.meta({ group: 'signs_out' }),
  backchannel_logout_uri: web('signs_out'),
  backchannel_logout_session_required: on('signs_out'),

  id_token_signed_response_alg: oneOf('tokens', token_algorithms),
  id_token_encrypted_response_alg: oneOf('tokens', encryption_algorithms),
  id_token_encrypted_response_enc: oneOf('tokens', content_algorithms),
  userinfo_signed_response_alg: oneOf('tokens', token_algorithms),
  userinfo_encrypted_response_alg: oneOf('tokens', encryption_algorithms),
  userinfo_encrypted_response_enc: oneOf('tokens', content_algorithms),
  introspection_signed_response_alg: oneOf('tokens', token_algorithms),
  introspection_encrypted_response_alg: oneOf('tokens', encryption_algorithms),
  introspection_encrypted_response_enc: oneOf('tokens', content_algorithms),
  dpop_bound_access_tokens: on('tokens'),
  subject_type: z.enum(['public', 'pairwise']).default('public').meta({ group: 'tokens' }),
  sector_identifier_uri: web('tokens'),
});

/** A client as a form fills it or a program sends it. */
export type ClientInput = z.input<typeof clientSchema>;

/** The same after the schema: every field that has a usual value has one. */
export type ClientValues = z.output<typeof clientSchema>;

/** Fields that are columns of ours; all others stand in the metadata. */
const own_fields = [
  'agency_code',
  'first_party',
  'directorate_required',
  'link_required',
  'form_action_origins',
  'api_role',
  'fapi',
] as const;

/** Names in a language, which the standard writes with a sign that no form field can have (section 2.1 there). */
const spoken = { client_name_id: 'client_name#id', client_name_en: 'client_name#en' } as const;

/** Lists that say something also when they are empty: without them the usual one would hold. */
const telling_lists = ['redirect_uris', 'response_types', 'grant_types'];

/** Turns the fields into what is kept: our columns, and the metadata in the standard's words. */
export function readRegistration(values: ClientValues): ClientRegistration {
  const { client_id, scope, agency_code, api_role, ...rest } = values;
  const metadata: Record<string, unknown> = {};
  for (const [field, value] of Object.entries(rest)) {
    if ((own_fields as readonly string[]).includes(field) || value === null || value === undefined) continue;
    if (Array.isArray(value) && value.length === 0 && !telling_lists.includes(field)) continue;
    metadata[spoken[field as keyof typeof spoken] ?? field] = value;
  }
  if (scope.length > 0) metadata.scope = scope.join(' ');
  return {
    id: client_id,
    metadata,
    ...(agency_code ? { agency_code } : {}),
    first_party: rest.first_party,
    directorate_required: rest.directorate_required,
    link_required: rest.link_required,
    form_action_origins: rest.form_action_origins,
    api_role: api_role ?? null,
    fapi: rest.fapi,
  };
}

/** The fields of a client that is kept; the reverse of `readRegistration`. What the fields do not know is left out. */
export function flatten(row: Pick<Selectable<Clients>, 'id' | 'metadata' | (typeof own_fields)[number]>): ClientInput {
  const { scope, ...metadata } = row.metadata;
  const values: Record<string, unknown> = { client_id: row.id };
  for (const field of Object.keys(clientSchema.shape)) {
    const kept = metadata[spoken[field as keyof typeof spoken] ?? field];
    if (kept !== undefined && field !== 'client_id') values[field] = kept;
  }
  for (const field of own_fields) values[field] = row[field];
  if (typeof scope === 'string') values.scope = scope.split(' ').filter((one) => one !== '');
  return values as ClientInput;
}
