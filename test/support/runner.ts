/** Runs a file of tests as jest does, but loaded by Node itself, so that a process reads the product once and not once per file. */

import { createRequire, enableCompileCache, flushCompileCache, registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import { moveProcessClock } from './clock.ts';
import { type Globals, useGlobals } from './globals.ts';
import { compile_cache } from './run.ts';

interface Environment {
  global: typeof globalThis;
  moduleMocker: Globals['jest'];
}

type RunFile = (
  global_config: unknown,
  config: unknown,
  environment: Environment,
  runtime: object,
  path: string,
  ...rest: unknown[]
) => Promise<object>;

const require = createRequire(import.meta.url);
const runByJest: RunFile = require('jest-circus/runner').default;
const globals_url = new URL('globals.ts', import.meta.url).href;

enableCompileCache(compile_cache);

registerHooks({
  resolve: (name, context, next) =>
    name === '@jest/globals'
      ? { url: globals_url, format: 'module-typescript', shortCircuit: true }
      : next(name, context),
});

/**
 * What jest calls for each file. Its own way is to read all modules anew for every file, which takes longer than most files
 * do; here the files of a process share them, as the requests to a server do. So what a file moved in its process is put right
 * after it: the clock, what it spied on, the exit code.
 */
const runFile: RunFile = (global_config, config, environment, runtime, path, ...rest) => {
  const { moduleMocker: mocker } = environment;
  const jest = {
    spyOn: mocker.spyOn.bind(mocker),
    restoreAllMocks: mocker.restoreAllMocks.bind(mocker),
  } as Globals['jest'];
  const native = Object.assign(Object.create(runtime), {
    requireModule: require,
    requireInternalModule: requireAnew,
    setGlobalsForRuntime: (globals: Omit<Globals, 'jest'>) => useGlobals({ ...globals, jest }),
    unstable_shouldLoadAsEsm: () => true,
    unstable_importModule: (file: string) => import(pathToFileURL(file).href),
  });
  const { console: console_before } = globalThis;
  globalThis.console = environment.global.console;
  // Not awaited: this file would stand in every stack, and jest would show its lines beside a failure.
  return runByJest(global_config, config, { ...environment, global: globalThis }, native, path, ...rest).finally(() => {
    globalThis.console = console_before;
    mocker.restoreAllMocks();
    moveProcessClock(0);
    process.exitCode = undefined;
    flushCompileCache();
  });
};

export default runFile;

/** Jest keeps the tests that a file told in this module, and who listens to them on the process. */
function requireAnew(path: string): unknown {
  delete require.cache[path];
  delete (globalThis as Record<symbol, unknown>)[Symbol.for('EVENT_HANDLERS')];
  return require(path);
}
