/** What an application is told of links: its own, the one that serves, while it stands, and nobody else's. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import * as oidc from 'openid-client';
import { type Database, inTransaction } from '../../src/database.ts';
import { chooseDefault, removeLink } from '../../src/links/changes.ts';
import { deleteLink, lineUp, listLinks, markStale } from '../../src/links/store.ts';
import {
  from_here,
  linkAs,
  openTestLinks,
  registerApplication,
  startApplication,
  type TestApplication,
} from '../support/application.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { demo_password, registerClient, startGapura, type TestGapura } from '../support/gapura.ts';
import { type HttpVisitor, newHttpVisitor } from '../support/http.ts';
import { findAccountId } from '../support/nodes.ts';
import { authorize, openParty, type TestParty } from '../support/relying-party.ts';

let gapura: TestGapura;
let db: Database;
let application: TestApplication;
let links: Awaited<ReturnType<typeof openTestLinks>>;
/** The application with directorates, and one without. */
let bidang: TestParty;
let pintu: TestParty;
const scope = 'openid profile directorate linked_account';
const food = 'Inspeksi dan Sertifikasi Produk Pangan';
const medicine = 'Inspeksi dan Sertifikasi Obat Tradisional';

beforeAll(async () => {
  gapura = await startGapura();
  db = gapura.db;
  application = await startApplication();
  links = await openTestLinks(gapura);
  bidang = await open('bidang', { agency_code: 'BPOM', directorate_required: true });
  pintu = await open('pintu');
});

afterEach(async () => {
  await resetClock(db);
  for (const table of ['links', 'link_holders', 'limits'] as const) await db.deleteFrom(table).execute();
  await db.updateTable('applications').set({ active: true, proof_lasts: null }).execute();
});

afterAll(async () => {
  await links.close();
  await application.stop();
  await gapura.stop();
});

/** A client with an application of the same name. */
async function open(id: string, registration: Parameters<typeof registerClient>[2] = {}): Promise<TestParty> {
  const client = await registerClient(gapura, id, registration);
  await registerApplication(gapura, id, application, { client_id: id });
  return openParty(gapura.config.issuer, client, scope);
}

async function openAt(
  party: TestParty,
  { identifier = 'budi', directorate = food, visitor = newHttpVisitor(gapura.url), parameters = {} } = {},
) {
  const { address, checks } = await party.begin(parameters);
  const answers = { identifier, password: demo_password, directorate };
  return { visitor, checks, returned: await authorize(visitor, address, party.redirect_uri, answers) };
}

/** What the ID token and userinfo say, and the tokens. */
async function tell(
  party: TestParty,
  { returned, checks }: Pick<Awaited<ReturnType<typeof openAt>>, 'returned' | 'checks'>,
) {
  const tokens = await party.redeem(returned, checks);
  return { tokens, id_token: tokens.claims()?.linked_account, userinfo: await askUserinfo(party, tokens) };
}

async function askUserinfo(party: TestParty, { access_token }: { access_token: string }) {
  return (await oidc.fetchUserInfo(party.configuration, access_token, oidc.skipSubjectCheck)).linked_account;
}

/** What an application is told when a person opens it. */
async function told(party: TestParty, how: Parameters<typeof openAt>[1] = {}) {
  const { id_token, userinfo } = await tell(party, await openAt(party, how));
  expect(userinfo).toEqual(id_token);
  return id_token as { username: string; directorate?: string; verified_at: string } | undefined;
}

const budi = () => findAccountId(gapura, 'budi');

