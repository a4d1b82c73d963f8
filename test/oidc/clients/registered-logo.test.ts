/** The picture of a client that registers itself: fetched from the open network only, kept if pages could show it, never another's. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { deleteDynamicClient, openClients, saveDynamicClient } from '../../../src/clients/client.ts';
import { findClientMetadata } from '../../../src/clients/engine-client.ts';
import { largest_logo } from '../../../src/clients/logos.ts';
import { Secret } from '../../../src/crypto.ts';
import { inTransaction } from '../../../src/database.ts';
import { keepRegisteredLogo } from '../../../src/oidc/clients/registered-logo.ts';
import { type OutboundCall, OutboundError } from '../../../src/outbound.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts';

let database: TestDatabase;
let called: { address: string; options: OutboundCall | undefined }[] = [];

/** As much of a picture as tells its size (ISO/IEC 15948): a square of 64. */
const picture = Buffer.from('89504e470d0a1a0a0000000d494844520000004000000040080000000000000000', 'hex');
const secret = new Secret('rahasia-uji-yang-panjangnya-lebih-dari-cukup');
const logo_uri = 'https://pendatang.contoh.example/logo.png';

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(() => database?.drop());

/** Registers a client with a logo, or changes it, and lets the picture be kept from a network that answers so. */
async function keep(
  id: string,
  logo: string | undefined,
  answer: () => { status: number; body: Buffer } | Promise<{ status: number; body: Buffer }>,
  { is_new = true, asked = logo as unknown } = {},
): Promise<unknown> {
  const { db } = database;
  called = [];
  await inTransaction(db, (tx) => saveDynamicClient(tx, id, { ...(logo ? { logo_uri: logo } : {}) }, { is_new }));
  const call = async (address: string, options?: OutboundCall) => {
    called.push({ address, options });
    return { headers: {}, ...(await answer()) };
  };
  await keepRegisteredLogo(db, { call }, { private_hosts: ['dalam.contoh.example'] })(id, asked);
  return (await findClientMetadata(openClients(db, { secrets: [secret] }), id))?.logo;
}

const found = () => ({ status: 200, body: picture });

test('a picture is fetched once, with little patience, and shown from here', async () => {
  expect(await keep('baru', logo_uri, found)).toMatch(/^\/assets\/logos\/baru\/[\w-]{43}\.png$/);
  expect(called).toEqual([{ address: logo_uri, options: { timeout_ms: 3000, max_bytes: largest_logo } }]);
});

test('a change to none, or to one that cannot be shown, takes it away', async () => {
  await keep('berubah', logo_uri, found);
  expect(await keep('berubah', undefined, found, { is_new: false })).toBeUndefined();
  expect(called).toEqual([]);
  await keep('berubah', logo_uri, found, { is_new: false });
  const gone = () => ({ status: 404, body: picture });
  expect(await keep('berubah', logo_uri, gone, { is_new: false })).toBeUndefined();
});

test.each([
  ['a script in clothes of a picture', () => ({ status: 200, body: Buffer.from('<svg xmlns="x"/>') })],
  ['nothing', () => ({ status: 200, body: Buffer.alloc(0) })],
  ['a redirect', () => Promise.reject(new OutboundError('redirect', 'x'))],
  ['a host on a private network', () => Promise.reject(new OutboundError('refused_address', 'x'))],
  ['more than a logo weighs', () => Promise.reject(new OutboundError('too_large', 'x'))],
  ['silence', () => Promise.reject(new OutboundError('slow', 'x'))],
])('%s is no picture, and the registration stands', async (what, answer) => {
  expect(await keep(`tanpa-${what.replaceAll(' ', '-')}`, logo_uri, answer)).toBeUndefined();
  expect(called).toHaveLength(1);
});

test.each([
  'http://pendatang.contoh.example/logo.png',
  'https://127.0.0.1/logo.png',
  'https://[::1]/logo.png',
  'https://169.254.169.254/latest/meta-data',
  'https://localhost/logo.png',
  'https://dalam.contoh.example/logo.png',
  'data:image/png;base64,iVBORw0KGgo=',
])('nobody calls %s for a stranger', async (address) => {
  expect(await keep(`pribadi-${called.length}-${address}`, address, found)).toBeUndefined();
  expect(called).toEqual([]);
});

test('what was named in the meantime counts, and a client that is gone has no picture', async () => {
  expect(await keep('dahulu', logo_uri, found, { asked: 'https://pendatang.contoh.example/lama.png' })).toBeUndefined();
  await keep('hilang', logo_uri, async () => {
    await inTransaction(database.db, (tx) => deleteDynamicClient(tx, 'hilang'));
    return found();
  });
  const kept = await database.db.selectFrom('client_logos').selectAll().where('client_id', '=', 'hilang').execute();
  expect(kept).toEqual([]);
});
