/** The human check before a recovery, and what policy closes: asked of everybody alike, answered once, with or without scripts. */

import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { readText } from '../support/facts.ts';
import { startGapura, type TestGapura } from '../support/gapura.ts';
import { type Answer, newHttpVisitor } from '../support/http.ts';
import { doWork, lettersOf, readCheck } from '../support/human-check.ts';
import { setTestPolicy } from '../support/policy.ts';

let gapura: TestGapura;

beforeAll(async () => {
  gapura = await startGapura();
  await setTestPolicy(gapura.db, 'human_check.work', 8);
});

afterEach(async () => {
  await setTestPolicy(gapura.db, 'human_check.when', 'after_failures');
  for (const table of ['limits', 'human_checks', 'mails', 'recoveries'] as const)
    await gapura.db.deleteFrom(table).execute();
});

afterAll(() => gapura?.stop());

function checkOn(page: Answer) {
  const check = readCheck(page.body);
  if (!check) throw new Error(`nothing is asked: ${page.body}`);
  return check;
}

const open = async (visitor = newHttpVisitor(gapura.url)) => ({ visitor, page: await visitor.get('/recovery') });
const ended = ({ url }: Answer) => url.pathname;

test('nothing is asked before twenty were begun from an address, and then of every name', async () => {
  expect(readCheck((await open()).page.body)).toBeUndefined();
  for (let begun = 0; begun < 20; begun += 1) {
    const { visitor, page } = await open();
    expect(ended(await visitor.submit(page, { username: `nama${begun}` }, 'recovery'))).toBe('/recovery/address');
  }
  for (const username of ['sari', 'xenia_q']) {
    const { visitor, page } = await open();
    const held = await visitor.submit(page, { username }, 'recovery');
    expect([held.status, ended(held)]).toEqual([422, '/recovery']);
    const check = checkOn(held);
    const free = await visitor.submit(held, { username, captcha: lettersOf(gapura.config, check.id) }, 'recovery');
    expect(ended(free)).toBe('/recovery/address');
  }
});

test('always by policy: letters or work, each once; wrong ones are told beside the field, the name stays', async () => {
  await setTestPolicy(gapura.db, 'human_check.when', 'always');
  const { visitor, page } = await open();
  const wrong = await visitor.submit(page, { username: 'sari', captcha: 'SALAH' }, 'recovery');
  expect([wrong.status, readText(wrong.body)]).toEqual([422, expect.stringContaining('Kode keamanan tidak sesuai')]);
  expect(wrong.body).toContain('value="sari"');
  const check = checkOn(wrong);
  const work = { username: 'sari', captcha_work: doWork(check) };
  expect(ended(await visitor.submit(wrong, work, 'recovery'))).toBe('/recovery/address');
  expect((await visitor.submit(wrong, work, 'recovery')).status).toBe(422);
});

test('the ways can be closed by policy, and then the page says whom to turn to', async () => {
  await setTestPolicy(gapura.db, 'recovery.email_code', 0);
  const { visitor, page } = await open();
  expect(page.body).not.toContain('name="username"');
  expect(readText(page.body)).toContain('Petugas kami membantu Anda');
  expect((await visitor.post('/recovery', { username: 'sari' })).status).toBe(422);
  await setTestPolicy(gapura.db, 'recovery.email_code', 1);
});
