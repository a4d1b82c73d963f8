/** The parts that the description of the interface is made of: schemas, answers, refusals, the parameters of lists. */

import { z } from 'zod';
import { largest_page, most_counted } from './listing.ts';
import type { Resource } from './resource.ts';

type Json = Record<string, unknown>;

/** The ways to be refused, by the names of their components. */
const problems = {
  BadRequest: 'The request cannot be understood.',
  Unauthorized: 'No token, a token that does not count, or one whose sign-in is too long ago for this.',
  Forbidden: 'The scope or the role does not allow it.',
  NotFound: 'There is no such entry, or none that may be seen.',
  Conflict: 'It makes no sense for this entry now.',
  VersionConflict: 'Somebody changed it meanwhile; `current` is how it stands.',
  Invalid: 'The input was refused; `errors` says why, field by field.',
  VersionMissing: 'If-Match is missing.',
  TooMany: 'Too many requests; Retry-After says for how long.',
  Other: 'Whatever else keeps a request from being answered: its method, its type, its size, or a failure of ours.',
};

export const problem_schema = {
  type: 'object',
  required: ['type', 'title', 'status', 'code', 'request_id'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { type: 'string', description: 'Stable; for programs.' },
    detail: { type: 'string' },
    request_id: { type: 'string' },
    current: { type: 'object' },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        required: ['field', 'code', 'detail'],
        properties: { field: { type: 'string' }, code: { type: 'string' }, detail: { type: 'string' } },
      },
    },
  },
};

const ref = (name: string) => ({ $ref: `#/components/responses/${name}` });
export const refused = (...names: (keyof typeof problems)[]) => {
  const statuses: Record<keyof typeof problems, number | 'default'> = {
    BadRequest: 400,
    Unauthorized: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    VersionConflict: 412,
    Invalid: 422,
    VersionMissing: 428,
    TooMany: 429,
    Other: 'default',
  };
  return Object.fromEntries(
    ['Unauthorized', 'Forbidden', 'TooMany', 'Other', ...names].map((name) => [
      statuses[name as keyof typeof problems],
      ref(name),
    ]),
  );
};

export function json(schema: Json, headers: string[] = []): Json {
  return {
    description: 'Done.',
    headers: Object.fromEntries(headers.map((name) => [name, { schema: { type: 'string' } }])),
    content: { 'application/json': { schema } },
  };
}

/** What was done to an entry, as admin/history.ts tells it. */
export const history_schema = {
  type: 'object',
  required: ['id', 'at', 'actor', 'operation', 'changes'],
  properties: {
    id: { type: 'string' },
    at: { type: 'string', format: 'date-time' },
    actor: { type: ['string', 'null'], description: 'A user name; null for a program, or somebody who is gone.' },
    operation: { type: 'string' },
    changes: {
      type: 'object',
      description: 'By field; null where only that it changed may be told.',
      additionalProperties: {
        type: ['object', 'null'],
        required: ['from', 'to'],
        properties: { from: {}, to: {} },
      },
    },
  },
};

/** The rows of a section, or of the history. */
export function itemsOf(row: Json): Json {
  return { type: 'object', required: ['items'], properties: { items: { type: 'array', items: row } } };
}

export function listOf(entry: Json): Json {
  return {
    type: 'object',
    required: ['items', 'count', 'has_more_than_count', 'links'],
    properties: {
      items: { type: 'array', items: entry },
      count: { type: 'integer', maximum: most_counted },
      has_more_than_count: { type: 'boolean' },
      links: {
        type: 'object',
        properties: Object.fromEntries(['first', 'next', 'prev'].map((rel) => [rel, { type: 'string' }])),
      },
    },
  };
}

export function listParameters({ list }: Resource): Json[] {
  const sorts = Object.keys(list.sorts).flatMap((name) => [name, `-${name}`]);
  return [
    { in: 'query', name: 'sort', schema: { type: 'string', enum: sorts } },
    { in: 'query', name: 'size', schema: { type: 'integer', minimum: 1, maximum: largest_page } },
    { in: 'query', name: 'cursor', schema: { type: 'string' } },
    ...Object.entries(list.filters ?? {}).map(([name, { schema }]) => ({
      in: 'query',
      name,
      schema: toSchema(schema, 'input'),
    })),
  ];
}

/** A zod schema as JSON Schema; what `meta` says to forms becomes a title in English. */
export function toSchema(schema: z.ZodType, io: 'input' | 'output'): Json {
  // Answers may hold more one day, so nobody is told that they hold nothing else.
  const made = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    override: ({ jsonSchema }) => {
      for (const name of form_words) delete (jsonSchema as Json)[name];
      if (jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
    },
  }) as Json;
  delete made.$schema;
  return made;
}

const form_words = [
  'label',
  'help',
  'group',
  'long',
  'options',
  'personal',
  'secret',
  'unit',
  'moment',
  'autocomplete',
  'file',
];

/** The refusals as components. */
export function describeProblems(): Json {
  return Object.fromEntries(
    Object.entries(problems).map(([name, description]) => [
      name,
      { description, content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } } },
    ]),
  );
}
