/** `npm run bench`: takes the figures of DESIGN 8, prints them beside their floors and keeps them under data/bench/. */

import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { now } from '../../src/clock.ts';
import { countMet, printRows, printTable } from './figures.ts';
import { type GrowthScale, takeGrowth } from './growth.ts';
import type { Found, Scale, StepFigures } from './measure.ts';
import { type RowName, row_names, takeFigures } from './rows.ts';
import { endOnSignal, isCutShort, startBench } from './servers.ts';

const whole: Scale = {
  pairs: 7,
  warm_up: { sign_in: 200, single_sign_on: 1200, request: 1200 },
  flows: { sign_in: 120, single_sign_on: 600, request: 800 },
  at_once: { sign_in: 2, single_sign_on: 16 },
  storm: { at_once: 32, seconds: 4, per_second: 100 },
  starts: 5,
  requests: 60_000,
};

/** Of one row alone, which is taken while somebody works on it. */
const quick: Scale = {
  ...whole,
  pairs: 4,
  warm_up: { sign_in: 60, single_sign_on: 400, request: 500 },
  flows: { sign_in: 40, single_sign_on: 250, request: 400 },
  storm: { ...whole.storm, seconds: 2 },
  starts: 3,
  requests: 12_000,
};

const { values } = parseArgs({
  options: {
    pairs: { type: 'string' },
    scope: { type: 'string', default: 'openid profile email' },
    row: { type: 'string', multiple: true },
    requests: { type: 'string' },
    growth: { type: 'boolean', default: false },
    accounts: { type: 'string', default: '1000000' },
  },
});

function describeSteps(steps: StepFigures[]) {
  const round = (value: number) => String(Math.round(value));
  return {
    head: ['step', 'floor, CPU µs', 'ours', 'of it kernel', 'ratio', 'floor, requests/s', 'ours'],
    rows: steps.map(({ step, floor, ours }) => [
      step,
      round(floor.cpu),
      round(ours.cpu),
      round(ours.kernel),
      (ours.cpu / floor.cpu).toFixed(2),
      round(floor.per_second),
      round(ours.per_second),
    ]),
  };
}

function print({ rows, steps, tables }: Required<Found>): void {
  const parts = [
    ...(rows.length > 0 ? [`${printRows(rows)}\n${countMet(rows)}\n`] : []),
    ...(steps.length > 0 ? [printTable(describeSteps(steps))] : []),
    ...tables.map(printTable),
  ];
  process.stdout.write(`\n${parts.join('\n')}`);
}

async function keep(kept: Record<string, unknown>): Promise<string> {
  const folder = new URL('../../data/bench/', import.meta.url);
  await mkdir(folder, { recursive: true });
  const at = now().toISOString();
  const name = `${at.replaceAll(':', '-')}.json`;
  await writeFile(new URL(name, folder), `${JSON.stringify({ at, ...kept }, null, 2)}\n`);
  return `data/bench/${name}`;
}

function readRows(): readonly RowName[] {
  const asked = values.row ?? [];
  const unknown = asked.filter((name) => !(row_names as string[]).includes(name));
  if (unknown.length > 0) {
    process.stderr.write(`There is no row ${unknown.join(', ')}; there are ${row_names.join(', ')}.\n`);
    process.exit(2);
  }
  return asked.length > 0 ? row_names.filter((name) => asked.includes(name)) : row_names;
}

const rows = readRows();
const [load = 0] = loadavg();
const machine = {
  cores: availableParallelism(),
  cpu: cpus()[0]?.model ?? '',
  node: process.version,
  load_before: load,
};
process.stdout.write(
  `${machine.cores} cores (${machine.cpu.trim()}), Node ${process.version}, load ${load.toFixed(2)}\n`,
);
if (load > 0.3)
  process.stdout.write('The machine is at work with something else: take these figures as preliminary.\n');

const usual = values.row ? quick : whole;
const scale: Scale = {
  ...usual,
  pairs: Number(values.pairs ?? usual.pairs),
  requests: Number(values.requests ?? usual.requests),
};
endOnSignal();
try {
  if (values.growth) await takeGrown();
  else await takeRows();
} catch (error) {
  // Its servers were taken away from under it.
  if (!isCutShort()) throw error;
  process.exitCode = 130;
}

async function takeRows(): Promise<void> {
  // So many that nobody's own tries meet in the storm: a third at once must come with an answer to a human check.
  const bench = await startBench(2 * scale.storm.at_once);
  try {
    const found = await takeFigures(bench, scale, values.scope, rows, (name, seconds) =>
      process.stdout.write(`${name}: ${seconds.toFixed(0)} s\n`),
    );
    await report(found, { scale, postgresql: bench.database });
  } finally {
    await bench.stop();
  }
}

async function takeGrown(): Promise<void> {
  const large = Number(values.accounts);
  const grown: GrowthScale = { pairs: Number(values.pairs ?? 5), small: 1000, large, expired: large / 2, people: 32 };
  const found = await takeGrowth(grown, values.scope, (what) =>
    process.stdout.write(`${what}: ${process.uptime().toFixed(0)} s\n`),
  );
  await report({ steps: [], tables: [], ...found }, { scale: grown });
}

async function report(found: Required<Found>, taken: Record<string, unknown>): Promise<void> {
  print(found);
  process.stdout.write(`\nKept in ${await keep({ machine, scope: values.scope, ...taken, ...found })}\n`);
}
