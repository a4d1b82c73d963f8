/** A rotation while a crowd signs in at two processes: nobody who obeys the age of the published keys ever fails to verify. */

import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose';
import { nowSeconds } from '../../../src/clock.ts';
import { inTransaction } from '../../../src/database.ts';
import { keptRetired, published_for, removeKey, rotateKey, turnKeys } from '../../../src/oidc/keys/signing-keys.ts';
import { moveClock, resetClock } from '../../support/clock.ts';
import { startNodes, type TestNodes } from '../../support/gapura.ts';
import { type HttpVisitor, newHttpVisitor } from '../../support/http.ts';
import { type App, askNode, codeForm, openApp, openAs, until } from '../../support/nodes.ts';
import { storm } from '../../support/storm.ts';

let gapura: TestNodes;
let apps: App[];

beforeAll(async () => {
  gapura = await startNodes();
  apps = [];
  for (const alg of ['RS256', 'ES256'] as const)
    apps.push(await openApp(gapura, `rp-${alg.toLowerCase()}`, { metadata: { id_token_signed_response_alg: alg } }));
});

afterEach(() => resetClock(gapura.db, gapura.nodes));
afterAll(() => gapura.stop());

const at = (seconds: number) => moveClock(gapura.db, seconds, gapura.nodes);

const readKeys = async (node: number) => {
  const answer = await askNode(gapura, node, '/connect/jwks');
  expect(answer.status).toBe(200);
  const age = Number(/max-age=(\d+)/.exec(answer.headers['cache-control'] ?? '')?.[1]);
  return { set: JSON.parse(answer.body) as JSONWebKeySet, age };
};

/** The keys as an application keeps them: for as long as it is allowed to, and no second look when a key is unknown. */
class KeyCache {
  readonly #node: number;
  #kept: JSONWebKeySet = { keys: [] };
  #until = 0;

  constructor(node: number) {
    this.#node = node;
  }

  async verify(token: string): Promise<string> {
    if (this.#until <= nowSeconds()) {
      const { set, age } = await readKeys(this.#node);
      this.#kept = set;
      this.#until = nowSeconds() + age;
    }
    await jwtVerify(token, createLocalJWKSet(this.#kept));
    return String(decodeProtectedHeader(token).kid);
  }
}

interface Member {
  visitor: HttpVisitor;
  cache: KeyCache;
  turns: number;
}

/** Those who sign in, each with an application's cache that asks one of the nodes. */
const newCrowd = (size: number): Member[] =>
  Array.from({ length: size }, (_, number) => ({
    visitor: newHttpVisitor(gapura.url),
    cache: new KeyCache(number),
    turns: number,
  }));

/** Opens an application at one node, redeems the code at the other and verifies the ID token; gives its key. */
async function openOnce(member: Member): Promise<string> {
  member.turns += 1;
  const { visitor, cache, turns } = member;
  const app = apps[turns % apps.length] as App;
  const { address, checks } = await app.begin();
  const authorized = await askNode(gapura, turns, address, { visitor });
  expect(authorized.status).toBe(303);
  const returned = new URL(authorized.headers.location ?? '');
  const [redeemed] = await storm(1, () => app.ask(turns + 1, codeForm(app, returned, checks)));
  expect(redeemed?.status).toBe(200);
  return cache.verify(JSON.parse(redeemed?.body ?? '{}').id_token);
}

/** Every member opens applications, over and over; gives the keys that were met. */
async function open(crowd: Member[], rounds = 3): Promise<Set<string>> {
  const met = crowd.map(async (member) => {
    const kids: string[] = [];
    for (let round = 0; round < rounds; round++) kids.push(await openOnce(member));
    return kids;
  });
  return new Set((await Promise.all(met)).flat());
}

async function signIn(crowd: Member[]): Promise<void> {
  for (const { visitor } of crowd) await openAs(apps[0] as App, visitor, 'budi');
}

/** A step with both algorithms, asked for on both sides at once, as by two officers. */
const rotate = () =>
  Promise.all(
    ['RS256', 'ES256', 'RS256', 'ES256'].map((alg) =>
      inTransaction(gapura.db, (tx) => rotateKey(tx, gapura.config, alg as 'RS256', { is_urgent: true })),
    ),
  );

const failures = () => gapura.nodes.flatMap(({ log }) => log).filter(({ level }) => Number(level) >= 50);

const knowsAll = (kids: string[]) => async () => {
  const known = (await Promise.all([0, 1].map(readKeys))).map(({ set }) => set.keys.map(({ kid }) => kid));
  return known.every((set) => kids.every((kid) => set.includes(kid)));
};

test('publishing, signing with the next key and retiring the one before fails nobody', async () => {
  const crowd = newCrowd(6);
  await signIn(crowd);
  const first = await open(crowd);
  expect(first.size).toBe(2);

  // Published: nobody signs with it, and half of the caches do not know it.
  const [published] = await Promise.all([rotate(), open(crowd)]);
  const next = published.flatMap((outcome) => (outcome.state === 'published' ? [outcome.kid] : []));
  expect(next).toHaveLength(2);
  await until(knowsAll(next));
  await at(published_for - 60);
  expect(await open(crowd)).toEqual(first);
  expect((await rotate()).map(({ state }) => state)).toEqual(Array(4).fill('waiting'));

  // Signs from the first moment in which it may, while everybody is at work.
  await at(published_for + 60);
  const [turned] = await Promise.all([rotate(), open(crowd, 5)]);
  expect(turned.filter(({ state }) => state === 'current')).toHaveLength(2);
  await until(async () => {
    const met = await open(crowd, 1);
    return next.every((kid) => met.has(kid)) && [...first].every((kid) => !met.has(kid));
  });

  // Retired and gone, days after its last token.
  await at(published_for + 60 + keptRetired() + 60);
  await signIn(crowd);
  const [gone] = await Promise.all([turnKeys(gapura.db, gapura.config), open(crowd)]);
  expect(gone.filter(({ state, kid }) => state === 'gone' && first.has(kid))).toHaveLength(2);
  await open(crowd);
  expect(failures()).toEqual([]);
});

test('a key removed in an emergency is gone on both nodes at once, and both sign with another', async () => {
  const crowd = newCrowd(2);
  await signIn(crowd);
  const { set } = await readKeys(0);
  const lost = set.keys.filter(({ alg }) => alg === 'RS256' || alg === 'ES256').slice(0, 2);
  const removed = await Promise.all(
    lost.map(({ kid }) => inTransaction(gapura.db, (tx) => removeKey(tx, gapura.config, String(kid)))),
  );
  const successors = removed.flatMap((one) => one?.successor ?? []);
  expect(successors).toHaveLength(2);
  await until(knowsAll(successors));
  const known = (await Promise.all([0, 1].map(readKeys))).flatMap(({ set: now }) => now.keys.map(({ kid }) => kid));
  expect(lost.filter(({ kid }) => known.includes(kid))).toEqual([]);
  expect([...(await open(newCrowdOf(crowd)))].sort()).toEqual(successors.sort());
  expect(failures()).toEqual([]);
});

/** The same people, with caches that ask anew. */
const newCrowdOf = (crowd: Member[]): Member[] =>
  crowd.map((member, number) => ({ ...member, cache: new KeyCache(number) }));
