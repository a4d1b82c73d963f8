/** A user name that two people have proven: it passes by an officer's decision alone, once, with everything that hangs on it. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type Database, inTransaction, openDatabase } from '../../src/database.ts';
import type { LinkStore } from '../../src/links/link.ts';
import { listDecided, listRequests } from '../../src/links/requests.ts';
import { findServingLink, listLinks, markStale } from '../../src/links/store.ts';
import { decideTransfer, type TransferDecision } from '../../src/links/transfer.ts';
import { addPerson, findOrganisationOf } from '../../src/organisations/organisation.ts';
import {
  from_here,
  linkAs,
  openTestLinks,
  proveAs,
  registerApplication,
  startApplication,
  type TestApplication,
} from '../support/application.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { startGapura, type TestGapura } from '../support/gapura.ts';
import { findAccountId } from '../support/nodes.ts';

let gapura: TestGapura;
let application: TestApplication;
let links: LinkStore & { close(): Promise<void> };
let db: Database;
let petugas: string;
const day = 86_400;

beforeAll(async () => {
  gapura = await startGapura();
  application = await startApplication();
  db = gapura.db;
  links = await openTestLinks(gapura);
  petugas = await findAccountId(gapura, 'petugas');
});

beforeEach(() => registerApplication(gapura, 'satu', application));

afterEach(async () => {
  await resetClock(db);
  for (const table of ['link_requests', 'links', 'applications', 'mails', 'limits'] as const)
    await db.deleteFrom(table).execute();
});

afterAll(async () => {
  await links.close();
  await application.stop();
  await gapura.stop();
});

const idOf = (person: string) => findAccountId(gapura, person);
const linksOf = async (person: string) => listLinks(db, await idOf(person), 'satu');
const waiting = async (person: string) => {
  const asked = db
    .selectFrom('link_requests')
    .select('id')
    .where('account_id', '=', await idOf(person));
  return (await asked.where('decision', 'is', null).executeTakeFirstOrThrow()).id;
};

/** The first links the name, the second proves it and waits. */
async function contest(holder: string, claimant: string, username = 'user_bpom'): Promise<string> {
  await linkAs(links, holder, 'satu', username);
  expect(await proveAs(links, claimant, 'satu', username)).toEqual({ state: 'held', username });
  await db.deleteFrom('mails').execute();
  return waiting(claimant);
}

const decide = (id: string, decision: 'granted' | 'refused', changes: Partial<TransferDecision> = {}, at = db) =>
  inTransaction(at, (tx) =>
    decideTransfer(links, tx, {
      id,
      decision,
      by: petugas,
      because: decision === 'refused' ? 'Bukti belum cukup' : '',
      application_name: 'Aplikasi satu',
      request: from_here,
      ...changes,
    }),
  );

async function mails(): Promise<[string, string][]> {
  const rows = await db.selectFrom('mails').select(['to_address', 'template']).orderBy('template').execute();
  return rows.map(({ to_address, template }) => [to_address, template]);
}

async function holders(): Promise<string[]> {
  const rows = await db.selectFrom('link_holders').select('holder_id').execute();
  return rows.map(({ holder_id }) => holder_id);
}

describe('granted', () => {
  test('the name passes with what the application said of it, and everybody is told', async () => {
    const id = await contest('budi', 'tono');
    expect(await decide(id, 'granted')).toEqual({ state: 'decided' });
    expect(await linksOf('budi')).toEqual([]);
    expect(await linksOf('tono')).toMatchObject([
      { subject: 's-pangan', username: 'user_bpom', display_name: 'PT user_bpom', directorate: 'PANGAN' },
    ]);
    expect(await holders()).toEqual([await idOf('tono')]);
    expect(await mails()).toEqual([
      ['tono@contoh.example', 'link_transfer_granted'],
      ['budi@contoh.example', 'link_transferred_away'],
    ]);
    const audit = db.selectFrom('audit_events').select(['kind', 'account_id', 'actor_id', 'detail']);
    expect(await audit.orderBy('id', 'desc').limit(2).execute()).toEqual([
      {
        ...{ kind: 'link_removed', account_id: await idOf('budi'), actor_id: petugas },
        detail: { application: 'satu', transferred: true },
      },
      {
        ...{ kind: 'link_transfer_decided', account_id: await idOf('tono'), actor_id: petugas },
        detail: { application: 'satu', decision: 'granted' },
      },
    ]);
    expect(await listDecided(db, await idOf('tono'), 'satu')).toMatchObject([
      { username: 'user_bpom', decision: 'granted', because: null },
    ]);
  });

  test('whoever loses the main name keeps another as the main one, and the heir’s own main one stays', async () => {
    await linkAs(links, 'tono', 'satu', 'user_umum');
    const id = await contest('budi', 'tono');
    await linkAs(links, 'budi', 'satu', 'user_bpom_ot');
    await decide(id, 'granted');
    expect(await linksOf('budi')).toMatchObject([{ username: 'user_bpom_ot', is_default: true }]);
    expect(await linksOf('tono')).toMatchObject([
      { username: 'user_umum', is_default: true },
      { username: 'user_bpom', is_default: false },
    ]);
  });

  test('the proof is as old as it is, and what the application said since holds against it', async () => {
    const id = await contest('budi', 'tono');
    const [asked] = await listRequests(db, await idOf('tono'), 'satu');
    await moveClock(db, 40 * day);
    await inTransaction(db, (tx) => markStale(tx, 'satu', 's-pangan'));
    await decide(id, 'granted');
    const [link] = await linksOf('tono');
    expect(link?.verified_at).toEqual(asked?.proved_at);
    expect(link).toMatchObject({ is_stale: true });
    expect(await findServingLink(db, await idOf('tono'), 'satu', undefined)).toBeUndefined();
    await linkAs(links, 'tono', 'satu', 'user_bpom');
    expect(await linksOf('tono')).toMatchObject([{ is_stale: false }]);
  });

  test('of a name that its holder gave up meanwhile takes it from nobody', async () => {
    const id = await contest('budi', 'tono');
    await db
      .deleteFrom('links')
      .where('account_id', '=', await idOf('budi'))
      .execute();
    expect(await holders()).toEqual([]);
    expect(await decide(id, 'granted')).toEqual({ state: 'decided' });
    expect(await holders()).toEqual([await idOf('tono')]);
    expect(await mails()).toEqual([['tono@contoh.example', 'link_transfer_granted']]);
  });

  test('where companies share, it passes from all of one company to the other', async () => {
    await registerApplication(gapura, 'satu', application, { sharing: 'same_organisation' });
    const id = await contest('budi', 'tono');
    await linkAs(links, 'sari', 'satu', 'user_bpom');
    await db.deleteFrom('mails').execute();
    await decide(id, 'granted');
    expect([await linksOf('budi'), await linksOf('sari')]).toEqual([[], []]);
    expect(await holders()).toEqual([(await findOrganisationOf(db, await idOf('tono')))?.id]);
    expect((await mails()).map(([, template]) => template)).toEqual([
      'link_transfer_granted',
      'link_transferred_away',
      'link_transferred_away',
    ]);
  });

  test('where the one who asks has come to the company that holds it, it is shared and nobody loses it', async () => {
    await registerApplication(gapura, 'satu', application, { sharing: 'same_organisation' });
    const id = await contest('budi', 'petugas');
    const company = (await findOrganisationOf(db, await idOf('budi')))?.id ?? '';
    await addPerson(db, petugas, company);
    expect(await decide(id, 'granted', { by: await idOf('admin') })).toEqual({ state: 'decided' });
    expect([(await linksOf('budi')).length, (await linksOf('petugas')).length]).toEqual([1, 1]);
    expect(await holders()).toEqual([company]);
    await db.deleteFrom('account_organisations').where('account_id', '=', petugas).execute();
  });
});

