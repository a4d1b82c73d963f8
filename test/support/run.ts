/** What one run of the tests shares among its processes: where its PostgreSQL is, Chromium unpacked, and what was compiled. */

import { fileURLToPath } from 'node:url';

const url_name = 'GAPURA_TEST_DATABASE_URL';
const chromium_name = 'GAPURA_TEST_CHROMIUM';

/** Many processes start in a run, and compiling is a good part of a start: what one compiled, the next ones read. */
export const compile_cache = fileURLToPath(new URL('../../node_modules/.cache/gapura-compiled', import.meta.url));

/** Told once by the start of the run, before any test process begins; those inherit it. */
export function tellRun(run: { database_url: string; chromium_folder: string }): void {
  process.env[url_name] = run.database_url;
  process.env[chromium_name] = run.chromium_folder;
}

/** Address of the run's PostgreSQL, with the database `postgres`. */
export function readRunDatabase(): URL {
  return new URL(read(url_name));
}

/** The folder that holds the unpacked Chromium. */
export function readRunChromium(): string {
  return read(chromium_name);
}

function read(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is missing: tests run through \`npm test\``);
  return value;
}
