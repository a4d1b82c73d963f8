/** Every prompt there is, against what all of them promise. */

import { expect, test } from '@jest/globals';
import { type PromptCase, testPrompt } from '../contracts/prompt.ts';
import { own_password, registerApplication, startApplication } from '../support/application.ts';
import { demo_password, signIn } from '../support/gapura.ts';
import type { Answer } from '../support/http.ts';
import { readTree } from '../support/source.ts';

const login = { identifier: 'budi', password: demo_password };

/** The value of a page's choice that begins with these words. */
function findOption({ body }: Answer, words: string): string {
  const value = new RegExp(`<option value="([^"]+)">${words}`).exec(body)?.[1];
  if (!value) throw new Error(`no choice "${words}" in:\n${body}`);
  return value;
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
];

for (const one of cases) testPrompt(one);

test('no prompt is left out', () => {
  const leaves = Object.entries(readTree(['src/prompts'], ['.ts'])).flatMap(
    ([, text]) => /: Prompt = \{\s*name: '(\w+)'/.exec(text)?.[1] ?? [],
  );
  expect(cases.map(({ name }) => name).sort()).toEqual(leaves.sort());
});
