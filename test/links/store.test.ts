/** The SQL of links: one holder to a name, one default to a person and application, and which link serves. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type ControlledTransaction, sql } from 'kysely';
import { saveApplication } from '../../src/applications/application.ts';
import { type Database, inTransaction, openDatabase, type Transaction } from '../../src/database.ts';
import { listHolders, takeName } from '../../src/links/holders.ts';
import { purgeNotices, takeNotice } from '../../src/links/notices.ts';
import { addRequest, listRequests } from '../../src/links/requests.ts';
import {
  deleteLink,
  findLink,
  findServingLink,
  type Link,
  labelLink,
  lineUp,
  listLinks,
  makeDefault,
  markStale,
  type ProvenName,
  writeLink,
} from '../../src/links/store.ts';
import { saveAgency } from '../../src/organisations/agency.ts';
import type { Tables } from '../../src/tables.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { until } from '../support/nodes.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let db: Database;
/** A second node's connections. */
let other: Database;
let budi: string;
let sari: string;
let tono: string;
const open: ControlledTransaction<Tables>[] = [];
const day = 86_400;

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  other = openDatabase(database.url, { max: 30, application_name: 'other' });
  await saveAgency(db, { code: 'BPOM', name: 'Badan', name_en: 'Agency' });
  const people = ['Budi', 'Sari', 'Tono'].map((full_name) => ({ full_name }));
  const rows = await db.insertInto('accounts').values(people).returning('id').execute();
  [budi = '', sari = '', tono = ''] = rows.map(({ id }) => id);
});

beforeEach(async () => {
  for (const id of ['satu', 'dua']) {
    await saveApplication(db, {
      id,
      agency_code: 'BPOM',
      name: id,
      about: '',
      about_en: '',
      url: `http://${id}.example/`,
      verifier: 'http',
      verifier_settings: '{}',
      active: true,
      proof_lasts: null,
    });
  }
});

afterEach(async () => {
  for (const tx of open.splice(0)) if (!tx.isCommitted) await tx.rollback().execute();
  await resetClock(db);
  for (const table of ['links', 'link_holders', 'link_requests', 'link_notices'] as const)
    await db.deleteFrom(table).execute();
});

afterAll(async () => {
  await other.destroy();
  await database.drop();
});

const name = (subject: string, changes: Partial<ProvenName> = {}): ProvenName => ({
  subject,
  username: `user_${subject}`,
  display_name: null,
  directorate: null,
  ...changes,
});

/** A link as it comes about: lined up, the name taken, the row written. */
function link(person: string, subject: string, changes: Partial<ProvenName> = {}, application = 'satu') {
  return inTransaction(db, async (tx) => {
    await lineUp(tx, person, application);
    if (!(await takeName(tx, application, subject, person))) throw new Error(`${subject} is held by another`);
    return writeLink(tx, person, application, name(subject, changes));
  });
}

const holders = async () => {
  const rows = await db.selectFrom('link_holders').selectAll().orderBy('application_id').execute();
  return rows.map(({ application_id, subject, holder_id }) => [application_id, subject, holder_id]);
};

const serving = async (directorate?: string, application = 'satu') =>
  (await findServingLink(db, budi, application, directorate))?.subject;

/** A transaction that is left open, on a connection of the other node; what a test leaves open is rolled back after it. */
async function openTransaction() {
  const tx = await other.startTransaction().execute();
  open.push(tx);
  return { tx: tx as unknown as Transaction, commit: () => tx.commit().execute() };
}

/** Whether somebody waits for a lock that another holds. */
const isWaiting = async () =>
  (await sql`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`.execute(db))
    .rows.length > 0;

