/** Everything that can be said of a client, field by field as a person thinks of it, and how it is kept. */

import type { Selectable } from 'kysely';
import { z } from 'zod';
import type { Clients } from '../tables.ts';
import { plain_text } from '../text.ts';
import { checkOrigin, checkPrivateHost, checkRedirectAddress, checkWebAddress, most_addresses } from './addresses.ts';
import {
  auth_methods,
  client_scopes,
  content_algorithms,
  encryption_algorithms,
  grant_types,
  request_algorithms,
  response_modes,
  response_types,
  token_algorithms,
} from './choices.ts';
import type { ClientRegistration } from './client.ts';
import { checkPublicKeys } from './public-keys.ts';

/** The groups of fields, in the order in which a person decides about them. */
export const client_groups = ['what', 'returns', 'authenticates', 'asks', 'knows', 'signs_out', 'tokens'] as const;

type Group = (typeof client_groups)[number];

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
const certificate_name = z.string().trim().min(1).max(500).regex(plain_text, 'errors.client.name_characters');
const origin = z.string().superRefine(refuseBy(checkOrigin));
const private_host = z.string().superRefine(refuseBy(checkPrivateHost));

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
  response_types: z.array(z.enum(response_types)).default(['code']).meta({ group: 'returns' }),
  response_modes: z.array(z.enum(response_modes)).default([]).meta({ group: 'returns' }),
  initiate_login_uri: web('returns'),
  form_action_origins: z.array(origin).max(10).default([]).meta({ group: 'returns' }),

  token_endpoint_auth_method: z.enum(auth_methods).default('client_secret_basic').meta({ group: 'authenticates' }),
  token_endpoint_auth_signing_alg: oneOf('authenticates', request_algorithms),
  jwks: z
    .looseObject({ keys: z.array(z.record(z.string(), z.unknown())) })
    .superRefine(refuseBy(checkPublicKeys))
    .nullish()
    .meta({ group: 'authenticates', long: true }),
  jwks_uri: web('authenticates'),
  tls_client_auth_subject_dn: certificate_name.nullish().meta({ group: 'authenticates' }),
  tls_client_auth_san_dns: certificate_name.nullish().meta({ group: 'authenticates' }),
  tls_client_auth_san_uri: certificate_name.nullish().meta({ group: 'authenticates' }),
  pkce_required: z.boolean().default(true).meta({ group: 'authenticates' }),
  fapi: on('authenticates'),
  require_pushed_authorization_requests: on('authenticates'),
  require_signed_request_object: on('authenticates'),
  request_object_signing_alg: oneOf('authenticates', request_algorithms),

  grant_types: z.array(z.enum(grant_types)).default(['authorization_code']).meta({ group: 'asks' }),
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
  claim_shape: z.enum(['standard', 'insw']).default('standard').meta({ group: 'knows' }),

  post_logout_redirect_uris: addresses.meta({ group: 'signs_out' }),
  backchannel_logout_uri: web('signs_out'),
  backchannel_logout_session_required: on('signs_out'),
  private_hosts: z.array(private_host).max(10).default([]).meta({ group: 'signs_out' }),

  id_token_signed_response_alg: oneOf('tokens', token_algorithms),
  id_token_encrypted_response_alg: oneOf('tokens', encryption_algorithms),
  id_token_encrypted_response_enc: oneOf('tokens', content_algorithms),
  userinfo_signed_response_alg: oneOf('tokens', token_algorithms),
  userinfo_encrypted_response_alg: oneOf('tokens', encryption_algorithms),
  userinfo_encrypted_response_enc: oneOf('tokens', content_algorithms),
  introspection_signed_response_alg: oneOf('tokens', token_algorithms),
  introspection_encrypted_response_alg: oneOf('tokens', encryption_algorithms),
  introspection_encrypted_response_enc: oneOf('tokens', content_algorithms),
  authorization_signed_response_alg: oneOf('tokens', token_algorithms),
  authorization_encrypted_response_alg: oneOf('tokens', encryption_algorithms),
  authorization_encrypted_response_enc: oneOf('tokens', content_algorithms),
  dpop_bound_access_tokens: on('tokens'),
  tls_client_certificate_bound_access_tokens: on('tokens'),
  refresh_rotation: z.enum(['rotate', 'keep']).default('rotate').meta({ group: 'tokens' }),
  refresh_grace: z.int().min(0).max(60).default(0).meta({ group: 'tokens', unit: 'words.seconds' }),
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
  'pkce_required',
  'refresh_rotation',
  'refresh_grace',
  'claim_shape',
  'private_hosts',
] as const;

/** Names in a language, which the standard writes with a sign that no form field can have (section 2.1 there). */
const spoken = { client_name_id: 'client_name#id', client_name_en: 'client_name#en' } as const;

/** Lists that say something also when they are empty: without them the usual one would hold. */
const telling_lists = ['redirect_uris', 'response_types', 'grant_types'];

const implicit = 'implicit';
const carriesToken = (type: string) => type.split(' ').includes('id_token');

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
  // The standard's word for an ID token that comes with the answer (Registration 1.0 section 2); nobody has to know it.
  if (rest.response_types.some(carriesToken)) metadata.grant_types = [...rest.grant_types, implicit];
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
    pkce_required: rest.pkce_required,
    refresh_rotation: rest.refresh_rotation,
    refresh_grace: rest.refresh_grace,
    claim_shape: rest.claim_shape,
    private_hosts: rest.private_hosts,
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
  if (Array.isArray(values.grant_types)) values.grant_types = values.grant_types.filter((type) => type !== implicit);
  if (typeof scope === 'string') values.scope = scope.split(' ').filter((one) => one !== '');
  return values as ClientInput;
}
