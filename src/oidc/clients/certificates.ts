/** Clients that prove themselves by a certificate (RFC 8705): which one came with a request, and whose it is. */

import { X509Certificate } from 'node:crypto';
import type { Context } from 'koa';
import { type ClientMetadata, type Configuration, errors, type KoaContextWithOIDC } from 'oidc-provider';
import { auth_methods } from '../../clients/choices.ts';
import { now } from '../../clock.ts';
import type { Config } from '../../config.ts';

type MutualTls = NonNullable<NonNullable<Configuration['features']>['mTLS']>;
type CertificateSettings = Pick<Config, 'client_certificate_header' | 'client_certificate_verdict_header'>;

/**
 * The engine's feature. Without a proxy that tells of certificates all of it is off; what was bound to one while it was on
 * is then refused as if it came without. Known by an authority is nobody unless the proxy says that it looked.
 */
export function mutualTls(config: CertificateSettings): MutualTls {
  const is_on = config.client_certificate_header !== '';
  return {
    enabled: is_on,
    certificateBoundAccessTokens: is_on,
    selfSignedTlsClientAuth: is_on,
    tlsClientAuth: is_on && config.client_certificate_verdict_header !== '',
    getCertificate: readCertificate,
    certificateAuthorized: (ctx) => toldOf(ctx)?.is_verified === true,
    certificateSubjectMatches: (ctx, property, expected) => {
      const certificate = readCertificate(ctx);
      return certificate !== undefined && isNamed(certificate, property, expected);
    },
  };
}

/** The ways to say who a client is that are there: those by a certificate with what tells of it. */
export function authMethods(config: CertificateSettings): NonNullable<Configuration['clientAuthMethods']> {
  const { selfSignedTlsClientAuth, tlsClientAuth } = mutualTls(config);
  return auth_methods.filter(
    (method) =>
      (method !== 'self_signed_tls_client_auth' || selfSignedTlsClientAuth) &&
      (method !== 'tls_client_auth' || tlsClientAuth),
  );
}

/** Metadata that the engine would leave out without a word while the feature is off: the tokens would be bound to nothing. */
const bound = 'tls_client_certificate_bound_access_tokens';

/** What the engine must be told of beside the standard's metadata, so that `refuseUnbound` sees it. */
export function boundMetadata(config: CertificateSettings): string[] {
  return config.client_certificate_header === '' ? [bound] : [];
}

/** @throws InvalidClientMetadata for a client whose tokens were to be bound to certificates that nobody tells us of */
export function refuseUnbound(config: CertificateSettings) {
  const is_off = config.client_certificate_header === '';
  return (_ctx: KoaContextWithOIDC | undefined, key: string, value: unknown, _metadata: ClientMetadata): void => {
    if (is_off && key === bound && value)
      throw new errors.InvalidClientMetadata(`${bound} must be left out (no values are allowed)`);
  };
}

function toldOf(ctx: KoaContextWithOIDC) {
  return (ctx.state as Partial<Context['state']> | undefined)?.certificate;
}

const one_certificate = /^\s*-----BEGIN CERTIFICATE-----[\w+/=\s]+-----END CERTIFICATE-----\s*$/;

function readCertificate(ctx: KoaContextWithOIDC): X509Certificate | undefined {
  const told = toldOf(ctx);
  if (!told) return undefined;
  try {
    const pem = decodeURIComponent(told.pem);
    // Of two, where a proxy adds its own to what was sent, the first would be the sender's invention.
    if (!one_certificate.test(pem)) return undefined;
    const certificate = new X509Certificate(pem);
    const { validFromDate, validToDate } = certificate;
    // No authority has looked at one of the client's own making, so nobody else reads its days.
    return validFromDate <= now() && now() < validToDate ? certificate : undefined;
  } catch {
    // Whatever the proxy passed on, it proves nothing.
    return undefined;
  }
}

/** Whether a certificate bears the registered name (RFC 8705 section 2.1.2). */
export function isNamed(certificate: X509Certificate, property: string, expected: string): boolean {
  if (property === 'tls_client_auth_subject_dn') return isSubject(certificate.subject, expected);
  const kind = { tls_client_auth_san_dns: 'DNS', tls_client_auth_san_uri: 'URI' }[property];
  if (!kind) return false;
  const fold = (name: string) => (kind === 'DNS' ? name.toLowerCase() : name);
  return listAlternatives(certificate.subjectAltName).some(
    (one) => one.kind === kind && fold(one.name) === fold(expected),
  );
}

/**
 * Compares the subject, which node writes from the root on with a name in each line, with a distinguished name, which is
 * written from the leaf on with commas (RFC 4514). Attribute types in any case; values letter by letter.
 */
function isSubject(subject: string, expected: string): boolean {
  const names = subject
    .split('\n')
    .filter((line) => line !== '')
    .map(readAttribute)
    .reverse();
  const wanted = splitName(expected).map(readAttribute);
  return (
    wanted.length > 0 &&
    wanted.length === names.length &&
    wanted.every((one, at) => one !== undefined && one === names[at])
  );
}

/** The attributes of a distinguished name, parted by commas that have no backslash before them. */
function splitName(name: string): string[] {
  return (name.match(/(?:\\.|[^\\,])+/gs) ?? []).map((part) => part.trim());
}

function readAttribute(text: string): string | undefined {
  const [, type, value] = /^\s*([A-Za-z][\w-]*|\d+(?:\.\d+)+)\s*=\s*(.+)$/s.exec(text) ?? [];
  // Several names in one place are joined by a plus; nobody registers such.
  if (!type || !value || /(?<!\\)(?:\\\\)*\+/.test(value)) return undefined;
  const bytes = value.replace(/(?:\\[0-9a-f]{2})+/gi, (hex) => Buffer.from(hex.replaceAll('\\', ''), 'hex').toString());
  return `${type.toUpperCase()}=${bytes.replace(/\\(.)/gs, '$1')}`;
}

/** The alternative names as node writes them: a name that holds a comma or a quote stands in quotes, as in JSON. */
function listAlternatives(text: string | undefined): { kind: string; name: string }[] {
  const found = (text ?? '').matchAll(/(?:^|, )([A-Za-z ]+):("(?:\\.|[^"\\])*"|[^,"]*)(?=, |$)/gs);
  return [...found].map(([, kind = '', name = '']) => ({ kind, name: name.startsWith('"') ? unquote(name) : name }));
}

function unquote(text: string): string {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
