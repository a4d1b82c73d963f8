/** Starts a PostgreSQL in a process of its own and keeps it until SIGTERM, for tests that kill whoever started it. */

import { startPostgres } from '../../src/demo/postgres.ts';

try {
  const postgres = await startPostgres(JSON.parse(process.argv[2] ?? '{}'));
  const stay = setInterval(() => undefined, 60_000);
  process.once('SIGTERM', () => postgres.stop().finally(() => clearInterval(stay)));
  process.stdout.write(`ready ${postgres.port}\n`);
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