describe('refused', () => {
  test('nothing changes but that the one who asked is told why, and may ask again', async () => {
    const id = await contest('budi', 'tono');
    expect(await decide(id, 'refused')).toEqual({ state: 'decided' });
    expect([(await linksOf('budi')).length, await linksOf('tono')]).toEqual([1, []]);
    expect(await mails()).toEqual([['tono@contoh.example', 'link_transfer_refused']]);
    const [mail] = await db.selectFrom('mails').select('values').execute();
    expect(mail?.values).toMatchObject({ because: 'Bukti belum cukup', application: 'Aplikasi satu' });
    expect(await listDecided(db, await idOf('tono'), 'satu')).toMatchObject([
      { decision: 'refused', because: 'Bukti belum cukup' },
    ]);
    expect(await listDecided(db, await idOf('budi'), 'satu')).toEqual([]);
    await proveAs(links, 'tono', 'satu', 'user_bpom');
    // What waits again is no longer refused.
    expect(await listDecided(db, await idOf('tono'), 'satu')).toEqual([]);
    expect(await listRequests(db, await idOf('tono'), 'satu')).toHaveLength(1);
  });

  test('is told for thirty days', async () => {
    await decide(await contest('budi', 'tono'), 'refused');
    await moveClock(db, 30 * day - 60);
    expect(await listDecided(db, await idOf('tono'), 'satu')).toHaveLength(1);
    await moveClock(db, 30 * day + 60);
    expect(await listDecided(db, await idOf('tono'), 'satu')).toEqual([]);
  });
});

test('who asks, and who holds it, decide nothing', async () => {
  const id = await contest('budi', 'tono');
  for (const person of ['budi', 'tono'])
    for (const decision of ['granted', 'refused'] as const)
      expect([person, await decide(id, decision, { by: await idOf(person) })]).toEqual([
        person,
        { state: 'refused', because: 'own' },
      ]);
  expect(await mails()).toEqual([]);
  expect(await listRequests(db, await idOf('tono'), 'satu')).toHaveLength(1);
});

test('a request that was decided, or never was, is decided no more', async () => {
  const id = await contest('budi', 'tono');
  await decide(id, 'refused');
  expect(await decide(id, 'granted')).toEqual({ state: 'conflict' });
  expect(await decide('00000000-0000-4000-8000-000000000001', 'granted')).toEqual({ state: 'conflict' });
  expect(await linksOf('tono')).toEqual([]);
});

test('of 40 decisions at once on two nodes, for and against, one counts', async () => {
  const id = await contest('budi', 'tono');
  const other = openDatabase(gapura.database_url, { max: 20, application_name: 'other' });
  const outcomes = await Promise.all(
    Array.from({ length: 40 }, (_, at) =>
      decide(id, at % 3 === 0 ? 'granted' : 'refused', {}, at % 2 === 0 ? db : other),
    ),
  );
  await other.destroy();
  const won = outcomes.flatMap(({ state }, at) => (state === 'decided' ? [at % 3 === 0 ? 'granted' : 'refused'] : []));
  expect(won).toHaveLength(1);
  const [row] = await db.selectFrom('link_requests').select('decision').execute();
  expect(row?.decision).toBe(won[0]);
  const [loses, wins] = won[0] === 'granted' ? ['budi', 'tono'] : ['tono', 'budi'];
  expect([(await linksOf(loses ?? '')).length, (await linksOf(wins ?? '')).length]).toEqual([0, 1]);
  expect(await holders()).toEqual([await idOf(wins ?? '')]);
  expect((await mails()).filter(([to]) => to === 'tono@contoh.example')).toHaveLength(1);
});