describe('an application is told', () => {
  test('user name, directorate and time of the proof, in the ID token and at userinfo, and no more', async () => {
    await linkAs(links, 'budi', 'bidang', 'user_bpom');
    const [link] = await listLinks(db, await budi(), 'bidang');
    expect(await told(bidang)).toEqual({
      username: 'user_bpom',
      directorate: 'PANGAN',
      verified_at: link?.verified_at.toISOString(),
    });
    await linkAs(links, 'budi', 'pintu', 'user_umum');
    expect(await told(pintu)).toEqual({ username: 'user_umum', verified_at: expect.stringMatching(/^\d{4}-.*Z$/) });
  });

  test('the link of the chosen directorate, and another one when the person switches', async () => {
    await linkAs(links, 'budi', 'bidang', 'user_bpom');
    await linkAs(links, 'budi', 'bidang', 'user_bpom_ot');
    const { visitor, ...first } = await openAt(bidang, { directorate: food });
    expect((await tell(bidang, first)).id_token).toMatchObject({ username: 'user_bpom', directorate: 'PANGAN' });
    const parameters = { prompt: 'select_directorate' };
    const switched = await openAt(bidang, { visitor, directorate: medicine, parameters });
    expect((await tell(bidang, switched)).id_token).toMatchObject({ username: 'user_bpom_ot', directorate: 'OT' });
  });

  test('the link of no directorate where the chosen one has none, and none that belongs to another', async () => {
    await linkAs(links, 'budi', 'bidang', 'user_bpom_ot');
    expect(await told(bidang, { directorate: food })).toBeUndefined();
    await linkAs(links, 'budi', 'bidang', 'user_umum');
    expect(await told(bidang, { directorate: food })).toMatchObject({ username: 'user_umum' });
    expect(await told(bidang, { directorate: medicine })).toMatchObject({ username: 'user_bpom_ot' });
  });

  test('the default where no directorate decides, at the next token when another is chosen', async () => {
    await linkAs(links, 'budi', 'pintu', 'user_bpom');
    const other = await linkAs(links, 'budi', 'pintu', 'user_umum');
    const { id_token, tokens } = await tell(pintu, await openAt(pintu));
    expect(id_token).toMatchObject({ username: 'user_bpom' });
    await chooseDefault(links, await budi(), other, from_here);
    expect(await askUserinfo(pintu, tokens)).toMatchObject({ username: 'user_umum' });
    const refreshed = await oidc.refreshTokenGrant(pintu.configuration, tokens.refresh_token ?? '');
    expect(refreshed.claims()?.linked_account).toMatchObject({ username: 'user_umum' });
  });
});

describe('nothing is told', () => {
  test('of anybody else’s link', async () => {
    await linkAs(links, 'budi', 'pintu', 'user_bpom');
    expect(await told(pintu, { identifier: 'tono' })).toBeUndefined();
    expect(await told(pintu, { identifier: 'sari' })).toBeUndefined();
  });

  test('to another client that asks for it, whether it has an application or none', async () => {
    await linkAs(links, 'budi', 'bidang', 'user_bpom');
    expect(await told(pintu)).toBeUndefined();
    const client = await registerClient(gapura, 'tanpa-aplikasi', { agency_code: 'BPOM' });
    expect(await told(await openParty(gapura.config.issuer, client, scope))).toBeUndefined();
  });

  test('without the scope, not even when the claim is asked for by its name', async () => {
    await linkAs(links, 'budi', 'pintu', 'user_bpom');
    const wanted = { linked_account: { essential: true } };
    const claims = JSON.stringify({ id_token: wanted, userinfo: wanted });
    for (const parameters of [{ scope: 'openid profile' }, { scope: 'openid profile', claims }])
      expect(await told(pintu, { parameters: parameters as Record<string, string> })).toBeUndefined();
    expect(await told(pintu, { parameters: { claims } })).toMatchObject({ username: 'user_bpom' });
  });

  test('to a client that is not registered for the scope', async () => {
    const client = await registerClient(gapura, 'tanpa-cakupan', { metadata: { scope: 'openid profile' } });
    await registerApplication(gapura, 'tanpa-cakupan', application, { client_id: 'tanpa-cakupan' });
    await linkAs(links, 'budi', 'tanpa-cakupan', 'user_bpom');
    const party = await openParty(gapura.config.issuer, client, scope);
    const { returned } = await openAt(party);
    expect(returned.searchParams.get('error')).toBe('invalid_scope');
    expect(await told(party, { parameters: { scope: 'openid profile' } })).toBeUndefined();
  });

  test('of a stale link, until it is proven again', async () => {
    await linkAs(links, 'budi', 'pintu', 'user_bpom');
    const { tokens, id_token } = await tell(pintu, await openAt(pintu));
    expect(id_token).toBeDefined();
    await inTransaction(db, (tx) => markStale(tx, 'pintu', 's-pangan'));
    expect(await askUserinfo(pintu, tokens)).toBeUndefined();
    expect(await told(pintu)).toBeUndefined();
    await linkAs(links, 'budi', 'pintu', 'user_bpom');
    expect(await told(pintu)).toMatchObject({ username: 'user_bpom' });
  });

  test('of a link whose proof has run out', async () => {
    await db.updateTable('applications').set({ proof_lasts: 30 }).where('id', '=', 'pintu').execute();
    await linkAs(links, 'budi', 'pintu', 'user_bpom');
    expect(await told(pintu)).toBeDefined();
    await moveClock(db, 31 * 86_400);
    expect(await told(pintu)).toBeUndefined();
  });

  test('to the client of an application that is closed', async () => {
    await linkAs(links, 'budi', 'pintu', 'user_bpom');
    await db.updateTable('applications').set({ active: false }).where('id', '=', 'pintu').execute();
    expect(await told(pintu)).toBeUndefined();
  });
});

