/** Linking: proven by the application's own password, one holder to a name, told by mail, limited, and forgotten at once. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { type Database, openDatabase } from '../../src/database.ts';
import { chooseDefault, removeLink, renameLink } from '../../src/links/changes.ts';
import type { LinkOutcome, LinkStore } from '../../src/links/link.ts';
import { listRequests } from '../../src/links/requests.ts';
import { listLinks, type ShownLink } from '../../src/links/store.ts';
import {
  from_here,
  linkAs,
  openTestLinks,
  own_names,
  own_password,
  proveAs,
  registerApplication,
  startApplication,
  type TestApplication,
} from '../support/application.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { newSignedInVisitor, registerClient, startGapura, type TestGapura } from '../support/gapura.ts';
import { findAccountId, until } from '../support/nodes.ts';
import { openParty } from '../support/relying-party.ts';

let gapura: TestGapura;
let db: Database;
let application: TestApplication;
let links: Awaited<ReturnType<typeof openTestLinks>>;
/** The audit's last row before the test; its rows are only added. */
let audited = '0';
const wrong = 'bukan kata sandinya';
const year = 365 * 86_400;

beforeAll(async () => {
  gapura = await startGapura();
  db = gapura.db;
  application = await startApplication();
  links = await openTestLinks(gapura);
  const client = await registerClient(gapura, 'pintu', { link_required: true });
  await registerApplication(gapura, 'satu', application, { client_id: client.client_id });
  await registerApplication(gapura, 'dua', application);
});

beforeEach(async () => {
  const last = db.selectFrom('audit_events').select((eb) => eb.fn.max('id').as('id'));
  audited = (await last.executeTakeFirst())?.id ?? '0';
});

afterEach(async () => {
  await resetClock(db);
  for (const table of ['links', 'link_holders', 'link_requests', 'limits', 'mails'] as const)
    await db.deleteFrom(table).execute();
  await sql`DELETE FROM jobs.job`.execute(db);
  await db.updateTable('applications').set({ sharing: 'one_person', active: true, proof_lasts: null }).execute();
  Object.assign(application, { asked: [], answer: undefined, before: async () => undefined, names: [...own_names] });
  await application.stop();
  await application.start();
});

afterAll(async () => {
  await links.close();
  await application.stop();
  await gapura.stop();
});

const prove = (person: string, username: string, password?: string, id = 'satu') =>
  proveAs(links, person, id, username, password);
const linksOf = async (person: string, id = 'satu') => listLinks(db, await findAccountId(gapura, person), id);
const requestsOf = async (person: string) => listRequests(db, await findAccountId(gapura, person), 'satu');

/** The mails of this test, in order. */
async function mails(): Promise<[string, string][]> {
  const rows = await db.selectFrom('mails').select(['to_address', 'template']).orderBy('created_at').execute();
  return rows.map(({ to_address, template }) => [to_address, template]);
}

/** The audit's rows of this test: what happened to whom, and its detail. */
async function audit(): Promise<[string, string, object][]> {
  const rows = await db
    .selectFrom('audit_events as e')
    .innerJoin('account_identifiers as i', (join) =>
      join.onRef('i.account_id', '=', 'e.account_id').on('i.kind', '=', 'username'),
    )
    .select(['e.kind', 'i.value', 'e.detail'])
    .where('e.kind', 'like', 'link_%')
    .where('e.id', '>', audited)
    .orderBy('e.id')
    .execute();
  return rows.map(({ kind, value, detail }) => [kind, value, detail]);
}

/** The same limits that never refuse, for what must hold without them. */
const withoutLimits = (store: LinkStore): LinkStore => ({
  ...store,
  limits: {
    look: async () => ({ count: 0, is_used_up: false, retry_after: 0 }),
    spend: async () => ({ state: 'allowed', count: 1 }),
    pay: async () => ({ state: 'paid', lanes: [] }),
    settle: async () => undefined,
    forget: async () => undefined,
    giveBack: async () => undefined,
  },
});

