/** The rows of the bench: what is done, beside what, how often, and what it may cost (DESIGN 8). */

import type { Usage } from './answers.ts';
import { judgePairs, type Row, spreadOf } from './figures.ts';
import {
  authorize,
  newVisitor,
  readUserinfo,
  redeem,
  type Site,
  type Step,
  signIn,
  spread,
  type Visitor,
} from './flows.ts';
import { type Fetched, fetchSignInPage } from './page-size.ts';
import type { Bench, Measured } from './servers.ts';

/** How much is done; `flows` are those of one half of a pair. */
export interface Scale {
  pairs: number;
  warm_up: { sign_in: number; single_sign_on: number };
  flows: { sign_in: number; single_sign_on: number };
  at_once: { sign_in: number; single_sign_on: number };
}

/** One step of single sign-on, floor and ours, medians. */
export interface StepFigures {
  step: string;
  floor: Taken;
  ours: Taken;
}

export interface Outcome {
  rows: Row[];
  steps: StepFigures[];
  /** One whole flow with a password; its JavaScript thread is what no hash disturbs. */
  sign_in: Taken;
  /** What each step sends to the database, in order. */
  statements: { work: string; step: string; sent: string[] }[];
  page: Fetched[];
}

/** Takes all figures. */
export async function takeFigures(bench: Bench, scale: Scale, scope: string): Promise<Outcome> {
  const { client, password } = bench;
  const ours: Site = { ...bench.gapura, client, password, scope };
  const floor: Site = { ...bench.engine, client, password, scope };
  const page = await fetchSignInPage(ours);
  const sign_in = await measureSignIn(bench, ours, scale);
  const single = await measureSingleSignOn(bench, floor, ours, scale);
  const statements = await listStatements(bench, ours);
  return {
    rows: [sign_in.row, single.row, sizeRow(page)],
    steps: single.steps,
    sign_in: sign_in.taken,
    statements,
    page,
  };
}

/** What one request or flow took: CPU in µs as in `Usage`, and how many were answered in a second. */
export interface Taken extends Usage {
  per_second: number;
}

/** What `work` costs the process under measurement, for one of `times`. */
async function take(measured: Measured, times: number, work: () => Promise<unknown>): Promise<Taken> {
  const before = await measured.usage();
  const began = performance.now();
  await work();
  const seconds = (performance.now() - began) / 1000;
  const after = await measured.usage();
  return {
    cpu: (after.cpu - before.cpu) / times,
    kernel: (after.kernel - before.kernel) / times,
    main_thread: (after.main_thread - before.main_thread) / times,
    per_second: times / seconds,
  };
}

function medianOf(all: Taken[]): Taken {
  const median = (key: keyof Taken) => spreadOf(all.map((one) => one[key])).median;
  return {
    cpu: median('cpu'),
    kernel: median('kernel'),
    main_thread: median('main_thread'),
    per_second: median('per_second'),
  };
}

async function measureSignIn({ engine, hash, people }: Bench, ours: Site, scale: Scale) {
  const at_once = scale.at_once.sign_in;
  const flow = async (at: number) => {
    await redeem(ours, await signIn(ours, newVisitor(people[at % people.length] ?? '')));
  };
  const signAll = (times: number) => spread(times, at_once, flow);
  const hashAll = (times: number) => engine.ask({ ask: 'compare', times, at_once, hash, password: ours.password });

  await signAll(scale.warm_up.sign_in);
  await hashAll(scale.flows.sign_in);
  const pairs: { floor: number; ours: number }[] = [];
  const taken: Taken[] = [];
  const times = scale.flows.sign_in;
  for (let pair = 0; pair < scale.pairs; pair++) {
    const floor = await take(engine, times, () => hashAll(times));
    const whole = await take(ours, times, () => signAll(times));
    taken.push(whole);
    pairs.push({ floor: floor.cpu, ours: whole.cpu });
  }
  const work = 'password sign-in, whole flow to tokens, beyond one argon2id hash';
  return {
    row: judgePairs({ work, measure: 'beyond', target: 3000 }, pairs),
    taken: medianOf(taken),
  };
}

const sso_steps = ['authorization', 'token', 'userinfo'] as const;

