/** The end of a process: in order when asked or when something broke, at once when asked again, and never later than its bound. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from '@jest/globals';

const started: ChildProcess[] = [];

afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
});

/** A process that waits for its end and then does `work`; `code` is what it exited with, `lines` what it said. */
async function start(work: string, times = {}) {
  const program = `
    import { waitForEnd } from ${JSON.stringify(new URL('../src/end.ts', import.meta.url).href)};
    const say = (...words) => console.log(...words);
    const log = { info: (_, message) => say(message), fatal: ({ err }, message) => say(message, err?.message ?? '') };
    const end = waitForEnd(log, ${JSON.stringify(times)});
    const open = setInterval(() => undefined, 1000);
    process.on('message', (error) => { setImmediate(() => { if (error === 'thrown') throw new Error(error); void Promise.reject(new Error(error)); }); });
    process.send('started');
    const code = await end;
    ${work}
    process.disconnect();
    clearInterval(open);
    process.exitCode = code;`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    env: { PATH: process.env.PATH ?? '' },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  started.push(child);
  const lines: string[] = [];
  child.stdout?.on('data', (text) => lines.push(...String(text).trim().split('\n')));
  const exited = once(child, 'close').then(([code]) => code as number | null);
  await once(child, 'message');
  const until = async (line: string) => {
    while (!lines.includes(line)) await once(child.stdout as NodeJS.ReadableStream, 'data');
  };
  return { child, lines, exited, until };
}

const never = "say('working'); await new Promise(() => undefined);";

describe('a process that is asked to end', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)('by %s finishes its work and exits with 0', async (signal) => {
    const { child, lines, exited } = await start("say('finished');");
    child.kill(signal);
    expect(await exited).toBe(0);
    expect(lines).toEqual(['stopping', 'finished']);
  });

  test('ends when its work has no end', async () => {
    const { child, lines, exited } = await start(never, { longest_ms: 50 });
    child.kill('SIGTERM');
    expect(await exited).toBe(1);
    expect(lines).toEqual(['stopping', 'working', 'the process did not end in time']);
  });

  test('ends at once when it is asked again, unless it is the same Ctrl-C', async () => {
    const twice = await start("say('working'); await new Promise((done) => setTimeout(done, 50)); say('finished');");
    twice.child.kill('SIGINT');
    await twice.until('working');
    twice.child.kill('SIGINT');
    expect(await twice.exited).toBe(0);
    expect(twice.lines).toEqual(['stopping', 'working', 'finished']);
    const again = await start(never, { same_ms: -1 });
    again.child.kill('SIGTERM');
    await again.until('working');
    again.child.kill('SIGTERM');
    expect(await again.exited).toBe(143);
  });
});

test.each(['thrown', 'rejected'])(
  'an error that nothing caught (%s) is told, and ends the process in order',
  async (error) => {
    const { child, lines, exited } = await start("say('finished');");
    child.send(error);
    expect(await exited).toBe(1);
    expect(lines).toEqual([`nothing caught this error ${error}`, 'finished']);
  },
);
