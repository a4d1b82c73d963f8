/** What a measured database holds: the clients of each flow, the APIs, and people of a company with a role. */

import { sql } from 'kysely';
import { seed } from '../../db/seed.ts';
import { createAccount } from '../../src/accounts/account.ts';
import { openClients, saveClient } from '../../src/clients/client.ts';
import { addClientSecret } from '../../src/clients/secrets.ts';
import { readConfig } from '../../src/config.ts';
import { type Database, migrate } from '../../src/database.ts';
import { prepareJobs } from '../../src/jobs.ts';
import { addPerson, saveOrganisation } from '../../src/organisations/organisation.ts';
import { grantRole } from '../../src/permissions.ts';
import { openRootSecrets } from '../../src/root-secrets.ts';
import { allowAt, registerApi } from '../support/resource-servers.ts';

export interface BenchClient {
  client_id: string;
  client_secret: string;
  redirect_uri: string;
}

/** A client in the words of registration, as both engines read it. */
type Metadata = { redirect_uris: string[]; grant_types: string[]; response_types: string[] } & Record<string, unknown>;

const newClient = (client_id: string): BenchClient => ({
  client_id,
  client_secret: `secret-of-${client_id}-which-is-long-enough`,
  redirect_uri: `http://${client_id}.localhost:4999/callback`,
});

/** Who asks in which flow. */
export const clients = {
  /** Signs people in and gets a code, a token and userinfo. */
  bench: newClient('bench'),
  /** The same, and goes on with refresh tokens. */
  web: newClient('bench-web'),
  /** Nobody signs in there. */
  service: newClient('bench-service'),
  /** The API that asks what a token says. */
  api: newClient('bench-api'),
};

type ClientName = keyof typeof clients;

const grants: Record<ClientName, string[]> = {
  bench: ['authorization_code'],
  web: ['authorization_code', 'refresh_token'],
  service: ['client_credentials'],
  api: [],
};

/** Each begins as the console's forms begin it (clients/presets.ts). */
function metadataOf(name: ClientName): Metadata {
  const grant_types = grants[name];
  const has_people = grant_types.includes('authorization_code');
  return {
    client_name: 'Aplikasi Ukur',
    redirect_uris: has_people ? [clients[name].redirect_uri] : [],
    grant_types,
    response_types: has_people ? ['code'] : [],
    token_endpoint_auth_method: 'client_secret_basic',
    id_token_signed_response_alg: 'ES256',
  };
}

const names = Object.keys(clients) as ClientName[];

/** The clients as the bare engine takes them. */
export const engine_clients = names.map((name) => {
  const { client_id, client_secret } = clients[name];
  return { client_id, client_secret, ...metadataOf(name) };
});

const scope = 'stok:baca';

/** The APIs by the form of their tokens: a JWT, as the form for a new API offers first, or an opaque one to be asked about. */
export const apis = {
  jwt: { identifier: 'https://ukur-jwt.example.go.id/v1', lifetime: 300, scope },
  opaque: { identifier: 'https://ukur-opaque.example.go.id/v1', lifetime: 1800, scope },
};

/** The password of everybody. */
export const password = 'Pintu-Terbuka-2026!';

const organisation = {
  name: 'PT Contoh Ukur',
  npwp: '00.000.101.6-000.000',
  nib: '0000000000101',
  address: 'Jalan Contoh Raya Nomor 1',
  city: 'Jakarta Pusat',
};

/** What the bare engine tells of a person: the same fields, from memory. */
export const claims = {
  name: 'Orang Contoh',
  preferred_username: 'orang',
  locale: 'id',
  zoneinfo: 'Asia/Jakarta',
  updated_at: 1_700_000_000,
  mobile_number: '+6281200000101',
  email: 'orang@contoh.example',
  email_verified: true,
  phone_number: '+6281200000101',
  phone_number_verified: true,
  address: { formatted: 'Jalan Melati Contoh Nomor 5', country: 'ID' },
  organization: { ...organisation, id: '00000000-0000-0000-0000-000000000000', active: true },
  role: [{ name: 'trader', level: 1 }],
};

/** Brings an empty database to where the flows can begin; gives a stored hash of `password`, and what database it is. */
export async function fill(
  db: Database,
  env: Record<string, string>,
  people: string[],
): Promise<{ hash: string; database: string }> {
  await migrate(db);
  const config = await openRootSecrets(db, readConfig(env));
  await prepareJobs(config.database_url);
  await seed(db, config);
  const { id } = await saveOrganisation(db, organisation);
  for (const [at, username] of people.entries()) {
    const account = await createAccount(db, {
      username,
      password,
      full_name: claims.name,
      email: `${username}@contoh.example`,
      email_verified: true,
      mobile_number: `+62812${String(at).padStart(8, '0')}`,
      mobile_number_verified: true,
      address: 'Jalan Melati Contoh Nomor 5',
    });
    await addPerson(db, account.id, id);
    await grantRole(db, account.id, 'trader', { organisation_id: id });
  }
  const store = openClients(db, config);
  for (const name of names) {
    const { client_id, client_secret } = clients[name];
    await saveClient(store, { id: client_id, first_party: true, metadata: metadataOf(name) });
    await addClientSecret(store, client_id, client_secret);
  }
  for (const token_format of ['jwt', 'opaque'] as const) {
    const api = await registerApi({ db, config }, `ukur-${token_format}`, {
      token_format,
      client_id: clients.api.client_id,
      scopes: [scope],
    });
    for (const { client_id } of [clients.web, clients.service])
      await allowAt({ db }, api, { client_id, scopes: [scope] });
  }
  const { hash } = await db.selectFrom('passwords').select('hash').executeTakeFirstOrThrow();
  return { hash, database: await readDurability(db) };
}

/** The version of the database, once it is sure that what it acknowledges is on the disk. */
async function readDurability(db: Database): Promise<string> {
  const { rows } = await sql<{ version: string; durable: boolean }>`
    SELECT current_setting('server_version') AS version, current_setting('fsync')::boolean
      AND current_setting('full_page_writes')::boolean AND current_setting('synchronous_commit') = 'on' AS durable`.execute(
    db,
  );
  if (!rows[0]?.durable) throw new Error('the database acknowledges what it has not written: no figure would count');
  return rows[0].version;
}
