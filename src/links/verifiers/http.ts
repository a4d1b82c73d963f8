/** Asks an application's own endpoint whether a user name and password fit (kind `http`). */

import { createPrivateKey, X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { digest } from '../../crypto.ts';
import { OutboundError } from '../../outbound.ts';
import type { PasswordVerifier, Verification } from '../link.ts';

/** The settings of the verifier; the metadata of each names its label and help in the catalogues, for its console form. */
export const httpSettings = z.object({
  endpoint: z
    .url({ protocol: /^https?$/ })
    .max(500)
    .meta({ label: 'links.verifiers.http.endpoint', help: 'links.verifiers.http.endpoint_help' }),
  /** Milliseconds for the whole exchange. */
  timeout: z.int().min(500).max(10_000).default(4000).meta({
    label: 'links.verifiers.http.timeout',
    help: 'links.verifiers.http.timeout_help',
    unit: 'words.milliseconds',
  }),
  /** PEM of the authority that alone may have signed the endpoint's certificate. */
  authority: z
    .string()
    .max(20_000)
    .optional()
    .meta({ label: 'links.verifiers.http.authority', help: 'links.verifiers.http.authority_help', long: true }),
  /** Our own certificate for this application (PEM), and its key, sealed; where both are given the call is by mutual TLS. */
  client_certificate: z.string().max(20_000).optional().meta({
    label: 'links.verifiers.http.client_certificate',
    help: 'links.verifiers.http.client_certificate_help',
    long: true,
  }),
  client_key: z
    .string()
    .max(20_000)
    .optional()
    .meta({ label: 'links.verifiers.http.client_key', help: 'links.verifiers.http.client_key_help', secret: true }),
  /** Where the keys are that sign the application's notices (links/notices.ts). */
  notices_jwks_uri: z
    .url({ protocol: /^https?$/ })
    .max(500)
    .optional()
    .meta({ label: 'links.verifiers.http.notices_jwks_uri', help: 'links.verifiers.http.notices_jwks_uri_help' }),
  /** Hosts on private networks (host or host:port) that an administrator confirmed for this application. */
  private_hosts: z
    .array(z.string().max(260))
    .max(10)
    .default([])
    .meta({ label: 'links.verifiers.http.private_hosts', help: 'links.verifiers.http.private_hosts_help' }),
});

/** A key in PEM as people paste it into a field of one line, which drops its line ends. */
const keyText = z
  .string()
  .max(20_000, 'errors.too_long')
  .transform((text) =>
    text
      .trim()
      .replace(/^(-----BEGIN [A-Z ]+-----)\s*([\w+/=\s]+?)\s*(-----END [A-Z ]+-----)$/, (_all, begin, body, end) =>
        [begin, ...(body.replace(/\s/g, '').match(/.{1,64}/g) ?? []), end, ''].join('\n'),
      ),
  );

/** What the settings must be beyond their shape when they are saved: passwords go over TLS or to a confirmed host alone. */
const savedSettings = httpSettings
  .extend({ client_key: keyText.optional().meta(httpSettings.shape.client_key.meta() ?? {}) })
  .superRefine((settings, check) => {
    const refuse = (field: string, message: string) => check.addIssue({ code: 'custom', path: [field], message });
    for (const field of ['endpoint', 'notices_jwks_uri'] as const) {
      const url = URL.parse(settings[field] ?? '');
      if (!url) continue;
      const names = [url.hostname, `${url.hostname}:${url.port || '80'}`];
      if (url.username || url.password) refuse(field, 'errors.application.address_user');
      else if (url.protocol === 'http:' && !settings.private_hosts.some((host) => names.includes(host.toLowerCase())))
        refuse(field, 'errors.application.address_plain');
    }
    if (settings.private_hosts.some((host) => !/^(?:[\w.-]+|\[[\da-f:]+\])(?::\d{1,5})?$/i.test(host)))
      refuse('private_hosts', 'errors.application.host');
    for (const field of ['authority', 'client_certificate'] as const)
      if (settings[field] && !isRead(() => new X509Certificate(settings[field] ?? '')))
        refuse(field, 'errors.application.certificate');
    const { client_key, client_certificate } = settings;
    if (!client_key) return;
    if (!isRead(() => createPrivateKey(client_key))) refuse('client_key', 'errors.application.key');
    else if (!client_certificate) refuse('client_certificate', 'errors.application.certificate_missing');
    else if (isRead(() => new X509Certificate(client_certificate)) && !fits(client_certificate, client_key))
      refuse('client_key', 'errors.application.key_other');
  });

function isRead(read: () => unknown): boolean {
  try {
    read();
    return true;
  } catch {
    return false;
  }
}

function fits(certificate: string, key: string): boolean {
  return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
}

const code = z.string().min(1).max(200);

/** What the endpoint may answer; all else counts as broken. */
const answerSchema = z.discriminatedUnion('result', [
  z.object({
    result: z.literal('verified'),
    /** The application's own unchanging name for the user. */
    subject: code,
    username: code.optional(),
    display_name: z.string().max(200).optional(),
    /** The code of the directorate that the user name belongs to. */
    directorate: z.string().max(40).optional(),
  }),
  z.object({ result: z.literal('refused') }),
  z.object({ result: z.literal('locked') }),
]);

const largest_answer = 16_384;

export const httpVerifier: PasswordVerifier = {
  kind: 'http',
  settings: savedSettings,

  async verify(stored, { username, password }, { call, signRequest, unseal }) {
    const settings = readSettings(stored, unseal);
    if (!settings) return broken('settings');
    const { endpoint, timeout, private_hosts, tls } = settings;
    const body = JSON.stringify({ username, password });
    try {
      const answer = await call(endpoint, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json',
          // For this endpoint and this body alone: a request that leaks cannot be bent to another user name.
          authorization: `Bearer ${await signRequest(endpoint, { body_sha256: digest(body) })}`,
        },
        body,
        timeout_ms: timeout,
        max_bytes: largest_answer,
        accept_private: private_hosts,
        tls,
      });
      if (answer.status !== 200) return broken(`HTTP ${answer.status}`);
      const type = answer.headers['content-type'] ?? '';
      return /^application\/json\s*(?:;|$)/i.test(type) ? read(answer.body, username) : broken('Content-Type');
    } catch (error) {
      if (!(error instanceof OutboundError)) throw error;
      const because = error.because === 'slow' || error.because === 'unreachable' ? error.because : 'broken';
      return { state: 'unavailable', because, reason: nameError(error) };
    }
  },
};

