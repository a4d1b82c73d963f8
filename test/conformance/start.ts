/** `npm run conformance`: starts the installation for the certification suite and prints the suite's configuration. */

import { once } from 'node:events';
import { readEnvironment, startInstallation } from './installation.ts';

const installation = await startInstallation(await readEnvironment(process.env)).catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
const print = (document: object) => JSON.stringify(document, null, 2);
process.stdout.write(`
Gapura for the certification suite: ${installation.url}

OpenID Connect plans:
${print(installation.configuration.oidc)}

FAPI 2.0 Security Profile plan:
${print(installation.configuration.fapi2)}

Ctrl-C stops everything; clients and keys stay.
`);
await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
await installation.stop();
