/** Clients kept in memory: not read twice, and never older than the request that asks for them, on either node. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { endClientSecret, issueClientSecret } from '../../../src/clients/secrets.ts';
import { now } from '../../../src/clock.ts';
import { inTransaction } from '../../../src/database.ts';
import { saveAgency } from '../../../src/organisations/agency.ts';
import { type Gapura, openGapura } from '../../../src/server.ts';
import { moveClock, resetClock } from '../../support/clock.ts';
import { registerClient, startGapura, type TestGapura } from '../../support/gapura.ts';
import { listStatements } from '../../support/statements.ts';

let gapura: TestGapura;
let other: Gapura;

beforeAll(async () => {
  gapura = await startGapura();
  other = await openGapura(gapura.config, pino({ level: 'silent' }));
  await saveAgency(gapura.db, { code: 'UJI', name: 'Badan Uji', name_en: 'Agency' });
  await registerClient(gapura, 'layanan', {
    agency_code: 'UJI',
    metadata: { token_endpoint_auth_method: 'client_secret_jwt', token_endpoint_auth_signing_alg: 'HS256' },
  });
});

afterAll(async () => {
  await resetClock(gapura.db);
  await other?.close();
  await gapura?.stop();
});

/** The client on both nodes, asked for at once. */
const find = () =>
  Promise.all([gapura.gapura, other].map(({ engine }) => engine.provider.Client.find('layanan'))) as Promise<
    Record<string, unknown>[]
  >;

const issue = (expires_at: Date | null = null) =>
  inTransaction(gapura.db, (tx) => issueClientSecret(tx, gapura.gapura.clients, 'layanan', { expires_at, by: null }));

test('is read once, and from then on only whether anything changed', async () => {
  await find();
  const [one] = await find();
  const texts = await listStatements(async () => {
    expect((await find())[0]).toBe(one);
  });
  // The watch's own look at the topics is left out of the list, and so is this one.
  expect(texts).toEqual([]);
});

test('a change is seen by the next request, everywhere', async () => {
  await find();
  const { db } = gapura;
  await db.updateTable('clients').set({ link_required: true }).where('id', '=', 'layanan').execute();
  expect(await find()).toMatchObject([{ link_required: true }, { link_required: true }]);
  await db.updateTable('agencies').set({ name: 'Badan yang Lain' }).where('code', '=', 'UJI').execute();
  expect(await find()).toMatchObject([{ agency_name: 'Badan yang Lain' }, { agency_name: 'Badan yang Lain' }]);
});

test('what is not committed is not seen, and what is undone never was', async () => {
  await find();
  const undone = inTransaction(gapura.db, async (tx) => {
    await tx.updateTable('clients').set({ claim_shape: 'insw' }).where('id', '=', 'layanan').execute();
    expect(await find()).toMatchObject([{ claim_shape: 'standard' }, { claim_shape: 'standard' }]);
    throw new Error('undone');
  });
  await expect(undone).rejects.toThrow('undone');
  expect(await find()).toMatchObject([{ claim_shape: 'standard' }, { claim_shape: 'standard' }]);
});

test('a secret counts from the moment it is given until it is taken or its time is over', async () => {
  const count = async () => (await find()).map(({ secret_hashes }) => (secret_hashes as unknown[]).length);
  expect(await count()).toEqual([1, 1]);
  const given = await issue();
  expect(await count()).toEqual([2, 2]);
  await inTransaction(gapura.db, (tx) => endClientSecret(tx, 'layanan', given.state === 'issued' ? given.id : ''));
  expect(await count()).toEqual([1, 1]);
  await issue(new Date(now().getTime() + 600_000));
  expect(await count()).toEqual([2, 2]);
  await moveClock(gapura.db, 599);
  expect(await count()).toEqual([2, 2]);
  await moveClock(gapura.db, 601);
  expect(await count()).toEqual([1, 1]);
});

test('one that is switched off is nobody at once, and may come back', async () => {
  const setActive = (active: boolean) =>
    gapura.db.updateTable('clients').set({ active }).where('id', '=', 'layanan').execute();
  await find();
  await setActive(false);
  expect(await find()).toEqual([undefined, undefined]);
  await setActive(true);
  expect(await find()).toMatchObject([{ clientId: 'layanan' }, { clientId: 'layanan' }]);
});
