/** Lets the faults strike one after the other while the crowd works, and judges each. */

import { setTimeout as wait } from 'node:timers/promises';
import { type Crowd, startCrowd } from './crowd.ts';
import type { BadAnswer } from './front.ts';
import type { Installation } from './installation.ts';
import type { Fault } from './strikes.ts';

/** What came of one fault. */
export interface Struck {
  fault: string;
  requests: number;
  slowest: { ms: number; what: string };
  errors: { status: string; times: number }[];
  /** Acts that people had to begin anew. */
  begun_anew: number;
  /** When it was over, as `performance.now()` has it. */
  over: number;
  /** Milliseconds from the fault's end to the last error. */
  well_after: number;
  /** The mails that waited for its end, by their ids. */
  held: string[];
  /** The promises that were not kept, a sentence each. */
  broken: string[];
}

export interface Outcome {
  struck: Struck[];
  /** Acts that ended well. */
  done: number;
  /** What differs between ledger and rows at the end. */
  differences: string[];
  /** What came more than once, as it may: a sender that died cannot know whether it was heard. */
  again: { mails: number; notices: number };
  /** Mails that waited for the end of a fault, and milliseconds until the last of them had arrived. */
  held: { mails: number; last_after: number };
  /** Promises broken outside a fault, at the end. */
  broken: string[];
}

/** "Within seconds": after that no error may be seen. */
const patience_ms = 10_000;

interface Manner {
  /** Told of each fault as soon as it is over. */
  tell?: (struck: Struck) => void;
  /** How long the comparison waits for what is on its way. */
  patience?: { tries: number };
}

/** Runs the faults in their order, with a crowd that begins before the first and ends after the last. */
export async function strikeAll(
  place: Installation,
  faults: Fault[],
  { tell, patience }: Manner = {},
): Promise<Outcome> {
  const crowd = startCrowd(place.people, place.ground);
  const struck: Struck[] = [];
  try {
    if (!(await crowd.isWell(0))) crowd.broken.push('the crowd did not get going');
    for (const fault of faults) {
      const one = await strike(place, crowd, fault);
      struck.push(one);
      tell?.(one);
    }
  } finally {
    await crowd.stop();
  }
  const differences = await place.compare(patience);
  return {
    struck,
    done: crowd.done,
    differences,
    again: countAgain(place),
    held: findHeld(place, struck),
    broken: crowd.broken,
  };
}

async function strike(place: Installation, crowd: Crowd, fault: Fault): Promise<Struck> {
  const { front, database } = place;
  // All of the crowd come from one address, whose tries would add up over the whole run.
  await database.ask('DELETE FROM limits');
  front.reset();
  const begun_anew = crowd.begun_anew;
  if (!fault.is_silent) crowd.disturb(true);
  const { over, held } = await fault.strike(place, crowd);
  if (!fault.is_silent) crowd.disturb(false);
  const is_well = await crowd.isWell(over);
  // Once everybody is on their way again, no error may follow.
  await wait(1000);
  const { bad, requests, slowest } = front.seen;
  const well_after = Math.max(0, ...bad.map(({ at }) => at - over));
  return {
    fault: fault.name,
    requests,
    slowest,
    errors: countErrors(bad),
    begun_anew: crowd.begun_anew - begun_anew,
    well_after,
    held: held ?? [],
    over,
    broken: [
      ...crowd.broken.splice(0),
      ...new Set(bad.flatMap((answer) => judge(answer, fault) ?? [])),
      ...(is_well ? [] : ['not everybody got on again within 20 s']),
      ...(well_after > patience_ms ? [`errors went on for ${Math.round(well_after)} ms after the fault`] : []),
    ],
  };
}

/** What is wrong with an error, if anything is. */
function judge({ by, status, retry_after, what }: BadAnswer, fault: Fault): string | undefined {
  if (fault.is_silent) return `${status} of ${by} without need: ${what}`;
  if (by === 'proxy') return status === 502 && fault.cuts ? undefined : `the proxy says ${status}: ${what}`;
  if (status !== 503) return `${status}: ${what}`;
  return retry_after === undefined ? `503 without Retry-After: ${what}` : undefined;
}

function countErrors(bad: BadAnswer[]): Struck['errors'] {
  const names = bad.map(({ status, by }) => (by === 'proxy' ? `${status} (proxy)` : String(status)));
  return [...new Set(names)].map((status) => ({ status, times: names.filter((name) => name === status).length }));
}

function countAgain({ mailbox, applications }: Installation): Outcome['again'] {
  const count = (all: string[]) => all.length - new Set(all).size;
  return {
    mails: count(mailbox.arrived.map(({ message_id }) => message_id)),
    notices: count(applications.heard.map(({ client_id, sid }) => `${client_id} ${sid}`)),
  };
}

function findHeld({ mailbox }: Installation, struck: Struck[]): Outcome['held'] {
  const after = struck.flatMap(({ held, over }) => {
    const mails = mailbox.arrived.filter(({ message_id }) => held.some((id) => message_id.startsWith(`<${id}@`)));
    return mails.map(({ at }) => at - over);
  });
  return { mails: after.length, last_after: Math.max(0, ...after) };
}