describe('a proof', () => {
  test('makes the link, tells the person, and stands in the audit', async () => {
    const outcome = await prove('budi', 'user_bpom');
    const { link } = outcome as Extract<LinkOutcome, { state: 'linked' }>;
    expect(outcome).toEqual({
      state: 'linked',
      link: expect.objectContaining({
        ...{ account_id: await findAccountId(gapura, 'budi'), application_id: 'satu', subject: 's-pangan' },
        ...{ username: 'user_bpom', display_name: 'PT user_bpom', directorate: 'PANGAN' },
        ...{ label: null, is_default: true, stale_at: null, verified_at: link.created_at },
      }),
    });
    expect(application.asked).toHaveLength(1);
    expect(await mails()).toEqual([['budi@contoh.example', 'link_added']]);
    expect(await audit()).toEqual([['link_added', 'budi', { application: 'satu', renewed: false }]]);
    const [mail] = await db.selectFrom('mails').selectAll().execute();
    expect(mail).toMatchObject({
      language: 'id',
      values: {
        ...{ name: 'Budi Contoh Santoso', application: 'Aplikasi satu', username: 'user_bpom' },
        ...{ time: expect.stringContaining('WIB'), support: links.support },
      },
    });
    const jobs = await sql<{ data: object }>`SELECT data FROM jobs.job WHERE name = 'mail'`.execute(db);
    expect(jobs.rows).toEqual([{ data: { mail_id: mail?.id } }]);
  });

  test('made again moves the time of the proof, and tells nobody a second time', async () => {
    const id = await linkAs(links, 'budi', 'satu', 'user_bpom');
    const [before] = await linksOf('budi');
    await moveClock(db, year);
    expect(await linkAs(links, 'budi', 'satu', 'user_bpom')).toBe(id);
    const [after] = await linksOf('budi');
    expect(after?.created_at).toEqual(before?.created_at);
    expect(Number(after?.verified_at) - Number(before?.verified_at)).toBeGreaterThan((year - 60) * 1000);
    expect(await mails()).toEqual([['budi@contoh.example', 'link_added']]);
    expect((await audit()).map(([kind, , detail]) => [kind, detail])).toEqual([
      ['link_added', { application: 'satu', renewed: false }],
      ['link_added', { application: 'satu', renewed: true }],
    ]);
  });

  test('made again after a removal is a new link, and told again', async () => {
    const id = await linkAs(links, 'budi', 'satu', 'user_bpom');
    await removeLink(links, await findAccountId(gapura, 'budi'), id, from_here);
    expect(await linkAs(links, 'budi', 'satu', 'user_bpom')).not.toBe(id);
    expect((await mails()).map(([, template]) => template)).toEqual(['link_added', 'link_removed', 'link_added']);
  });

  test('of a name that the application knows under another spelling is one link', async () => {
    await linkAs(links, 'budi', 'satu', 'user_bpom');
    application.names.push({ subject: 's-pangan', username: 'User_BPOM', directorate: 'PANGAN' });
    await linkAs(links, 'budi', 'satu', 'User_BPOM');
    expect((await linksOf('budi')).map(({ username }) => username)).toEqual(['User_BPOM']);
  });

  test.each([
    ['bad_credentials', 'user_bpom', wrong],
    ['bad_credentials', 'bukan_siapa_siapa', own_password],
    ['locked', 'user_kunci', own_password],
  ])('refused because of %s (%s) leaves a row in the audit and nothing else', async (because, username, password) => {
    expect(await prove('budi', username, password)).toEqual({ state: 'refused', because });
    expect(await linksOf('budi')).toEqual([]);
    expect(await mails()).toEqual([]);
    expect(await audit()).toEqual([['link_refused', 'budi', { application: 'satu', because }]]);
  });

  test('at an application that cannot be asked, is closed or is not there is unsupported, and nobody is asked', async () => {
    await registerApplication(gapura, 'tanpa', application, { verifier: null });
    await registerApplication(gapura, 'asing', application, { verifier: 'tidak-dikenal' });
    await registerApplication(gapura, 'tutup', application, { active: false });
    for (const id of ['tanpa', 'asing', 'tutup', 'tidak-ada', ''])
      expect([id, await prove('budi', 'user_bpom', own_password, id)]).toEqual([id, { state: 'unsupported' }]);
    expect(application.asked).toEqual([]);
    expect(await db.selectFrom('limits').selectAll().execute()).toEqual([]);
  });

  test('by a person without an address makes the link all the same', async () => {
    const email = 'tono@contoh.example';
    await db.updateTable('accounts').set({ email: null }).where('email', '=', email).execute();
    await linkAs(links, 'tono', 'satu', 'user_umum');
    expect(await mails()).toEqual([]);
    const id = await findAccountId(gapura, 'tono');
    await db.updateTable('accounts').set({ email }).where('id', '=', id).execute();
  });

  test('whose mail cannot be written makes no link', async () => {
    const failing: LinkStore = { ...links, jobs: { ...links.jobs, boss: { send: async () => null } as never } };
    await expect(proveAs(failing, 'budi', 'satu', 'user_bpom')).rejects.toThrow();
    expect(await linksOf('budi')).toEqual([]);
    expect([await mails(), await audit(), await db.selectFrom('link_holders').selectAll().execute()]).toEqual([
      [],
      [],
      [],
    ]);
  });
});

