/** A directorate that closes: what was granted with it ends at once, and the next authorization asks anew. */

import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import * as oidc from 'openid-client';
import type { Desk, Entry, Resource } from '../../../src/admin/resource.ts';
import { agencies } from '../../../src/admin/resources/agencies.ts';
import { directorates } from '../../../src/admin/resources/directorates.ts';
import { memberships } from '../../../src/admin/resources/memberships.ts';
import { organisations } from '../../../src/admin/resources/organisations.ts';
import { inTransaction } from '../../../src/database.ts';
import { countGrantsIn, endGrantsIn } from '../../../src/oidc/records/directorate-grants.ts';
import { addMembership } from '../../../src/organisations/directorate.ts';
import { findOrganisation } from '../../../src/organisations/organisation.ts';
import { demo_password, registerClient, startGapura, type TestGapura } from '../../support/gapura.ts';
import { type HttpVisitor, newHttpVisitor } from '../../support/http.ts';
import { authorize, followTo, openParty, type TestParty } from '../../support/relying-party.ts';

let gapura: TestGapura;
let party: TestParty;
let ids: Record<string, string>;
let pangan: string;
let kosmetika: string;
const food = 'Inspeksi dan Sertifikasi Produk Pangan';
const medicine = 'Inspeksi dan Sertifikasi Obat Tradisional';

beforeAll(async () => {
  gapura = await startGapura();
  const client = await registerClient(gapura, 'badan', { agency_code: 'BPOM', directorate_required: true });
  party = await openParty(gapura.config.issuer, client, 'openid organization directorate offline_access');
  const rows = await gapura.db.selectFrom('directorates').select(['id', 'code']).execute();
  ids = Object.fromEntries(rows.map(({ id, code }) => [code, id]));
  pangan = (await findOrganisation(gapura.db, '0000001016000000'))?.id as string;
  kosmetika = (await findOrganisation(gapura.db, '0000001024000000'))?.id as string;
  // A third, so that one that closes leaves a choice.
  await addMembership(gapura.db, pangan, ids.NAPZA as string);
});

afterEach(async () => {
  for (const table of ['agencies', 'directorates', 'organisations'] as const)
    await gapura.db.updateTable(table).set({ active: true }).execute();
  for (const code of ['PANGAN', 'OT', 'NAPZA']) await addMembership(gapura.db, pangan, ids[code] as string);
});

afterAll(() => gapura.stop());

/** Signs in, chooses, and gives the tokens with the browser. */
async function enter(identifier: string, directorate: string) {
  const visitor = newHttpVisitor(gapura.url);
  const { address, checks } = await party.begin();
  const answers = { identifier, password: demo_password, directorate };
  const tokens = await party.redeem(await authorize(visitor, address, party.redirect_uri, answers), checks);
  return { visitor, tokens };
}

const tell = async (token: string) => oidc.fetchUserInfo(party.configuration, token, oidc.skipSubjectCheck);
const isDead = async (token: string) =>
  tell(token).then(
    () => false,
    () => true,
  );