describe('a name', () => {
  test('is the first taker’s, at one application, until nobody is linked to it', async () => {
    const { id } = await link(budi, 's');
    expect(await inTransaction(db, (tx) => takeName(tx, 'satu', 's', budi))).toBe(true);
    expect(await inTransaction(db, (tx) => takeName(tx, 'satu', 's', tono))).toBe(false);
    await link(tono, 's', {}, 'dua');
    expect(await holders()).toEqual([
      ['dua', 's', tono],
      ['satu', 's', budi],
    ]);
    await inTransaction(db, (tx) => deleteLink(tx, budi, id));
    await link(tono, 's');
    expect(await holders()).toEqual([
      ['dua', 's', tono],
      ['satu', 's', tono],
    ]);
  });

  test('of 50 takers at once on two nodes has one holder', async () => {
    const all = Array.from({ length: 50 }, (_, at) =>
      inTransaction(at % 2 === 0 ? db : other, (tx) => takeName(tx, 'satu', 's', at % 2 === 0 ? budi : tono)),
    );
    const taken = await Promise.all(all);
    const [[, , holder] = []] = await holders();
    expect(taken).toEqual(taken.map((_, at) => (at % 2 === 0 ? budi : tono) === holder));
    expect(await holders()).toHaveLength(1);
  });

  test('stays held while one of several who share it is linked', async () => {
    const company = '00000000-0000-4000-8000-0000000000aa';
    const share = (person: string) =>
      inTransaction(db, async (tx) => {
        if (!(await takeName(tx, 'satu', 's', company))) throw new Error('held');
        return writeLink(tx, person, 'satu', name('s'));
      });
    const [one, two] = [await share(budi), await share(sari)];
    await inTransaction(db, (tx) => deleteLink(tx, budi, one.id));
    expect(await holders()).toEqual([['satu', 's', company]]);
    await inTransaction(db, (tx) => deleteLink(tx, sari, two.id));
    expect(await holders()).toEqual([]);
  });

  test('that one gives up while another who shares it is just being linked stays held', async () => {
    const company = '00000000-0000-4000-8000-0000000000aa';
    const { id } = await inTransaction(db, async (tx) => {
      await takeName(tx, 'satu', 's', company);
      return writeLink(tx, budi, 'satu', name('s'));
    });
    const { tx, commit } = await openTransaction();
    await takeName(tx, 'satu', 's', company);
    await writeLink(tx, sari, 'satu', name('s'));
    const removal = inTransaction(db, (own) => deleteLink(own, budi, id));
    await until(isWaiting);
    await commit();
    await removal;
    expect(await listHolders(db, 'satu', 's')).toEqual([sari]);
    expect(await holders()).toEqual([['satu', 's', company]]);
  });

  test('that two who share it give up at once is free', async () => {
    const company = '00000000-0000-4000-8000-0000000000aa';
    const ids = await inTransaction(db, async (tx) => {
      await takeName(tx, 'satu', 's', company);
      return [(await writeLink(tx, budi, 'satu', name('s'))).id, (await writeLink(tx, sari, 'satu', name('s'))).id];
    });
    const { tx, commit } = await openTransaction();
    await deleteLink(tx, budi, ids[0] ?? '');
    const removal = inTransaction(db, (own) => deleteLink(own, sari, ids[1] ?? ''));
    await until(isWaiting);
    await commit();
    await removal;
    expect(await holders()).toEqual([]);
  });

  test('is free when its person is deleted, unless another shares it', async () => {
    const person = { full_name: 'Sementara' };
    const { id } = await db.insertInto('accounts').values(person).returning('id').executeTakeFirstOrThrow();
    await link(id, 's');
    await link(budi, 't');
    const company = '00000000-0000-4000-8000-0000000000aa';
    for (const sharer of [id, sari])
      await inTransaction(db, async (tx) => {
        await takeName(tx, 'dua', 's', company);
        await writeLink(tx, sharer, 'dua', name('s'));
      });
    await db.deleteFrom('accounts').where('id', '=', id).execute();
    expect((await holders()).sort()).toEqual([
      ['dua', 's', company],
      ['satu', 't', budi],
    ]);
    await link(tono, 's');
    expect(await listHolders(db, 'satu', 's')).toEqual([tono]);
  });
});

describe('a link', () => {
  test('is written once; proven again it keeps its place, its name and its beginning', async () => {
    const first = await link(budi, 's', { display_name: 'Lama', directorate: 'OT' });
    expect(first).toMatchObject({ is_new: true, is_default: true, stale_at: null, label: null });
    await inTransaction(db, (tx) => labelLink(tx, budi, first.id, 'kantor'));
    await inTransaction(db, (tx) => markStale(tx, 'satu', 's'));
    await moveClock(db, day);
    const second = await link(budi, 's', { username: 'baru', display_name: 'Baru', directorate: 'PANGAN' });
    expect(second).toMatchObject({
      ...{ id: first.id, is_new: false, is_default: true, label: 'kantor', stale_at: null },
      ...{ username: 'baru', display_name: 'Baru', directorate: 'PANGAN', created_at: first.created_at },
    });
    expect(second.verified_at.getTime() - first.verified_at.getTime()).toBeGreaterThanOrEqual((day - 1) * 1000);
    expect(await listLinks(db, budi, 'satu')).toHaveLength(1);
  });

  test('is found, named and deleted by its own person alone', async () => {
    const { id } = await link(budi, 's');
    expect(await findLink(db, budi, id)).toMatchObject({ id, application_name: 'satu', is_stale: false });
    expect(await findLink(db, tono, id)).toBeUndefined();
    await inTransaction(db, async (tx) => {
      expect(await labelLink(tx, tono, id, 'curian')).toBeUndefined();
      expect(await deleteLink(tx, tono, id)).toBeUndefined();
    });
    expect(await findLink(db, budi, id)).toMatchObject({ label: null });
    expect(await listLinks(db, tono, 'satu')).toEqual([]);
  });
});

