/** Asks an application's own endpoint whether a user name and password fit (kind `http`). */

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
  timeout: z
    .int()
    .min(500)
    .max(10_000)
    .default(4000)
    .meta({ label: 'links.verifiers.http.timeout', help: 'links.verifiers.http.timeout_help' }),
  /** PEM of the authority that alone may have signed the endpoint's certificate. */
  authority: z
    .string()
    .max(20_000)
    .optional()
    .meta({ label: 'links.verifiers.http.authority', help: 'links.verifiers.http.authority_help' }),
  /** Our own certificate for this application (PEM), and its key, sealed; where both are given the call is by mutual TLS. */
  client_certificate: z
    .string()
    .max(20_000)
    .optional()
    .meta({ label: 'links.verifiers.http.client_certificate', help: 'links.verifiers.http.client_certificate_help' }),
  client_key: z
    .string()
    .max(20_000)
    .optional()
    .meta({ label: 'links.verifiers.http.client_key', help: 'links.verifiers.http.client_key_help' }),
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

  async verify(stored, { username, password }, { call, signRequest, unseal }) {
    const { endpoint, timeout, authority, client_certificate, client_key, private_hosts } = httpSettings.parse(stored);
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
        tls: {
          ...(authority ? { ca: authority } : {}),
          ...(client_certificate && client_key ? { cert: client_certificate, key: unseal(client_key) } : {}),
        },
      });
      if (answer.status !== 200 || !/^application\/json\s*(?:;|$)/i.test(answer.headers['content-type'] ?? ''))
        return broken;
      return read(answer.body, username);
    } catch (error) {
      if (!(error instanceof OutboundError)) throw error;
      const because = error.because === 'slow' ? 'slow' : error.because === 'unreachable' ? 'unreachable' : 'broken';
      return { state: 'unavailable', because };
    }
  },
};

const broken: Verification = { state: 'unavailable', because: 'broken' };

function read(body: Buffer, typed: string): Verification {
  const parsed = answerSchema.safeParse(parseJson(body));
  if (!parsed.success) return broken;
  const answer = parsed.data;
  if (answer.result !== 'verified') return { state: answer.result };
  const name = {
    subject: answer.subject,
    username: answer.username ?? typed,
    display_name: answer.display_name ?? null,
    directorate: answer.directorate ?? null,
  };
  // PostgreSQL keeps no NUL in text.
  return Object.values(name).some((value) => value?.includes('\0')) ? broken : { state: 'verified', name };
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    return undefined;
  }
}