async function measureSingleSignOn({ people }: Bench, floor: Site, ours: Site, scale: Scale) {
  const at_once = scale.at_once.single_sign_on;
  const signedIn = async (site: Site) => {
    const visitors = people.slice(0, at_once).map(newVisitor);
    await spread(visitors.length, 2, async (at) => {
      await redeem(site, await signIn(site, visitors[at] as Visitor));
    });
    return visitors;
  };
  const visitors = { floor: await signedIn(floor), ours: await signedIn(ours) };
  const { id_token } = await redeem(ours, await authorize(ours, visitors.ours[0] as Visitor));
  if (readAlgorithm(id_token) !== 'ES256') throw new Error('the ID token is not signed as the floor signs its own');

  await passThrough(floor, visitors.floor, scale.warm_up.single_sign_on);
  await passThrough(ours, visitors.ours, scale.warm_up.single_sign_on);
  const passes: { floor: Taken[]; ours: Taken[] }[] = [];
  for (let pair = 0; pair < scale.pairs; pair++) {
    passes.push({
      floor: await passThrough(floor, visitors.floor, scale.flows.single_sign_on),
      ours: await passThrough(ours, visitors.ours, scale.flows.single_sign_on),
    });
  }
  const whole = (taken: Taken[]) => taken.reduce((sum, step) => sum + step.cpu, 0);
  const pairs = passes.map((pass) => ({ floor: whole(pass.floor), ours: whole(pass.ours) }));
  const steps = sso_steps.map((step, at) => ({
    step,
    floor: medianOf(passes.map((pass) => pass.floor[at] as Taken)),
    ours: medianOf(passes.map((pass) => pass.ours[at] as Taken)),
  }));
  const work = 'single sign-on with a live session: authorization, token, userinfo';
  return { row: judgePairs({ work, measure: 'ratio', target: 1.35 }, pairs), steps };
}

/** Each step for all flows, then the next step, so that each has a figure of its own. Codes live a minute; a step takes seconds. */
async function passThrough(site: Site, visitors: Visitor[], times: number): Promise<Taken[]> {
  const codes: string[] = [];
  const tokens: string[] = [];
  // One request at a time for each visitor: a browser's own tabs seldom race.
  const each = (work: (at: number) => Promise<void>) => () =>
    spread(visitors.length, visitors.length, async (who) => {
      for (let at = who; at < times; at += visitors.length) await work(at);
    });
  return [
    await take(
      site,
      times,
      each(async (at) => {
        codes[at] = await authorize(site, visitors[at % visitors.length] as Visitor);
      }),
    ),
    await take(
      site,
      times,
      each(async (at) => {
        tokens[at] = (await redeem(site, codes[at] ?? '')).access_token;
      }),
    ),
    await take(
      site,
      times,
      each(async (at) => {
        const { sub } = await readUserinfo(site, tokens[at] ?? '');
        if (typeof sub !== 'string') throw new Error('userinfo names nobody');
      }),
    ),
  ];
}

function readAlgorithm(token: string): unknown {
  return JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).alg;
}

/** One flow of each kind, alone, with the statements of each step. */
async function listStatements({ people }: Bench, ours: Site): Promise<Outcome['statements']> {
  const statements: Outcome['statements'] = [];
  const recordAs =
    (work: string): Step =>
    async (step, run) => {
      await ours.ask({ ask: 'record' });
      const result = await run();
      const sent = await ours.ask<string[]>({ ask: 'recorded' });
      statements.push({ work, step, sent: sent.map(shorten) });
      return result;
    };
  const visitor = newVisitor(people[0] ?? '');
  const first = recordAs('password sign-in');
  const code = await signIn(ours, visitor, first);
  await first('token', () => redeem(ours, code));
  const again = recordAs('single sign-on');
  const second = await again('authorization', () => authorize(ours, visitor));
  const { access_token } = await again('token', () => redeem(ours, second));
  await again('userinfo', () => readUserinfo(ours, access_token));
  return statements;
}

/** `select oidc_sessions` of a whole statement: its verb and the table that it is about, not those of its inner parts. */
export function shorten(statement: string): string {
  let text = statement.replace(/\s+/g, ' ').trim();
  for (let outer = ''; outer !== text; ) {
    outer = text;
    text = text.replace(/\([^()]*\)/g, '');
  }
  const [verb = text] = text.replace(/^with \w+ as +/i, '').split(' ');
  const table = /\b(?:into|from|update) "?([a-z_]+)"?/i.exec(text)?.[1] ?? '';
  return `${verb} ${table}`.trim().toLowerCase();
}

function sizeRow(page: Fetched[]): Row {
  const bytes = spreadOf([page.reduce((sum, file) => sum + file.bytes, 0)]);
  const work = 'sign-in page with its files, as sent';
  return { work, measure: 'size', unit: 'bytes', ours: bytes, judged: bytes, target: 20_000 };
}
