/** Row: what a sign-in with a password costs beyond the hash of the password. */

import { redeem } from './calls.ts';
import { judgePairs } from './figures.ts';
import { newVisitor, type Site, signIn, spread, type Visitor } from './flows.ts';
import { type Found, medianOf, type Run, take, takePairs } from './measure.ts';
import type { Bench } from './servers.ts';

/** From the application's request to its tokens, by somebody whose browser is not known yet. */
export async function measureSignIn({ bench, ours, scale }: Run): Promise<Found> {
  const { engine, hash, people } = bench;
  const at_once = scale.at_once.sign_in;
  const times = scale.flows.sign_in;
  const signAll = (count: number) => spread(count, at_once, (at) => signInNew(ours, people, at));
  const hashAll = () => engine.ask({ ask: 'compare', times, at_once, hash, password: ours.password });

  await signAll(scale.warm_up.sign_in);
  await hashAll();
  const taken = await takePairs(
    scale.pairs,
    () => take(engine, times, hashAll),
    () => take(ours, times, () => signAll(times)),
  );
  const pairs = taken.map((pair) => ({ floor: pair.floor.cpu, ours: pair.ours.cpu }));
  const work = 'password sign-in, whole flow to tokens, beyond one argon2id hash';
  const { main_thread, kernel, per_second } = medianOf(taken.map((pair) => pair.ours));
  const ms = (value: number) => (value / 1000).toFixed(2);
  return {
    rows: [judgePairs({ work, measure: 'beyond', target: 3000 }, pairs)],
    // The JavaScript thread's part is what no hash disturbs.
    tables: [
      {
        head: ['password sign-in', "JavaScript thread's CPU, ms", "kernel's CPU, ms", 'flows/s'],
        rows: [['ours', ms(main_thread), ms(kernel), per_second.toFixed(1)]],
      },
    ],
  };
}

/** One of the people signs in, in a browser that nobody knows. */
export async function signInNew(site: Site, people: Bench['people'], at: number): Promise<void> {
  await redeem(site, await signIn(site, newVisitor(people[at % people.length] ?? '')));
}

/** The first `count` people, each with a live session. */
export async function signInAll(site: Site, people: Bench['people'], count: number): Promise<Visitor[]> {
  const visitors = people.slice(0, count).map(newVisitor);
  await spread(visitors.length, 2, async (at) => {
    await redeem(site, await signIn(site, visitors[at] as Visitor));
  });
  return visitors;
}