describe('the default', () => {
  const defaults = async () =>
    (await listLinks(db, budi, 'satu')).filter((one) => one.is_default).map((one) => one.subject);

  test('is the first, at each application, until another is chosen', async () => {
    await link(budi, 'a');
    const { id: _, is_new: __, ...second } = await link(budi, 'b');
    expect(second.is_default).toBe(false);
    expect((await link(budi, 'a', {}, 'dua')).is_default).toBe(true);
    const chosen = (await listLinks(db, budi, 'satu')).find(({ subject }) => subject === 'b');
    await inTransaction(db, (tx) => makeDefault(tx, chosen as NonNullable<typeof chosen>));
    expect(await defaults()).toEqual(['b']);
    expect((await listLinks(db, budi, 'satu')).map(({ subject }) => subject)).toEqual(['b', 'a']);
    expect((await listLinks(db, budi, 'dua')).map(({ is_default }) => is_default)).toEqual([true]);
  });

  test('passes to the oldest that is left when it is removed, and stays when another is', async () => {
    const [a, b] = [await link(budi, 'a'), await link(budi, 'b')];
    await link(budi, 'c');
    await link(budi, 'd');
    await inTransaction(db, (tx) => makeDefault(tx, b));
    await inTransaction(db, (tx) => deleteLink(tx, budi, a.id));
    expect(await defaults()).toEqual(['b']);
    await inTransaction(db, (tx) => deleteLink(tx, budi, b.id));
    expect(await defaults()).toEqual(['c']);
  });

  test('is one after 50 who choose at once on two nodes, and after removals among them', async () => {
    const links: Link[] = [];
    for (const subject of ['a', 'b', 'c', 'd', 'e', 'f']) links.push(await link(budi, subject));
    const choose = (at: number) =>
      inTransaction(at % 2 === 0 ? db : other, async (tx) => {
        await lineUp(tx, budi, 'satu');
        const wanted = links[at % links.length] as Link;
        if (at % 10 === 9) return void (await deleteLink(tx, budi, wanted.id));
        if (await findLink(tx, budi, wanted.id)) await makeDefault(tx, wanted);
      });
    await Promise.all(Array.from({ length: 50 }, (_, at) => choose(at)));
    expect(await listLinks(db, budi, 'satu')).toHaveLength(3);
    expect(await defaults()).toHaveLength(1);
  });

  test('is one after 50 first links at once', async () => {
    await Promise.all(
      Array.from({ length: 50 }, (_, at) =>
        inTransaction(at % 2 === 0 ? db : other, async (tx) => {
          await lineUp(tx, budi, 'satu');
          await takeName(tx, 'satu', `s${at}`, budi);
          await writeLink(tx, budi, 'satu', name(`s${at}`));
        }),
      ),
    );
    expect(await listLinks(db, budi, 'satu')).toHaveLength(50);
    expect(await defaults()).toHaveLength(1);
  });
});

