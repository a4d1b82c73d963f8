/** Forms: read once, as text, within limits; what is wrong is told beside its field and never as an error of ours. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { readForm, readUpload } from '../../src/http/form.ts';
import type { Middleware } from '../../src/http/guard.ts';
import { startApp, type TestApp } from '../support/app.ts';

const schema = z.object({
  identifier: z.string().min(1, 'errors.field.required').max(254),
  password: z.string().min(1, 'errors.field.required').max(1024),
  cancel: z.string().optional(),
});

const answer: Middleware = async (ctx) => {
  const form = await readForm(ctx, schema);
  ctx.status = form.state === 'read' ? 200 : 422;
  ctx.body = form;
};

let app: TestApp;

beforeAll(async () => {
  app = await startApp(answer);
});

afterAll(() => app.close());

const type = 'application/x-www-form-urlencoded';

const send = async (body: string, headers: string[] = [`Content-Type: ${type}`]) => {
  const bytes = Buffer.from(body, 'latin1').length;
  const head = ['POST / HTTP/1.1', 'Host: sso.test:3000', 'Connection: close', `Content-Length: ${bytes}`, ...headers];
  const { status, body: text, headers: answered } = await app.send(`${head.join('\n')}\n\n${body}`);
  const is_form = status === 200 || status === 422;
  return { status, headers: answered, form: is_form ? JSON.parse(text) : undefined };
};

test('gives the fields of the schema as text, and nothing else', async () => {
  const { status, form } = await send(
    'identifier=budi%40contoh.example&password=a+b%26%C3%A9&other=x&other=y&__proto__=z',
  );
  expect([status, form]).toEqual([
    200,
    { state: 'read', values: { identifier: 'budi@contoh.example', password: 'a b&é' } },
  ]);
});

describe('refuses', () => {
  test.each([
    ['an empty field', 'identifier=&password=x', { identifier: 'errors.field.required' }],
    ['a missing field', 'password=x', { identifier: 'errors.field.required' }],
    ['an empty body', '', { identifier: 'errors.field.required', password: 'errors.field.required' }],
    [
      'a field of the wrong shape, in no words of zod',
      `identifier=${'x'.repeat(255)}&password=x`,
      { identifier: 'errors.field.invalid' },
    ],
    ['a field sent twice', 'identifier=a&identifier=b&password=x', { identifier: 'errors.field.repeated' }],
    [
      'a field sent twice, once in other letters of the code',
      'identifier=a&%69dentifier=b&password=x',
      { identifier: 'errors.field.repeated' },
    ],
    ['a NUL', 'identifier=a%00b&password=x', { identifier: 'errors.field.unreadable' }],
    ['an escape', 'identifier=a%1b&password=x', { identifier: 'errors.field.unreadable' }],
    ['half a character', 'identifier=%c3&password=x', { identifier: 'errors.field.unreadable' }],
    ['an overlong character', 'identifier=%c0%af&password=x', { identifier: 'errors.field.unreadable' }],
    ['a broken percent sign', 'identifier=%&password=x', { identifier: 'errors.field.unreadable' }],
    ['a name that cannot be read', 'identifier=a&password=x&%ff=1', { form: 'errors.field.unreadable' }],
    ['raw bytes that are no UTF-8', 'identifier=\xff&password=x', { form: 'errors.field.unreadable' }],
    ['arrays in brackets', 'identifier[]=a&identifier[]=b&password=x', { identifier: 'errors.field.required' }],
  ])('%s', async (_, body, errors) => {
    const { status, form } = await send(body);
    expect(status).toBe(422);
    expect(form.errors).toMatchObject(errors);
  });

  test('and fills the form again, without any secret', async () => {
    const { form } = await send('identifier=budi&password=&password=Pintu-Terbuka');
    expect(form).toEqual({
      state: 'refused',
      errors: { password: 'errors.field.repeated' },
      values: { identifier: 'budi' },
    });
    const long = await send(`identifier=${'x'.repeat(10_000)}&password=x`);
    expect(long.form.values.identifier).toHaveLength(500);
  });
});

test('lines and tabs are text', async () => {
  expect((await send('identifier=a%0D%0Ab%09c&password=x')).form.values.identifier).toBe('a\r\nb\tc');
});

test.each([
  [415, 'JSON', ['Content-Type: application/json']],
  [415, 'files', ['Content-Type: multipart/form-data; boundary=x']],
  [415, 'no type at all', []],
  [415, 'a packed body', [`Content-Type: ${type}`, 'Content-Encoding: gzip']],
  [422, 'a type with its charset', [`Content-Type: ${type}; charset=utf-8`]],
])('%d for %s', async (status, _, headers) => {
  expect((await send('identifier=a', headers)).status).toBe(status);
});

test('a body above 32 KB is refused, told or not told before, and too many fields are', async () => {
  expect((await send(`identifier=a&password=${'x'.repeat(40_000)}`)).status).toBe(413);
  const chunk = 'x'.repeat(0x4000);
  const chunks = Array(3).fill(`4000\n${chunk}\n`).join('');
  const head = `POST / HTTP/1.1\nHost: sso.test:3000\nContent-Type: ${type}\nTransfer-Encoding: chunked\n\n`;
  const { status, headers } = await app.send(`${head}${chunks}0\n\n`);
  expect([status, headers.connection]).toEqual([413, 'close']);
  expect((await send('a=b&'.repeat(101))).status).toBe(413);
});

test('no random body ends in our own error', async () => {
  let seed = 11;
  const random = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed % below;
  };
  const parts = [
    'identifier',
    'password',
    '=',
    '&',
    '%',
    '%00',
    '%ff',
    '\0',
    '\xc3',
    '+',
    '[]',
    '__proto__',
    'constructor',
    ';',
    '%u0000',
    'a',
  ];
  for (let i = 0; i < 300; i += 1) {
    const { status } = await send(Array.from({ length: random(12) }, () => parts[random(parts.length)]).join(''));
    expect([200, 422]).toContain(status);
  }
});

describe('a form with a file', () => {
  let uploads: TestApp;

  beforeAll(async () => {
    uploads = await startApp(async (ctx) => {
      const { fields, broken } = await readUpload(ctx);
      ctx.body = { fields: Object.fromEntries(fields), broken: [...broken] };
    });
  });

  afterAll(() => uploads.close());

  const part = (head: string, content: string) =>
    `--b\r\nContent-Disposition: form-data; ${head}\r\n\r\n${content}\r\n`;
  const upload = async (body: string, content_type = 'multipart/form-data; boundary=b') => {
    const lines = [
      'POST / HTTP/1.1',
      'Host: sso.test:3000',
      'Connection: close',
      `Content-Type: ${content_type}`,
      `Content-Length: ${Buffer.from(body, 'latin1').length}`,
    ];
    const { status, body: text } = await uploads.send(`${lines.join('\n')}\n\n${body}`);
    return { status, read: status === 200 ? JSON.parse(text) : undefined };
  };

  test('gives the bytes as base64, and the fields as text', async () => {
    const body = `${part('name="because"', 'baru')}${part('name="logo"; filename="../a.png"', '\x89PNG')}--b--\r\n`;
    expect((await upload(body)).read).toEqual({ fields: { because: ['baru'], logo: ['iVBORw=='] }, broken: [] });
  });

  test.each([
    ['that ends in the middle', part('name="a"', 'x')],
    ['whose head ends in the middle', '--b\r\nContent-Disposition: form-da'],
    ['without any part', ''],
  ])('%s is broken as a whole', async (_name, body) => {
    expect((await upload(body)).read.broken).toContain('form');
  });

  test.each([
    ['a NUL', 'a\0b'],
    ['half a character', '\xc3'],
  ])('%s breaks its field', async (_name, text) => {
    expect((await upload(`${part('name="a"', text)}--b--\r\n`)).read.broken).toEqual(['a']);
  });

  test.each([
    ['two files', part('name="a"; filename="a"', 'x').repeat(2)],
    ['a large file', part('name="a"; filename="a"', 'x'.repeat(201 * 1024))],
    ['a large field', part('name="a"', 'x'.repeat(33 * 1024))],
    ['many fields', part('name="a"', 'x').repeat(101)],
    ['a long name', part(`name="${'n'.repeat(200)}"`, 'x')],
    ['a huge body', 'x'.repeat(600 * 1024)],
  ])('%s are too much', async (_name, body) => {
    expect((await upload(`${body}--b--\r\n`)).status).toBe(413);
  });

  test.each([['text/plain'], ['application/x-www-form-urlencoded'], ['multipart/mixed; boundary=b']])(
    'of the type %s is none',
    async (content_type) => {
      expect((await upload(`${part('name="a"', 'x')}--b--\r\n`, content_type)).status).toBe(415);
    },
  );

  test('without a boundary it is broken', async () => {
    expect((await upload('x', 'multipart/form-data')).read.broken).toEqual(['form']);
  });
});
