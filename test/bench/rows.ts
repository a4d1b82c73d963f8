/** The rows of the bench, by the names under which each can be taken alone, in the order in which they are taken. */

import { listStatements, weighWrites } from './database.ts';
import { clients, password } from './fill.ts';
import type { Site } from './flows.ts';
import type { Found, Run, Scale } from './measure.ts';
import { measureMemory } from './memory.ts';
import { measurePage } from './page-size.ts';
import { measureStart } from './ready.ts';
import type { Bench } from './servers.ts';
import { measureSignIn } from './sign-in.ts';
import { measureSingleSignOn } from './single-sign-on.ts';
import { measureStorm } from './storm.ts';
import { measureApiToken, measureIntrospection, measureOwnToken, measureRefresh } from './tokens.ts';

const measurements = {
  'sign-in': measureSignIn,
  'single-sign-on': measureSingleSignOn,
  refresh: measureRefresh,
  'client-credentials': measureOwnToken,
  'client-credentials-jwt': measureApiToken,
  introspection: measureIntrospection,
  storm: measureStorm,
  ready: measureStart,
  page: measurePage,
  statements: listStatements,
  writes: weighWrites,
  memory: measureMemory,
} as const satisfies Record<string, (run: Run) => Promise<Found>>;

export type RowName = keyof typeof measurements;

export const row_names = Object.keys(measurements) as RowName[];

/** Takes the figures of these rows. */
export async function takeFigures(
  bench: Bench,
  scale: Scale,
  scope: string,
  names: readonly RowName[] = row_names,
  tell: (name: RowName, seconds: number) => void = () => undefined,
): Promise<Required<Found>> {
  const of_site = { client: clients.bench, password, scope };
  const ours: Site = { ...bench.gapura, ...of_site };
  const floor: Site = { ...bench.engine, ...of_site };
  const all: Required<Found> = { rows: [], steps: [], tables: [] };
  for (const name of names) {
    const began = performance.now();
    const { rows, steps = [], tables = [] } = await measurements[name]({ bench, ours, floor, scale });
    all.rows.push(...rows);
    all.steps.push(...steps);
    all.tables.push(...tables);
    tell(name, (performance.now() - began) / 1000);
  }
  return all;
}
