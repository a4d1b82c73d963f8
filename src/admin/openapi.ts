/** The description of the interface (OpenAPI 3.1), made from the resources themselves, and the same as a page to read. */

import type { Config } from '../config.ts';
import { translator } from '../i18n/messages.ts';
import { api_scopes } from '../permissions.ts';
import {
  describeProblems,
  history_schema,
  itemsOf,
  json,
  listOf,
  listParameters,
  problem_schema,
  refused,
  toSchema,
} from './openapi-parts.ts';
import { type Operation, type Resource, resources } from './resource.ts';

type Json = Record<string, unknown>;

/** The OpenAPI document; the same for everybody, since it holds nothing but shapes. */
export function describeApi({ url, issuer }: Pick<Config, 'url' | 'issuer'>): Json {
  const t = translator('en');
  return {
    openapi: '3.1.0',
    info: { title: 'Gapura', version: '1', description: t('admin.api.about') },
    servers: [{ url: `${url}/api/v1` }],
    security: [{ token: [] }],
    tags: resources.map(({ name }) => ({ name, description: t(`admin.${name}.lead`) })),
    paths: Object.assign({}, ...resources.map(describePaths)) as Json,
    components: {
      schemas: {
        Problem: problem_schema,
        HistoryRow: history_schema,
        Waiting: waiting_schema,
        ...Object.fromEntries(resources.map((resource) => [schemaName(resource), toSchema(resource.entry, 'output')])),
      },
      responses: describeProblems(),
      securitySchemes: {
        token: {
          type: 'oauth2',
          flows: {
            clientCredentials: { tokenUrl: `${issuer}/token`, scopes: scopeWords() },
            authorizationCode: {
              authorizationUrl: `${issuer}/auth`,
              tokenUrl: `${issuer}/token`,
              scopes: scopeWords(),
            },
          },
        },
      },
    },
  };
}

const waiting_schema = {
  type: 'object',
  required: ['state', 'approval_id'],
  properties: { state: { const: 'waiting' }, approval_id: { type: 'string' } },
};

const shown_once = {
  type: 'object',
  description: 'New secrets, by name; nobody is told them again.',
  additionalProperties: { type: 'string' },
};

const approval_reason = {
  type: 'string',
  maxLength: 500,
  description: 'Why; needed where a second person must agree, who reads it.',
};

function scopeWords(): Record<string, string> {
  const wide: Record<string, string> = {
    'admin:read': 'Reads everything the role may read',
    'admin:write': 'Does everything the role may do',
  };
  return Object.fromEntries(api_scopes.map((scope) => [scope, wide[scope] ?? `Only ${scope}`]));
}

function schemaName({ name }: Resource): string {
  return name
    .replace(/(^|-)(\w)/g, (_all, _dash, letter: string) => letter.toUpperCase())
    .replace(/ies$/, 'y')
    .replace(/s$/, '');
}

function describePaths(resource: Resource): Json {
  const { name, operations, sections = [] } = resource;
  const entry = { $ref: `#/components/schemas/${schemaName(resource)}` };
  const at = (kind: Operation['kind']) => operations.find((operation) => operation.kind === kind);
  const [creation, change, removal] = [at('create'), at('change'), at('remove')];
  const own = { in: 'path', name: 'id', required: true, schema: { type: 'string', pattern: resource.id.source } };
  const one: Json = {
    parameters: [own],
    get: {
      ...head(resource, 'find', resource.permission),
      responses: { 200: json(entry, ['ETag']), ...refused('NotFound') },
    },
  };
  if (change) one.patch = write(resource, change, 200, entry, true);
  if (removal) {
    one.delete = write(resource, removal, 204, undefined, true);
    if (!removal.four_eyes) delete (one.delete as Json).requestBody;
  }
  const all: Json = {
    get: {
      ...head(resource, 'list', resource.permission),
      parameters: listParameters(resource),
      responses: { 200: json(listOf(entry), ['Link']), ...refused('BadRequest') },
    },
  };
  if (creation) all.post = write(resource, creation, 201, entry, false);
  const rest = Object.fromEntries([
    ...operations
      .filter(({ kind, is_console_only }) => kind === 'act' && !is_console_only)
      .map((operation) => [
        `/${name}/{id}/${operation.name}`,
        { parameters: [own], post: write(resource, operation, 200, entry, false) },
      ]),
    ...sections
      .filter(({ is_page_only }) => !is_page_only)
      .map((section) => [
        `/${name}/{id}/${section.name}`,
        {
          parameters: [own],
          get: {
            ...head(resource, section.name, section.permission),
            responses: { 200: json(itemsOf(toSchema(section.row, 'output'))), ...refused('NotFound') },
          },
        },
      ]),
    [
      `/${name}/{id}/history`,
      {
        parameters: [own],
        get: {
          ...head(resource, 'history', resource.permission),
          responses: { 200: json(itemsOf({ $ref: '#/components/schemas/HistoryRow' })), ...refused('NotFound') },
        },
      },
    ],
  ]) as Json;
  return { [`/${name}`]: all, [`/${name}/{id}`]: one, ...rest };
}

function head({ name }: Resource, what: string, permission: string): Json {
  return { operationId: `${name}.${what}`, tags: [name], security: [{ token: [permission] }] };
}

function write(
  resource: Resource,
  operation: Operation,
  status: number,
  entry: Json | undefined,
  has_version: boolean,
): Json {
  const input = toSchema(operation.input, 'input');
  // A merge patch names only what changes.
  if (operation.kind === 'change') delete input.required;
  if (operation.four_eyes) input.properties = { ...(input.properties as Json), approval_reason };
  return {
    ...head(resource, operation.name, operation.permission),
    parameters: [
      { in: 'header', name: 'Idempotency-Key', schema: { type: 'string', minLength: 8, maxLength: 200 } },
      ...(has_version
        ? [
            {
              in: 'header',
              name: 'If-Match',
              schema: { type: 'string' },
              description: 'The ETag of the entry as it was read.',
            },
          ]
        : []),
    ],
    requestBody: { content: { 'application/json': { schema: input } } },
    responses: {
      [status]: entry
        ? json({ allOf: [entry, { type: 'object', properties: { shown_once } }] }, ['ETag'])
        : { description: 'Done.' },
      ...(operation.four_eyes
        ? {
            202: {
              ...json({ $ref: '#/components/schemas/Waiting' }, ['Location']),
              description: 'It waits for a second person.',
            },
          }
        : {}),
      ...(entry ? { 204: { description: 'Done; the entry is no longer within reach.' } } : {}),
      ...refused(
        'BadRequest',
        'NotFound',
        'Conflict',
        'Invalid',
        ...(has_version ? (['VersionConflict', 'VersionMissing'] as const) : []),
      ),
    },
  };
}
