/** The lists from which a client chooses: what it may ask for, how it says who it is, by which algorithms. */

import { api_scopes } from '../permissions.ts';

/** What a client may be allowed to ask for about people, in the order in which they are told of it. */
export const people_scopes = [
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
] as const;

/** The same, and behind it what it may ask of the interface for programs. */
export const client_scopes = [...people_scopes, ...api_scopes] as const;

/** With which we sign what a client is told. */
export const token_algorithms = ['ES256', 'EdDSA', 'RS256', 'PS256'] as const;
/** With which a client signs: its requests, and what says who it is. */
export const request_algorithms = ['ES256', 'PS256', 'EdDSA', 'Ed25519', 'RS256', 'HS256'] as const;
/** Only to the client's own public keys: an encryption with its secret would need the secret in clear. */
export const encryption_algorithms = ['ECDH-ES', 'ECDH-ES+A128KW', 'ECDH-ES+A256KW', 'RSA-OAEP-256'] as const;
export const content_algorithms = ['A128CBC-HS256', 'A128GCM', 'A256CBC-HS512', 'A256GCM'] as const;

/** By which a client gets tokens; the last changes those that were sent to an API for others (RFC 8693). */
export const grant_types = [
  'authorization_code',
  'refresh_token',
  'client_credentials',
  'urn:ietf:params:oauth:grant-type:device_code',
  'urn:ietf:params:oauth:grant-type:token-exchange',
] as const;

/** No access token ever leaves by the browser; an ID token does only beside a code. */
export const response_types = ['code', 'none', 'code id_token'] as const;

/** How an answer travels; those with `jwt` are signed (JARM). */
export const response_modes = [
  'query',
  'fragment',
  'form_post',
  'jwt',
  'query.jwt',
  'fragment.jwt',
  'form_post.jwt',
] as const;

export const auth_methods = [
  'client_secret_basic',
  'client_secret_post',
  'client_secret_jwt',
  'private_key_jwt',
  // Where a proxy tells of certificates (settings.ts); elsewhere the engine refuses both.
  'tls_client_auth',
  'self_signed_tls_client_auth',
  'none',
] as const;
