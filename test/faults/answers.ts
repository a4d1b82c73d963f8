/** How the crowd reads an answer: as what it waited for, as a fault to try again after, or as something that must not be. */

import type { Answer } from '../support/http.ts';

/** The answer was a 502 or 503: what was asked for may have happened or not. */
export class Interrupted extends Error {
  constructor(status: number) {
    super(`interrupted by ${status}`);
  }
}

/** Some other page than the one that follows: right only around a fault that took what was begun. */
export class Unexpected extends Error {}

/** A promise was broken, whatever else is going on. */
export class Broken extends Error {}

/** Gives the answer back, unless it is a fault's. */
export function pass(answer: Answer): Answer {
  if (answer.status === 502 || answer.status === 503) throw new Interrupted(answer.status);
  return answer;
}

/** What a page says, for whoever must find out why it came. */
export function tell(what: string, { status, url, body }: Answer): string {
  const text = body
    .replace(/<(head|script|style)\b.*?<\/\1>/gis, ' ')
    .replace(/<[^>]+>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  return `${what}: ${status} ${url.pathname}${url.search.slice(0, 80)}: ${text.slice(0, 200)}`;
}

/** Finds a fault's answer below whatever was thrown because of it. */
export function isInterrupted(error: unknown): boolean {
  for (let one = error; one instanceof Error; one = one.cause) if (one instanceof Interrupted) return true;
  return false;
}
