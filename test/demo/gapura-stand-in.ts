/** Stands in for Gapura towards e-BPOM: discovery and keys, signed questions, and the address that takes notices. */

import { createServer, type Server } from 'node:http';
import * as jose from 'jose';
import { nowSeconds } from '../../src/clock.ts';
import { digest } from '../../src/crypto.ts';

export interface TakenNotice {
  type: string;
  token: string;
}

export interface StandIn {
  url: string;
  issuer: string;
  /** Every notice that came, whatever was answered. */
  notices: TakenNotice[];
  /** The status that the next notices get. */
  notice_status: number;
  /** A token as Gapura signs it for a question; `claims` and `key` replace parts of it. */
  sign(audience: string, claims: jose.JWTPayload, key?: jose.CryptoKey): Promise<string>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export function findFreePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}

/** Makes one that does not listen yet. */
export async function makeStandIn(): Promise<StandIn> {
  const port = await findFreePort();
  const url = `http://localhost:${port}`;
  const issuer = `${url}/connect`;
  const { privateKey, publicKey } = await jose.generateKeyPair('ES256');
  const jwks = { keys: [{ ...(await jose.exportJWK(publicKey)), kid: 'one', alg: 'ES256', use: 'sig' }] };
  let server: Server | undefined;
  const standIn: StandIn = {
    url,
    issuer,
    notices: [],
    notice_status: 202,
    sign(audience, claims, key = privateKey) {
      const iat = nowSeconds();
      const own = { iss: issuer, aud: audience, iat, exp: iat + 60, jti: crypto.randomUUID() };
      return new jose.SignJWT({ ...own, ...claims }).setProtectedHeader({ alg: 'ES256', kid: 'one' }).sign(key);
    },
    async start() {
      const started = createServer(async (request, response) => {
        const chunks: Buffer[] = [];
        for await (const chunk of request) chunks.push(chunk);
        const answer = (status: number, body?: unknown) =>
          response.writeHead(status, { 'content-type': 'application/json' }).end(body && JSON.stringify(body));
        if (request.url === '/connect/.well-known/openid-configuration') {
          return answer(200, { issuer, jwks_uri: `${issuer}/jwks`, authorization_endpoint: `${issuer}/auth` });
        }
        if (request.url === '/connect/jwks') return answer(200, jwks);
        if (request.url !== '/links/notices/e-bpom' || request.method !== 'POST') return answer(404);
        const type = request.headers['content-type'] ?? '';
        standIn.notices.push({ type, token: Buffer.concat(chunks).toString() });
        return answer(standIn.notice_status);
      });
      await new Promise<void>((resolve) => started.listen(port, '127.0.0.1', resolve));
      server = started;
    },
    async stop() {
      const stopping = server;
      server = undefined;
      stopping?.closeAllConnections();
      await new Promise<void>((resolve) => (stopping ? stopping.close(() => resolve()) : resolve()));
    },
  };
  return standIn;
}

/** A question as Gapura puts it: the body, and the token that is bound to it. */
export async function signQuestion(
  standIn: StandIn,
  endpoint: string,
  question: unknown,
  { claims = {}, key }: { claims?: jose.JWTPayload; key?: jose.CryptoKey } = {},
): Promise<{ body: string; token: string }> {
  const body = typeof question === 'string' ? question : JSON.stringify(question);
  return { body, token: await standIn.sign(endpoint, { body_sha256: digest(body), ...claims }, key) };
}
