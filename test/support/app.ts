/** A koa app with the first steps of Gapura's own and a page of the test's, on a free port; requests as bare bytes. */

import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import Koa from 'koa';
import { pino } from 'pino';
import { type Config, readConfig } from '../../src/config.ts';
import { catchErrors } from '../../src/http/errors.ts';
import { type Middleware, openRequest, pinHost, refuseCrossSite, refuseOddRequests } from '../../src/http/guard.ts';
import { setHeaders } from '../../src/http/headers.ts';
import { chooseLanguage } from '../../src/http/language.ts';

export interface TestApp {
  config: Config;
  port: number;
  /** The log's lines as objects. */
  lines: Record<string, unknown>[];
  /** Sends text as it is (line ends are made CRLF) and gives the answer, closed by `connection: close`. */
  send(text: string): Promise<RawAnswer>;
  close(): Promise<void>;
}

export interface RawAnswer {
  status: number;
  headers: Record<string, string>;
  cookies: string[];
  body: string;
}

export async function startApp(
  answer: Middleware,
  env: Record<string, string> = {},
  first: Middleware[] = [],
): Promise<TestApp> {
  const config = readConfig({
    GAPURA_URL: 'http://sso.test:3000',
    GAPURA_PRODUCTION: 'false',
    DATABASE_URL: 'postgres://x:x@localhost/x',
    GAPURA_SECRETS: 'a secret of the tests that is long enough',
    GAPURA_SMTP_URL: 'smtp://127.0.0.1:1',
    GAPURA_MAIL_FROM: 'Gapura <noreply@gapura.example>',
    ...env,
  });
  const lines: Record<string, unknown>[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const app = new Koa();
  app.proxy = true;
  app.context.site = { support: { name: 'Desk', email: 'desk@example.org', phone: '1' } };
  const steps = [openRequest(config, log), setHeaders(config), catchErrors(config), ...first, pinHost(config)];
  for (const step of [...steps, refuseOddRequests, chooseLanguage(config), refuseCrossSite(config), answer]) {
    app.use(step as Koa.Middleware);
  }
  const server = createServer({ maxHeaderSize: 65_536 }, app.callback());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    config,
    port,
    lines,
    send: (text) => sendRaw(port, text),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function sendRaw(port: number, text: string): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect(port, '127.0.0.1', () =>
      socket.write(Buffer.from(text.replace(/\r?\n/g, '\r\n'), 'latin1')),
    );
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('end', () => resolve(readAnswer(Buffer.concat(chunks).toString('utf8'))));
    socket.on('error', reject);
  });
}

function readAnswer(text: string): RawAnswer {
  const at = text.indexOf('\r\n\r\n');
  const [first = '', ...rows] = text.slice(0, at).split('\r\n');
  const pairs = rows.map((row): [string, string] => {
    const colon = row.indexOf(':');
    return [row.slice(0, colon).toLowerCase(), row.slice(colon + 1).trim()];
  });
  return {
    status: Number(first.split(' ')[1]),
    headers: Object.fromEntries(pairs),
    cookies: pairs.filter(([name]) => name === 'set-cookie').map(([, value]) => value),
    body: text.slice(at + 4),
  };
}
