/** A stand-in for an application that wants to see the person itself: its sign-in page, its codes, and the way to ask it about them. */

import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { z } from 'zod';
import { saveApplication } from '../../src/applications/application.ts';
import {
  verifiers as own_verifiers,
  type RedirectVerifier,
  type Verification,
  type Verifiers,
} from '../../src/links/link.ts';
import { OutboundError } from '../../src/outbound.ts';
import { describeApplication } from './application.ts';
import type { TestGapura } from './gapura.ts';

export interface RedirectApplication {
  port: number;
  /** The addresses of callbacks that it sent people to, in order. */
  sent: string[];
  /** The codes it was asked about, in order. */
  asked: string[];
  /** What it says to a question, where that is no honest answer. */
  answer: ((res: ServerResponse) => void) | undefined;
  stop(): Promise<void>;
  start(): Promise<void>;
}

const directorates: Record<string, string> = { user_bpom: 'PANGAN', user_bpom_ot: 'OT' };

/** Starts a stand-in on a free port; whoever types a user name there is believed. */
export async function startRedirectApplication(): Promise<RedirectApplication> {
  const codes = new Map<string, string>();
  const listen = async (req: IncomingMessage, res: ServerResponse) => {
    const { pathname, searchParams: query } = new URL(req.url ?? '', 'http://x');
    const form = new URLSearchParams(await readAll(req));
    if (pathname === '/ask') return answerQuestion(form.get('code') ?? '', res);
    const [callback, state] = [query.get('callback') ?? '', query.get('state') ?? ''];
    if (req.method === 'GET') {
      const hidden = `<form method="post" action="${req.url?.replaceAll('&', '&amp;')}"><input name="username" value=""></form>`;
      return void res.setHeader('content-type', 'text/html').end(hidden);
    }
    const username = form.get('username') ?? '';
    const code = randomUUID();
    if (username) codes.set(code, username);
    const said: Record<string, string> = username ? { code } : { error: 'access_denied' };
    const back = `${callback}?${new URLSearchParams({ state, ...said })}`;
    application.sent.push(back);
    res.writeHead(303, { location: back }).end();
  };
  const answerQuestion = (code: string, res: ServerResponse) => {
    application.asked.push(code);
    if (application.answer) return application.answer(res);
    const username = codes.get(code);
    codes.delete(code);
    const directorate = directorates[username ?? ''] ?? null;
    const name = { subject: `s-${username}`, username, display_name: `PT ${username}`, directorate };
    res.setHeader('content-type', 'application/json').end(JSON.stringify(username ? name : {}));
  };
  let server = createServer(listen);
  const application: RedirectApplication = {
    port: 0,
    sent: [],
    asked: [],
    answer: undefined,
    async start() {
      if (server.listening) return;
      server = createServer(listen);
      server.listen(application.port, '127.0.0.1');
      await once(server, 'listening');
      application.port = (server.address() as AddressInfo).port;
    },
    async stop() {
      if (!server.listening) return;
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  await application.start();
  return application;
}

async function readAll(req: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of req) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

const settingsSchema = z.object({
  host: z.string(),
  /** Where people are sent, when that is not the application's own page. */
  astray: z.string().optional(),
  /** Setting out fails as an application that is asked first would make it. */
  is_silent: z.boolean().optional(),
});

const answerSchema = z.object({
  subject: z.string(),
  username: z.string(),
  display_name: z.string(),
  directorate: z.string().nullable(),
});

/** The leaf that knows such applications; its kind is `name`. */
export function makeVerifier(name: string): RedirectVerifier {
  return {
    kind: name,
    settings: settingsSchema,
    origins: (settings) => [`http://${settingsSchema.parse(settings).host}`],
    async begin(settings, state, callback) {
      const { host, astray, is_silent } = settingsSchema.parse(settings);
      if (is_silent) return { state: 'unavailable', because: 'unreachable' };
      return { state: 'begun', address: astray ?? `http://${host}/login?${new URLSearchParams({ state, callback })}` };
    },
    async finish(settings, query, _callback, { call }): Promise<Verification> {
      const { host } = settingsSchema.parse(settings);
      if (!query.code) return { state: 'refused' };
      try {
        const { body } = await call(`http://${host}/ask`, {
          method: 'POST',
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          body: new URLSearchParams({ code: query.code }).toString(),
          accept_private: [host],
        });
        const said = JSON.parse(body.toString());
        if (Object.keys(said).length === 0) return { state: 'refused' };
        return { state: 'verified', name: answerSchema.parse(said) };
      } catch (error) {
        return { state: 'unavailable', because: error instanceof OutboundError ? 'unreachable' : 'broken' };
      }
    },
  };
}

/** Gapura's own ways and two of these. */
export const test_verifiers: Verifiers = {
  password: own_verifiers.password,
  redirect: [makeVerifier('pintu'), makeVerifier('gerbang')],
};

/** Writes such an application down at Gapura. */
export async function registerRedirectApplication(
  { db }: Pick<TestGapura, 'db'>,
  id: string,
  { port }: RedirectApplication,
  { settings = {}, ...changes }: { settings?: Record<string, unknown>; verifier?: string; client_id?: string } = {},
): Promise<void> {
  const host = `127.0.0.1:${port}`;
  await saveApplication(db, {
    ...describeApplication(id, host),
    verifier: 'pintu',
    verifier_settings: JSON.stringify({ host, ...settings }),
    ...changes,
  });
}