describe('a name that another holds', () => {
  test('waits for an officer: both are told, once, and nothing passes', async () => {
    await linkAs(links, 'budi', 'satu', 'user_bpom');
    for (let times = 0; times < 3; times += 1)
      expect(await prove('tono', 'user_bpom')).toEqual({ state: 'held', username: 'user_bpom' });
    expect(await requestsOf('tono')).toEqual([{ username: 'user_bpom', proved_at: expect.any(Date) }]);
    expect(await linksOf('tono')).toEqual([]);
    expect((await mails()).sort()).toEqual([
      ['budi@contoh.example', 'link_added'],
      ['budi@contoh.example', 'link_requested_holder'],
      ['tono@contoh.example', 'link_requested_claimant'],
    ]);
    expect((await audit()).slice(1)).toEqual([['link_requested', 'tono', { application: 'satu' }]]);
  });

  test('tells neither who the other is', async () => {
    await linkAs(links, 'budi', 'satu', 'user_bpom');
    await prove('tono', 'user_bpom');
    const rows = await db.selectFrom('mails').select(['to_address', 'values']).execute();
    for (const { to_address, values } of rows) {
      const other = to_address.startsWith('budi') ? 'Tono' : 'Budi';
      expect(JSON.stringify(values)).not.toContain(other);
    }
  });

  test('does not pass by waiting a year, nor when its link has grown stale', async () => {
    await db.updateTable('applications').set({ proof_lasts: 30 }).where('id', '=', 'satu').execute();
    await linkAs(links, 'budi', 'satu', 'user_bpom');
    await prove('tono', 'user_bpom');
    await moveClock(db, year);
    expect(await prove('tono', 'user_bpom')).toMatchObject({ state: 'held' });
    expect(await linksOf('tono')).toEqual([]);
    expect(await linksOf('budi')).toMatchObject([{ username: 'user_bpom', is_stale: true }]);
    expect(await requestsOf('tono')).toHaveLength(1);
    // Its holder renews it as ever.
    expect(await prove('budi', 'user_bpom')).toMatchObject({ state: 'linked' });
  });

  test('is free again when its holder removes it; the request itself links nobody', async () => {
    const id = await linkAs(links, 'budi', 'satu', 'user_bpom');
    await prove('tono', 'user_bpom');
    await removeLink(links, await findAccountId(gapura, 'budi'), id, from_here);
    expect(await linksOf('tono')).toEqual([]);
    expect(await prove('tono', 'user_bpom')).toMatchObject({ state: 'linked' });
    expect(await prove('budi', 'user_bpom')).toMatchObject({ state: 'held' });
  });

  test('at one application is free at another', async () => {
    await linkAs(links, 'budi', 'satu', 'user_bpom');
    await linkAs(links, 'tono', 'dua', 'user_bpom');
  });

  test('refuses a wrong password like any other: nobody learns that it is held', async () => {
    await linkAs(links, 'budi', 'satu', 'user_bpom');
    expect(await prove('tono', 'user_bpom', wrong)).toEqual(await prove('tono', 'user_umum', wrong));
    expect(await requestsOf('tono')).toEqual([]);
  });

  test('may be shared by people of one company where the application says so, and by nobody else', async () => {
    await db.updateTable('applications').set({ sharing: 'same_organisation' }).where('id', '=', 'satu').execute();
    await linkAs(links, 'budi', 'satu', 'user_bpom');
    await linkAs(links, 'sari', 'satu', 'user_bpom');
    expect(await prove('tono', 'user_bpom')).toMatchObject({ state: 'held' });
    // Without a company a person shares with nobody.
    expect(await prove('layanan', 'user_bpom')).toMatchObject({ state: 'held' });
    expect((await mails()).filter(([, template]) => template === 'link_requested_holder').sort()).toEqual([
      ['budi@contoh.example', 'link_requested_holder'],
      ['budi@contoh.example', 'link_requested_holder'],
      ['sari@contoh.example', 'link_requested_holder'],
      ['sari@contoh.example', 'link_requested_holder'],
    ]);
    const [budis] = await linksOf('budi');
    await removeLink(links, await findAccountId(gapura, 'budi'), budis?.id ?? '', from_here);
    expect(await prove('tono', 'user_bpom')).toMatchObject({ state: 'held' });
    expect(await linksOf('sari')).toMatchObject([{ username: 'user_bpom', is_default: true }]);
  });

  test.each(['one_person', 'same_organisation'] as const)(
    'is never one’s own, even when the application’s sharing was changed from %s since',
    async (before) => {
      const after = before === 'one_person' ? 'same_organisation' : 'one_person';
      await db.updateTable('applications').set({ sharing: before }).where('id', '=', 'satu').execute();
      await linkAs(links, 'budi', 'satu', 'user_bpom');
      await db.updateTable('applications').set({ sharing: after }).where('id', '=', 'satu').execute();
      expect(await prove('budi', 'user_bpom')).toMatchObject({ state: 'linked' });
      expect(await prove('tono', 'user_bpom')).toMatchObject({ state: 'held' });
    },
  );

  test('is one person’s after 50 proofs by two at once over two nodes; the other’s request waits', async () => {
    const elsewhere = openDatabase(gapura.database_url, { max: 20, application_name: 'the other node' });
    const nodes = [withoutLimits(links), withoutLimits({ ...links, db: elsewhere })] as const;
    const people = ['budi', 'tono'] as const;
    // All of them have their answer before the first is kept.
    let arrived = 0;
    application.before = async () => {
      arrived += 1;
      await until(() => arrived >= 50);
    };
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, (_, at) =>
        proveAs(nodes[at % 2 === 0 ? 0 : 1], people[(at >> 1) % 2 === 0 ? 0 : 1], 'satu', 'user_bpom'),
      ),
    );
    await elsewhere.destroy();
    const linked = await db.selectFrom('links').selectAll().execute();
    expect(linked).toHaveLength(1);
    const winner = linked[0]?.account_id === (await findAccountId(gapura, 'budi')) ? 'budi' : 'tono';
    const loser = winner === 'budi' ? 'tono' : 'budi';
    const said = (person: string) =>
      outcomes.filter((_, at) => people[(at >> 1) % 2 === 0 ? 0 : 1] === person).map(({ state }) => state);
    expect(new Set(said(winner))).toEqual(new Set(['linked']));
    expect(new Set(said(loser))).toEqual(new Set(['held']));
    expect(await db.selectFrom('link_holders').selectAll().execute()).toHaveLength(1);
    expect(await requestsOf(loser)).toHaveLength(1);
    expect(await requestsOf(winner)).toEqual([]);
    expect((await mails()).sort()).toEqual(
      [
        [`${winner}@contoh.example`, 'link_added'],
        [`${winner}@contoh.example`, 'link_requested_holder'],
        [`${loser}@contoh.example`, 'link_requested_claimant'],
      ].sort(),
    );
  });
});

