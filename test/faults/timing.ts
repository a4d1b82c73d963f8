/** The times of tries with names that somebody has and names that nobody has, taken in turns that no one can foresee. */

import { randomInt } from 'node:crypto';
import { type Answer, findForm, type HttpVisitor, newHttpVisitor } from '../support/http.ts';
import { type Comparison, compare } from './comparison.ts';
import { inventName, type Site } from './site.ts';

export interface Scale {
  /** Counted, of each kind. */
  pairs: number;
  /** Taken before those and thrown away: connections, caches and compiled code warm up. */
  dropped: number;
  /** Taken again, at most so often, while they can be told apart: the best of them counts, for machines are noisy. */
  runs: number;
}

export interface Row {
  step: string;
  comparison: Comparison;
  /** Which of the runs it is from. */
  run: number;
}

/** Milliseconds by step. */
type Took = Record<string, number>;

/** A way on which a stranger types a name; it gives the time of every step whose answer could tell. */
export type Way = (site: Site, name: string) => Promise<Took>;

/** Takes the times of every way and compares them, step by step. */
export async function compareTimes(
  site: Site,
  scale: Scale,
  ways: readonly Way[] = [trySignIn, tryRecovery],
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const way of ways) {
    let best: Row[] = [];
    for (let run = 1; run <= scale.runs && (run === 1 || best.some(isTold)); run += 1) {
      const taken = await takeRun(site, way, scale, run);
      best = taken.map((row, at) => better(best[at], row));
    }
    rows.push(...best);
  }
  return rows;
}

const isTold = ({ comparison }: Row) => comparison.is_told;

function better(one: Row | undefined, other: Row): Row {
  if (!one || (isTold(one) && !isTold(other))) return other;
  const is_nearer = Math.abs(other.comparison.distance) < Math.abs(one.comparison.distance);
  return isTold(one) === isTold(other) && is_nearer ? other : one;
}

async function takeRun(site: Site, way: Way, { pairs, dropped }: Scale, run: number): Promise<Row[]> {
  const known: Took[] = [];
  const unknown: Took[] = [];
  for (let at = 0; at < pairs + dropped; at += 1) {
    const tries = [
      { name: site.known[at % site.known.length] ?? '', times: known },
      { name: inventName(run * 10_000 + at), times: unknown },
    ];
    if (randomInt(2) === 1) tries.reverse();
    for (const { name, times } of tries) {
      // The limits would stop a stranger long before; what is asked here is what they would have learned.
      await site.db.deleteFrom('limits').execute();
      const took = await way(site, name);
      if (at >= dropped) times.push(took);
    }
  }
  return Object.keys(known[0] ?? {}).map((step) => {
    const of = (times: Took[]) => times.map((took) => took[step] ?? Number.NaN);
    return { step, comparison: compare(of(known), of(unknown)), run };
  });
}

async function trySignIn(site: Site, identifier: string): Promise<Took> {
  const visitor = newHttpVisitor(site.url);
  const page = await visitor.get('/portal');
  const { took } = await send(visitor, page, 'login', { identifier, password: 'Bukan-Kata-Sandi-1' }, 422);
  return { 'sign-in: wrong password': took };
}

async function tryRecovery(site: Site, username: string): Promise<Took> {
  const visitor = newHttpVisitor(site.url);
  const name = await send(visitor, await visitor.get('/recovery'), 'recovery', { username }, 303);
  const request = await send(visitor, await follow(visitor, name.answer), 'request', {}, 303);
  const code = await follow(visitor, request.answer);
  const check = await send(visitor, code, 'verification', { code: 'AAAACCCC' }, 422);
  return { 'recovery: name': name.took, 'recovery: code sent': request.took, 'recovery: wrong code': check.took };
}

const follow = (visitor: HttpVisitor, { headers }: Answer) => visitor.get(headers.get('location') ?? '/');

/** Sends a form and gives the time until its answer was read whole; redirects are not followed in it. */
async function send(
  visitor: HttpVisitor,
  page: Answer,
  form: string,
  values: Record<string, string>,
  status: number,
): Promise<{ answer: Answer; took: number }> {
  const { action, fields } = findForm(page.body, form);
  const target = new URL(action || page.url.href, page.url);
  const from = performance.now();
  const answer = await visitor.post(target, { ...fields, ...values }, { follow: false });
  const took = performance.now() - from;
  // Times of something else would say nothing.
  if (answer.status !== status) throw new Error(`${form}: ${answer.status} where ${status} was awaited`);
  return { answer, took };
}
