/** Which addresses a client may register: where people are sent back to, and what else of it is called or shown. */

import { isIP } from 'node:net';
import { mayReach } from '../outbound.ts';

/** For each wrong field the key of its message; empty when all is well. */
export type Refusals = Record<string, string>;

/** Addresses that a client may have of one kind. */
export const most_addresses = 20;

/** Characters of one address. */
export const longest_address = 2000;

// What a browser runs, opens or shows instead of going somewhere.
const never_schemes = new Set([
  'about:',
  'blob:',
  'chrome:',
  'data:',
  'file:',
  'filesystem:',
  'ftp:',
  'intent:',
  'javascript:',
  'mailto:',
  'tel:',
  'vbscript:',
  'view-source:',
  'ws:',
  'wss:',
]);

/** Parameters of the answer itself: an address that brings its own would leave open which of the two counts. */
const answer_parameters = [
  'code',
  'state',
  'iss',
  'error',
  'error_description',
  'error_uri',
  'response',
  'id_token',
  'access_token',
];

/** Fields that hold one address of the web; the engine calls some of them, people are led to the others. */
const web_fields = [
  'client_uri',
  'logo_uri',
  'policy_uri',
  'tos_uri',
  'jwks_uri',
  'sector_identifier_uri',
  'initiate_login_uri',
  'backchannel_logout_uri',
] as const;

/**
 * Checks every address in a client's metadata (RFC 9700 section 2.1, RFC 8252 section 7 and 8.4): how they are written,
 * how many there are, and that none of them can run a script or carry a password.
 */
export function checkAddresses(metadata: Record<string, unknown>): Refusals {
  const is_native = metadata.application_type === 'native';
  const refusals: Refusals = {};
  const refuse = (field: string, key: string | undefined) => {
    if (key) refusals[field] ??= key;
  };
  for (const field of ['redirect_uris', 'post_logout_redirect_uris']) {
    const addresses = listOf(metadata[field]);
    if (addresses.length > most_addresses) refuse(field, 'errors.client.too_many_addresses');
    if (new Set(addresses).size < addresses.length) refuse(field, 'errors.client.address_twice');
    for (const address of addresses) refuse(field, checkRedirectAddress(address, is_native));
  }
  for (const field of web_fields) {
    const address = metadata[field];
    if (address === undefined || address === null) continue;
    refuse(field, checkWebAddress(address));
  }
  return refusals;
}

/**
 * Checks an address to which people are sent back. It is compared letter by letter later, so it must be written as a
 * browser writes it; https, or http on this very machine, or for a native application a scheme named after a domain.
 * @returns the key of what is wrong, undefined when nothing is
 */
export function checkRedirectAddress(address: unknown, is_native: boolean): string | undefined {
  const url = readAddress(address);
  if (typeof url === 'string') return url;
  if (answer_parameters.some((name) => url.searchParams.has(name))) return 'errors.client.address_parameter';
  if (url.protocol === 'https:' || url.protocol === 'http:') return checkHost(url);
  if (!is_native) return 'errors.client.address_scheme';
  // RFC 8252 section 7.1: a domain of one's own, so that no two applications choose the same word by accident.
  return /^[a-z][a-z0-9-]*(\.[a-z0-9-]+)+:$/.test(url.protocol) ? undefined : 'errors.client.address_private_scheme';
}

/** Checks an address that is called or shown: https, or http on this very machine. */
export function checkWebAddress(address: unknown): string | undefined {
  const url = readAddress(address);
  if (typeof url === 'string') return url;
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'errors.client.address_web';
  return checkHost(url);
}

/** Checks an origin (scheme, host and port), as form-action names it. */
export function checkOrigin(origin: unknown): string | undefined {
  const refused = checkWebAddress(origin);
  if (refused) return refused;
  return URL.parse(String(origin))?.origin === origin ? undefined : 'errors.client.address_origin';
}

/** Checks a host (host or host:port) on a private network: one that may be named at all, as it stands in an address. */
export function checkPrivateHost(host: unknown): string | undefined {
  if (typeof host !== 'string' || !/^[a-z0-9.:[\]-]{1,260}$/.test(host)) return 'errors.client.private_host';
  // Under one scheme or the other its port is none of the usual ones, which an address leaves out.
  const url = ['https', 'http'].map((scheme) => URL.parse(`${scheme}://${host}`)).find((one) => one?.host === host);
  if (!url) return 'errors.client.private_host';
  const literal = url.hostname.replace(/^\[|\]$/g, '');
  return isIP(literal) && !mayReach(literal, true) ? 'errors.client.private_host' : undefined;
}

/** What holds for every address, whatever it is for: the parsed address, or the key of what is wrong. */
function readAddress(address: unknown): URL | string {
  if (typeof address !== 'string' || address === '') return 'errors.client.address_invalid';
  if (address.length > longest_address) return 'errors.client.address_long';
  // Browsers drop tabs and line ends, read a backslash as a slash, and encode the rest each in its way.
  if (!/^[!-~]+$/.test(address) || /[\\"<>^`{|}]/.test(address)) return 'errors.client.address_characters';
  if (address.includes('*')) return 'errors.client.address_wildcard';
  if (address.includes('#')) return 'errors.client.address_fragment';
  const url = URL.parse(address);
  if (!url) return 'errors.client.address_invalid';
  if (never_schemes.has(url.protocol)) return 'errors.client.address_forbidden';
  // Also where the parser sees none: `https://gapura@lain.example` reads like our own address to a person.
  if (url.username !== '' || url.password !== '' || /^[a-z][a-z0-9+.-]*:\/\/[^/?]*@/i.test(address))
    return 'errors.client.address_user';
  // What one machine decodes and another does not leads to two places: dots, slashes and controls in disguise, `..;/`.
  if (/%(?:2e|2f|5c|[01][0-9a-f]|7f)/i.test(url.pathname) || /(?:^|\/)\.\.?;/.test(url.pathname))
    return 'errors.client.address_encoded';
  if (/%(?![0-9a-f]{2})/i.test(address)) return 'errors.client.address_encoded';
  if (url.href !== address && url.href !== `${address}/`) return 'errors.client.address_spelling';
  return url;
}

function checkHost(url: URL): string | undefined {
  if (url.hostname.endsWith('.')) return 'errors.client.address_spelling';
  if (url.protocol === 'https:') return undefined;
  return isLoopback(url.hostname) ? undefined : 'errors.client.address_https';
}

/** Whether a host is the machine itself (RFC 8252 section 8.3, RFC 6761 section 6.3). */
export function isLoopback(hostname: string): boolean {
  return (
    hostname === '127.0.0.1' || hostname === '[::1]' || hostname === 'localhost' || hostname.endsWith('.localhost')
  );
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : value === undefined || value === null ? [] : [value];
}