describe('one’s own links', () => {
  const own = async (username: string) =>
    (await linksOf('budi')).find((link) => link.username === username) as ShownLink;
  const budi = () => findAccountId(gapura, 'budi');
  const defaults = async () =>
    (await linksOf('budi')).filter((link) => link.is_default).map(({ username }) => username);

  test('have the first as their default; another can be chosen, and its removal promotes the oldest', async () => {
    for (const { username } of own_names.slice(0, 3)) await linkAs(links, 'budi', 'satu', username);
    expect(await defaults()).toEqual(['user_bpom']);
    expect(await chooseDefault(links, await budi(), (await own('user_umum')).id, from_here)).toMatchObject({
      username: 'user_umum',
      is_default: true,
    });
    expect(await defaults()).toEqual(['user_umum']);
    expect(await removeLink(links, await budi(), (await own('user_umum')).id, from_here)).toMatchObject({
      username: 'user_umum',
    });
    expect(await defaults()).toEqual(['user_bpom']);
    expect((await mails()).slice(3)).toEqual([
      ['budi@contoh.example', 'link_default_changed'],
      ['budi@contoh.example', 'link_removed'],
    ]);
    expect((await audit()).slice(3).map(([kind, who]) => [kind, who])).toEqual([
      ['link_changed', 'budi'],
      ['link_removed', 'budi'],
    ]);
  });

  test('can be named and unnamed', async () => {
    const id = await linkAs(links, 'budi', 'satu', 'user_bpom');
    expect(await renameLink(links, await budi(), id, 'Kantor pusat', from_here)).toMatchObject({
      label: 'Kantor pusat',
    });
    expect(await own('user_bpom')).toMatchObject({ label: 'Kantor pusat', username: 'user_bpom' });
    expect(await renameLink(links, await budi(), id, null, from_here)).toMatchObject({ label: null });
    expect((await mails()).slice(1)).toEqual([
      ['budi@contoh.example', 'link_renamed'],
      ['budi@contoh.example', 'link_renamed'],
    ]);
    expect((await audit()).slice(1).map(([kind]) => kind)).toEqual(['link_changed', 'link_changed']);
  });

  test('are nobody else’s to name, choose or remove, not even of somebody who shares the name', async () => {
    await db.updateTable('applications').set({ sharing: 'same_organisation' }).where('id', '=', 'satu').execute();
    const id = await linkAs(links, 'budi', 'satu', 'user_bpom');
    await linkAs(links, 'sari', 'satu', 'user_bpom');
    const told = await mails();
    for (const person of ['tono', 'sari']) {
      const stranger = await findAccountId(gapura, person);
      expect(await renameLink(links, stranger, id, 'curian', from_here)).toBeUndefined();
      expect(await chooseDefault(links, stranger, id, from_here)).toBeUndefined();
      expect(await removeLink(links, stranger, id, from_here)).toBeUndefined();
    }
    expect(await removeLink(links, await budi(), '00000000-0000-4000-8000-000000000000', from_here)).toBeUndefined();
    expect(await own('user_bpom')).toMatchObject({ id, label: null, is_default: true });
    expect(await mails()).toEqual(told);
    expect((await audit()).map(([kind]) => kind)).toEqual(['link_added', 'link_added']);
  });

  test('removed 50 times at once are removed once, and told once', async () => {
    const id = await linkAs(links, 'budi', 'satu', 'user_bpom');
    await linkAs(links, 'budi', 'satu', 'user_bpom_ot');
    const account_id = await budi();
    const removed = await Promise.all(Array.from({ length: 50 }, () => removeLink(links, account_id, id, from_here)));
    expect(removed.filter(Boolean)).toHaveLength(1);
    expect(await defaults()).toEqual(['user_bpom_ot']);
    expect((await mails()).filter(([, template]) => template === 'link_removed')).toHaveLength(1);
  });

  test('chosen, named and removed 50 times at once keep one default', async () => {
    for (const { username } of own_names.slice(0, 3)) await linkAs(links, 'budi', 'satu', username);
    const account_id = await budi();
    const ids = (await linksOf('budi')).map(({ id }) => id);
    await Promise.all(
      Array.from({ length: 50 }, (_, at) => {
        const id = ids[at % 3] ?? '';
        if (at === 25) return removeLink(links, account_id, id, from_here);
        if (at % 5 === 0) return renameLink(links, account_id, id, `nomor ${at}`, from_here);
        return chooseDefault(links, account_id, id, from_here);
      }),
    );
    expect(await linksOf('budi')).toHaveLength(2);
    expect(await defaults()).toHaveLength(1);
  });
});

