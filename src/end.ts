/** The end of a process: asked for by a signal or made by a failure that nothing caught, in order, and within a bound. */

interface EndLog {
  info(fields: object, message: string): void;
  fatal(fields: object, message: string): void;
}

/** Times in milliseconds. */
interface EndTimes {
  /** How long the end may take in all; above the sum of what is waited for (listen.ts, jobs.ts). */
  longest_ms?: number;
  /** One Ctrl-C often comes twice, by the terminal and by npm; a second one counts after this time. */
  same_ms?: number;
}

/**
 * Waits until the process is to end, and gives its exit code: 0 when a signal asked for it, 1 when an error came up that
 * nothing caught, for what is still true in memory after that nobody knows. Call it first, so that a signal during the start
 * is not lost. From then on the process ends in any case: at a second signal at once, else after `longest_ms`.
 */
export function waitForEnd(log: EndLog, { longest_ms = 25_000, same_ms = 500 }: EndTimes = {}): Promise<0 | 1> {
  return new Promise((resolve) => {
    let asked: number | undefined;
    const begin = (code: 0 | 1) => {
      asked ??= process.uptime();
      setTimeout(() => {
        log.fatal({}, 'the process did not end in time');
        process.exit(1);
      }, longest_ms).unref();
      resolve(code);
    };
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        if (asked === undefined) {
          log.info({ signal }, 'stopping');
          begin(0);
        } else if ((process.uptime() - asked) * 1000 > same_ms) process.exit(signal === 'SIGINT' ? 130 : 143);
      });
    }
    process.on('uncaughtException', (err) => {
      log.fatal({ err }, 'nothing caught this error');
      if (asked === undefined) begin(1);
    });
  });
}
