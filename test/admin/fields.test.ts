/** Forms from schemas: what is drawn for each type, and that what a form shows comes back from it as it was. */

import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { isUnseen, listFields, moment, optionsOf, readTyped, showTyped } from '../../src/admin/fields.ts';

const schema = z.object({
  line: z.string(),
  maybe: z.string().nullish(),
  text: z.string().meta({ long: true, help: 'words.yes' }),
  secret: z.string().meta({ secret: true }),
  file: z.base64().meta({ file: true }),
  lines: z.array(z.string()),
  keys: z.record(z.string(), z.unknown()).nullish(),
  count: z.int().min(1).nullish(),
  on: z.boolean().default(false),
  one: z.enum(['a', 'b']).nullish(),
  named: z.string().meta({ options: 'places' }),
  some: z.array(z.enum(['a', 'b', 'c'])),
  named_some: z.array(z.string()).meta({ options: 'places' }),
  day: z.iso.date().nullish(),
  shaped: z
    .string()
    .transform((value) => value.length)
    .meta({ unit: 'words.seconds' }),
});
const fields = Object.fromEntries(listFields(schema).map((field) => [field.name, field]));
const typed = (values: Record<string, string | string[]>) =>
  new Map(Object.entries(values).map(([name, value]) => [name, [value].flat()]));
const nothing = { on: false, some: [], named_some: [], lines: [] };

test('each type has its kind of field, whatever stands around it', () => {
  const kinds = Object.fromEntries(Object.values(fields).map(({ name, kind }) => [name, kind]));
  expect(kinds).toEqual({
    line: 'text',
    maybe: 'text',
    text: 'long',
    secret: 'secret',
    file: 'file',
    lines: 'lines',
    keys: 'json',
    count: 'number',
    on: 'switch',
    one: 'choice',
    named: 'choice',
    some: 'choices',
    named_some: 'choices',
    day: 'date',
    shaped: 'text',
  });
  const wanted = Object.values(fields).filter(({ is_required }) => is_required);
  expect(wanted.map(({ name }) => name)).not.toEqual(expect.arrayContaining(['maybe', 'count', 'on', 'one', 'day']));
  expect([fields.line?.is_required, fields.maybe?.is_required]).toEqual([true, false]);
  expect(fields.shaped?.meta.unit).toBe('words.seconds');
  const outer = z.object({ field: z.string().meta({ help: 'inner', long: true }).nullish().meta({ help: 'outer' }) });
  expect(listFields(outer)[0]?.meta).toMatchObject({ help: 'outer', long: true });
  expect(listFields(z.object({ at: moment() }))[0]?.meta.moment).toBe(true);
});

describe('what a form shows comes back as it was', () => {
  test.each<[string, unknown]>([
    ['line', 'a <b> & "c"'],
    ['maybe', null],
    ['text', 'dua\nbaris'],
    ['lines', []],
    ['lines', ['https://satu.example/', 'https://dua.example/?a=1&b=2']],
    ['keys', { keys: [{ kty: 'EC', x: 'é' }] }],
    ['keys', null],
    ['count', 0],
    ['count', -5],
    ['count', 123_456_789_012_345],
    ['count', null],
    ['on', true],
    ['on', false],
    ['one', 'b'],
    ['one', null],
    ['named', 'BPOM'],
    ['some', []],
    ['some', ['a', 'c']],
    ['named_some', ['BPOM', 'KEMENDAG']],
    ['day', '2026-11-21'],
    ['day', null],
  ])('%s: %j', (name, value) => {
    const field = fields[name];
    if (!field) throw new Error(name);
    const { values, errors } = readTyped(schema, new Map([[name, showTyped(field, value)]]));
    expect([values[name], errors]).toEqual([value, {}]);
  });

  test.each(['secret', 'file'])('but for a %s, which nobody is shown', (name) => {
    const field = fields[name];
    expect(field && [isUnseen(field), showTyped(field, 'rahasia')]).toEqual([true, []]);
    expect(readTyped(schema, typed({ [name]: ' ada ' })).values[name]).toBe(name === 'secret' ? ' ada ' : 'ada');
  });
});

test('an empty form is what emptiness means for each field', () => {
  expect(readTyped(schema, new Map())).toEqual({
    values: { ...nothing, maybe: null, keys: null, count: null, one: null, day: null },
    errors: {},
  });
  expect(readTyped(schema, typed({ line: '  ', count: ' ', lines: '\n \r\n', some: ['', ''] })).values).toMatchObject(
    nothing,
  );
});

test('what cannot be JSON is told beside its field; what comes twice is told apart', () => {
  const { errors } = readTyped(schema, typed({ count: '1e3', keys: '{', line: ['a', 'b'], on: ['on', 'on'] }));
  expect(errors).toEqual({
    count: 'errors.field.number',
    keys: 'errors.field.json',
    line: 'errors.field.repeated',
    on: 'errors.field.repeated',
  });
  for (const bad of ['1.5', '0x1', '1 000', '9'.repeat(16), 'Infinity', '--1'])
    expect([bad, readTyped(schema, typed({ count: bad })).errors.count]).toEqual([bad, 'errors.field.number']);
});

test('fields that nobody asked for are not read', () => {
  const { values } = readTyped(
    schema,
    typed({ version: '7', role: 'administrator', __proto__: 'x', constructor: 'y' }),
  );
  expect(Object.keys(values).toSorted()).toEqual([
    'count',
    'day',
    'keys',
    'lines',
    'maybe',
    'named_some',
    'on',
    'one',
    'some',
  ]);
});

test('choices are those of the resource where there are any, else the schema’s in words', () => {
  const places = [{ value: 'BPOM', label: 'Badan POM' }];
  const word = (value: string) => value.toUpperCase();
  if (!fields.named || !fields.one) throw new Error('no fields');
  expect(optionsOf(fields.named, { places }, word)).toEqual(places);
  expect(optionsOf(fields.named, {}, word)).toEqual([]);
  expect(optionsOf(fields.one, { places }, word)).toEqual([
    { value: 'a', label: 'A' },
    { value: 'b', label: 'B' },
  ]);
});
