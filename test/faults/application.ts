/** The relying applications of a fault run: two that people work with, one for codes used twice, and what Gapura calls at them. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createRemoteJWKSet, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import * as oidc from 'openid-client';
import { saveApplication } from '../../src/applications/application.ts';
import type { Config } from '../../src/config.ts';
import type { Database } from '../../src/database.ts';
import { registerClient } from '../support/gapura.ts';
import { openParty, type TestParty } from '../support/relying-party.ts';
import { Interrupted } from './answers.ts';

/**
 * `e-bpom` asks for a directorate and is forgiven a refresh whose answer was lost; `insw` is not; a code of `sekali` is always
 * redeemed twice.
 */
export const client_ids = ['e-bpom', 'insw', 'sekali'] as const;
export type ClientId = (typeof client_ids)[number];

export interface Party extends TestParty {
  id: ClientId;
  refresh(refresh_token: string): Promise<oidc.TokenEndpointResponse & oidc.TokenEndpointResponseHelpers>;
  /** The claims of an ID token that the issuer's published keys verify. */
  verify(id_token: string): Promise<JWTPayload>;
}

/** A notice of a sign-out that was verified and acknowledged. */
export interface HeardLogout {
  at: number;
  client_id: string;
  sub: string;
  sid: string;
}

export interface Applications {
  port: number;
  heard: HeardLogout[];
  /** Notices that were not believed, with the reason. */
  refused: string[];
  /** Whose keys the notices are verified with; before that, none is believed. */
  issuer: string;
  close(): Promise<void>;
}

/** The password that every user name has at the application itself. */
export const own_password = 'Sandi-Aplikasi-2026!';

/** The end of an application to which Gapura sends notices and questions, on a free port of 127.0.0.1. */
export async function startApplications(): Promise<Applications> {
  let keys: JWTVerifyGetKey | undefined;
  const server = createServer((req, res) => {
    void answer(req)
      .catch((error: Error): Said => {
        applications.refused.push(`${req.url}: ${error.message}`);
        return { status: 400, body: { error: 'invalid_request' } };
      })
      .then(({ status, body }) => say(res, status, body));
  });
  const answer = async (req: IncomingMessage): Promise<Said> => {
    const body = await readBody(req);
    if (req.url === '/verification') return verifyName(body);
    const client_id = req.url?.replace('/logout/', '') ?? '';
    keys ??= publishedKeys(applications.issuer);
    const { issuer } = applications;
    const token = new URLSearchParams(body).get('logout_token') ?? '';
    const { payload } = await jwtVerify(token, keys, { issuer, audience: client_id, clockTolerance: 10 });
    const { sub = '', sid } = payload;
    applications.heard.push({ at: performance.now(), client_id, sub, sid: String(sid) });
    return { status: 200, body: {} };
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const applications: Applications = {
    port: (server.address() as AddressInfo).port,
    heard: [],
    refused: [],
    issuer: '',
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return applications;
}

interface Said {
  status: number;
  body: object;
}

/** Every name is somebody's, with one password for all. */
function verifyName(body: string): Said {
  const { username, password } = JSON.parse(body) as { username: string; password: string };
  if (password !== own_password) return { status: 200, body: { result: 'refused' } };
  return { status: 200, body: { result: 'verified', subject: `s-${username}`, username } };
}

function say(res: ServerResponse, status: number, body: object): void {
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function readBody(req: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of req) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

/** Read again as soon as a token names a key that is not among them. */
function publishedKeys(issuer: string): JWTVerifyGetKey {
  return createRemoteJWKSet(new URL(`${issuer}/jwks`), { cooldownDuration: 0 });
}

/** Registers the clients and the application behind `e-bpom` in a database that nobody serves yet. */
export async function registerApplications(db: Database, config: Config, port: number): Promise<Client[]> {
  const host = `127.0.0.1:${port}`;
  const clients: Client[] = [];
  for (const id of client_ids) {
    const asks_directorate = id === 'e-bpom';
    const client = await registerClient({ db, config }, id, {
      agency_code: asks_directorate ? 'BPOM' : null,
      directorate_required: asks_directorate,
      refresh_grace: asks_directorate ? 60 : 0,
      private_hosts: [host],
      metadata: {
        scope: scopeOf(id),
        backchannel_logout_uri: `http://${host}/logout/${id}`,
        backchannel_logout_session_required: true,
      },
    });
    clients.push({ ...client, id });
  }
  await saveApplication(db, {
    id: 'e-bpom',
    agency_code: 'BPOM',
    name: 'e-BPOM',
    about: 'Untuk uji',
    about_en: 'For tests',
    url: `http://${host}/`,
    client_id: 'e-bpom',
    verifier: 'http',
    verifier_settings: JSON.stringify({ endpoint: `http://${host}/verification`, private_hosts: [host] }),
  });
  return clients;
}

type Client = Awaited<ReturnType<typeof registerClient>> & { id: ClientId };

const scopeOf = (id: ClientId) => (id === 'e-bpom' ? 'openid profile directorate' : 'openid profile');

/** Discovers the issuer as each of the applications. */
export async function openParties(issuer: string, clients: Client[]): Promise<Record<ClientId, Party>> {
  const keys = publishedKeys(issuer);
  const parties = await Promise.all(
    clients.map(async (client): Promise<[ClientId, Party]> => {
      const { id } = client;
      const party = await openParty(issuer, client, scopeOf(id));
      const { configuration } = party;
      configuration[oidc.customFetch] = async (address, options) => {
        const response = await fetch(address, options as RequestInit);
        if (response.status === 502 || response.status === 503) throw new Interrupted(response.status);
        return response;
      };
      return [
        id,
        {
          ...party,
          id,
          refresh: (refresh_token) => oidc.refreshTokenGrant(configuration, refresh_token),
          verify: async (id_token) => (await jwtVerify(id_token, keys, { issuer, audience: id })).payload,
        },
      ];
    }),
  );
  return Object.fromEntries(parties) as Record<ClientId, Party>;
}
