/** The description of the interface: whole, of OpenAPI's shape, of every resource, and a page that anybody can read. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { describeApi } from '../../src/admin/openapi.ts';
import { resources } from '../../src/admin/resource.ts';
import { languages } from '../../src/i18n/messages.ts';
import { api_scopes } from '../../src/permissions.ts';
import { type Browser, expectNoAxeViolations, expectQuiet, openBrowser } from '../support/browser.ts';
import { newApiClient } from '../support/desk.ts';
import { startGapura, type TestGapura } from '../support/gapura.ts';
import { findMismatches, resolve } from '../support/json-schema.ts';

type Json = Record<string, unknown>;
interface Described {
  operationId: string;
  tags: string[];
  security: Record<string, string[]>[];
  parameters?: { in: string; name: string; required?: boolean; schema: unknown }[];
  requestBody?: { content: Record<string, { schema: unknown }> };
  responses: Record<string, { $ref?: string; description?: string; content?: Record<string, { schema: unknown }> }>;
}

const methods = ['get', 'post', 'patch', 'delete'];
const api = JSON.parse(
  JSON.stringify(describeApi({ url: 'http://gapura.test', issuer: 'http://gapura.test/connect' })),
);
const paths = api.paths as Record<string, Record<string, Described>>;
const described = Object.entries(paths).flatMap(([path, item]) =>
  Object.entries(item).flatMap(([method, one]) => (methods.includes(method) ? [{ path, method, item, one }] : [])),
);

/** Every object of the document, with its place. */
function walk(value: unknown, place = '#'): { place: string; value: Json }[] {
  if (typeof value !== 'object' || value === null) return [];
  const inner = Object.entries(value).flatMap(([name, part]) => walk(part, `${place}/${name}`));
  return Array.isArray(value) ? inner : [{ place, value: value as Json }, ...inner];
}

describe('the document', () => {
  test('is OpenAPI 3.1 with what that asks for', () => {
    expect(api).toMatchObject({
      openapi: '3.1.0',
      info: { title: 'Gapura', version: '1' },
      servers: [{ url: 'http://gapura.test/api/v1' }],
    });
    expect(Object.keys(paths).filter((path) => !/^(\/[a-z{][a-z_{}-]*)+$/.test(path))).toEqual([]);
    for (const { path, method, item, one } of described) {
      const told = [method, path];
      // Parameters of the address stand at the address, and each that stands there is described.
      const own = ((item.parameters as unknown as Described['parameters']) ?? []).map(({ name }) => `{${name}}`);
      expect([...told, own]).toEqual([...told, path.match(/\{\w+\}/g) ?? []]);
      expect([...told, one.tags.every((tag) => api.tags.some(({ name }: { name: string }) => name === tag))]).toEqual([
        ...told,
        true,
      ]);
      const names = (one.parameters ?? []).map(({ in: where, name }) => `${where} ${name}`);
      expect([...told, new Set(names).size]).toEqual([...told, names.length]);
      expect([...told, Object.keys(one.responses)]).toEqual([
        ...told,
        expect.arrayContaining(['401', '403', '429', 'default']),
      ]);
      expect([...told, Object.keys(one.responses).some((status) => status.startsWith('2'))]).toEqual([...told, true]);
      for (const response of Object.values(one.responses))
        expect([...told, response.$ref ?? response.description]).toEqual([...told, expect.stringMatching(/\S/)]);
    }
  });

  test('has no reference that leads nowhere', () => {
    const refs = walk(api).flatMap(({ value }) => (typeof value.$ref === 'string' ? [value.$ref] : []));
    expect(refs.length).toBeGreaterThan(50);
    for (const ref of refs) expect(resolve(api, ref)).toBeDefined();
  });

  test('names each operation once, and asks for a scope that there is', () => {
    const ids = described.map(({ one }) => one.operationId);
    expect(ids.filter((id, at) => ids.indexOf(id) !== at)).toEqual([]);
    const scopes = described.flatMap(({ one }) => one.security.flatMap((asked) => asked.token ?? []));
    expect(scopes.filter((scope) => !api_scopes.includes(scope))).toEqual([]);
    const flows = Object.values(api.components.securitySchemes.token.flows) as { scopes: Json }[];
    for (const flow of flows) expect(Object.keys(flow.scopes)).toEqual([...api_scopes]);
  });

  test('holds schemas of words that are known, and nothing of forms', () => {
    const schemas = [
      ...Object.values(api.components.schemas),
      ...described.flatMap(({ one }) => [
        ...(one.parameters ?? []).map(({ schema }) => schema),
        ...Object.values(one.requestBody?.content ?? {}).map(({ schema }) => schema),
        ...Object.values(one.responses).flatMap(({ content }) =>
          Object.values(content ?? {}).map(({ schema }) => schema),
        ),
      ]),
    ];
    // What this does not know of a schema it throws over.
    for (const schema of schemas) findMismatches(schema, {}, api);
    const formal = walk(api.components).filter(({ value }) => 'personal' in value || 'autocomplete' in value);
    expect(formal.map(({ place }) => place)).toEqual([]);
  });

  test('lists every address of every resource, and nothing that only people may do', () => {
    for (const { name, operations, sections = [] } of resources) {
      const expected = [
        `get /${name}`,
        `get /${name}/{id}`,
        `get /${name}/{id}/history`,
        ...sections.filter(({ is_page_only }) => !is_page_only).map((section) => `get /${name}/{id}/${section.name}`),
        ...operations.flatMap((operation) => {
          if (operation.is_console_only) return [];
          if (operation.kind === 'create') return [`post /${name}`];
          if (operation.kind === 'change') return [`patch /${name}/{id}`];
          return [operation.kind === 'remove' ? `delete /${name}/{id}` : `post /${name}/{id}/${operation.name}`];
        }),
      ];
      const found = described.filter(({ one }) => one.tags[0] === name).map(({ method, path }) => `${method} ${path}`);
      expect(found.toSorted()).toEqual(expected.toSorted());
    }
  });
});

describe('at its addresses', () => {
  let gapura: TestGapura;
  let browser: Browser;

  beforeAll(async () => {
    [gapura, browser] = await Promise.all([startGapura(), openBrowser()]);
  });

  afterAll(async () => {
    await browser.close();
    await gapura.stop();
  });

  test('anybody reads the document, which is the same for everybody', async () => {
    const nobody = newApiClient(gapura.url, undefined);
    const answer = await nobody('GET', '/openapi.json');
    expect([answer.status, answer.headers.get('content-type'), answer.headers.get('cache-control')]).toEqual([
      200,
      'application/json; charset=utf-8',
      'public, max-age=300',
    ]);
    expect(answer.body.paths).toEqual(paths);
    expect((await nobody('GET', '/openapi.json', undefined, { 'accept-language': 'en' })).body).toEqual(answer.body);
  });

  test.each(languages)('the page reads well in %s, on a narrow screen too', async (language) => {
    const visitor = await browser.newVisitor({ language, width: 320 });
    const { page } = visitor;
    expect((await page.goto(`${gapura.url}/api/v1?lang=${language}`))?.status()).toBe(200);
    await expectNoAxeViolations(page);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect(wide).toBeLessThanOrEqual(0);
    const text = await page.innerText('main');
    for (const { name } of resources) expect(text).toContain(`GET /${name}/{id}`);
    expectQuiet(page);
    await visitor.close();
  });
});
