/** Many requests that arrive in the same instant, for races: all but the last byte is sent, then every last byte together. */

import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';

export interface StormRequest {
  url: string;
  method?: string;
  headers?: Record<string, string>;
  body?: string;
}

export interface StormAnswer {
  status: number;
  headers: Record<string, string>;
  /** Every Set-Cookie line; `headers` holds only the last of headers that repeat. */
  cookies: string[];
  body: string;
}

/**
 * Opens `n` connections, warms each with a HEAD of the same origin, then releases all requests at once. `makeRequest` is called
 * with 0 … n-1, so that the requests may go to several servers or differ. Plain http only.
 */
export async function storm(n: number, makeRequest: (at: number) => StormRequest): Promise<StormAnswer[]> {
  const all = await Promise.all(Array.from({ length: n }, (_, at) => prepare(makeRequest(at))));
  for (const one of all) one.release();
  return Promise.all(all.map((one) => one.answer));
}

async function prepare(request: StormRequest): Promise<{ release(): void; answer: Promise<StormAnswer> }> {
  const url = new URL(request.url);
  const socket = connect({ host: '127.0.0.1', port: Number(url.port || 80), noDelay: true });
  await once(socket, 'connect');
  const warm = readAnswer(socket, 'HEAD');
  socket.write(`HEAD /healthz HTTP/1.1\r\nhost: ${url.host}\r\n\r\n`);
  await warm;
  const method = request.method ?? (request.body === undefined ? 'GET' : 'POST');
  const headers: Record<string, string> = { host: url.host, connection: 'close' };
  if (request.body !== undefined) {
    headers['content-type'] = 'application/x-www-form-urlencoded';
    headers['content-length'] = String(Buffer.byteLength(request.body));
  }
  for (const [name, value] of Object.entries(request.headers ?? {})) headers[name.toLowerCase()] = value;
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const bytes = Buffer.from(
    `${method} ${url.pathname}${url.search} HTTP/1.1\r\n${head.join('')}\r\n${request.body ?? ''}`,
  );
  socket.write(bytes.subarray(0, -1));
  const answer = readAnswer(socket, method);
  return { release: () => socket.write(bytes.subarray(-1)), answer };
}

/** Reads one answer: by its length, by its chunks, or to the end of the connection. */
function readAnswer(socket: Socket, method: string): Promise<StormAnswer> {
  return new Promise((done, fail) => {
    let bytes = Buffer.alloc(0);
    const read = (ended: boolean) => {
      const answer = parseAnswer(bytes, method, ended);
      if (answer) {
        socket.removeAllListeners();
        socket.on('error', () => undefined);
        done(answer);
      } else if (ended) {
        const { port } = socket.address() as Partial<AddressInfo>;
        fail(
          new Error(`connection ${port ?? ''} closed without a whole answer: ${bytes.toString('utf8').slice(0, 200)}`),
        );
      }
    };
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      read(false);
    });
    socket.on('error', fail);
    socket.on('close', () => read(true));
  });
}

function parseAnswer(bytes: Buffer, method: string, ended: boolean): StormAnswer | undefined {
  const split = bytes.indexOf('\r\n\r\n');
  if (split < 0) return undefined;
  const [first = '', ...lines] = bytes.subarray(0, split).toString('latin1').split('\r\n');
  const pairs = lines.map((line) => [
    line.slice(0, line.indexOf(':')).toLowerCase(),
    line.slice(line.indexOf(':') + 1).trim(),
  ]);
  const headers: Record<string, string> = Object.fromEntries(pairs);
  const status = Number(first.split(' ')[1]);
  const cookies = pairs.filter(([name]) => name === 'set-cookie').map(([, value]) => value ?? '');
  const body = parseBody(
    bytes.subarray(split + 4),
    headers,
    ended || method === 'HEAD' || status === 204 || status === 304,
  );
  return body && { status, headers, cookies, body: body.toString('utf8') };
}

function parseBody(bytes: Buffer, headers: Record<string, string>, ended: boolean): Buffer | undefined {
  const length = headers['content-length'];
  if (headers['transfer-encoding'] === 'chunked') {
    const parts: Buffer[] = [];
    for (let at = 0; ; ) {
      const line = bytes.indexOf('\r\n', at);
      const size = line < 0 ? Number.NaN : Number.parseInt(bytes.subarray(at, line).toString('latin1'), 16);
      if (size === 0 || (Number.isNaN(size) && ended)) return Buffer.concat(parts);
      if (Number.isNaN(size) || bytes.length < line + 2 + size + 2) return undefined;
      parts.push(bytes.subarray(line + 2, line + 2 + size));
      at = line + 2 + size + 2;
    }
  }
  if (length !== undefined && !ended)
    return bytes.length >= Number(length) ? bytes.subarray(0, Number(length)) : undefined;
  return ended ? bytes : undefined;
}
