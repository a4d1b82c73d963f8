/** Outbound calls: no private address however it is written, no redirect, no endless or dripping answer. */

import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createOutbound, mayReach, OutboundError } from '../src/outbound.ts';

let server: Server;
let port: number;
let answer: RequestListener = (_, res) => res.end('ok');
let asked = 0;
const outbound = createOutbound({ private_hosts: [] });

beforeAll(async () => {
  server = createServer((req, res) => {
    asked += 1;
    answer(req, res);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
});

afterEach(() => {
  asked = 0;
});

afterAll(async () => {
  await outbound.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const reason = async (call: Promise<unknown>) => {
  const error = await call.then(
    () => undefined,
    (thrown) => thrown,
  );
  expect(error).toBeInstanceOf(OutboundError);
  return (error as OutboundError).because;
};

const here = () => ({ accept_private: [`127.0.0.1:${port}`] });

describe('addresses', () => {
  test.each([
    ['a loopback number', '127.0.0.1'],
    ['another loopback number', '127.9.9.9'],
    ['a name that resolves to loopback', 'localhost'],
    ['one decimal number', '2130706433'],
    ['hexadecimal', '0x7f.0.0.1'],
    ['octal', '0177.0.0.1'],
    ['two parts', '127.1'],
    ['no address', '0.0.0.0'],
    ['loopback in IPv6', '[::1]'],
    ['IPv4 in IPv6', '[::ffff:127.0.0.1]'],
    ['the same in hexadecimal', '[::ffff:7f00:1]'],
    ['NAT64', '[64:ff9b::7f00:1]'],
    ['6to4', '[2002:7f00:1::]'],
    ['a private network', '10.1.2.3'],
    ['the metadata address of clouds', '169.254.169.254'],
    ['full-width digits', '１２７.0.0.1'],
  ])('%s is refused and nobody is asked', async (_, host) => {
    expect(await reason(outbound.call(`http://${host}:${port}/`))).toBe('refused_address');
    expect(asked).toBe(0);
  });

  test.each(['file:///etc/passwd', 'ftp://example.org/', 'data:,x', 'nonsense', 'http://user:pw@example.org/'])(
    '%s is no address to call',
    async (address) => {
      expect(await reason(outbound.call(address))).toBe('refused_address');
    },
  );

  test('of numbers, those of the public internet may be reached and no others', () => {
    for (const address of ['8.8.8.8', '1.1.1.1', '172.32.0.1', '100.128.0.1', '2606:4700::1111']) {
      expect([address, mayReach(address, false)]).toEqual([address, true]);
    }
    for (const address of [
      ...['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', '100.64.0.1', '198.18.0.1', '224.0.0.1'],
      ...['255.255.255.255', '::', '::1', 'fc00::1', 'fd12::1', 'fe80::1', 'ff02::1', '::ffff:8.8.8.8', '2001::1'],
      ...['64:ff9b::808:808', '2001:db8::1', '::7f00:1', 'not an address', ''],
    ]) {
      expect([address, mayReach(address, false)]).toEqual([address, false]);
    }
  });

  test('where private networks are accepted, link-local, metadata and multicast stay out', () => {
    for (const address of ['10.0.0.1', '127.0.0.1', '::1', 'fd12::1', '8.8.8.8']) {
      expect([address, mayReach(address, true)]).toEqual([address, true]);
    }
    for (const address of [
      '169.254.169.254',
      '::ffff:169.254.169.254',
      'fd00:ec2::254',
      'fe80::1',
      '0.0.0.0',
      '64:ff9b::a9fe:a9fe',
      '239.1.1.1',
    ]) {
      expect([address, mayReach(address, true)]).toEqual([address, false]);
    }
  });

  test('an accepted host is reached by this call alone, even over a connection that is still open', async () => {
    answer = (_, res) => res.end('hello');
    const address = `http://localhost:${port}/`;
    const { status, body } = await outbound.call(address, { accept_private: [`localhost:${port}`] });
    expect([status, body.toString()]).toEqual([200, 'hello']);
    expect(await reason(outbound.call(address))).toBe('refused_address');
    expect(await reason(outbound.call(address, { accept_private: [`localhost:${port + 1}`] }))).toBe('refused_address');
    const operators = createOutbound({ private_hosts: ['LOCALHOST'] });
    expect((await operators.call(address)).status).toBe(200);
    await operators.close();
  });
});

describe('answers', () => {
  test.each([301, 302, 303, 307, 308])('a redirect (%d) is not followed', async (status) => {
    answer = (_, res) => res.writeHead(status, { location: 'http://127.0.0.1/inside' }).end();
    expect(await reason(outbound.call(`http://127.0.0.1:${port}/`, here()))).toBe('redirect');
    expect(asked).toBe(1);
  });

  test('an endless body is cut off', async () => {
    let is_closed = false;
    answer = (_, res) => {
      const write = () => {
        while (!res.destroyed && res.write(Buffer.alloc(16_384)));
      };
      res.on('drain', write).on('close', () => {
        is_closed = true;
      });
      write();
    };
    const call = outbound.call(`http://127.0.0.1:${port}/`, { ...here(), max_bytes: 100_000 });
    expect(await reason(call)).toBe('too_large');
    while (!is_closed) await new Promise((resolve) => setTimeout(resolve, 10));
  });

  test('a body of exactly the limit is read, one byte more is not', async () => {
    answer = (req, res) => res.end(Buffer.alloc(Number(req.url?.slice(1)), 'x'));
    const call = (bytes: number) => outbound.call(`http://127.0.0.1:${port}/${bytes}`, { ...here(), max_bytes: 1000 });
    expect((await call(1000)).body).toHaveLength(1000);
    expect(await reason(call(1001))).toBe('too_large');
  });

  test.each([
    [
      'drips',
      (): RequestListener => (_, res) => {
        const drip = setInterval(() => res.write('x'), 20);
        res.on('close', () => clearInterval(drip));
      },
    ],
    ['never answers', (): RequestListener => () => undefined],
  ])('the time is over although the other side %s', async (_, listener) => {
    answer = listener();
    expect(await reason(outbound.call(`http://127.0.0.1:${port}/`, { ...here(), timeout_ms: 200 }))).toBe('slow');
  });

  test('nobody there is unreachable', async () => {
    expect(await reason(outbound.call('http://127.0.0.1:1/', { accept_private: ['127.0.0.1'] }))).toBe('unreachable');
    answer = (req) => req.socket.destroy();
    expect(await reason(outbound.call(`http://127.0.0.1:${port}/`, here()))).toBe('unreachable');
  });
});

describe('as fetch', () => {
  test('sends forms and reads answers as the engine expects', async () => {
    answer = (req, res) => {
      let body = '';
      req.on('data', (chunk) => {
        body += chunk;
      });
      req.on('end', () => {
        res.writeHead(200, { 'content-type': 'application/json' });
        res.end(JSON.stringify({ method: req.method, type: req.headers['content-type'], body }));
      });
    };
    const send = outbound.asFetch(here());
    const response = await send(`http://127.0.0.1:${port}/logout`, {
      method: 'POST',
      redirect: 'manual',
      body: new URLSearchParams({ logout_token: 'a.b.c' }),
    });
    expect(await response.json()).toEqual({
      method: 'POST',
      type: 'application/x-www-form-urlencoded',
      body: 'logout_token=a.b.c',
    });
  });

  test('an answer without a body, and a refused address', async () => {
    answer = (_, res) => res.writeHead(204).end();
    const { status } = await outbound.asFetch(here())(`http://127.0.0.1:${port}/`);
    expect(status).toBe(204);
    await expect(outbound.asFetch()(`http://127.0.0.1:${port}/`)).rejects.toMatchObject({ because: 'refused_address' });
  });

  test("ends when the caller's signal says so", async () => {
    answer = () => undefined;
    const call = outbound.asFetch(here())(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(50) });
    await expect(call).rejects.toBeInstanceOf(OutboundError);
  });
});
