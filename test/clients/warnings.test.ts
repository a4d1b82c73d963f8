/** Whoever is in charge hears once, and in time, that a secret is about to end. */

import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { saveClient } from '../../src/clients/client.ts';
import { issueClientSecret } from '../../src/clients/secrets.ts';
import { warnOfSecrets } from '../../src/clients/warnings.ts';
import { now } from '../../src/clock.ts';
import { inTransaction } from '../../src/database.ts';
import { writeMail } from '../../src/delivery/outbox.ts';
import { startGapura, type TestGapura } from '../support/gapura.ts';

let gapura: TestGapura;

beforeAll(async () => {
  gapura = await startGapura();
});

beforeEach(async () => {
  await gapura.db.deleteFrom('mails').execute();
});

afterAll(() => gapura.stop());

/** A client with a secret that ends in so many days. */
async function addClient(id: string, days: number, more: { agency_code?: string; contacts?: string[] }): Promise<void> {
  const { agency_code, contacts } = more;
  const store = gapura.gapura.clients;
  await saveClient(store, {
    id,
    ...(agency_code ? { agency_code } : {}),
    metadata: {
      client_name: `Aplikasi ${id}`,
      redirect_uris: ['https://uji.contoh.example/'],
      ...(contacts ? { contacts } : {}),
    },
  });
  const expires_at = new Date(now().getTime() + days * 86_400_000);
  await inTransaction(gapura.db, (tx) => issueClientSecret(tx, store, id, { by: null, expires_at }));
}

const warn = () => warnOfSecrets(gapura.db, gapura.gapura.jobs);
const listMails = () =>
  gapura.db
    .selectFrom('mails')
    .select(['to_address', 'language', 'template', 'values', 'account_id'])
    .orderBy('to_address')
    .execute();

test('the contacts and the officers of the agency, each once, however many duties run', async () => {
  await addClient('segera', 10, {
    agency_code: 'BPOM',
    contacts: ['pengelola@contoh.example', 'petugas@contoh.example'],
  });
  const told = await Promise.all([warn(), warn(), warn()]);
  expect(told.sort()).toEqual([0, 0, 1]);
  const mails = await listMails();
  expect(mails.map(({ to_address }) => to_address)).toEqual(['pengelola@contoh.example', 'petugas@contoh.example']);
  expect(mails[0]).toMatchObject({ language: 'id', account_id: null, template: 'client_secret_expiring' });
  expect(mails[1]?.account_id).not.toBeNull();
  for (const language of ['id', 'en'] as const) {
    const { subject, text } = writeMail({
      language,
      template: 'client_secret_expiring',
      values: mails[0]?.values ?? {},
    });
    expect(subject).toContain('Aplikasi segera');
    expect(text).toContain('segera');
    expect(text).not.toMatch(/gapura_secret_|\{/);
  }
  expect(await warn()).toBe(0);
});

test('nobody of another agency, nobody too early, and nobody about a client that is switched off', async () => {
  await addClient('bea', 10, { agency_code: 'DJBC', contacts: ['bea@contoh.example'] });
  await addClient('nanti', 40, { agency_code: 'BPOM' });
  await addClient('mati', 10, { agency_code: 'BPOM' });
  await gapura.db.updateTable('clients').set({ active: false }).where('id', '=', 'mati').execute();
  expect(await warn()).toBe(1);
  expect((await listMails()).map(({ to_address }) => to_address)).toEqual(['bea@contoh.example']);
});

test('is told later where there was nobody to tell', async () => {
  await addClient('sepi', 5, {});
  expect(await warn()).toBe(0);
  await gapura.db.updateTable('clients').set({ agency_code: 'BPOM' }).where('id', '=', 'sepi').execute();
  expect(await warn()).toBe(1);
});
