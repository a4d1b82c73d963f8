/** Policies as officers set them: for everything, for one place, and back; with who and why, and never out of order. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { policy } from '../../../src/policy/policy.ts';
import {
  type ApiClient,
  getClientToken,
  newApiClient,
  openConsole,
  problemsOf,
  submitWell,
} from '../../support/desk.ts';
import { startGapura, type TestGapura } from '../../support/gapura.ts';

let gapura: TestGapura;
let robot: ApiClient;

beforeAll(async () => {
  gapura = await startGapura();
  robot = newApiClient(gapura.url, await getClientToken(gapura, 'robot', 'administrator'));
});

afterAll(() => gapura.stop());

const findCompany = async () =>
  (
    await gapura.db
      .selectFrom('organisations')
      .select('id')
      .where('npwp', '=', '0000001016000000')
      .executeTakeFirstOrThrow()
  ).id;

const reads = async (value: unknown, read: () => unknown) => {
  while (read() !== value) await new Promise((resolve) => setTimeout(resolve, 10));
};

test('an exception holds for its place alone, and is taken back', async () => {
  const organisation_id = await findCompany();
  const exception = { scope: 'organisation', scope_id: organisation_id, value: 2, because: 'Perusahaan ini meminta' };
  const made = await robot('POST', '/policies/invitation.lifetime/exception', exception);
  expect([made.status, made.body.id]).toEqual([200, `invitation.lifetime~organisation~${organisation_id}`]);
  await reads(2, () => policy('invitation.lifetime', { organisation_id }));
  expect([policy('invitation.lifetime'), policy('invitation.lifetime', { organisation_id: 'lain' })]).toEqual([7, 7]);
  // Made twice it stands already, and says what.
  const again = await robot('POST', '/policies/invitation.lifetime/exception', exception);
  expect([again.status, again.body.code]).toEqual([412, 'version_conflict']);
  const back = await robot('POST', `/policies/${made.body.id}/default`);
  expect(back.status).toBeLessThan(300);
  await reads(7, () => policy('invitation.lifetime', { organisation_id }));
});

test.each([
  ['a place that is not there', { scope: 'organisation', scope_id: 'tidak-ada', value: 2 }, 'scope_id'],
  ['a kind of place that this policy does not know', { scope: 'role', scope_id: 'trader', value: 2 }, 'scope'],
  ['a value beyond its bounds', { scope: 'organisation', scope_id: 'x', value: 1000 }, 'value'],
])('an exception for %s is refused beside its field', async (_, input, field) => {
  const refused = await robot('POST', '/policies/invitation.lifetime/exception', { ...input, because: 'Mencoba saja' });
  expect([refused.status, refused.body.errors[0].field]).toEqual([422, field]);
});

test('a policy without narrower places takes no exception', async () => {
  const answer = await robot('POST', '/policies/session.idle/exception', {
    scope: 'role',
    scope_id: 'trader',
    value: 600,
    because: 'Mencoba saja',
  });
  expect([answer.status, answer.body.code]).toEqual([409, 'not_applicable']);
});

test('what belongs together stays in order', async () => {
  const admin = await openConsole(gapura, 'admin');
  const form = await admin.get('/admin/policies/session.idle/change');
  const refused = await admin.submit(form, { value: String(30 * 86_400), because: 'Sebulan penuh' });
  expect([refused.status, problemsOf(refused).join()]).toEqual([422, expect.stringContaining('session.absolute')]);
  const done = await submitWell(admin, refused, { value: '7200', because: 'Dua jam saja' });
  expect(done.body).toContain('Dua jam saja');
});
