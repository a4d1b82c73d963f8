/** `npm run faults`: whether people notice what fails; ends with 1 when a promise is broken. `npm run faults -- timing` takes times. */

import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { printTable } from '../bench/figures.ts';
import { drawFrom } from './chance.ts';
import { openInstallation } from './installation.ts';
import { type Outcome, type Struck, strikeAll } from './rounds.ts';
import { type Fault, faults } from './strikes.ts';

const usage = `npm run faults [-- --only kill,standby] [--rounds N] [--people N] [--chance N]
npm run faults -- timing [--pairs N]

${faults.map(({ name, what }) => `  ${name.padEnd(10)} ${what}`).join('\n')}
`;

/** Runs one round in a folder of its own; the exit code says whether every promise was kept. */
async function runRound(chosen: Fault[], people: number, chance: number): Promise<boolean> {
  // A run that was killed is cleaned up by the next `npm test`, which knows this prefix.
  const folder = await mkdtemp(join(tmpdir(), `gapura-test-${process.pid}-`));
  await chmod(folder, 0o755);
  const undo: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    const place = await openInstallation({ folder, people, random: drawFrom(chance) });
    undo.push(place.close);
    if (chosen.some(({ name }) => name === 'standby')) await place.database.attachStandby();
    const outcome = await strikeAll(place, chosen, { tell: ({ fault }) => process.stderr.write(`${fault} `) });
    process.stderr.write('\n');
    print(outcome, chance);
    const is_kept = isKept(outcome);
    if (!is_kept) printLogs(place.nodes);
    return is_kept;
  } finally {
    for (const step of undo.reverse()) await step();
  }
}

function isKept({ struck, differences, broken }: Outcome): boolean {
  return [differences, broken, ...struck.map((one) => one.broken)].every((list) => list.length === 0);
}

function print({ struck, done, differences, again, held, broken }: Outcome, chance: number): void {
  const head = ['fault', 'requests', 'errors', 'begun anew', 'well after (s)', 'slowest (s)', 'broken', ''];
  const seconds = (ms: number) => (ms / 1000).toFixed(1);
  const lines = struck.map((one: Struck) => [
    one.fault,
    String(one.requests),
    one.errors.map(({ status, times }) => `${times} × ${status}`).join(', ') || '0',
    String(one.begun_anew),
    seconds(one.well_after),
    `${one.slowest.what} ${seconds(one.slowest.ms)}`,
    String(one.broken.length),
    one.broken.length === 0 ? 'kept' : 'BROKEN',
  ]);
  const words = `${done} acts ended well; ledger against rows: ${differences.length} differences; chance ${chance}`;
  process.stdout.write(`\n${printTable({ head, rows: lines })}\n${words}\n`);
  const last = `the last arrived ${seconds(held.last_after)} s after that`;
  if (held.mails > 0) process.stdout.write(`${held.mails} mails waited for the mail server; ${last}\n`);
  process.stdout.write(`came twice, as may be: ${again.mails} mails, ${again.notices} notices of a sign-out\n`);
  for (const { fault, broken: found } of struck) for (const text of found) process.stdout.write(`${fault}: ${text}\n`);
  for (const text of [...broken, ...differences]) process.stdout.write(`at the end: ${text}\n`);
}

/** What the nodes themselves say about failures, each kind once; a lost database is no news. */
function printLogs(nodes: readonly { log: Record<string, unknown>[] }[]): void {
  const lines = nodes.flatMap(({ log }) => log).filter(({ level, status }) => Number(level) >= 50 && status !== 503);
  const said = lines.map(({ msg, duty, err, error }) => {
    const { message = '', stack = '' } = (err ?? error ?? {}) as Record<string, string>;
    const place = /file:\/\/\S+(src\/\S+?):\d+\)?$/m.exec(stack)?.[1] ?? '';
    return `log: ${[msg, duty, message.split('\n')[0], place].filter(Boolean).join('; ')}\n`;
  });
  for (const line of new Set(said)) process.stdout.write(line);
}

async function runFaults(argv: string[]): Promise<void> {
  const { values } = parseArgs({
    args: argv,
    options: {
      only: { type: 'string' },
      rounds: { type: 'string', default: '1' },
      people: { type: 'string', default: '8' },
      chance: { type: 'string' },
      help: { type: 'boolean' },
    },
  });
  const names = values.only?.split(',') ?? faults.map(({ name }) => name);
  const unknown = names.find((name) => !faults.some((fault) => fault.name === name));
  if (values.help || unknown !== undefined) {
    process.stdout.write(usage);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  // An end by a signal is an end, too: what was started goes with this process.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
  const chosen = faults.filter(({ name }) => names.includes(name));
  for (let round = 1; round <= Number(values.rounds); round++) {
    const chance = values.chance === undefined ? Math.floor(Math.random() * 1e6) : Number(values.chance);
    if (!(await runRound(chosen, Number(values.people), chance))) process.exitCode = 1;
  }
}

const [first, ...rest] = process.argv.slice(2);
if (first === 'timing') {
  process.argv.splice(2, 1);
  await import('./timing-run.ts');
} else await runFaults([...(first === undefined ? [] : [first]), ...rest]);
