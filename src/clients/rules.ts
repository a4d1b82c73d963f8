/** Our own rules about a client as a whole, before the engine's: what fields say together, and what FAPI 2.0 asks of them. */

import { checkAddresses, checkOrigin, checkPrivateHost, type Refusals } from './addresses.ts';
import type { ClientRegistration } from './client.ts';
import { checkPublicKeys, hasKeyFor } from './public-keys.ts';

/** Names of clients of our own, which nobody else may look like. */
const reserved = /^(?:gapura|portal|console|admin|gate|connect)$/;

// RFC 9700 section 4.15: a client's name that could be a person's subject could speak for that person.
const like_subject = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

const largest_metadata = 64 * 1024;

/** Clauses 5.3.2.1 and 5.4.1 of the profile. */
const fapi_algorithms = ['PS256', 'ES256', 'EdDSA', 'Ed25519'];

/** The refusals of a client, field by field in the words of `clientSchema`; empty when all is well. */
export function checkRegistration(registration: ClientRegistration): Refusals {
  const { id, metadata } = registration;
  const refusals = { ...checkAddresses(metadata) };
  const refuse = (field: string, key: string | false | undefined) => {
    if (key) refusals[field] ??= key;
  };
  if (registration.origin !== 'own') {
    refuse('client_id', like_subject.test(id) && 'errors.client.id_like_subject');
    refuse('client_id', reserved.test(id) && 'errors.client.id_reserved');
  }
  for (const origin of registration.form_action_origins ?? []) refuse('form_action_origins', checkOrigin(origin));
  for (const host of registration.private_hosts ?? []) refuse('private_hosts', checkPrivateHost(host));
  const text = JSON.stringify(metadata);
  refuse('form', text.length > largest_metadata && 'errors.client.too_large');
  // PostgreSQL keeps neither a NUL nor half of a character in jsonb.
  refuse('form', /\\u(?:0000|d[89a-f])/i.test(text) && 'errors.client.characters');
  refuse('agency_code', registration.directorate_required && !registration.agency_code && 'errors.client.needs_agency');
  checkKind(metadata, refuse);
  checkKeys(metadata, refuse);
  checkCertificate(metadata, refuse);
  checkProof(registration, refuse);
  checkTrust(registration, refuse);
  if (registration.fapi) checkFapi(metadata, refuse);
  return refusals;
}

type Refuse = (field: string, key: string | false | undefined) => void;
type Metadata = Record<string, unknown>;

const methodOf = (metadata: Metadata) => String(metadata.token_endpoint_auth_method ?? 'client_secret_basic');
/** For clients that prove who they are: nobody stands between them and the token. */
const service_grants = ['client_credentials', 'urn:ietf:params:oauth:grant-type:token-exchange'];

const device_grant = 'urn:ietf:params:oauth:grant-type:device_code';

const grantsOf = (metadata: Metadata) => (metadata.grant_types ?? ['authorization_code']) as string[];

/** What kind of application it is, and what follows from that. */
function checkKind(metadata: Metadata, refuse: Refuse): void {
  const is_native = metadata.application_type === 'native';
  const method = methodOf(metadata);
  const grants = grantsOf(metadata);
  const responses = (metadata.response_types ?? ['code']) as string[];
  const has_code = grants.includes('authorization_code');
  const answers_code = responses.some((type) => type.split(' ').includes('code'));
  // Whatever is installed on everybody's telephone is no secret (RFC 8252 section 8.5).
  refuse(
    'token_endpoint_auth_method',
    is_native && method.startsWith('client_secret') && 'errors.client.native_secret',
  );
  const is_service = grants.some((type) => service_grants.includes(type));
  refuse('grant_types', method === 'none' && is_service && 'errors.client.public_service');
  refuse('grant_types', grants.length === 0 && 'errors.field.required');
  // The engine would leave one of the two out without a word.
  refuse('response_types', has_code && !answers_code && 'errors.client.code_response');
  refuse('grant_types', !has_code && answers_code && 'errors.client.code_grant');
  const has_people = has_code || grants.includes(device_grant);
  refuse('grant_types', grants.includes('refresh_token') && !has_people && 'errors.client.refresh_alone');
  const is_offline = String(metadata.scope ?? '')
    .split(' ')
    .includes('offline_access');
  refuse('scope', is_offline && !grants.includes('refresh_token') && 'errors.client.offline_alone');
}

/** The public keys, and whether there is one for each use that the other fields speak of. */
function checkKeys(metadata: Metadata, refuse: Refuse): void {
  const { jwks, jwks_uri } = metadata;
  if (jwks !== undefined) refuse('jwks', checkPublicKeys(jwks));
  refuse('jwks_uri', jwks !== undefined && jwks_uri !== undefined && 'errors.client.keys_twice');
  const needed = Object.entries(metadata).filter(
    ([field, value]) => isKeyAlgorithm(field) && !String(value).startsWith('HS'),
  );
  const is_known_by_keys = ['private_key_jwt', 'self_signed_tls_client_auth'].includes(methodOf(metadata));
  const uses_keys = metadata.require_signed_request_object === true || is_known_by_keys;
  if ((needed.length > 0 || uses_keys) && jwks === undefined && jwks_uri === undefined) {
    const by_secret = String(metadata.request_object_signing_alg ?? '').startsWith('HS');
    refuse('jwks', !(by_secret && needed.length === 0) && 'errors.client.needs_keys');
  }
  // At an address the keys may change; here, what does not fit would fail at the first sign-in.
  if (jwks === undefined) return;
  for (const [field, algorithm] of needed) {
    refuse(field, !hasKeyFor(jwks, String(algorithm)) && 'errors.client.no_key_for');
  }
}

