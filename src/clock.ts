/** The one source of "now" in the process; its twin in SQL is gapura_now() (db/migrations). */

// Taken once: tests that move Date.now for the engine must not move it twice for us.
const realNow = Date.now;

let offset = 0;

/** The current instant, moved by the offset that only tests set. */
export function now(): Date {
  return new Date(realNow() + offset);
}

/** The current instant in whole seconds since the epoch (NumericDate, RFC 7519 section 2). */
export function nowSeconds(): number {
  return Math.floor((realNow() + offset) / 1000);
}

/** Moves this process's clock by `seconds` from the real one; 0 puts it right again. Tests only. */
export function moveClock(seconds: number): void {
  offset = seconds * 1000;
}
