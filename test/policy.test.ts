/** Policies: each has a sense and a unit, and those that depend on each other fit together. */

import { expect, test } from '@jest/globals';
import { type PolicyKey, policies, policy } from '../src/policy.ts';

test('a grant outlives every session, a session its idling, and an expired page is remembered after its end', () => {
  expect(policy('grant.lifetime')).toBeGreaterThan(policy('session.absolute'));
  expect(policy('session.absolute')).toBeGreaterThan(policy('session.idle'));
  expect(policy('interaction.memory')).toBeGreaterThan(policy('interaction.lifetime'));
});

test('password hashes stay above the floor (OWASP ASVS 5.0, appendix C)', () => {
  expect(policy('password.hash_memory')).toBeGreaterThanOrEqual(19 * 1024);
  expect(policy('password.hash_passes')).toBeGreaterThanOrEqual(2);
});

test.each(Object.keys(policies) as PolicyKey[])('%s is a whole number above zero, with a sentence', (key) => {
  expect(Number.isSafeInteger(policy(key)) && policy(key) > 0).toBe(true);
  expect(policies[key].what).toMatch(/^[A-Z].*\.$/);
});
