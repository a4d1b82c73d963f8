/** The log: lines of JSON on standard output, gathered for a moment, since each write costs as much as a statement. */

import { pino } from 'pino';
import type { Config } from './config.ts';
import { describeError } from './http/errors.ts';

/** Characters and milliseconds for which lines are gathered. */
const gathered = { length: 8192, ms: 100 };

/**
 * Opens the log of a process. Lines leave at the latest after a tenth of a second, those of errors at once, and all of them
 * when the process ends by itself; one that is killed takes the last moment along. What must not be lost is in the audit.
 * @param base what stands in every line
 */
export function openLog(config: Pick<Config, 'log_level'>, base: Record<string, unknown> | null = null): pino.Logger {
  let held = '';
  const flush = () => {
    if (held !== '') process.stdout.write(held);
    held = '';
  };
  // Nobody reads it any more; the process goes on without.
  process.stdout.on('error', () => undefined);
  setInterval(flush, gathered.ms).unref();
  process.once('exit', flush);
  const stream = {
    write(line: string) {
      held += line;
      if (held.length >= gathered.length || is_error.test(line)) flush();
    },
  };
  return pino({ level: config.log_level, base, serializers: { err: describeError } }, stream);
}

// pino writes the level first: 50 is error, 60 fatal.
const is_error = /^\{"level":[56]0,/;
