/** The crowd: people who sign in, work and sign out, each at their own pace, until they are told to stop. */

import { setTimeout as wait } from 'node:timers/promises';
import { link, open, refresh, settle, signIn, signOut } from './acts.ts';
import { Broken, isInterrupted, Unexpected } from './answers.ts';
import type { Ground } from './asking.ts';
import type { Person } from './ledger.ts';
import { recover } from './way-back.ts';

export interface Crowd {
  /** What must never be and was, a sentence each. */
  broken: string[];
  /** How many acts ended well. */
  done: number;
  /** How many had to be begun anew, by an error or by something that was lost on the way. */
  begun_anew: number;
  /** Everybody's next act is a step of the way back by a mailed code. */
  forget(): void;
  /** Waits until everybody has done something that was begun after `since` and ended well; false after 20 s. */
  isWell(since: number): Promise<boolean>;
  /** What was begun and disturbed may fail in other ways than by an error: from now on, or no longer. */
  disturb(is_disturbed: boolean): void;
  /** Lets everybody finish, and settles what is open. */
  stop(): Promise<void>;
}

type Act = (person: Person, ground: Ground) => Promise<void>;

/** With how often each is done, of all together. */
const acts: [often: number, act: Act][] = [
  [5, (person, ground) => open(person, ground, 'e-bpom')],
  [3, (person, ground) => open(person, ground, 'insw')],
  [2, (person, ground) => open(person, ground, 'sekali')],
  [3, (person, ground) => open(person, ground, 'e-bpom', true)],
  [5, (person, ground) => refresh(person, ground, 'e-bpom')],
  [5, (person, ground) => refresh(person, ground, 'insw')],
  [4, link],
  [1, recover],
  [2, signOut],
];
const often_in_all = acts.reduce((sum, [often]) => sum + often, 0);

// Between two acts of one person, in milliseconds.
const pause = { least: 80, most: 320 };
// Around a fault, what it took on the way is found missing this long after its end.
const disturbance_ms = 5000;

/** Lets the people begin. */
export function startCrowd(people: readonly Person[], ground: Ground): Crowd {
  const { random } = ground;
  const well_since = new Map(people.map((person) => [person, Number.NEGATIVE_INFINITY]));
  const forgetful = new Set<Person>();
  let is_stopping = false;
  let disturbed_until = 0;

  const choose = (person: Person): Act => {
    if (person.session === 'closed') return signIn;
    if (forgetful.delete(person)) return recover;
    // Somebody who waits for a mail looks for it now and then.
    if (person.recovery && random() < 0.3) return recover;
    let at = random() * often_in_all;
    for (const [often, act] of acts) {
      at -= often;
      if (at < 0) return act;
    }
    return refresh as never;
  };

  const tryOnce = async (person: Person, act: () => Promise<void>) => {
    const began = performance.now();
    try {
      await act();
      crowd.done += 1;
      well_since.set(person, began);
    } catch (error) {
      crowd.begun_anew += 1;
      if (isInterrupted(error)) return;
      if (error instanceof Unexpected && performance.now() < disturbed_until) return;
      const is_ours = error instanceof Broken || error instanceof Unexpected;
      crowd.broken.push(is_ours ? error.message : `${person.username}: ${(error as Error).stack}`);
    }
  };

  const live = async (person: Person) => {
    while (!is_stopping) {
      await wait(pause.least + random() * (pause.most - pause.least));
      await tryOnce(person, async () => {
        await settle(person);
        await choose(person)(person, ground);
      });
    }
  };

  const crowd: Crowd = {
    broken: [],
    done: 0,
    begun_anew: 0,
    forget() {
      for (const person of people) forgetful.add(person);
    },
    async isWell(since) {
      for (let tries = 0; tries < 400; tries++) {
        if ([...well_since.values()].every((at) => at > since)) return true;
        await wait(50);
      }
      return false;
    },
    disturb(is_disturbed) {
      disturbed_until = is_disturbed ? Number.POSITIVE_INFINITY : performance.now() + disturbance_ms;
    },
    async stop() {
      is_stopping = true;
      await lives;
      // Whoever is signed in still has all that was opened: each token is used once more.
      for (const person of people)
        await tryOnce(person, async () => {
          await settle(person);
          if (person.session !== 'open') return;
          for (const id of [...person.opened.keys()]) await refresh(person, ground, id);
        });
    },
  };
  const lives = Promise.all(people.map(live));
  return crowd;
}