/** The directorates that are offered at the next authorization; none when the application is answered at once. */
async function listOffered(visitor: HttpVisitor): Promise<string[]> {
  const { address } = await party.begin();
  const reached = await followTo(visitor, party.redirect_uri, await visitor.get(address, { follow: false }));
  if ('returned' in reached) return [];
  return [...reached.page.body.matchAll(/<option value="[^"]+">([^<]*)/g)].map(([, name = '']) => name);
}

/** Does what the desk would, of which only the database and the settings are needed here. */
async function carryOut(resource: Resource, operation: string, id: string): Promise<void> {
  const desk = { db: gapura.db, config: gapura.config, language: 'id' } as Desk;
  const entry = (await gapura.db
    .selectFrom(resource.select(gapura.db).as('r') as never)
    .selectAll()
    .where('r.id' as never, '=', id as never)
    .executeTakeFirstOrThrow()) as Entry;
  const found = resource.operations.find(({ name }) => name === operation);
  const outcome = await inTransaction(gapura.db, async (tx) => found?.run(tx, { ...desk, db: tx }, {}, entry));
  expect(outcome).toMatchObject({ state: 'done', id });
}

test.each([
  ['a directorate that is switched off', () => carryOut(directorates, 'deactivation', ids.PANGAN as string)],
  ['a membership that is removed', () => carryOut(memberships, 'removal', `${pangan}.${ids.PANGAN}`)],
])('%s ends what was granted with it, and its people are asked anew', async (_what, close) => {
  const budi = await enter('budi', food);
  const sari = await enter('sari', medicine);
  const tono = await enter('tono', medicine);
  expect(await tell(budi.tokens.access_token)).toMatchObject({ directorate: { code: 'PANGAN' } });
  expect(await countGrantsIn(gapura.db, { directorate_id: ids.PANGAN as string })).toBe(1);
  await close();
  expect(await isDead(budi.tokens.access_token)).toBe(true);
  expect(await countGrantsIn(gapura.db, { directorate_id: ids.PANGAN as string })).toBe(0);
  // Who chose another one keeps it.
  expect(await tell(sari.tokens.access_token)).toMatchObject({ directorate: { code: 'OT' } });
  expect(await tell(tono.tokens.access_token)).toMatchObject({ directorate: { code: 'OT' } });
  expect(await listOffered(budi.visitor)).toEqual([
    `${medicine}, Kosmetik, dan Produk Komplemen`,
    'Pengawasan Narkotika, Psikotropika, dan Zat Adiktif',
  ]);
  expect(await listOffered(sari.visitor)).toEqual([]);
});

test('a membership that is removed ends nothing of another organisation in the same directorate', async () => {
  const budi = await enter('budi', medicine);
  const tono = await enter('tono', medicine);
  await carryOut(memberships, 'removal', `${pangan}.${ids.OT}`);
  expect(await isDead(budi.tokens.access_token)).toBe(true);
  expect(await tell(tono.tokens.access_token)).toMatchObject({ directorate: { code: 'OT' } });
});

test('an agency that is switched off ends all that was granted with its directorates', async () => {
  const budi = await enter('budi', food);
  const tono = await enter('tono', medicine);
  await carryOut(agencies, 'deactivation', 'BPOM');
  expect([await isDead(budi.tokens.access_token), await isDead(tono.tokens.access_token)]).toEqual([true, true]);
  expect(await countGrantsIn(gapura.db, { agency_code: 'BPOM' })).toBe(0);
});

test('an organisation that is switched off keeps its people’s tokens, which say so, and chooses no more', async () => {
  const tono = await enter('tono', medicine);
  await carryOut(organisations, 'deactivation', kosmetika);
  expect(await tell(tono.tokens.access_token)).toMatchObject({ organization: { active: false } });
  const { address } = await party.begin();
  const page = await followTo(tono.visitor, party.redirect_uri, await tono.visitor.get(address, { follow: false }));
  expect('page' in page && page.page.body).toContain('Belum ada direktorat untuk Anda');
});

test('more grants than fit into one statement end too', async () => {
  const { db } = gapura;
  const directorate_id = ids.OT as string;
  await sql`INSERT INTO oidc_records (id_hash, model, account_id, grant_id, payload, expires_at)
    SELECT decode(md5(n::text), 'hex'), 'Grant', i.account_id, md5(n::text),
      ${JSON.stringify({ directorate: { id: directorate_id } })}::jsonb, gapura_now() + interval '1 day'
    FROM generate_series(1, 2500) n, account_identifiers i WHERE i.canonical = 'tono'`.execute(db);
  const chosen = { directorate_id, organisation_id: kosmetika };
  expect(await countGrantsIn(db, chosen)).toBeGreaterThan(2499);
  await inTransaction(db, (tx) => endGrantsIn(tx, chosen));
  expect(await countGrantsIn(db, chosen)).toBe(0);
});

test('in English the application and the page name it in English', async () => {
  const visitor = newHttpVisitor(gapura.url);
  const { address, checks } = await party.begin({ ui_locales: 'en' });
  const answers = { identifier: 'budi', password: demo_password, directorate: 'Inspection and Certification of Food' };
  const tokens = await party.redeem(await authorize(visitor, address, party.redirect_uri, answers), checks);
  expect(tokens.claims()).toMatchObject({
    directorate: { agency: 'BPOM', code: 'PANGAN', name: 'Inspection and Certification of Food' },
  });
});