function broken(reason: string): Verification {
  return { state: 'unavailable', because: 'broken', reason };
}

/** Settings that this release cannot read, or sealed with a key that is gone, are the application's to be set up again. */
function readSettings(stored: Record<string, unknown>, unseal: (sealed: string) => string) {
  const read = httpSettings.safeParse(stored);
  if (!read.success) return undefined;
  const { authority, client_certificate, client_key } = read.data;
  try {
    const own = client_certificate && client_key ? { cert: client_certificate, key: unseal(client_key) } : {};
    return { ...read.data, tls: { ...(authority ? { ca: authority } : {}), ...own } };
  } catch {
    return undefined;
  }
}

/** The code that the network or TLS gave (ECONNREFUSED, DEPTH_ZERO_SELF_SIGNED_CERT), else why the call was given up. */
function nameError({ because, cause }: OutboundError): string {
  const code = (cause as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' && /^[A-Z0-9_]{3,60}$/.test(code) ? code : because;
}

function read(body: Buffer, typed: string): Verification {
  const json = parseJson(body);
  const parsed = answerSchema.safeParse(json);
  if (!parsed.success) return broken(json === undefined ? 'JSON' : `JSON: ${nameField(parsed.error)}`);
  const answer = parsed.data;
  if (answer.result !== 'verified') return { state: answer.result };
  const name = {
    subject: answer.subject,
    username: answer.username ?? typed,
    display_name: answer.display_name ?? null,
    directorate: answer.directorate ?? null,
  };
  // PostgreSQL keeps no NUL in text.
  return Object.values(name).some((value) => value?.includes('\0')) ? broken('NUL') : { state: 'verified', name };
}

function nameField({ issues }: z.ZodError): string {
  return String(issues[0]?.path[0] ?? 'result');
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    return undefined;
  }
}
