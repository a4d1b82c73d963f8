/** What a test imports as `@jest/globals` (runner.ts sees to it): the words of the file that runs now. */

import type * as Jest from '@jest/globals';

export type Globals = Pick<
  typeof Jest,
  'afterAll' | 'afterEach' | 'beforeAll' | 'beforeEach' | 'describe' | 'expect' | 'test'
> & { jest: Pick<typeof Jest.jest, 'spyOn' | 'restoreAllMocks'> };

/** An import binds the name and not the value: what the tests' tools imported from here is the next file's in its turn. */
export let { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } = {} as Globals;

/** Called before each file. */
export function useGlobals(globals: Globals): void {
  ({ afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } = globals);
}
