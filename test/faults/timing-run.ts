/** `npm run faults -- timing`: whether a stranger learns by the clock who has an account; ends with 1 when they do. */

import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readConfig } from '../../src/config.ts';
import { migrate, openDatabase } from '../../src/database.ts';
import { startPostgres } from '../../src/demo/postgres.ts';
import { prepareJobs } from '../../src/jobs.ts';
import { printTable } from '../bench/figures.ts';
import { openSite, settingsOf } from './site.ts';
import { compareTimes, type Row, type Scale } from './timing.ts';

const { values } = parseArgs({ options: { pairs: { type: 'string', default: '300' } } });
const scale: Scale = { pairs: Number(values.pairs), dropped: 20, runs: 3 };
if (!Number.isInteger(scale.pairs) || scale.pairs < 1 || scale.pairs > 9000)
  throw new Error('--pairs wants a whole number from 1 to 9000');

function print(rows: Row[]): void {
  const ms = (value: number) => value.toFixed(2);
  const head = ['ms', 'known: min', 'median', '10-90 %', 'unknown: min', 'median', '10-90 %', 'apart', 'p', 'run', ''];
  const lines = rows.map(({ step, comparison, run }) => [
    step,
    ...[comparison.known, comparison.unknown].flatMap(({ min, median, spread }) => [min, median, spread].map(ms)),
    ms(comparison.distance),
    comparison.p < 0.0001 ? '< 0.0001' : comparison.p.toFixed(4),
    String(run),
    comparison.is_told ? 'told apart' : 'not told apart',
  ]);
  process.stdout.write(`\n${printTable({ head, rows: lines })}`);
}

// A run that was killed is cleaned up by the next `npm test`, which knows this prefix.
const folder = await mkdtemp(join(tmpdir(), `gapura-test-${process.pid}-`));
const undo: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
let stopped: Promise<void> | undefined;
// Whoever asks a second time waits for the first.
function stop(): Promise<void> {
  stopped ??= (async () => {
    for (const step of undo.reverse()) await step();
  })();
  return stopped;
}
let is_cut_short = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    is_cut_short = true;
    void stop();
  });

try {
  await chmod(folder, 0o755);
  const postgres = await startPostgres({ folder, user: 'gapura', password: 'gapura', databases: ['gapura'] });
  undo.push(() => postgres.stop());
  const url = postgres.url('gapura');
  const db = openDatabase(url, { max: 4, application_name: 'faults' });
  undo.push(() => db.destroy());
  await migrate(db);
  await prepareJobs(readConfig(settingsOf(url)).database_url);
  const site = await openSite(db, url);
  undo.push(() => site.stop());
  const rows = await compareTimes(site, scale);
  print(rows);
  if (rows.some(({ comparison }) => comparison.is_told)) process.exitCode = 1;
} catch (error) {
  // Its server was taken away from under it.
  if (!is_cut_short) throw error;
  process.exitCode = 130;
} finally {
  await stop();
}
