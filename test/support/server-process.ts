/** A Gapura process whose clock a test can move: the real command line, and a listener for the offset. */

import { run } from '../../src/main.ts';
import { moveProcessClock } from './clock.ts';

process.on('message', (message: { clock: number }) => {
  moveProcessClock(message.clock);
  process.send?.({ clock: message.clock });
});

process.exitCode = await run(process.argv.slice(2));
// The channel of the test would keep this process alive.
process.disconnect?.();
