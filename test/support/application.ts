/** A stand-in for an agency's application with user names of its own: its verification endpoint, honest or not, and its keys. */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';
import { saveApplication } from '../../src/applications/application.ts';
import { now, nowSeconds } from '../../src/clock.ts';
import { deriveKeys, type Secret } from '../../src/crypto.ts';
import { openLimits } from '../../src/limits/limits.ts';
import { type LinkOutcome, type LinkStore, proveLink, verifiers } from '../../src/links/link.ts';
import { createRequestSigner } from '../../src/oidc/keys/request-signer.ts';
import { loadSigningKeys } from '../../src/oidc/keys/signing-keys.ts';
import { createOutbound } from '../../src/outbound.ts';
import type { TestGapura } from './gapura.ts';
import { findAccountId } from './nodes.ts';

/** A user name that the application gave out. */
export interface OwnName {
  subject: string;
  username: string;
  directorate?: string;
  is_locked?: boolean;
}

/** The password of every user name of the stand-in. */
export const own_password = 'Sandi-Aplikasi-2026!';

/** A question as it came. */
export interface Question {
  method: string | undefined;
  headers: IncomingMessage['headers'];
  body: string;
  username: string;
}

export interface TestApplication {
  port: number;
  endpoint: string;
  /** host:port, to be confirmed as private. */
  host: string;
  names: OwnName[];
  /** The questions that came, in order. */
  asked: Question[];
  /** Answers instead of the honest endpoint, where set. */
  answer: RequestListener | undefined;
  /** What an honest answer waits for. */
  before: () => Promise<unknown>;
  /** Signs what the application says by itself. */
  sign(claims: JWTPayload, header?: Record<string, unknown>): Promise<string>;
  /** Stops listening; `start` begins again on the same port. */
  stop(): Promise<void>;
  start(): Promise<void>;
  /** How many connections are open. */
  countOpen(): Promise<number>;
}

/** Who has which name in the tests; `budi` and `budi_ot` belong to directorates. */
export const own_names: OwnName[] = [
  { subject: 's-pangan', username: 'user_bpom', directorate: 'PANGAN' },
  { subject: 's-ot', username: 'user_bpom_ot', directorate: 'OT' },
  { subject: 's-umum', username: 'user_umum' },
  { subject: 's-terkunci', username: 'user_kunci', is_locked: true },
];

