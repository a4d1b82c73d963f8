/** Whether an answer is what a JSON Schema says: the words of draft 2020-12 that our description of the interface uses. */

type Json = Record<string, unknown>;

/** Words that say nothing of whether a value is right. */
const silent = new Set(['description', 'title', 'default', 'examples', 'contentEncoding', '$schema']);

const checks: Record<string, (wanted: never, value: unknown, schema: Json) => boolean> = {
  type: (wanted: string | string[], value) => [wanted].flat().some((type) => isOfType(type, value)),
  enum: (wanted: unknown[], value) => wanted.some((one) => isSame(one, value)),
  const: (wanted: unknown, value) => isSame(wanted, value),
  minimum: (wanted: number, value) => typeof value !== 'number' || value >= wanted,
  maximum: (wanted: number, value) => typeof value !== 'number' || value <= wanted,
  exclusiveMinimum: (wanted: number, value) => typeof value !== 'number' || value > wanted,
  exclusiveMaximum: (wanted: number, value) => typeof value !== 'number' || value < wanted,
  minLength: (wanted: number, value) => typeof value !== 'string' || [...value].length >= wanted,
  maxLength: (wanted: number, value) => typeof value !== 'string' || [...value].length <= wanted,
  pattern: (wanted: string, value) => typeof value !== 'string' || new RegExp(wanted, 'u').test(value),
  format: (wanted: string, value) => typeof value !== 'string' || (formats[wanted]?.test(value) ?? true),
  minItems: (wanted: number, value) => !Array.isArray(value) || value.length >= wanted,
  maxItems: (wanted: number, value) => !Array.isArray(value) || value.length <= wanted,
  required: (wanted: string[], value) => !isObject(value) || wanted.every((name) => Object.hasOwn(value, name)),
};

const formats: Record<string, RegExp> = {
  'date-time': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/,
  date: /^\d{4}-\d\d-\d\d$/,
  uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i,
};

/**
 * What is wrong with a value, one line for each, by its place; empty when it is right.
 * @param root where `$ref` begins
 * @throws Error over a word that this does not know: it would be taken for granted
 */
export function findMismatches(schema: unknown, value: unknown, root: unknown, place = '$'): string[] {
  if (schema === true || schema === undefined) return [];
  if (!isObject(schema)) return [`${place}: nothing may stand here`];
  const found: string[] = [];
  const inside = (name: string | number, inner: unknown, part: unknown) =>
    findMismatches(inner, part, root, `${place}.${name}`);
  for (const [word, wanted] of Object.entries(schema)) {
    const check = checks[word] as ((wanted: unknown, value: unknown, schema: Json) => boolean) | undefined;
    if (silent.has(word) || word === 'propertyNames' || word === 'additionalProperties') continue;
    else if (check) {
      if (!check(wanted, value, schema))
        found.push(`${place}: ${word} ${JSON.stringify(wanted)} is not ${show(value)}`);
    } else if (word === '$ref') found.push(...findMismatches(resolve(root, String(wanted)), value, root, place));
    else if (word === 'allOf')
      for (const one of wanted as unknown[]) found.push(...findMismatches(one, value, root, place));
    else if (word === 'anyOf' || word === 'oneOf') {
      const all = (wanted as unknown[]).map((one) => findMismatches(one, value, root, place));
      if (!all.some((wrong) => wrong.length === 0)) found.push(`${place}: ${word}: ${all.flat().join('; ')}`);
    } else if (word === 'not') {
      if (findMismatches(wanted, value, root, place).length === 0) found.push(`${place}: not`);
    } else if (word === 'items') {
      if (Array.isArray(value)) found.push(...value.flatMap((part, at) => inside(at, wanted, part)));
    } else if (word === 'properties') {
      if (isObject(value))
        for (const [name, inner] of Object.entries(wanted as Json))
          if (Object.hasOwn(value, name)) found.push(...inside(name, inner, value[name]));
    } else throw new Error(`${place}: the word ${word} of a schema is not known here`);
  }
  if ('additionalProperties' in schema && isObject(value)) {
    const known = isObject(schema.properties) ? schema.properties : {};
    for (const [name, part] of Object.entries(value))
      if (!Object.hasOwn(known, name)) found.push(...inside(name, schema.additionalProperties, part));
  }
  return found;
}

/**
 * What a `$ref` inside one document leads to.
 * @throws Error when it leads nowhere
 */
export function resolve(root: unknown, ref: string): unknown {
  let at = root;
  for (const part of ref.replace(/^#\//, '').split('/')) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (!ref.startsWith('#/') || !isObject(at) || !Object.hasOwn(at, name)) throw new Error(`${ref} leads nowhere`);
    at = at[name];
  }
  return at;
}

function isOfType(type: string, value: unknown): boolean {
  switch (type) {
    case 'null':
      return value === null;
    case 'array':
      return Array.isArray(value);
    case 'object':
      return isObject(value);
    case 'integer':
      return Number.isInteger(value);
    default:
      return typeof value === type;
  }
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function show(value: unknown): string {
  return String(JSON.stringify(value)).slice(0, 100);
}
