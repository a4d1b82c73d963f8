/** Mail at the console and for programs: who sees that it failed, what nobody sees of it, and the one way to send it again. */

import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { inTransaction } from '../../../src/database.ts';
import { type MailOrder, mailKeys, sendMail } from '../../../src/delivery/outbox.ts';
import {
  type ApiClient,
  addOfficer,
  getClientToken,
  listOperations,
  newApiClient,
  openConsole,
  openPersonClient,
  submitWell,
} from '../../support/desk.ts';
import { signIn, startGapura, type TestGapura } from '../../support/gapura.ts';
import { newHttpVisitor } from '../../support/http.ts';
import { storm } from '../../support/storm.ts';

const address = 'kanari.kenari@surat.example';
const values = {
  name: 'Nama Kenari',
  application: 'e-BPOM',
  username: 'nama_kenari',
  time: 'besok',
  inviter: 'Kenari Kuning',
  support: 'meja',
};

let gapura: TestGapura;
let token: string;
let admin: ApiClient;

beforeAll(async () => {
  gapura = await startGapura();
  token = await getClientToken(gapura, 'mesin', 'administrator');
  admin = newApiClient(gapura.url, token);
  await addOfficer(gapura, 'pemeriksa', 'auditor');
});

afterEach(async () => {
  await gapura.db.deleteFrom('mails').execute();
  await sql`DELETE FROM jobs.job`.execute(gapura.db);
  await gapura.db.deleteFrom('limits').execute();
});

afterAll(() => gapura?.stop());

/** Writes a mail down as it is enqueued. */
async function write(changes: Partial<MailOrder> = {}): Promise<string> {
  const { jobs } = gapura.gapura;
  const order: MailOrder = {
    account_id: null,
    to: address,
    language: 'id',
    template: 'link_removed',
    values,
    ...changes,
  };
  const written = await inTransaction(gapura.db, (tx) => sendMail(tx, jobs, order));
  if (written.state !== 'queued') throw new Error('the mail was refused');
  return written.mail_id;
}

/** The same, given up, as the outbox leaves it. */
async function writeGivenUp(changes: Partial<MailOrder> = {}, because = 'to_550'): Promise<string> {
  const id = await write(changes);
  const end = { given_up_at: sql<Date>`gapura_now()`, because, secret: null, tries: 3 };
  await gapura.db.updateTable('mails').set(end).where('id', '=', id).execute();
  await sql`DELETE FROM jobs.job`.execute(gapura.db);
  return id;
}

const secret = () => ({ text: 'https://gapura.example/kenari', keys: mailKeys(gapura.config) });
const rowOf = (id: string) => gapura.db.selectFrom('mails').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
/** The jobs of these mails; signing in writes mails of its own. */
const jobsOf = async (...ids: string[]) =>
  (
    await sql<{ name: string; data: object }>`SELECT name, data FROM jobs.job
      WHERE data->>'mail_id' = ANY(${ids})`.execute(gapura.db)
  ).rows;

test('tells that a mail was given up and why, the latest first; never its words, its secret or its whole address', async () => {
  const given_up = await writeGivenUp();
  const waiting = await write({ template: 'invitation', secret: secret() });
  const { body } = await admin('GET', '/mails');
  expect(body.items).toEqual([
    expect.objectContaining({ id: waiting, state: 'waiting', template: 'invitation', tries: 0, because: null }),
    {
      id: given_up,
      created_at: expect.any(String),
      template: 'link_removed',
      language: 'id',
      address: 'kan********@********',
      state: 'given_up',
      tries: 3,
      because: 'to_550',
      is_resendable: true,
    },
  ]);
  const desk = await openConsole(gapura, 'layanan');
  const pages = [await desk.get('/admin/mails'), await desk.get(`/admin/mails/${given_up}`)];
  const row = await rowOf(waiting);
  expect(row.secret).not.toBeNull();
  for (const shown of [JSON.stringify(body), ...pages.map((page) => page.body)]) {
    expect(shown).toContain('kan********@********');
    for (const private_words of ['kanari', 'surat.example', 'enari', String(row.secret)])
      expect([private_words, shown.includes(private_words)]).toEqual([private_words, false]);
  }
});