/** Fields that name an algorithm of the client's own keys: it signs with them, or is encrypted to. */
function isKeyAlgorithm(field: string): boolean {
  return (
    field === 'token_endpoint_auth_signing_alg' ||
    field === 'request_object_signing_alg' ||
    field.endsWith('_encrypted_response_alg')
  );
}

/** The names in a certificate by which a client is known (RFC 8705 section 2.1.2): one of them, and only where they count. */
const certificate_names = [
  'tls_client_auth_subject_dn',
  'tls_client_auth_san_dns',
  'tls_client_auth_san_uri',
  'tls_client_auth_san_ip',
  'tls_client_auth_san_email',
] as const;

function checkCertificate(metadata: Metadata, refuse: Refuse): void {
  const named = certificate_names.filter((field) => metadata[field] !== undefined);
  if (methodOf(metadata) === 'tls_client_auth') {
    refuse(named[1] ?? certificate_names[0], named.length !== 1 && 'errors.client.certificate_name');
  } else for (const field of named) refuse(field, 'errors.client.not_here');
  refuse(
    'tls_client_certificate_bound_access_tokens',
    isBound(metadata, 'dpop') && isBound(metadata, 'tls') && 'errors.client.bound_twice',
  );
}

const isBound = (metadata: Metadata, by: 'dpop' | 'tls') =>
  metadata[by === 'dpop' ? 'dpop_bound_access_tokens' : 'tls_client_certificate_bound_access_tokens'] === true;

/** A code without PKCE and a refresh token that stays are safe only with whoever proves each time who it is (RFC 9700). */
function checkProof(registration: ClientRegistration, refuse: Refuse): void {
  const { metadata, origin } = registration;
  const is_open = methodOf(metadata) === 'none';
  const goes_without = registration.pkce_required === false;
  refuse('pkce_required', goes_without && origin === 'dynamic' && 'errors.client.untrusted');
  const must_have = is_open || metadata.application_type === 'native' || registration.fapi;
  refuse('pkce_required', goes_without && must_have && 'errors.client.pkce_needed');
  const keeps = registration.refresh_rotation === 'keep';
  const is_bound = isBound(metadata, 'dpop') || isBound(metadata, 'tls');
  refuse('refresh_rotation', keeps && is_open && !is_bound && 'errors.client.rotation_needed');
}

/** What only a client that proves who it is may be trusted with. */
function checkTrust(registration: ClientRegistration, refuse: Refuse): void {
  const { metadata, api_role, origin } = registration;
  const is_service = grantsOf(metadata).includes('client_credentials') && methodOf(metadata) !== 'none';
  refuse('api_role', Boolean(api_role) && !is_service && 'errors.client.api_service');
  refuse('agency_code', api_role === 'agency_officer' && !registration.agency_code && 'errors.client.needs_agency');
  refuse('first_party', origin === 'dynamic' && registration.first_party && 'errors.client.untrusted');
  const has_hosts = (registration.private_hosts ?? []).length > 0;
  refuse('private_hosts', origin === 'dynamic' && has_hosts && 'errors.client.untrusted');
  refuse('api_role', origin === 'dynamic' && Boolean(api_role) && 'errors.client.untrusted');
}

/** FAPI 2.0 Security Profile, clause 5.3.2 (and 5.3.3 for what the client does). */
function checkFapi(metadata: Metadata, refuse: Refuse): void {
  const isWeak = (field: string, usual?: string) =>
    !fapi_algorithms.includes(String(metadata[field] ?? usual ?? 'ES256'));
  refuse('token_endpoint_auth_method', methodOf(metadata) !== 'private_key_jwt' && 'errors.client.fapi_method');
  refuse(
    'token_endpoint_auth_signing_alg',
    isWeak('token_endpoint_auth_signing_alg') && 'errors.client.fapi_algorithm',
  );
  refuse('request_object_signing_alg', isWeak('request_object_signing_alg') && 'errors.client.fapi_algorithm');
  refuse(
    'id_token_signed_response_alg',
    isWeak('id_token_signed_response_alg', 'RS256') && 'errors.client.fapi_algorithm',
  );
  for (const field of ['userinfo_signed_response_alg', 'authorization_signed_response_alg'])
    refuse(field, isWeak(field) && 'errors.client.fapi_algorithm');
  refuse(
    'require_pushed_authorization_requests',
    metadata.require_pushed_authorization_requests !== true && 'errors.client.fapi_pushed',
  );
  refuse('dpop_bound_access_tokens', metadata.dpop_bound_access_tokens !== true && 'errors.client.fapi_bound');
  const returns = (metadata.redirect_uris ?? []) as string[];
  refuse('redirect_uris', returns.some((address) => !address.startsWith('https:')) && 'errors.client.fapi_https');
  const responses = (metadata.response_types ?? ['code']) as string[];
  refuse('response_types', responses.some((type) => type !== 'code') && 'errors.client.fapi_code');
}
