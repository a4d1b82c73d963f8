// Claims that are missing or misshapen must not break a page.

import { expect, test } from '@jest/globals';
import { listRoles, maskNpwp, readObject, readText } from '../../src/demo/claims.ts';

test('an NPWP is shown in its mask', () => {
  expect(maskNpwp('0000001016000000')).toBe('00.000.101.6-000.000');
  expect(maskNpwp('9901014501900002')).toBe('9901 0145 0190 0002');
  expect(maskNpwp('unknown')).toBe('unknown');
});

test('only texts and objects are read', () => {
  const claims = { name: 'Budi', empty: ' ', number: 7, organization: { name: 'PT Contoh' }, list: [1] };
  expect(readText(claims, 'name')).toBe('Budi');
  expect([readText(claims, 'empty'), readText(claims, 'number'), readText(claims, 'missing')]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  expect(readObject(claims, 'organization')).toEqual({ name: 'PT Contoh' });
  expect([readObject(claims, 'list'), readObject(claims, 'name'), readObject({ name: null }, 'name')]).toEqual([
    {},
    {},
    {},
  ]);
});

test('roles are read whatever else stands in the list', () => {
  expect(listRoles({ role: [{ name: 'trader', level: 'organisation' }, null, 'x', { level: 'y' }] })).toEqual([
    'trader',
  ]);
  expect(listRoles({ role: 'trader' })).toEqual([]);
});