describe('limits', () => {
  const waiting = { state: 'waiting', retry_after: expect.any(Number) };

  test('a user name has five tries, whoever makes them and however it is spelled; then nobody is asked', async () => {
    const tries = ['user_bpom', 'USER_BPOM', ' user_bpom ', 'ｕser_bpom', 'User_Bpom'];
    for (const [at, spelling] of tries.entries())
      expect(await prove(at % 2 === 0 ? 'tono' : 'sari', spelling, wrong)).toMatchObject({ state: 'refused' });
    const asked = application.asked.length;
    for (const person of ['tono', 'budi']) expect(await prove(person, 'user_bpom')).toEqual(waiting);
    expect(application.asked).toHaveLength(asked);
    const { retry_after } = (await prove('tono', 'user_bpom')) as { retry_after: number };
    expect(retry_after).toBeGreaterThan(0);
    expect(retry_after).toBeLessThanOrEqual(30);
    // Another name, and the same name of another application, are as free as before.
    expect(await prove('budi', 'user_bpom', own_password, 'dua')).toMatchObject({ state: 'linked' });
    expect(await prove('budi', 'user_umum')).toMatchObject({ state: 'linked' });
    await moveClock(db, retry_after + 1);
    expect(await prove('budi', 'user_bpom')).toMatchObject({ state: 'linked' });
  });

  test('a success frees the user name', async () => {
    for (let tries = 0; tries < 4; tries += 1) await prove('budi', 'user_bpom', wrong);
    expect(await prove('budi', 'user_bpom')).toMatchObject({ state: 'linked' });
    for (let tries = 0; tries < 5; tries += 1)
      expect(await prove('tono', 'user_bpom', wrong)).toMatchObject({ state: 'refused' });
  });

  test('a person has ten tries over all names and applications; successes are given back', async () => {
    for (let tries = 0; tries < 12; tries += 1) await linkAs(links, 'tono', 'satu', 'user_umum');
    for (let tries = 0; tries < 10; tries += 1)
      expect(await prove('tono', `nama_${tries}`, wrong, tries % 2 === 0 ? 'satu' : 'dua')).toMatchObject({
        state: 'refused',
      });
    expect(await prove('tono', 'user_umum')).toEqual(waiting);
    expect(await prove('budi', 'user_umum')).toMatchObject({ state: 'held' });
  });

  test('who has no tries left uses up none of anybody’s name', async () => {
    for (let tries = 0; tries < 10; tries += 1) await prove('tono', `nama_${tries}`, wrong);
    for (let tries = 0; tries < 10; tries += 1) expect(await prove('tono', 'user_bpom', wrong)).toEqual(waiting);
    expect(await prove('budi', 'user_bpom', wrong)).toMatchObject({ state: 'refused' });
    expect(await prove('budi', 'user_bpom')).toMatchObject({ state: 'linked' });
  });

  test('a name that must wait uses up none of a person’s tries', async () => {
    for (let tries = 0; tries < 5; tries += 1) await prove('tono', 'user_bpom', wrong);
    for (let tries = 0; tries < 20; tries += 1) expect(await prove('budi', 'user_bpom')).toEqual(waiting);
    expect(await prove('budi', 'user_umum')).toMatchObject({ state: 'linked' });
  });

  test('of 50 wrong passwords at once no more than the free ones reach the application', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, (_, at) => prove(['budi', 'sari', 'tono'][at % 3] ?? '', 'user_bpom', wrong)),
    );
    expect(application.asked.length).toBeLessThanOrEqual(5);
    expect(outcomes.filter(({ state }) => state === 'refused')).toHaveLength(application.asked.length);
    expect(new Set(outcomes.map(({ state }) => state))).toEqual(new Set(['refused', 'waiting']));
  });
});

