// How the tests run: TypeScript as ES modules through swc, one PostgreSQL and one unpacked Chromium for the whole run.

import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

export default {
  rootDir: fileURLToPath(new URL('..', import.meta.url)),
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '\\.ts$': [
      '@swc/jest',
      {
        jsc: { target: 'es2024', parser: { syntax: 'typescript' }, experimental: { keepImportAttributes: true } },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
  globalSetup: '<rootDir>/test/support/start-run.ts',
  globalTeardown: '<rootDir>/test/support/end-run.ts',
  reporters: ['default', '<rootDir>/test/support/totals.ts'],
  testTimeout: 60_000,
  // Several tests start two servers and a browser of their own: more at once would run out of connections, not of cores.
  maxWorkers: Math.min(Math.max(availableParallelism(), 2), 4),
  collectCoverage: false,
};