describe('the link that serves', () => {
  test('is the one of the chosen directorate, else one that belongs to none, never another’s', async () => {
    await link(budi, 'pangan', { directorate: 'PANGAN' });
    await link(budi, 'ot', { directorate: 'OT' });
    expect([await serving('PANGAN'), await serving('OT'), await serving('NAPZA')]).toEqual(['pangan', 'ot', undefined]);
    const any = await link(budi, 'umum');
    await inTransaction(db, (tx) => makeDefault(tx, any));
    expect([await serving('PANGAN'), await serving('OT'), await serving('NAPZA')]).toEqual(['pangan', 'ot', 'umum']);
    expect(await serving()).toBe('umum');
  });

  test('is the default among several of one directorate, and where none is chosen', async () => {
    await link(budi, 'a', { directorate: 'OT' });
    const b = await link(budi, 'b', { directorate: 'OT' });
    expect([await serving('OT'), await serving()]).toEqual(['a', 'a']);
    await inTransaction(db, (tx) => makeDefault(tx, b));
    expect([await serving('OT'), await serving()]).toEqual(['b', 'b']);
  });

  test('is none that the application called stale, for whom another stands in', async () => {
    await link(budi, 'a');
    await link(budi, 'b');
    await inTransaction(db, (tx) => markStale(tx, 'satu', 'a'));
    expect(await serving()).toBe('b');
    await inTransaction(db, (tx) => markStale(tx, 'satu', 'b'));
    expect(await serving()).toBeUndefined();
    await link(budi, 'a');
    expect(await serving()).toBe('a');
  });

  test('is none whose proof has run out', async () => {
    await db.updateTable('applications').set({ proof_lasts: 30 }).where('id', '=', 'satu').execute();
    await link(budi, 'a');
    await moveClock(db, 30 * day - 60);
    expect(await serving()).toBe('a');
    await moveClock(db, 30 * day + 1);
    expect(await serving()).toBeUndefined();
    expect(await listLinks(db, budi, 'satu')).toMatchObject([{ is_stale: true, stale_at: null }]);
    await link(budi, 'a');
    expect(await serving()).toBe('a');
  });

  test('is none of an application that is closed, of another application or another person', async () => {
    await link(budi, 'a', {}, 'dua');
    await link(tono, 'b');
    expect(await serving()).toBeUndefined();
    expect(await serving(undefined, 'dua')).toBe('a');
    await db.updateTable('applications').set({ active: false }).where('id', '=', 'dua').execute();
    expect(await serving(undefined, 'dua')).toBeUndefined();
  });
});

describe('a request for a held name', () => {
  const ask = (person: string, subject = 's') =>
    inTransaction(db, (tx) => addRequest(tx, person, 'satu', name(subject)));

  test('waits once, for its person alone, and can be made anew once it is decided', async () => {
    expect([await ask(tono), await ask(tono), await ask(sari), await ask(tono, 't')]).toEqual([
      true,
      false,
      true,
      true,
    ]);
    expect(await listRequests(db, tono, 'satu')).toMatchObject([{ username: 'user_s' }, { username: 'user_t' }]);
    expect(await listRequests(db, budi, 'satu')).toEqual([]);
    await db.updateTable('link_requests').set({ decision: 'refused' }).where('account_id', '=', tono).execute();
    expect(await listRequests(db, tono, 'satu')).toEqual([]);
    expect(await ask(tono)).toBe(true);
  });

  test('asked 50 times at once is one row', async () => {
    const asked = await Promise.all(
      Array.from({ length: 50 }, (_, at) =>
        inTransaction(at % 2 === 0 ? db : other, (tx) => addRequest(tx, tono, 'satu', name('s'))),
      ),
    );
    expect(asked.filter(Boolean)).toHaveLength(1);
    expect(await listRequests(db, tono, 'satu')).toHaveLength(1);
  });
});

describe('a notice', () => {
  const take = (jti: string, application = 'satu', at = db) =>
    inTransaction(at, (tx) => takeNotice(tx, application, jti));

  test('is taken once for each application, also of 50 at once', async () => {
    expect([await take('a'), await take('a'), await take('a', 'dua'), await take('b')]).toEqual([
      true,
      false,
      true,
      true,
    ]);
    const all = Array.from({ length: 50 }, (_, at) => take('c', 'satu', at % 2 === 0 ? db : other));
    expect((await Promise.all(all)).filter(Boolean)).toHaveLength(1);
  });

  test('marks every link of its subject at its application, once', async () => {
    await link(budi, 's');
    await inTransaction(db, (tx) => writeLink(tx, sari, 'satu', name('s')));
    await link(budi, 't');
    await link(tono, 's', {}, 'dua');
    const mark = () => inTransaction(db, (tx) => markStale(tx, 'satu', 's'));
    expect((await mark()).sort()).toEqual([budi, sari].sort());
    expect(await mark()).toEqual([]);
    const stale = await db
      .selectFrom('links')
      .select(['subject', 'application_id'])
      .where('stale_at', 'is not', null)
      .execute();
    expect(stale).toEqual([
      { subject: 's', application_id: 'satu' },
      { subject: 's', application_id: 'satu' },
    ]);
  });

  test('is remembered for a day, which is longer than it can be sent again', async () => {
    await take('a');
    await moveClock(db, day - 60);
    expect(await purgeNotices(db)).toBe(0);
    await moveClock(db, day + 60);
    expect(await purgeNotices(db)).toBe(1);
  });
});