describe('an application that does not answer', () => {
  const paused = { state: 'unavailable', because: 'paused', retry_after: expect.any(Number) };
  const unreachable = { state: 'unavailable', because: 'unreachable' };

  async function breakCircuit() {
    await application.stop();
    for (let tries = 0; tries < 5; tries += 1) expect(await prove('budi', 'user_bpom')).toEqual(unreachable);
    await application.start();
  }

  test('is left alone after five failures, for all, while another is as before', async () => {
    await breakCircuit();
    await registerApplication(gapura, 'tiga', application);
    for (const person of ['budi', 'sari', 'tono']) expect(await prove(person, 'user_umum')).toEqual(paused);
    const { retry_after } = (await prove('budi', 'user_umum')) as { retry_after: number };
    expect(retry_after).toBeGreaterThan(0);
    expect(retry_after).toBeLessThanOrEqual(15);
    expect(application.asked).toEqual([]);
    expect(await prove('budi', 'user_umum', own_password, 'tiga')).toMatchObject({ state: 'linked' });
  });

  test('is not one that is merely being asked: calls under way are no failures', async () => {
    let release = () => {};
    const gate = new Promise<void>((open) => {
      release = open;
    });
    application.before = () => gate;
    const proofs = Array.from({ length: 8 }, (_, at) =>
      prove(['budi', 'sari', 'tono'][at % 3] ?? '', `nama_${at}`, wrong),
    );
    while (application.asked.length < 8) await new Promise((done) => setImmediate(done));
    release();
    expect((await Promise.all(proofs)).map(({ state }) => state)).toEqual(Array(8).fill('refused'));
  });

  test('is tried again after the wait, by one at a time, and waits longer when it fails again', async () => {
    await breakCircuit();
    await application.stop();
    await moveClock(db, 16);
    const outcomes = await Promise.all(['budi', 'sari', 'tono'].map((person) => prove(person, 'user_umum')));
    expect(outcomes.filter((outcome) => 'because' in outcome && outcome.because === 'unreachable')).toHaveLength(1);
    expect(outcomes.filter((outcome) => 'because' in outcome && outcome.because === 'paused')).toHaveLength(2);
    const { retry_after } = (await prove('budi', 'user_umum')) as { retry_after: number };
    expect(retry_after).toBeGreaterThan(15);
    expect(retry_after).toBeLessThanOrEqual(30);
  });

  test.each([
    ['a yes', own_password],
    ['a no', wrong],
  ])('is open again after one answer, be it %s', async (_what, password) => {
    await breakCircuit();
    await moveClock(db, 16);
    await prove('budi', 'user_umum', password);
    await application.stop();
    for (let tries = 0; tries < 5; tries += 1) expect(await prove('sari', 'user_bpom')).toEqual(unreachable);
    expect(await prove('sari', 'user_bpom')).toEqual(paused);
  });

  test('uses up nobody’s tries: it was no guess', async () => {
    await application.stop();
    for (let round = 0; round < 4; round += 1) {
      for (let tries = 0; tries < 6; tries += 1)
        expect(await prove('budi', 'user_bpom')).toMatchObject({ state: 'unavailable' });
      await moveClock(db, (round + 1) * 200);
    }
    await application.start();
    expect(await prove('budi', 'user_bpom')).toMatchObject({ state: 'linked' });
  });

  test('leaves neither link, mail nor request', async () => {
    await breakCircuit();
    expect([await linksOf('budi'), await mails(), await requestsOf('budi')]).toEqual([[], [], []]);
  });

  test('holds up nobody: while it is asked, people sign in, and no connection to the database waits for it', async () => {
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    let arrived = 0;
    application.before = async () => {
      arrived += 1;
      await held;
    };
    await registerApplication(gapura, 'lambat', application, { settings: { timeout: 10_000 } });
    const ended: string[] = [];
    const stuck = ['user_bpom', 'user_bpom_ot', 'user_umum'].map((username) =>
      prove('budi', username, own_password, 'lambat').then((outcome) => ended.push(outcome.state)),
    );
    await until(() => arrived === 3);
    await newSignedInVisitor(gapura.url, 'tono');
    expect(ended).toEqual([]);
    const { rows } = await sql<{ state: string }>`SELECT state FROM pg_stat_activity
      WHERE datname = current_database() AND state LIKE 'idle in transaction%'`.execute(db);
    expect(rows).toEqual([]);
    release();
    await Promise.all(stuck);
    expect(ended).toEqual(['linked', 'linked', 'linked']);
  });
});

