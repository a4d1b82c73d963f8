/** `npm run bench`: takes the figures of DESIGN 8, prints them beside their floors and keeps them under data/bench/. */

import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { now } from '../../src/clock.ts';
import { printRows, printTable } from './figures.ts';
import { type Outcome, type Scale, takeFigures } from './rows.ts';
import { type Bench, startBench } from './servers.ts';

const scale: Scale = {
  pairs: 7,
  warm_up: { sign_in: 200, single_sign_on: 1200 },
  flows: { sign_in: 120, single_sign_on: 600 },
  at_once: { sign_in: 2, single_sign_on: 16 },
};

const { values } = parseArgs({
  options: {
    pairs: { type: 'string', default: String(scale.pairs) },
    scope: { type: 'string', default: 'openid profile email' },
  },
});

function print(outcome: Outcome): void {
  const round = (value: number) => String(Math.round(value));
  const count = (work: string, step: string) =>
    String(outcome.statements.find((one) => one.work === work && one.step === step)?.sent.length ?? 0);
  const steps = outcome.steps.map(({ step, floor, ours }) => [
    step,
    round(floor.cpu),
    round(ours.cpu),
    round(ours.kernel),
    (ours.cpu / floor.cpu).toFixed(2),
    count('single sign-on', step),
    round(floor.per_second),
    round(ours.per_second),
  ]);
  const head = [
    'single sign-on, step',
    'floor, CPU µs',
    'ours',
    'of it kernel',
    'ratio',
    'statements',
    'floor, requests/s',
    'ours',
  ];
  const statements = outcome.statements.map(({ work, step, sent }) => [
    `${work}: ${step}`,
    String(sent.length),
    sent.join(', '),
  ]);
  const files = outcome.page.map((file) => [file.path, String(file.bytes), file.encoding]);
  const { per_second, main_thread, kernel } = outcome.sign_in;
  const ms = (value: number) => (value / 1000).toFixed(2);
  const parts = [
    printRows(outcome.rows),
    printTable(head, steps),
    `Password sign-in: ${per_second.toFixed(1)} flows/s; of one, ${ms(main_thread)} ms are the JavaScript thread's and ${ms(kernel)} ms the kernel's.\n`,
    printTable(['statements', '', ''], statements),
    printTable(['sign-in page', 'bytes', 'encoding'], files),
  ];
  process.stdout.write(`\n${parts.join('\n')}`);
}

async function keep(outcome: Outcome, bench: Bench, machine: object): Promise<string> {
  const folder = new URL('../../data/bench/', import.meta.url);
  await mkdir(folder, { recursive: true });
  const at = now().toISOString();
  const name = `${at.replaceAll(':', '-')}.json`;
  const kept = { at, machine, postgresql: bench.database, scale, scope: values.scope, ...outcome };
  await writeFile(new URL(name, folder), `${JSON.stringify(kept, null, 2)}\n`);
  return `data/bench/${name}`;
}

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

scale.pairs = Number(values.pairs);
const bench = await startBench(scale.at_once.single_sign_on);
let is_cut_short = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    is_cut_short = true;
    void bench.stop();
  });
try {
  const outcome = await takeFigures(bench, scale, values.scope);
  print(outcome);
  process.stdout.write(`\nKept in ${await keep(outcome, bench, machine)}\n`);
} catch (error) {
  // Its servers were taken away from under it.
  if (!is_cut_short) throw error;
  process.exitCode = 130;
} finally {
  await bench.stop();
}
