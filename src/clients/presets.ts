/** Beginnings for a new client, by what kind of application it is: only what a person must decide is left open. */

import type { ClientInput } from './metadata.ts';

/** The kinds of application, in the order in which they are offered; the texts `admin.clients.preset_<kind>` say what each is for. */
export const client_presets = ['web_server', 'single_page', 'mobile', 'device', 'service', 'fapi2'] as const;

export type ClientPreset = (typeof client_presets)[number];

const about_people = ['openid', 'profile', 'email'] as const;

// All of them: small signatures that every library of today verifies. RS256 stays the standard's own beginning for clients
// that say nothing (OpenID Connect Core 3.1.3.7).
const common = { id_token_signed_response_alg: 'ES256' } as const;

/** What each begins with; the schema gives every other field its usual value. */
export const presets: Record<ClientPreset, Partial<ClientInput>> = {
  /** A server of its own keeps the secret and the tokens; the browser gets neither. */
  web_server: {
    ...common,
    application_type: 'web',
    token_endpoint_auth_method: 'client_secret_basic',
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    scope: [...about_people],
    backchannel_logout_session_required: true,
  },
  /** Runs in the browser, where nothing stays secret: without offline_access its refresh tokens rotate and end with the session. */
  single_page: {
    ...common,
    application_type: 'web',
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    scope: [...about_people],
  },
  /** Installed on a device; comes back by an https address that belongs to it, or by a scheme named after its domain (RFC 8252). */
  mobile: {
    ...common,
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    scope: [...about_people, 'offline_access'],
  },
  /** Shows a code that the person types elsewhere; nothing stays secret in it, and nobody wants to type a code every week. */
  device: {
    ...common,
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
    response_types: [],
    scope: [...about_people, 'offline_access'],
  },
  /** Nobody signs in: it asks for tokens in its own name. */
  service: {
    ...common,
    application_type: 'web',
    token_endpoint_auth_method: 'client_secret_basic',
    grant_types: ['client_credentials'],
    response_types: [],
    scope: ['openid'],
  },
  /** What a thief of a token could not use: keys instead of secrets, requests pushed, tokens bound (FAPI 2.0 Security Profile). */
  fapi2: {
    ...common,
    application_type: 'web',
    fapi: true,
    // Bound to a key, a refresh token never changes (FAPI 2.0 Security Profile, 5.3.2.1).
    refresh_rotation: 'keep',
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'ES256',
    require_pushed_authorization_requests: true,
    dpop_bound_access_tokens: true,
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    scope: [...about_people],
    backchannel_logout_session_required: true,
  },
};
