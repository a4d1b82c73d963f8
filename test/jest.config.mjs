// How the tests run: TypeScript and ES modules as Node reads them, one PostgreSQL and one unpacked Chromium for the whole run.

import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

export default {
  rootDir: fileURLToPath(new URL('..', import.meta.url)),
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  transform: {},
  testRunner: '<rootDir>/test/support/runner.ts',
  globalSetup: '<rootDir>/test/support/start-run.ts',
  globalTeardown: '<rootDir>/test/support/end-run.ts',
  reporters: ['default', '<rootDir>/test/support/totals.ts'],
  testTimeout: 60_000,
  // One more than there are cores, since tests wait for servers and browsers; more would run out of connections.
  maxWorkers: Math.min(availableParallelism() + 1, 4),
  // Each file leaves something behind in its process, and collecting that garbage takes longer with every file.
  workerIdleMemoryLimit: '800MB',
  collectCoverage: false,
};