/** Starts a stand-in on a free port of 127.0.0.1; over TLS where it is given a certificate. */
export async function startApplication(
  tls?: { key: string; cert: string } & Record<string, unknown>,
): Promise<TestApplication> {
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  const jwk: JWK = { ...(await exportJWK(publicKey)), kid: 'kunci-1', alg: 'ES256', use: 'sig' };
  const listen: RequestListener = (req, res) => {
    if (application.answer) return application.answer(req, res);
    if (req.url?.startsWith('/jwks')) return send(res, { keys: [jwk] });
    void answerHonestly(application, req, res);
  };
  const open = () => (tls ? createSecureServer(tls, listen) : createServer(listen));
  let server = open();
  const application: TestApplication = {
    port: 0,
    endpoint: '',
    host: '',
    names: own_names.map((name) => ({ ...name })),
    asked: [],
    answer: undefined,
    before: async () => undefined,
    sign: (claims, header = {}) =>
      new SignJWT(claims)
        .setProtectedHeader({ alg: 'ES256', typ: 'secevent+jwt', kid: 'kunci-1', ...header })
        .sign(privateKey),
    async start() {
      if (server.listening) return;
      server = open();
      server.listen(application.port, '127.0.0.1');
      await once(server, 'listening');
      application.port = (server.address() as AddressInfo).port;
    },
    async stop() {
      if (!server.listening) return;
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
    countOpen: () =>
      new Promise((resolve, reject) =>
        server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
      ),
  };
  await application.start();
  application.host = `127.0.0.1:${application.port}`;
  application.endpoint = `${tls ? 'https' : 'http'}://${application.host}/verification`;
  return application;
}

async function answerHonestly(application: TestApplication, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const question = await readQuestion(req);
  application.asked.push(question);
  await application.before();
  const name = application.names.find(({ username }) => username === question.username);
  const { password } = JSON.parse(question.body);
  if (!name || password !== own_password) return send(res, { result: 'refused' });
  if (name.is_locked) return send(res, { result: 'locked' });
  const { subject, username, directorate } = name;
  send(res, { result: 'verified', subject, username, display_name: `PT ${username}`, directorate });
}

async function readQuestion(req: IncomingMessage): Promise<Question> {
  const chunks: Buffer[] = [];
  for await (const chunk of req) chunks.push(chunk);
  const body = Buffer.concat(chunks).toString('utf8');
  return { method: req.method, headers: req.headers, body, username: JSON.parse(body).username };
}

function send(res: ServerResponse, answer: object): void {
  res.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
}

/** What is the same of every application that a test writes down. */
export function describeApplication(id: string, host: string) {
  return {
    id,
    agency_code: 'BPOM',
    name: `Aplikasi ${id}`,
    about: 'Untuk uji',
    about_en: 'For tests',
    url: `http://${host}/`,
    client_id: null,
  };
}

type Registration = Partial<Parameters<typeof saveApplication>[1]> & { settings?: Record<string, unknown> };

/** Writes the application down at Gapura, verified by the stand-in. */
export async function registerApplication(
  { db }: Pick<TestGapura, 'db'>,
  id: string,
  application: TestApplication,
  { settings = {}, ...changes }: Registration = {},
): Promise<void> {
  const { endpoint, host } = application;
  await saveApplication(db, {
    ...describeApplication(id, host),
    verifier: 'http',
    verifier_settings: JSON.stringify({
      endpoint,
      notices_jwks_uri: `http://${host}/jwks`,
      private_hosts: [host],
      ...settings,
    }),
    ...changes,
  });
}

/** What linking needs, over a database of the test's; `close` ends its calls. */
export async function openTestLinks({
  db,
  config,
  gapura,
}: Pick<TestGapura, 'db' | 'config' | 'gapura'>): Promise<LinkStore & { close(): Promise<void> }> {
  const outbound = createOutbound({ private_hosts: [] });
  return {
    db,
    jobs: gapura.jobs,
    limits: openLimits(config.secrets[0] as Secret),
    verifiers,
    keys: deriveKeys(config.secrets, 'proofs'),
    seal: (secret) => secret,
    url: config.url,
    support: 'Meja Bantuan, bantuan@gapura.example',
    tools: {
      call: outbound.call,
      signRequest: createRequestSigner(config.issuer, await loadSigningKeys(db, config)),
      unseal: (sealed) => sealed,
    },
    close: () => outbound.close(),
  };
}

export const from_here = { address: '192.0.2.7', user_agent: 'peramban uji', request_id: 'permintaan-1' };

/** A person proves a user name, with the right password unless another is given. */
export async function proveAs(
  links: LinkStore,
  person: string,
  application_id: string,
  username: string,
  password = own_password,
): Promise<LinkOutcome> {
  const account_id = await findAccountId(links, person);
  return proveLink(links, { account_id, application_id, username, password, request: from_here });
}

/** A proof that must succeed; gives the link's id. */
export async function linkAs(links: LinkStore, person: string, application_id: string, username: string) {
  const outcome = await proveAs(links, person, application_id, username);
  if (outcome.state !== 'linked') throw new Error(`${person} is not linked: ${JSON.stringify(outcome)}`);
  return outcome.link.id;
}

/** A Security Event Token's claims about a subject, as the stand-in's own address sends them to `audience`. */
export function noticeClaims(application: TestApplication, audience: string, subject: string): JWTPayload {
  return {
    iss: `http://${application.host}/`,
    aud: audience,
    iat: nowSeconds(),
    jti: `pemberitahuan-${now().getTime()}-${crypto.randomUUID()}`,
    sub_id: { format: 'opaque', id: subject },
    events: { 'https://schemas.openid.net/secevent/caep/event-type/credential-change': {} },
  };
}