test('the typed password is nowhere afterwards: no table, no job, no log, no metric, no page', async () => {
  const canary = 'Kanari-Sandi-8fJ2';
  const wrong_canary = 'Kanari-Salah-5qX7';
  const honest = application.asked;
  application.answer = (req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk) => chunks.push(chunk));
    req.on('end', () => {
      const question = JSON.parse(Buffer.concat(chunks).toString());
      honest.push({ method: req.method, headers: {}, body: '', username: question.username });
      const is_right = question.password === canary;
      const answer = is_right ? { result: 'verified', subject: 's', username: 'user_bpom' } : { result: 'refused' };
      res.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
    });
  };
  const party = await openParty(gapura.config.issuer, {
    client_id: 'pintu',
    client_secret: 'secret-of-pintu-which-is-long-enough',
    redirect_uri: 'http://pintu.localhost:4999/callback',
  });
  const visitor = await newSignedInVisitor(gapura.url, 'budi');
  const { address } = await party.begin();
  const page = await visitor.get(address);
  const send = (fields: Record<string, string>) => visitor.post(page.url, fields, { follow: false });
  const shown: string[] = [];
  // Wrong, unreadable, with the password as the user name's neighbour in odd fields, while nobody answers, and right.
  shown.push((await send({ username: 'user_bpom', password: wrong_canary })).body);
  shown.push((await send({ username: '', password: wrong_canary })).body);
  shown.push((await send({ username: 'x'.repeat(300), password: wrong_canary })).body);
  await application.stop();
  shown.push((await send({ username: 'user_bpom', password: canary })).body);
  await application.start();
  const taken = await send({ username: 'user_bpom', password: canary });
  expect(taken.status).toBe(303);
  expect(honest.map(({ username }) => username)).toEqual(['user_bpom', 'user_bpom']);
  expect(await linksOf('budi')).toHaveLength(1);
  shown.push(JSON.stringify([...taken.headers]), await fetch(`${gapura.url}/metrics`).then((answer) => answer.text()));

  // The search itself finds what is there: a word of the link in its table, of the mail in its, of the audit in its.
  const found = async (word: string) => (await searchDatabase(word)).map(([table]) => table);
  expect(await found('user_bpom')).toEqual(expect.arrayContaining(['public.links', 'public.mails']));
  expect(await found('mail_id')).toContain('jobs.job');
  for (const word of [
    canary,
    wrong_canary,
    ...[canary, wrong_canary].map((one) => Buffer.from(one).toString('base64').slice(0, -4)),
  ]) {
    expect(await searchDatabase(word)).toEqual([]);
    expect(JSON.stringify(gapura.log)).not.toContain(word);
    for (const text of shown) expect(text).not.toContain(word);
  }
  expect(shown.at(-1)).toContain('gapura_http_request_seconds');
  expect(gapura.log.length).toBeGreaterThan(0);
});

/** The tables of every schema but PostgreSQL's own that have a row with a word in it, and how many. */
async function searchDatabase(word: string): Promise<[string, number][]> {
  const { rows: tables } = await sql<{ schema: string; name: string }>`
    SELECT table_schema AS schema, table_name AS name FROM information_schema.tables
    WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')`.execute(db);
  const counts: [string, number][] = [];
  for (const { schema, name } of tables) {
    const { rows } = await sql<{
      count: number;
    }>`SELECT count(*)::int AS count FROM ${sql.table(`${schema}.${name}`)} AS r
      WHERE strpos(to_jsonb(r)::text, ${word}) > 0`.execute(db);
    if (rows[0]?.count) counts.push([`${schema}.${name}`, rows[0].count]);
  }
  return counts;
}