test('is narrowed by state and by kind; what was sent, void or a decoy is no failure', async () => {
  const given_up = await writeGivenUp();
  const sent = await write();
  await gapura.db.updateTable('mails').set({ sent_at: sql<Date>`gapura_now()` }).where('id', '=', sent).execute();
  const over = await writeGivenUp({ template: 'recovery_code', secret: { ...secret(), text: 'AAAACCCC' } }, 'void');
  const decoy = await write({ template: 'recovery_code', secret: { ...secret(), text: 'AAAACCCC' }, is_decoy: true });
  const idsOf = async (query: string) =>
    (await admin('GET', `/mails?${query}`)).body.items.map(({ id }: { id: string }) => id);
  expect(await idsOf('state=given_up')).toEqual([given_up]);
  expect(await idsOf('state=sent')).toEqual([sent]);
  expect(await idsOf('state=void')).toEqual([over]);
  expect(await idsOf('state=waiting')).toEqual([]);
  expect(await idsOf('template=link_removed')).toEqual([sent, given_up]);
  expect((await admin('GET', `/mails/${decoy}`)).status).toBe(404);
  const home = await (await openConsole(gapura, 'layanan')).get('/admin');
  expect(home.body).toContain('href="/admin/mails?state=given_up"');
  await gapura.db.deleteFrom('mails').where('id', '=', given_up).execute();
  expect((await (await openConsole(gapura, 'layanan')).get('/admin')).body).not.toContain('/admin/mails?state');
});

test('the service desk sends one again: it waits anew, with one job, and the audit says who did it', async () => {
  const id = await writeGivenUp();
  const desk = await openConsole(gapura, 'layanan');
  const page = await desk.get(`/admin/mails/${id}`);
  expect(page.body).toContain('Kirim Ulang Surat');
  const done = await submitWell(desk, await desk.get(`/admin/mails/${id}/resend`), {});
  expect(done.body).toContain('Surat menunggu dikirim.');
  expect(await rowOf(id)).toMatchObject({ given_up_at: null, because: null, sent_at: null, to_address: address });
  expect(await jobsOf(id)).toEqual([{ name: 'mail', data: { mail_id: id } }]);
  const [row, ...more] = await listOperations(gapura, 'mails', id);
  expect([row?.detail, more]).toEqual([{ resource: 'mails', id, operation: 'resend' }, []]);
});

test('ten who send it again at once send it once', async () => {
  const id = await writeGivenUp();
  const answers = await storm(10, () => ({
    url: `${gapura.url}/api/v1/mails/${id}/resend`,
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: '{}',
  }));
  expect(answers.map(({ status }) => status).toSorted()).toEqual([200, ...Array(9).fill(409)]);
  expect(await jobsOf(id)).toHaveLength(1);
});

test('what carried a secret, waits or was sent is not sent again, and the page says why', async () => {
  const erased = await writeGivenUp({ template: 'invitation', secret: secret() });
  const waiting = await write();
  const sent = await write();
  await gapura.db.updateTable('mails').set({ sent_at: sql<Date>`gapura_now()` }).where('id', '=', sent).execute();
  await sql`DELETE FROM jobs.job`.execute(gapura.db);
  for (const id of [erased, waiting, sent]) {
    const before = await rowOf(id);
    const found = await admin('GET', `/mails/${id}`);
    const answer = await admin('POST', `/mails/${id}/resend`, {});
    expect([found.body.is_resendable, answer.status]).toEqual([false, 409]);
    expect(await rowOf(id)).toEqual(before);
  }
  expect(await jobsOf(erased, waiting, sent)).toEqual([]);
  const desk = await openConsole(gapura, 'layanan');
  const page = await desk.get(`/admin/mails/${erased}`);
  expect(page.body).toContain('tidak dapat dikirim ulang');
  expect(page.body).not.toContain('Kirim Ulang Surat');
});

test('an auditor sees and sends nothing; an agency officer and Tono see nothing', async () => {
  const id = await writeGivenUp();
  const auditor = await openConsole(gapura, 'pemeriksa');
  expect((await auditor.get(`/admin/mails/${id}`)).status).toBe(200);
  expect((await auditor.get(`/admin/mails/${id}/resend`)).status).toBe(403);
  const tokenOf = await openPersonClient(gapura, 'aplikasi-pemeriksa');
  const asked = newApiClient(gapura.url, await tokenOf(newHttpVisitor(gapura.url), 'pemeriksa'));
  expect((await asked('POST', `/mails/${id}/resend`, {})).status).toBe(403);
  const officer = await openConsole(gapura, 'petugas');
  expect((await officer.get('/admin/mails')).status).toBe(403);
  expect([403, 404]).toContain((await officer.get(`/admin/mails/${id}`)).status);
  const tono = newHttpVisitor(gapura.url);
  expect((await signIn(tono, await tono.get('/admin/mails'), 'tono')).status).toBe(403);
  expect((await rowOf(id)).given_up_at).not.toBeNull();
  expect(await jobsOf(id)).toEqual([]);
});
