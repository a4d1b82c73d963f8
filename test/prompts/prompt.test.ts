/** Every prompt there is, against what all of them promise. */

import { expect, test } from '@jest/globals';
import { hashPassword } from '../../src/accounts/password.ts';
import { writePassword } from '../../src/accounts/password-store.ts';
import { type PromptCase, testPrompt } from '../contracts/prompt.ts';
import { own_password, registerApplication, startApplication } from '../support/application.ts';
import { demo_password, signIn, type TestGapura } from '../support/gapura.ts';
import type { Answer } from '../support/http.ts';
import { readTree } from '../support/source.ts';

const login = { identifier: 'budi', password: demo_password };

/** The value of a page's choice that begins with these words. */
function findOption({ body }: Answer, words: string): string {
  const value = new RegExp(`<option value="([^"]+)">${words}`).exec(body)?.[1];
  if (!value) throw new Error(`no choice "${words}" in:\n${body}`);
  return value;
}

/** Budi's password as somebody else gave it, with nothing before it. */
async function giveTemporaryPassword({ db }: TestGapura): Promise<void> {
  const { account_id } = await db
    .selectFrom('account_identifiers')
    .select('account_id')
    .where('canonical', '=', 'budi')
    .executeTakeFirstOrThrow();
  await writePassword(db, account_id, await hashPassword(demo_password));
  await db.deleteFrom('password_history').execute();
  await db.updateTable('passwords').set({ must_change: true }).where('account_id', '=', account_id).execute();
}

const cases: PromptCase[] = [
  {
    name: 'login',
    open: (visitor, address) => visitor.get(address),
    answer: () => login,
    foreign: { identifier: 'tono', password: 'not the password of Tono' },
    heading: { id: 'Masuk', en: 'Sign in' },
  },
  {
    name: 'password',
    open: async (visitor, address) => {
      const page = await visitor.get(address);
      return page.body.includes('name="identifier"') ? signIn(visitor, page, 'budi') : page;
    },
    answer: () => ({ new_password: 'Kenari-Kuning-77!', confirm_password: 'Kenari-Kuning-77!' }),
    foreign: { new_password: demo_password, confirm_password: demo_password },
    heading: { id: 'Buat Kata Sandi Baru', en: 'Choose a new password' },
    async prepare(gapura) {
      await giveTemporaryPassword(gapura);
      return async () => undefined;
    },
    reset: giveTemporaryPassword,
  },
  {
    name: 'select_directorate',
    open: async (visitor, address) => {
      const page = await visitor.get(address);
      return page.body.includes('name="password"') ? signIn(visitor, page, 'budi') : page;
    },
    answer: (page) => ({ directorate: findOption(page, 'Inspeksi dan Sertifikasi Produk Pangan') }),
    foreign: { directorate: '00000000-0000-4000-8000-000000000000' },
    heading: { id: 'Pilih Direktorat', en: 'Choose a directorate' },
  },
  {
    name: 'link',
    client: { link_required: true, directorate_required: false },
    open: async (visitor, address) => {
      const page = await visitor.get(address);
      return page.body.includes('name="identifier"') ? signIn(visitor, page, 'budi') : page;
    },
    answer: () => ({ username: 'user_bpom', password: own_password }),
    foreign: { username: 'user_bpom', password: 'not the password of that user name' },
    heading: { id: 'Hubungkan pengguna aplikasi', en: 'Link your application user' },
    async prepare(gapura) {
      const application = await startApplication();
      await registerApplication(gapura, 'kontrak', application, { client_id: 'kontrak' });
      return () => application.stop();
    },
    reset: async ({ db }) => {
      await db.deleteFrom('links').execute();
      await db.deleteFrom('link_holders').execute();
    },
  },
  {
    name: 'consent',
    client: { first_party: false, directorate_required: false },
    open: async (visitor, address) => {
      const page = await visitor.get(address);
      return page.body.includes('name="identifier"') ? signIn(visitor, page, 'budi') : page;
    },
    answer: () => ({ allow: '1' }),
    foreign: { allow: 'semua' },
    buttons: { submit: 'allow', cancel: 'deny' },
    heading: { id: 'Persetujuan', en: 'Your consent' },
    reset: ({ db }) => db.deleteFrom('consents').execute(),
  },
];

for (const one of cases) testPrompt(one);

test('no prompt is left out', () => {
  const leaves = Object.entries(readTree(['src/prompts'], ['.ts'])).flatMap(
    ([, text]) => /: Prompt = \{\s*name: '(\w+)'/.exec(text)?.[1] ?? [],
  );
  expect(cases.map(({ name }) => name).sort()).toEqual(leaves.sort());
});
