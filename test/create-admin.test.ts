/** `gapura create-admin`: an administrator and one link, printed once; no password and no secret among the arguments. */

import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { run } from '../src/main.ts';
import { listRoles } from '../src/permissions.ts';
import { openConsole } from './support/desk.ts';
import { demo_password, signIn, startGapura, type TestGapura } from './support/gapura.ts';
import { newHttpVisitor } from './support/http.ts';
import { createTestDatabase } from './support/postgres.ts';
import { test_mail, test_secret } from './support/server.ts';

let gapura: TestGapura;

beforeAll(async () => {
  gapura = await startGapura();
});

afterAll(() => gapura.stop());

const person = ['--username', 'pengelola', '--email', 'pengelola@contoh.example', '--full-name', 'Pengelola Contoh'];

async function createAdmin(options: string[], database_url = gapura.database_url) {
  const [out, err]: [string[], string[]] = [[], []];
  jest.spyOn(process.stdout, 'write').mockImplementation((text) => out.push(String(text)) > 0);
  jest.spyOn(process.stderr, 'write').mockImplementation((text) => err.push(String(text)) > 0);
  const code = await run(['create-admin', ...options], {
    GAPURA_PRODUCTION: 'false',
    GAPURA_URL: gapura.url,
    DATABASE_URL: database_url,
    GAPURA_SECRETS: test_secret,
    ...test_mail,
  });
  jest.restoreAllMocks();
  return { code, out: out.join(''), err: err.join('') };
}

const countAccounts = async () => (await gapura.db.selectFrom('accounts').select('id').execute()).length;

test('the link makes the password, and whoever made it is in the console', async () => {
  const { code, out, err } = await createAdmin(person);
  expect([code, err]).toEqual([0, '']);
  const [link = ''] = /http:\/\/\S+\/invitation\/\S+/.exec(out) ?? [];
  const visitor = newHttpVisitor(gapura.url);
  const password = 'Kenari-Terbang-Tinggi-77!';
  const done = await visitor.submit(
    await visitor.get(link),
    { new_password: password, confirm_password: password },
    'invitation',
  );
  expect(done.status).toBe(200);
  const home = await signIn(visitor, await visitor.get('/admin'), 'pengelola', password);
  expect([home.status, home.url.pathname]).toEqual([200, '/admin']);
  // It came over the terminal, so nobody has proven the address.
  const account = await gapura.db
    .selectFrom('accounts')
    .select(['id', 'email_verified'])
    .where('email', '=', 'pengelola@contoh.example')
    .executeTakeFirstOrThrow();
  expect(account.email_verified).toBe(false);
  expect((await listRoles(gapura.db, account.id)).map(({ role }) => role)).toEqual(['administrator']);
  expect((await visitor.get(link)).body).not.toContain('new_password');
});

test('the link is in no table in clear, and no mail carries it', async () => {
  const { out } = await createAdmin([
    '--username',
    'pengelola2',
    '--email',
    'p2@contoh.example',
    '--full-name',
    'Pengelola Dua',
  ]);
  const [, token = ''] = /\/invitation\/(\S+)/.exec(out) ?? [];
  expect(token.length).toBeGreaterThan(20);
  for (const table of ['proofs', 'mails', 'audit_events'] as const)
    expect(JSON.stringify(await gapura.db.selectFrom(table).selectAll().execute())).not.toContain(token);
});

test.each([
  ['name', ['--username', 'ADMIN', '--email', 'baru@contoh.example', '--full-name', 'Admin Lain']],
  ['address', ['--username', 'admin_lain', '--email', 'Admin@contoh.example', '--full-name', 'Admin Lain']],
])('a %s that is taken leaves everything as it was', async (_what, options) => {
  const before = await countAccounts();
  const { code, out, err } = await createAdmin(options);
  expect([code, out, await countAccounts()]).toEqual([1, '', before]);
  expect(err).toMatch(/taken|Another account/);
});

test.each([
  ['nothing', []],
  ['no address', ['--username', 'baru', '--full-name', 'Baru']],
  ['a name that is a number', ['--username', '08123456789', '--email', 'b@contoh.example', '--full-name', 'Baru']],
  ['a password', [...person, '--password', demo_password]],
])('with %s it tells how it is called', async (_what, options) => {
  const { code, out, err } = await createAdmin(options as string[]);
  expect([code, out]).toEqual([2, '']);
  expect(err).toContain('gapura create-admin --username NAME');
});

test('explains itself, and wants the schema first', async () => {
  const help = await createAdmin(['--help']);
  expect([help.code, help.out.includes('--full-name')]).toEqual([0, true]);
  const empty = await createTestDatabase({ migrated: false });
  try {
    const { code, err } = await createAdmin(
      ['--username', 'x_y', '--email', 'x@contoh.example', '--full-name', 'X Y'],
      empty.url,
    );
    expect([code, err.includes('gapura migrate')]).toEqual([1, true]);
  } finally {
    await empty.drop();
  }
});

test('somebody who was there before keeps the own rights and gets no others', async () => {
  await openConsole(gapura, 'layanan');
  const tono = newHttpVisitor(gapura.url);
  expect((await signIn(tono, await tono.get('/admin'), 'tono')).status).toBe(403);
});
