/** Requests over a bare socket, byte for byte, for what no client library would send. */

import { connect } from 'node:net';

export interface WireAnswer {
  status: number;
  /** Every header line, names in lower case. */
  headers: [name: string, value: string][];
  body: string;
  /** The answer as it came. */
  text: string;
}

export interface WireRequest {
  method?: string;
  /** As it stands in the request line. */
  target: string;
  /** In their order; a Host must be among them, `connection: close` is added. */
  headers: [name: string, value: string][];
  /** Latin-1, one byte a character. */
  body?: string;
  /** Says that there is more of the body than is sent, and hangs up. */
  is_cut?: boolean;
}

/** Sends one request and reads to the end; undefined when the server hangs up without an answer, or it was cut. */
export function sendRequest(port: number, request: WireRequest): Promise<WireAnswer | undefined> {
  const { method = 'GET', target, headers, body, is_cut = false } = request;
  const lines = [`${method} ${target} HTTP/1.1`, ...headers.map(([name, value]) => `${name}: ${value}`)];
  if (body !== undefined) lines.push(`content-length: ${body.length + (is_cut ? 100 : 0)}`);
  lines.push('connection: close', '', body ?? '');
  const bytes = Buffer.from(lines.join('\r\n'), 'latin1');
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect(port, '127.0.0.1', () => {
      if (is_cut) socket.write(bytes, () => socket.destroy());
      else socket.write(bytes);
    });
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('close', () => resolve(readAnswer(Buffer.concat(chunks), method)));
    // A server that refuses a body may close while we still write.
    socket.on('error', (error) => {
      if (!['EPIPE', 'ECONNRESET'].includes((error as NodeJS.ErrnoException).code ?? '')) reject(error);
    });
  });
}

function readAnswer(bytes: Buffer, method: string): WireAnswer | undefined {
  const split = bytes.indexOf('\r\n\r\n');
  if (split < 0) return undefined;
  // An interim answer (RFC 9110 section 15.2): the real one follows.
  if (/^HTTP\/1\.1 1\d\d /.test(bytes.subarray(0, 13).toString('latin1')))
    return readAnswer(bytes.subarray(split + 4), method);
  const [first = '', ...lines] = bytes.subarray(0, split).toString('latin1').split('\r\n');
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  const is_chunked = headers.some(([name, value]) => name === 'transfer-encoding' && value === 'chunked');
  const rest = bytes.subarray(split + 4);
  return {
    status: Number(first.split(' ')[1]),
    headers,
    body: method === 'HEAD' ? '' : (is_chunked ? joinChunks(rest) : rest).toString('utf8'),
    text: bytes.toString('latin1'),
  };
}

function joinChunks(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const line = bytes.indexOf('\r\n', at);
    const size = Number.parseInt(bytes.subarray(at, line).toString('latin1'), 16);
    if (!(size > 0)) break;
    parts.push(bytes.subarray(line + 2, line + 2 + size));
    at = line + 2 + size + 2;
  }
  return Buffer.concat(parts);
}
