/** News of a sign-out on private networks: to the hosts confirmed for that client, and to nobody else's. */

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { checkPrivateHost } from '../../../src/clients/addresses.ts';
import type { Job, Payloads } from '../../../src/jobs.ts';
import { sendLogout } from '../../../src/oidc/sessions/session.ts';
import { OutboundError } from '../../../src/outbound.ts';
import { errorsOf, openPrograms } from '../../support/desk.ts';
import { registerClient, startGapura, type TestGapura } from '../../support/gapura.ts';

let gapura: TestGapura;
let server: Server;
let port: number;
let told: string[] = [];

beforeAll(async () => {
  gapura = await startGapura();
  server = createServer((request, response) => {
    told.push(String(request.url));
    request.resume().on('end', () => response.end());
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  ({ port } = server.address() as AddressInfo);
});

afterEach(() => {
  told = [];
});

afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await gapura.stop();
});

async function register(id: string, private_hosts: string[], host = `127.0.0.1:${port}`): Promise<string> {
  const metadata = { backchannel_logout_uri: `http://${host}/${id}` };
  return (await registerClient(gapura, id, { private_hosts, metadata })).client_id;
}

/** Sends the notice as the queue does; gives why it did not arrive. */
async function notify(client_id: string): Promise<string | undefined> {
  const payload = { client_id, subject: 'seseorang', sid: null };
  try {
    await sendLogout(gapura.gapura.engine.provider)({ payload } as unknown as Job<Payloads['logout']>);
    return undefined;
  } catch (error) {
    if (error instanceof OutboundError) return error.because;
    throw error;
  }
}

test('a private address is refused while nobody confirmed it, and told once somebody did', async () => {
  expect(await notify(await register('tanpa', []))).toBe('refused_address');
  expect(await notify(await register('lain-porta', [`127.0.0.1:${port + 1}`]))).toBe('refused_address');
  expect(await notify(await register('lain-host', ['10.0.0.1', 'localhost']))).toBe('refused_address');
  expect(told).toEqual([]);
  expect(await notify(await register('dengan', [`127.0.0.1:${port}`]))).toBeUndefined();
  expect(await notify(await register('semua-porta', ['127.0.0.1']))).toBeUndefined();
  expect(told).toEqual(['/dengan', '/semua-porta']);
});

test('what is confirmed for one client is refused to another, also while the first one is being told', async () => {
  const [mine, other] = [await register('satu', ['127.0.0.1']), await register('dua', [])];
  const outcomes = await Promise.all([mine, other, mine, other].map(notify));
  expect(outcomes).toEqual([undefined, 'refused_address', undefined, 'refused_address']);
  expect(told).toEqual(['/satu', '/satu']);
});

test('a name counts by the address that is connected to, and only where the name was confirmed', async () => {
  const host = `localhost:${port}`;
  expect(await notify(await register('nama', [], host))).toBe('refused_address');
  // The number behind it is not the name in the address.
  expect(await notify(await register('nama-angka', ['127.0.0.1'], host))).toBe('refused_address');
  expect(told).toEqual([]);
});

test('a client that registered itself reaches none, whatever stands in its row', async () => {
  const id = await register('sendiri', []);
  const change = gapura.db.updateTable('clients').where('id', '=', id);
  await expect(
    change.set({ origin: 'dynamic', first_party: false, private_hosts: ['127.0.0.1'] }).execute(),
  ).rejects.toThrow('clients_dynamic_hosts');
});

test('other calls for the client stay on the public network', async () => {
  const { provider } = gapura.gapura.engine;
  const client = await provider.Client.find(await register('kunci', ['127.0.0.1']));
  const { Client } = provider as unknown as {
    Client: new (metadata: object) => { asymmetricKeyStore: { refresh(): Promise<void> } };
  };
  const keyed = new Client({
    ...client?.metadata(),
    token_endpoint_auth_method: 'private_key_jwt',
    jwks_uri: `http://127.0.0.1:${port}/kunci`,
  });
  await expect(keyed.asymmetricKeyStore.refresh()).rejects.toThrow();
  expect(told).toEqual([]);
});

describe('in a registration', () => {
  const web = (client_id: string, more: object) => ({
    client_id,
    client_name: client_id,
    agency_code: 'BPOM',
    redirect_uris: [`https://${client_id}.contoh.example/`],
    backchannel_logout_uri: `http://127.0.0.1:${port}/${client_id}`,
    ...more,
  });

  test('an administrator names them; an officer adds none, and leaves those that stand', async () => {
    const { admin, officer } = await openPrograms(gapura);
    const asked = { private_hosts: ['127.0.0.1'] };
    const refused = await officer('POST', '/clients', web('dalam', asked));
    expect(errorsOf(refused)).toEqual({ private_hosts: 'errors.client.needs_administrator' });
    expect((await admin('POST', '/clients', web('dalam', asked))).status).toBe(201);
    expect(await notify('dalam')).toBeUndefined();
    const change = async (input: object, version: number) =>
      officer('PATCH', '/clients/dalam', input, { 'if-match': `"${version}"` });
    expect((await change({ client_name: 'Dalam' }, 1)).body).toMatchObject({ private_hosts: ['127.0.0.1'] });
    const more = await change({ private_hosts: ['127.0.0.1', '10.1.2.3'] }, 2);
    expect(errorsOf(more)).toEqual({ private_hosts: 'errors.client.needs_administrator' });
    expect((await change({ private_hosts: [] }, 2)).status).toBe(200);
    expect(await notify('dalam')).toBe('refused_address');
  });

  test('of a client that registered itself they are refused to everybody', async () => {
    const { admin } = await openPrograms(gapura);
    await register('mandiri', []);
    const own = { origin: 'dynamic', first_party: false } as const;
    await gapura.db.updateTable('clients').set(own).where('id', '=', 'mandiri').execute();
    const changed = await admin('PATCH', '/clients/mandiri', { private_hosts: ['10.1.2.3'] }, { 'if-match': '"1"' });
    expect(errorsOf(changed)).toMatchObject({ private_hosts: 'errors.client.untrusted' });
  });
});

test.each(['10.1.2.3', '10.1.2.3:8443', 'dalam.contoh.example', 'dalam:443', '[fd12::1]', '[fd12::1]:80'])(
  '%s can be named',
  (host) => expect(checkPrivateHost(host)).toBeUndefined(),
);

test.each([
  ...['169.254.169.254', '0.0.0.0', '[fe80::1]', '224.0.0.1', '[::ffff:a9fe:a9fe]', '100.100.100.200:80'],
  ...[
    '',
    'a b',
    'A.example',
    '10.1',
    '0x7f.1',
    'a/b',
    'a@b',
    '*.example',
    'a:0x1',
    'a:99999',
    'http://a',
    '10.0.0.0/8',
  ],
  ...['a?b', 'a#b', 'a\n', 'ä.example'],
])('%j cannot', (host) => expect(checkPrivateHost(host)).toBe('errors.client.private_host'));
