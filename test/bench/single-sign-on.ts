/** Row: what single sign-on with a live session costs, step by step. */

import { readUserinfo, redeem } from './calls.ts';
import { judgePairs } from './figures.ts';
import { authorize, type Site, type Visitor } from './flows.ts';
import { type Found, inTurns, medianOf, type Run, type Taken, take, takePairs } from './measure.ts';
import { signInAll } from './sign-in.ts';

const steps = ['authorization', 'token', 'userinfo'] as const;

/** Authorization, token and userinfo, by people who are signed in. */
export async function measureSingleSignOn({ bench, floor, ours, scale }: Run): Promise<Found> {
  const at_once = scale.at_once.single_sign_on;
  const visitors = {
    floor: await signInAll(floor, bench.people, at_once),
    ours: await signInAll(ours, bench.people, at_once),
  };
  const { id_token } = await redeem(ours, await authorize(ours, visitors.ours[0] as Visitor));
  if (readAlgorithm(id_token) !== 'ES256') throw new Error('the ID token is not signed as the floor signs its own');

  await passThrough(floor, visitors.floor, scale.warm_up.single_sign_on);
  await passThrough(ours, visitors.ours, scale.warm_up.single_sign_on);
  const passes = await takePairs(
    scale.pairs,
    () => passThrough(floor, visitors.floor, scale.flows.single_sign_on),
    () => passThrough(ours, visitors.ours, scale.flows.single_sign_on),
  );
  const whole = (taken: Taken[]) => taken.reduce((sum, step) => sum + step.cpu, 0);
  const pairs = passes.map((pass) => ({ floor: whole(pass.floor), ours: whole(pass.ours) }));
  const work = 'single sign-on with a live session: authorization, token, userinfo';
  return {
    rows: [judgePairs({ work, measure: 'ratio', target: 1.35 }, pairs)],
    steps: steps.map((step, at) => ({
      step,
      floor: medianOf(passes.map((pass) => pass.floor[at] as Taken)),
      ours: medianOf(passes.map((pass) => pass.ours[at] as Taken)),
    })),
  };
}

/** Each step for all flows, then the next step, so that each has a figure of its own. Codes live a minute; a step takes seconds. */
export async function passThrough(site: Site, visitors: Visitor[], times: number): Promise<Taken[]> {
  const codes: string[] = [];
  const tokens: string[] = [];
  // One request at a time for each visitor: a browser's own tabs seldom race.
  const each = (work: (at: number, who: number) => Promise<void>) =>
    take(site, times, () => inTurns(visitors.length, times, work));
  return [
    await each(async (at, who) => {
      codes[at] = await authorize(site, visitors[who] as Visitor);
    }),
    await each(async (at) => {
      tokens[at] = (await redeem(site, codes[at] ?? '')).access_token;
    }),
    await each(async (at) => {
      const { sub } = await readUserinfo(site, tokens[at] ?? '');
      if (typeof sub !== 'string') throw new Error('userinfo names nobody');
    }),
  ];
}

function readAlgorithm(token: string): unknown {
  return JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).alg;
}
