// The inbox: mail that arrives by SMTP can be read, and cannot do anything; the registry beside it.

import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startInbox } from '../../src/demo/inbox.ts';
import type { Site } from '../../src/demo/site.ts';
import { newHttpVisitor } from '../support/http.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

const person = {
  nik: '9901010501900001',
  full_name: 'Budi <b>Contoh</b>',
  mother_name: 'Ibu Contoh',
  mobile_number: '+6281200000101',
  email: 'budi@contoh.example',
  identifier: 'budi',
};

let database: TestDatabase;
let site: Site;
let smtp_port: number;
let start: () => Promise<Site>;

beforeAll(async () => {
  database = await createTestDatabase({ migrated: false });
  const port = await findFreePort();
  smtp_port = await findFreePort();
  const url = `http://localhost:${port}`;
  start = () =>
    startInbox({
      port,
      smtp_port,
      url,
      database_url: database.url,
      gapura_url: 'http://localhost:1',
      people: [person],
    });
  site = await start();
});

afterAll(async () => {
  await site?.close();
  await database?.drop();
});

function findFreePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}

/** Speaks SMTP (RFC 5321) for one mail; the answer is the last reply. */
async function sendMail(to: string, content: string): Promise<string> {
  const socket = connect(smtp_port, '127.0.0.1');
  const commands = ['EHLO test', 'MAIL FROM:<gapura@contoh.example>', `RCPT TO:<${to}>`, 'DATA', `${content}\r\n.`];
  let reply = '';
  for await (const line of createInterface({ input: socket })) {
    reply = line;
    if (/^\d{3}-/.test(line)) continue;
    const command = line.startsWith('5') ? undefined : commands.shift();
    if (command === undefined) break;
    socket.write(`${command}\r\n`);
  }
  socket.end('QUIT\r\n');
  return reply;
}

function mailOf(subject: string, html: string): string {
  return [
    `Subject: ${subject}`,
    'MIME-Version: 1.0',
    'Content-Type: multipart/alternative; boundary=b',
    '',
    '--b',
    'Content-Type: text/plain; charset=utf-8',
    '',
    'Buka https://gapura.example/x?a=1&b=2. <script>alert(1)</script>',
    '--b',
    'Content-Type: text/html; charset=utf-8',
    '',
    html,
    '--b--',
  ].join('\r\n');
}

test('an empty inbox says what will appear', async () => {
  const page = await newHttpVisitor(site.url).get('/inbox');
  expect(page.status).toBe(200);
  expect(page.body).toContain('Belum ada email');
});

test('a mail can be listed, found by its recipient, and read', async () => {
  expect(await sendMail('budi@contoh.example', mailOf('Kode =?utf-8?q?verifikasi?=', '<p>halo</p>'))).toMatch(/^250/);
  const visitor = newHttpVisitor(site.url);
  const list = await visitor.get('/inbox?to=BUDI');
  expect(list.body).toContain('Kode verifikasi');
  expect((await visitor.get('/inbox?to=sari')).body).toContain('Tidak ada email untuk sari');
  const href = /href="(\/inbox\/mails\/\d+)"/.exec(list.body)?.[1] as string;
  const mail = await visitor.get(href);
  expect(mail.body).toContain('gapura@contoh.example');
  expect(mail.body).toContain('<a href="https://gapura.example/x?a=1&amp;b=2">');
  expect(mail.body).not.toContain('<script>');
});

test('the HTML of a mail is shown in an origin of its own, without scripts, forms or pictures from elsewhere', async () => {
  await sendMail('sari@contoh.example', mailOf('HTML', '<script>top.location="http://localhost:1"</script><p>isi</p>'));
  const visitor = newHttpVisitor(site.url);
  const href = /href="(\/inbox\/mails\/\d+)"/.exec((await visitor.get('/inbox?to=sari')).body)?.[1] as string;
  expect((await visitor.get(href)).body).toContain(`<iframe src="${href}/html"`);
  const html = await visitor.get(`${href}/html`);
  expect(html.body).toContain('<p>isi</p>');
  const policy = html.headers.get('content-security-policy') ?? '';
  expect(policy).toMatch(/^sandbox /);
  expect(policy).not.toContain('allow-scripts');
  expect(policy).not.toContain('allow-same-origin');
  expect(policy).toContain("default-src 'none'");
});

test('only the newest 500 mails are kept, a page at a time', async () => {
  await database.db.executeQuery({
    sql: `INSERT INTO inbox_mails (received_at, sender, recipients, subject, text)
          SELECT now(), 'x', ARRAY['many@contoh.example'], 'nomor ' || n, '' FROM generate_series(1, 600) n`,
    parameters: [],
    query: { kind: 'RawNode', sqlFragments: [], parameters: [] },
    queryId: { queryId: 'fill' },
  });
  await sendMail('many@contoh.example', mailOf('yang terakhir', '<p></p>'));
  const visitor = newHttpVisitor(site.url);
  const subjects: string[] = [];
  let address: string | undefined = '/inbox?to=many';
  while (address) {
    const { body } = await visitor.get(address);
    subjects.push(...[...body.matchAll(/mails\/\d+">([^<]+)</g)].map(([, subject]) => subject as string));
    address = /href="(\/inbox\?[^"]*before=\d+)"/.exec(body)?.[1]?.replaceAll('&amp;', '&');
  }
  expect(subjects).toHaveLength(500);
  expect(subjects[0]).toBe('yang terakhir');
  expect(subjects.at(-1)).toBe('nomor 102');
});

test('a mail that is too large is refused', async () => {
  const reply = await sendMail('budi@contoh.example', mailOf('besar', 'x'.repeat(2_100_000)));
  expect(reply).toMatch(/^552/);
});

test.each([
  '/inbox/mails/999999',
  '/inbox/mails/x',
  '/inbox/mails/1e9/html',
  '/inbox/mails/99999999999999999999',
  '/no',
])('%s is a page that leads on', async (path) => {
  const page = await newHttpVisitor(site.url).get(path);
  expect(page.status).toBe(404);
  expect(page.body).toContain('href="/"');
});

test('the registry lists its people as text', async () => {
  const page = await newHttpVisitor(site.url).get('/registry');
  expect(page.body).toContain('9901010501900001');
  expect(page.body).toContain('Budi &lt;b&gt;Contoh');
});

test('mail outlives a restart, and a taken SMTP port is the socket’s own error', async () => {
  await site.close();
  const taker = createServer().listen(smtp_port, '127.0.0.1');
  await expect(start()).rejects.toMatchObject({ code: 'EADDRINUSE' });
  await new Promise((closed) => taker.close(closed));
  site = await start();
  expect((await newHttpVisitor(site.url).get('/inbox')).body).toContain('yang terakhir');
});
