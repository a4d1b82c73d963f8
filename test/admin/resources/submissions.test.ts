/** What developers propose: seen by officers of the agency alone, decided once, told by mail, trusted with nothing. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type SubmissionValues, submitClient } from '../../../src/clients/submissions.ts';
import { inTransaction } from '../../../src/database.ts';
import { from_here } from '../../support/application.ts';
import {
  type ApiClient,
  addOfficer,
  getClientToken,
  newApiClient,
  openConsole,
  problemsOf,
  submitWell,
} from '../../support/desk.ts';
import { startGapura, type TestGapura } from '../../support/gapura.ts';
import { storm } from '../../support/storm.ts';

let gapura: TestGapura;
let developer: string;
let officer: ApiClient;
let token: string;

beforeAll(async () => {
  gapura = await startGapura();
  developer = await addOfficer(gapura, 'ahli', 'developer', { agency_code: 'BPOM' });
  token = await getClientToken(gapura, 'mesin-bpom', 'agency_officer', { agency_code: 'BPOM' });
  officer = newApiClient(gapura.url, token);
});

afterAll(() => gapura.stop());

const values: SubmissionValues = {
  client_name: 'Sistem Perizinan',
  preset: 'web_server',
  redirect_uris: ['https://izin.example.go.id/kembali'],
  post_logout_redirect_uris: [],
  client_uri: undefined,
  jwks_uri: undefined,
  contacts: ['tim@izin.example.go.id'],
  scope: ['openid', 'profile'],
  note: 'Untuk perizinan',
};

async function submit(more: Partial<SubmissionValues> = {}, agency_code = 'BPOM'): Promise<string> {
  const { jobs, engine } = gapura.gapura;
  const submitted = await inTransaction(gapura.db, (tx) =>
    submitClient(
      tx,
      jobs,
      { account_id: developer, agency_code, request: from_here },
      { ...values, ...more },
      async (metadata) => {
        await engine.provider.Client.validate(metadata as never);
      },
    ),
  );
  if (submitted.state !== 'submitted') throw new Error(JSON.stringify(submitted));
  return submitted.id;
}

const mailsOf = async (template: string) =>
  gapura.db.selectFrom('mails').select(['to_address', 'values']).where('template', '=', template).execute();

test('an officer reads it, approves it under an id, and the developer is told', async () => {
  const id = await submit();
  expect((await mailsOf('client_submitted')).length).toBeGreaterThan(0);
  const visitor = await openConsole(gapura, 'petugas');
  expect((await visitor.get('/admin')).body).toContain('/admin/submissions?state=waiting');
  const page = await visitor.get(`/admin/submissions/${id}`);
  for (const text of ['Sistem Perizinan', 'https://izin.example.go.id/kembali', 'Untuk perizinan', 'Petugas ahli'])
    expect([text, page.body.includes(text)]).toEqual([text, true]);
  const form = await visitor.get(`/admin/submissions/${id}/approval`);
  expect(form.body).toContain('value="sistem-perizinan"');
  const taken = await visitor.submit(form, { client_id: 'portal' });
  expect([taken.status, problemsOf(taken).length]).toEqual([422, 1]);
  const done = await submitWell(visitor, form, {});
  expect(done.body).toContain('Disetujui');
  expect((await officer('GET', '/clients/sistem-perizinan')).body).toMatchObject({
    origin: 'submission',
    agency_code: 'BPOM',
    first_party: false,
    api_role: null,
    redirect_uris: ['https://izin.example.go.id/kembali'],
  });
  expect(await mailsOf('client_submission_approved')).toEqual([
    { to_address: 'ahli@contoh.example', values: { client: 'Sistem Perizinan', client_id: 'sistem-perizinan' } },
  ]);
});

test('refused with a reason, which the developer reads', async () => {
  const id = await submit({ client_name: 'Ditolak' });
  expect((await officer('POST', `/submissions/${id}/refusal`, { because: '' })).status).toBe(422);
  const refused = await officer('POST', `/submissions/${id}/refusal`, { because: 'Alamatnya salah' });
  expect(refused.body).toMatchObject({ state: 'refused', because: 'Alamatnya salah', client_id: null });
  expect(await mailsOf('client_submission_refused')).toMatchObject([
    { values: { client: 'Ditolak', because: 'Alamatnya salah' } },
  ]);
  expect((await officer('POST', `/submissions/${id}/approval`, { client_id: 'ditolak' })).status).toBe(409);
});

test('of many decisions at once one counts', async () => {
  const id = await submit({ client_name: 'Diperebutkan' });
  const answers = await storm(8, (at) => {
    const decision = at % 2 ? 'approval' : 'refusal';
    return {
      url: `${gapura.url}/api/v1/submissions/${id}/${decision}`,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(at % 2 ? { client_id: `diperebutkan-${at}` } : { because: `Alasan ${at}` }),
    };
  });
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 409, 409, 409, 409, 409, 409, 409]);
  const rows = await gapura.db.selectFrom('clients').select('id').where('id', 'like', 'diperebutkan-%').execute();
  const row = await gapura.db
    .selectFrom('client_submissions')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  expect(rows.map((client) => client.id)).toEqual(row.client_id ? [row.client_id] : []);
});

test('an officer of another agency finds nothing', async () => {
  const id = await submit({ client_name: 'Milik BPOM' });
  const other_token = await getClientToken(gapura, 'mesin-lain', 'agency_officer', { agency_code: 'KEMENDAG' });
  const other = newApiClient(gapura.url, other_token);
  expect((await other('GET', '/submissions')).body.items).toEqual([]);
  expect((await other('GET', `/submissions/${id}`)).status).toBe(404);
  expect((await other('POST', `/submissions/${id}/approval`, { client_id: 'milik-bpom' })).status).toBe(404);
});

test('what the rules refuse is refused when it is submitted', async () => {
  await expect(submit({ redirect_uris: ['http://izin.example.go.id/'] })).rejects.toThrow('address_');
  await expect(submit({ preset: 'fapi2' })).rejects.toThrow('errors.submission.needs_keys');
});

test('of one person twenty wait at a time, however many arrive at once', async () => {
  await Promise.allSettled(Array.from({ length: 25 }, (_, at) => submit({ client_name: `Banyak ${at}` })));
  const { waiting } = await gapura.db
    .selectFrom('client_submissions')
    .select((eb) => eb.fn.countAll<string>().as('waiting'))
    .where('submitted_by', '=', developer)
    .where('decision', 'is', null)
    .executeTakeFirstOrThrow();
  expect(Number(waiting)).toBe(20);
  await expect(submit()).rejects.toThrow('errors.submission.too_many');
});