describe('after a removal', () => {
  const remove = async (id: string) => removeLink(links, await budi(), id, from_here);

  test('no token, old or new, says anything of the link', async () => {
    const id = await linkAs(links, 'budi', 'pintu', 'user_bpom');
    const { tokens, id_token, userinfo } = await tell(pintu, await openAt(pintu));
    expect([id_token, userinfo]).toEqual([expect.anything(), expect.anything()]);
    await remove(id);
    expect(await askUserinfo(pintu, tokens)).toBeUndefined();
    const refreshed = await oidc.refreshTokenGrant(pintu.configuration, tokens.refresh_token ?? '');
    expect(refreshed.claims()).toMatchObject({ sub: await budi() });
    expect(refreshed.claims()).not.toHaveProperty('linked_account');
    expect(await askUserinfo(pintu, refreshed)).toBeUndefined();
    expect(await told(pintu)).toBeUndefined();
  });

  test('between a code and its exchange, the exchange says nothing', async () => {
    const id = await linkAs(links, 'budi', 'pintu', 'user_bpom');
    const opened = await openAt(pintu);
    await remove(id);
    expect(await tell(pintu, opened)).toMatchObject({ id_token: undefined, userinfo: undefined });
  });

  test('between a code and its exchange, the next oldest link is told', async () => {
    const id = await linkAs(links, 'budi', 'pintu', 'user_bpom');
    await linkAs(links, 'budi', 'pintu', 'user_umum');
    const opened = await openAt(pintu);
    await remove(id);
    expect((await tell(pintu, opened)).id_token).toMatchObject({ username: 'user_umum' });
  });

  test('that is under way while the code is exchanged, the exchange waits for nothing and userinfo knows at once', async () => {
    const id = await linkAs(links, 'budi', 'pintu', 'user_bpom');
    const opened = await openAt(pintu);
    const account_id = await budi();
    const tokens = await inTransaction(db, async (tx) => {
      await lineUp(tx, account_id, 'pintu');
      await deleteLink(tx, account_id, id);
      return pintu.redeem(opened.returned, opened.checks);
    });
    expect(tokens.claims()?.linked_account).toMatchObject({ username: 'user_bpom' });
    expect(await askUserinfo(pintu, tokens)).toBeUndefined();
  });

  test('at the very moment of many exchanges, each says the link or nothing, and none says it afterwards', async () => {
    const id = await linkAs(links, 'budi', 'pintu', 'user_bpom');
    const visitor: HttpVisitor = (await openAt(pintu)).visitor;
    const opened = [];
    for (let at = 0; at < 10; at += 1) opened.push(await openAt(pintu, { visitor }));
    const [, ...all] = await Promise.all([remove(id), ...opened.map((one) => pintu.redeem(one.returned, one.checks))]);
    for (const tokens of all) {
      const claim = tokens.claims()?.linked_account as { username: string } | undefined;
      expect([undefined, 'user_bpom']).toContain(claim?.username);
      expect(await askUserinfo(pintu, tokens)).toBeUndefined();
    }
  });
});
