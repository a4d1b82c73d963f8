/** The demonstration's applications beside a Gapura that runs elsewhere: `seed` registers them and its people, `serve` runs them. */

import { openClients } from '../clients/client.ts';
import { ConfigError, readDemoSites, readProcessConfig } from '../config.ts';
import { openDatabase } from '../database.ts';
import { openRootSecrets } from '../root-secrets.ts';
import { startCargoLink } from './cargolink.ts';
import { startEBpom } from './e-bpom.ts';
import { cargolink_password, e_bpom_password, seedApplications, seedClients, seedPeople } from './people.ts';
import { startPortalInsw } from './portal-insw.ts';

/** Writes to Gapura's database, with Gapura's settings. May run any number of times. */
async function seedApart(): Promise<void> {
  const { client_secret, ...addresses } = readDemoSites();
  const settings = readProcessConfig();
  const db = openDatabase(settings.database_url.reveal(), { max: 2 });
  try {
    await seedPeople(db);
    const clients = openClients(db, await openRootSecrets(db, settings));
    // They are the ones of `npm start`, which had the engine look at them.
    const isValid = async () => undefined;
    await seedClients(clients, addresses, () => client_secret.reveal(), isValid);
    await seedApplications(db, addresses);
  } finally {
    await db.destroy();
  }
}

async function serveApart(): Promise<void> {
  const { e_bpom, cargolink, portal_insw, gapura, client_secret, database_url, host } = readDemoSites();
  const site = (url: string, port: number) => ({ url, port, host, database_url: database_url.reveal() });
  const party = (client_id: string) => ({
    client_id,
    client_secret: client_secret.reveal(),
    issuer: `${gapura}/connect`,
    gapura_url: gapura,
  });
  const sites = await Promise.all([
    startEBpom({ ...site(e_bpom, 3001), ...party('e-bpom'), own_password: e_bpom_password }),
    startCargoLink({ ...site(cargolink, 3002), own_password: cargolink_password }),
    startPortalInsw({ ...site(portal_insw, 3003), ...party('portal-insw') }),
  ]);
  const stop = () => void Promise.all(sites.map((one) => one.close()));
  process.once('SIGTERM', stop).once('SIGINT', stop);
}

const [command = 'serve'] = process.argv.slice(2);
try {
  await (command === 'seed' ? seedApart() : serveApart());
} catch (error) {
  process.stderr.write(error instanceof ConfigError ? `${error.message}\n` : `${(error as Error).stack}\n`);
  process.exitCode = 1;
}
