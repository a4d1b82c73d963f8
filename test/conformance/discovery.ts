/** What the suite checks of the metadata document (OpenID Connect Discovery 1.0 section 3), each check with its name. */

import type { IncomingHttpHeaders } from 'node:http';
import { request } from 'node:https';

export interface TlsAnswer {
  status: number;
  type: string;
  headers: IncomingHttpHeaders;
  /** What was answered where it is JSON, else nothing. */
  document: Record<string, unknown>;
}

/** One request over https, to a server that must prove itself by the certificate `ca`; with a body it is a POST. */
export function fetchOverTls(
  address: string,
  ca: string,
  { headers = {}, body }: { headers?: Record<string, string>; body?: string } = {},
): Promise<TlsAnswer> {
  return new Promise((resolve, reject) => {
    const options = { ca, method: body === undefined ? 'GET' : 'POST', headers };
    const asking = request(address, options, async (answer) => {
      const chunks: Buffer[] = [];
      for await (const chunk of answer) chunks.push(chunk);
      const type = answer.headers['content-type'] ?? '';
      const document = /json/.test(type) ? JSON.parse(Buffer.concat(chunks).toString()) : {};
      resolve({ status: answer.statusCode ?? 0, type, headers: answer.headers, document });
    });
    asking.on('error', reject).end(body);
  });
}

export interface Fetched {
  address: string;
  status: number;
  type: string;
  document: Record<string, unknown>;
  /** What stands at its `jwks_uri`. */
  keys: Record<string, unknown>[];
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
const isHttps = (value: unknown) => isText(value) && URL.parse(value)?.protocol === 'https:';
const isBoolean = (value: unknown) => typeof value === 'boolean';
const listOf = (value: unknown) => (Array.isArray(value) ? (value as unknown[]) : []);
const isList = (value: unknown) =>
  listOf(value).length > 0 && listOf(value).every(isText) && new Set(listOf(value)).size === listOf(value).length;
const holds = (value: unknown, ...wanted: string[]) =>
  isList(value) && wanted.every((one) => listOf(value).includes(one));
const isWithin = (value: unknown, known: string[]) =>
  isList(value) && listOf(value).every((one) => known.includes(String(one)));

const endpoints = [
  'authorization_endpoint',
  'token_endpoint',
  'userinfo_endpoint',
  'jwks_uri',
  'registration_endpoint',
  'end_session_endpoint',
  'introspection_endpoint',
  'revocation_endpoint',
  'pushed_authorization_request_endpoint',
];
const client_ways = [
  'client_secret_basic',
  'client_secret_post',
  'client_secret_jwt',
  'private_key_jwt',
  'tls_client_auth',
  'self_signed_tls_client_auth',
  'none',
];

/** The checks: whether each holds. */
const checks: Record<string, (fetched: Fetched) => boolean> = {
  'the document is there': ({ status }) => status === 200,
  'it is JSON': ({ type }) => /^application\/json\b/.test(type),
  'issuer is an https address without query and fragment': ({ document: { issuer } }) =>
    isHttps(issuer) && !/[?#]/.test(String(issuer)),
  'issuer is where the document was found': ({ address, document: { issuer } }) =>
    address === `${issuer}/.well-known/openid-configuration`,
  'authorization_endpoint is https': ({ document }) => isHttps(document.authorization_endpoint),
  'token_endpoint is https': ({ document }) => isHttps(document.token_endpoint),
  'userinfo_endpoint is https': ({ document }) => isHttps(document.userinfo_endpoint),
  'jwks_uri is https': ({ document }) => isHttps(document.jwks_uri),
  'registration_endpoint is https': ({ document }) => isHttps(document.registration_endpoint),
  'end_session_endpoint is https': ({ document }) => isHttps(document.end_session_endpoint),
  'every other address is https of the same host': ({ document }) =>
    endpoints.every(
      (name) =>
        document[name] === undefined ||
        (isHttps(document[name]) &&
          URL.parse(String(document[name]))?.host === URL.parse(String(document.issuer))?.host),
    ),
  'response_types_supported has code': ({ document }) => holds(document.response_types_supported, 'code'),
  'response_modes_supported has query and form_post': ({ document }) =>
    holds(document.response_modes_supported, 'query', 'form_post'),
  'grant_types_supported has authorization_code': ({ document }) =>
    holds(document.grant_types_supported, 'authorization_code'),
  'subject_types_supported are of the standard': ({ document }) =>
    isWithin(document.subject_types_supported, ['public', 'pairwise']),
  'id_token_signing_alg_values_supported has RS256': ({ document }) =>
    holds(document.id_token_signing_alg_values_supported, 'RS256'),
  'userinfo_signing_alg_values_supported has RS256': ({ document }) =>
    holds(document.userinfo_signing_alg_values_supported, 'RS256'),
  'request_object_signing_alg_values_supported is a list': ({ document }) =>
    isList(document.request_object_signing_alg_values_supported),
  'scopes_supported has openid': ({ document }) => holds(document.scopes_supported, 'openid'),
  'claims_supported has sub and more': ({ document }) =>
    holds(document.claims_supported, 'sub') && listOf(document.claims_supported).length > 1,
  'claim_types_supported has normal': ({ document }) =>
    document.claim_types_supported === undefined || holds(document.claim_types_supported, 'normal'),
  'the switches are booleans': ({ document }) =>
    ['claims_parameter_supported', 'request_parameter_supported', 'request_uri_parameter_supported'].every((name) =>
      isBoolean(document[name]),
    ) && [undefined, true, false].includes(document.require_request_uri_registration as boolean | undefined),
  'token_endpoint_auth_methods_supported are of the standards': ({ document }) =>
    isWithin(document.token_endpoint_auth_methods_supported, client_ways),
  'token_endpoint_auth_signing_alg_values_supported has RS256 and not none': ({ document }) =>
    holds(document.token_endpoint_auth_signing_alg_values_supported, 'RS256') &&
    !listOf(document.token_endpoint_auth_signing_alg_values_supported).includes('none'),
  'acr_values_supported and ui_locales_supported are lists': ({ document }) =>
    isList(document.acr_values_supported) && isList(document.ui_locales_supported),
  'the keys are public, each with an id of its own': ({ keys }) =>
    keys.length > 0 &&
    new Set(keys.map(({ kid }) => kid)).size === keys.length &&
    keys.every((key) => isText(key.kid) && isText(key.kty) && !['d', 'p', 'q', 'k'].some((part) => part in key)),
  'there is a key that signs RS256': ({ keys }) =>
    keys.some(({ kty, use, alg = 'RS256' }) => kty === 'RSA' && use !== 'enc' && alg === 'RS256'),
};

/** How many checks there are. */
export const discovery_checks = Object.keys(checks).length;

/** The names of the checks that fail. */
export function findDiscoveryFaults(fetched: Fetched): string[] {
  return Object.entries(checks).flatMap(([name, holds_true]) => (holds_true(fetched) ? [] : [name]));
}

/** Reads an issuer's document and its keys over https. */
export async function fetchDiscovery(issuer: string, ca: string): Promise<Fetched> {
  const address = `${issuer}/.well-known/openid-configuration`;
  const { status, type, document } = await fetchOverTls(address, ca);
  const { document: jwks } = await fetchOverTls(String(document.jwks_uri), ca);
  return { address, status, type, document, keys: listOf(jwks.keys) as Record<string, unknown>[] };
}
