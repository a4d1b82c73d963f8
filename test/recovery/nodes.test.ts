/** A recovery over two server processes: any of them takes the next step, and of many at once one wins. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { verifyPassword } from '../../src/accounts/password.ts';
import { findPasswordHash } from '../../src/accounts/password-store.ts';
import { startNodes, type TestNodes } from '../support/gapura.ts';
import { type Answer, findForm, type HttpVisitor, newHttpVisitor } from '../support/http.ts';
import { readSecret } from '../support/mails.ts';
import { askNode, count, findAccountId, keepCookies, requestTo } from '../support/nodes.ts';
import { storm } from '../support/storm.ts';

const mailbox = 'sari.wulandari@surat.example';

let gapura: TestNodes;
let sari: string;
let visitor: HttpVisitor;

beforeAll(async () => {
  gapura = await startNodes();
  sari = await findAccountId(gapura, 'sari');
});

beforeEach(async () => {
  for (const table of ['limits', 'mails', 'proofs', 'recoveries'] as const) await gapura.db.deleteFrom(table).execute();
  visitor = newHttpVisitor(gapura.url);
});

afterAll(() => gapura?.stop());

async function ask(): Promise<Answer> {
  const address = await visitor.submit(await visitor.get('/recovery'), { username: 'sari' }, 'recovery');
  return visitor.submit(address, {}, 'request');
}

const auditOf = async (kind: string) =>
  (await gapura.db.selectFrom('audit_events').select('id').where('kind', '=', kind).execute()).length;

describe('of many at once', () => {
  test('one right code wins, in the answers and in the rows', async () => {
    const fields = findForm((await ask()).body, 'verification').fields as Record<string, string>;
    const form = { ...fields, code: await readSecret(gapura, mailbox) };
    const before = await auditOf('recovery_verified');
    const answers = await storm(30, (at) => requestTo(gapura, at, '/recovery/code', { visitor, form }));
    expect(count(gapura, answers)[303]).toBe(1);
    expect((await auditOf('recovery_verified')) - before).toBe(1);
  });

  test('row 10: no more wrong codes are looked at than ten', async () => {
    const fields = findForm((await ask()).body, 'verification').fields as Record<string, string>;
    const form = { ...fields, code: 'AAAACCCC' };
    count(gapura, await storm(60, (at) => requestTo(gapura, at, '/recovery/code', { visitor, form })));
    const [proof] = await gapura.db.selectFrom('proofs').select('attempts').where('purpose', '=', 'reset').execute();
    expect(proof?.attempts).toBe(10);
  });

  test('one new password is set, and it is the winner’s', async () => {
    const page = await ask();
    await visitor.submit(page, { code: await readSecret(gapura, mailbox) }, 'verification');
    const { fields } = findForm((await visitor.get('/recovery/password')).body, 'password');
    const passwordOf = (at: number) => `Kenari-Terbang-${at}!x`;
    const answers = await storm(10, (at) => {
      const form = { ...fields, new_password: passwordOf(at), confirm_password: passwordOf(at) };
      return requestTo(gapura, at, '/recovery/password', { visitor, form: form as Record<string, string> });
    });
    count(gapura, answers);
    const winners = answers.flatMap(({ status }, at) => (status === 303 ? [at] : []));
    expect(winners).toHaveLength(1);
    const hash = await findPasswordHash(gapura.db, sari);
    expect((await verifyPassword(hash, passwordOf(winners[0] ?? -1))).fits).toBe(true);
  });

  test('one code is sent for a press of the button in many tabs', async () => {
    const page = await visitor.submit(await visitor.get('/recovery'), { username: 'sari' }, 'recovery');
    const form = findForm(page.body, 'request').fields as Record<string, string>;
    const answers = await storm(10, (at) => requestTo(gapura, at, '/recovery/address', { visitor, form }));
    expect(count(gapura, answers)).toEqual({ 303: 10 });
    expect(await gapura.db.selectFrom('mails').select('id').execute()).toHaveLength(1);
  });
});

test('row 36: begun on one node, each step goes on at the other', async () => {
  const begun = await askNode(gapura, 0, '/recovery', { visitor, form: { username: 'sari', way: 'email-code' } });
  keepCookies(visitor, [begun]);
  const page = await askNode(gapura, 1, '/recovery/address', { visitor });
  const form = findForm(page.body, 'request').fields as Record<string, string>;
  expect((await askNode(gapura, 0, '/recovery/address', { visitor, form })).status).toBe(303);
  const code = await readSecret(gapura, mailbox);
  const right = await askNode(gapura, 1, '/recovery/code', { visitor, form: { ...form, code } });
  expect(right.headers.location).toBe('/recovery/choice');
  keepCookies(visitor, [right]);
  expect((await askNode(gapura, 0, '/recovery/password', { visitor })).status).toBe(200);
});
