// The page on which a user of e-BPOM changes the password that e-BPOM itself keeps.

import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { newHttpVisitor } from '../support/http.ts';
import { openScene, type Scene, until } from './e-bpom-scene.ts';

let scene: Scene;

beforeAll(async () => {
  scene = await openScene();
});

beforeEach(async () => {
  scene.gapura.notice_status = 202;
  await scene.db.query('DELETE FROM e_bpom_failures');
  // Nothing of the test before is still on its way.
  await until(async () => (await scene.countKept()) === 0);
  scene.gapura.notices.length = 0;
});

afterAll(() => scene?.close());

test('the page is reached from Help, in the application’s look, and in both languages', async () => {
  const visitor = newHttpVisitor(scene.site.url);
  expect((await visitor.get('/help')).body).toContain('href="/own-password"');
  const page = await visitor.get('/own-password');
  expect(page.body).toContain('<h1>Ubah kata sandi e-BPOM</h1>');
  expect(page.body).toContain('BADAN POM');
  expect(page.body).not.toContain('role="alert"');
  expect((await visitor.get('/own-password?lang=en')).body).toContain('<h1>Change the e-BPOM password</h1>');
});

test('it changes the password: the old one is over, and the new one outlives a restart', async () => {
  const old = scene.password;
  const done = await scene.change();
  expect(done.status).toBe(200);
  expect(done.body).toContain('Kata sandi pengguna user_bpom sudah diubah');
  expect(done.body).toContain(`href="${scene.gapura.url}/portal/applications"`);
  await scene.restart();
  const again = await scene.submit({ password: old });
  expect(again.status).toBe(422);
  expect((await scene.change()).status).toBe(200);
});

test.each<[string, Record<string, string>, string]>([
  ['a wrong old password', { password: 'wrong' }, 'Nama pengguna atau kata sandi lama salah'],
  ['a name that nobody has', { username: 'nobody' }, 'Nama pengguna atau kata sandi lama salah'],
  ['a short new one', { new_password: 'short', confirm_password: 'short' }, 'paling sedikit 10'],
  ['two that differ', { confirm_password: 'Another-One-2026!' }, 'tidak sama'],
])('it refuses %s, keeps the name and shows no password', async (_what, fields, words) => {
  const typed = {
    username: 'user_bpom',
    password: scene.password,
    new_password: 'A-New-One-2026!',
    confirm_password: 'A-New-One-2026!',
    ...fields,
  };
  const page = await scene.submit(typed);
  expect(page.status).toBe(422);
  expect(page.body).toContain(words);
  expect(page.body).toContain(`value="${typed.username}"`);
  expect(page.body).toContain('aria-invalid="true"');
  for (const secret of [typed.password, typed.new_password, typed.confirm_password])
    expect(page.body).not.toContain(`"${secret}"`);
  expect(await scene.countKept()).toBe(0);
});

test('it refuses the old password as the new one', async () => {
  const page = await scene.submit({ new_password: scene.password, confirm_password: scene.password });
  expect([page.status, page.body.includes('harus berbeda')]).toEqual([422, true]);
});

test('it says that a user is locked after the right password only, and changes nothing', async () => {
  await scene.db.query('UPDATE e_bpom_users SET locked_at = now()');
  const locked = await scene.change();
  expect([locked.status, locked.body.includes('dikunci di e-BPOM')]).toEqual([422, true]);
  const wrong = await scene.submit({ password: 'wrong' });
  expect([wrong.status, wrong.body.includes('dikunci di e-BPOM')]).toEqual([422, false]);
  await scene.db.query('UPDATE e_bpom_users SET locked_at = NULL');
  expect((await scene.change()).status).toBe(200);
});

test('it has the same wait after failures as the verification endpoint', async () => {
  for (let tries = 0; tries < 10; tries++) expect((await scene.submit({ password: 'wrong' })).status).toBe(422);
  const waiting = await scene.change();
  expect([waiting.status, waiting.headers.get('retry-after')]).toEqual([429, '30']);
});

test('it takes no form from another site', async () => {
  const visitor = newHttpVisitor(scene.site.url);
  const fields = {
    username: 'user_bpom',
    password: scene.password,
    new_password: 'A-New-One-2026!',
    confirm_password: 'A-New-One-2026!',
  };
  const answer = await visitor.post('/own-password', fields, { headers: { origin: 'http://localhost:1' } });
  expect(answer.status).toBe(403);
  expect((await scene.change()).status).toBe(200);
});

test('of two changes at once with the same old password one succeeds', async () => {
  const answers = await Promise.all(
    ['Ebpom-First-2026!', 'Ebpom-Other-2026!'].map(async (next) => {
      return { next, status: (await scene.submit({ new_password: next, confirm_password: next })).status };
    }),
  );
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 422]);
  scene.password = answers.find(({ status }) => status === 200)?.next as string;
  await until(async () => (await scene.countKept()) === 0);
  expect(scene.gapura.notices).toHaveLength(1);
});
