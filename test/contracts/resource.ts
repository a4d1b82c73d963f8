/** What every resource promises at the interface, whatever it is of: its answers as described, its reach, its versions, its audit. */

import { beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { z } from 'zod';
import { listFields } from '../../src/admin/fields.ts';
import { describeApi } from '../../src/admin/openapi.ts';
import type { Operation, Resource } from '../../src/admin/resource.ts';
import { catalogues } from '../../src/i18n/messages.ts';
import { permissions } from '../../src/permissions.ts';
import {
  type ApiAnswer,
  type ApiClient,
  getClientToken,
  getPersonToken,
  listOperations,
  newApiClient,
} from '../support/desk.ts';
import type { TestGapura } from '../support/gapura.ts';
import { findMismatches } from '../support/json-schema.ts';
import { storm } from '../support/storm.ts';

/** A leaf as the suite needs it. */
export interface ResourceCase {
  resource: Resource;
  /** Makes an entry for one test alone, of BPOM where it belongs to an agency; gives its id. `at` is another each time. */
  make(gapura: TestGapura, at: number): Promise<string>;
  /** What makes one more through the interface. */
  creation?(gapura: TestGapura, at: number): Promise<Record<string, unknown>>;
  /** What changes one. */
  change?(at: number): Record<string, unknown>;
  /** Fields that follow from what was changed. */
  derived?: string[];
}

/** Who asks: a test's own programs and people, made once for all suites of a file. */
export interface Askers {
  admin: ApiClient;
  token: string;
  /** Nobody of these may do anything here. */
  strangers: Record<string, ApiClient>;
  /** An officer of another agency. */
  foreign: ApiClient;
}

/** Registers the programs and signs the people in. */
export async function openAskers(gapura: TestGapura): Promise<Askers> {
  const token = await getClientToken(gapura, 'kontrak', 'administrator');
  const program = async (...asked: Parameters<typeof getClientToken>) =>
    newApiClient(gapura.url, await getClientToken(...asked));
  return {
    token,
    admin: newApiClient(gapura.url, token),
    strangers: {
      nobody: newApiClient(gapura.url, undefined),
      'an invented token': newApiClient(gapura.url, 'x'.repeat(43)),
      Tono: newApiClient(gapura.url, await getPersonToken(gapura, 'kontrak-tono', 'tono')),
      'a client without a role': await program(gapura, 'kontrak-tanpa', undefined),
      'a token without the scope': newApiClient(
        gapura.url,
        await getPersonToken(gapura, 'kontrak-sempit', 'admin', 'profile'),
      ),
    },
    foreign: await program(gapura, 'kontrak-lain', 'agency_officer', { agency_code: 'KEMENDAG' }),
  };
}

let counted = 0;
const next = () => (counted += 1);

/** Runs the suite for one leaf. */
export function testResource(
  { resource, make, creation, change, derived = [] }: ResourceCase,
  open: () => { gapura: TestGapura; askers: Askers },
): void {
  const { name, operations } = resource;
  const named = (kind: Operation['kind']) => operations.find((operation) => operation.kind === kind);
  const written = operations.filter(({ is_console_only }) => !is_console_only);

  describe(`the resource ${name}`, () => {
    let gapura: TestGapura;
    let askers: Askers;
    let api: { paths: Record<string, unknown>; components: { schemas: Record<string, unknown> } };

    beforeAll(() => {
      ({ gapura, askers } = open());
      api = JSON.parse(JSON.stringify(describeApi(gapura.config)));
    });
    // The suite asks more often than any program may.
    beforeEach(async () => {
      await gapura.db.deleteFrom('limits').execute();
    });

    const addressOf = (operation: Operation, id: string): [method: string, path: string] => {
      const at = `/${name}/${encodeURIComponent(id)}`;
      if (operation.kind === 'create') return ['POST', `/${name}`];
      if (operation.kind === 'change') return ['PATCH', at];
      if (operation.kind === 'remove') return ['DELETE', at];
      return ['POST', `${at}/${operation.name}`];
    };
    const find = async (id: string) => askers.admin('GET', `/${name}/${encodeURIComponent(id)}`);
    const tagOf = ({ headers }: ApiAnswer) => ({ 'if-match': headers.get('etag') ?? '' });
    /** Every answer is one that the description of its address knows, and looks as it says. */
    const expectDescribed = (method: string, path: string, answer: ApiAnswer) => {
      const { responses } = (api.paths[path] as Record<string, { responses: Record<string, never> }>)[method] as {
        responses: Record<string, { content?: Record<string, { schema: unknown }>; $ref?: string }>;
      };
      const found = responses[answer.status];
      expect([method, path, Object.keys(responses)]).toEqual([
        method,
        path,
        expect.arrayContaining([`${answer.status}`]),
      ]);
      const schema = found?.content?.['application/json']?.schema;
      const is_problem = answer.status >= 400;
      const wanted = is_problem ? { $ref: '#/components/schemas/Problem' } : schema;
      expect([answer.status, findMismatches(wanted, answer.body, api)]).toEqual([answer.status, []]);
      if (is_problem) expect(answer.headers.get('content-type')).toBe('application/problem+json');
    };

    test('is named, described and drawn in both languages', () => {
      const words = [
        ...['title', 'lead', 'none', ...resource.list.columns].map((word) => `admin.${name}.${word}`),
        ...Object.keys(resource.list.filters ?? {}).map((filter) => `admin.${name}.filter_${filter}`),
        ...operations.map((operation) => `admin.${name}.op_${operation.name}`),
        ...operations.flatMap((operation) =>
          listFields(operation.input).map(({ name: field, meta }) => meta.label ?? `admin.${name}.${field}`),
        ),
        ...listFields(resource.entry).map(({ name: field, meta }) => meta.label ?? `admin.${name}.${field}`),
        ...(resource.sections ?? []).map((section) => `admin.${name}.section_${section.name}`),
        ...(resource.sections ?? []).filter(({ view }) => !view).map((one) => `admin.${name}.section_${one.name}_none`),
      ];
      const isMissing = (key: string) => !Object.values(catalogues).every((catalogue) => Object.hasOwn(catalogue, key));
      expect(words.filter(isMissing)).toEqual([]);
    });

    test('has a shape that addresses, forms and the table can hold', () => {
      expect(name).toMatch(/^[a-z][a-z-]{1,39}$/);
      expect(resource.id.source).toMatch(/^\^.*\$$/);
      const fields = Object.keys(resource.entry.shape);
      expect(resource.list.columns.filter((column) => !fields.includes(column))).toEqual([]);
      expect(Object.keys(resource.list.sorts).length).toBeGreaterThan(0);
      const names = [...operations, ...(resource.sections ?? [])].map((one) => one.name);
      expect(names.filter((one) => !/^[a-z][a-z-]{1,39}$/.test(one))).toEqual([]);
      expect(new Set([...names, 'history', 'find', 'list']).size).toBe(names.length + 3);
      for (const operation of operations) {
        const noun = { create: 'creation', change: 'change', remove: 'removal' } as const;
        if (operation.kind !== 'act') expect(operation.name).toBe(noun[operation.kind]);
        // The form has one beside the fields.
        expect(Object.keys(operation.input.shape)).not.toContain('version');
        expect(Object.keys(permissions)).toContain(operation.permission);
      }
    });

    test('lists what its description says, each field and no other, sorted by everything that it offers', async () => {
      await make(gapura, next());
      for (const sort of Object.keys(resource.list.sorts).flatMap((one) => [one, `-${one}`])) {
        const answer = await askers.admin('GET', `/${name}?sort=${sort}&size=3`);
        expect([sort, answer.status]).toEqual([sort, 200]);
        expectDescribed('get', `/${name}`, answer);
        expect(answer.body.items.length).toBeGreaterThan(0);
        for (const item of answer.body.items) expect(Object.keys(item)).toEqual(Object.keys(resource.entry.shape));
      }
      for (const query of ['unknown=1', 'size=0', 'size=101', 'sort=id&sort=id', 'sort=__proto__', 'cursor=x'])
        expectProblem(await askers.admin('GET', `/${name}?${query}`), 400);
    });

    test('finds an entry with its sections and its history as described', async () => {
      const id = await make(gapura, next());
      const found = await find(id);
      expect(found.status).toBe(200);
      expectDescribed('get', `/${name}/{id}`, found);
      expect(Object.keys(found.body)).toEqual(Object.keys(resource.entry.shape));
      const sections = (resource.sections ?? []).filter(({ is_page_only }) => !is_page_only);
      for (const section of ['history', ...sections.map((one) => one.name)]) {
        const answer = await askers.admin('GET', `/${name}/${encodeURIComponent(id)}/${section}`);
        expect([section, answer.status]).toEqual([section, 200]);
        expectDescribed('get', `/${name}/{id}/${section}`, answer);
      }
    });

    test('knows no entry, section, operation or method that is not there', async () => {
      const id = encodeURIComponent(await make(gapura, next()));
      for (const path of ['/_', `/${'0'.repeat(300)}`, '/..%2f', "/'", `/${id}/nothing`, `/${id}/__proto__`])
        expectProblem(await askers.admin('GET', `/${name}${path}`), 404);
      for (const path of ['nothing', 'creation', 'change', 'removal', 'constructor', 'history'])
        expectProblem(await askers.admin('POST', `/${name}/${id}/${path}`, {}), 404);
      for (const operation of operations.filter(({ is_console_only }) => is_console_only))
        expectProblem(await askers.admin('POST', `/${name}/${id}/${operation.name}`, {}), 404);
      if (!named('create')) expectProblem(await askers.admin('POST', `/${name}`, {}), 404);
      if (!named('change'))
        expectProblem(await askers.admin('PATCH', `/${name}/${id}`, {}, { 'if-match': '"1"' }), 404);
      if (!named('remove'))
        expectProblem(await askers.admin('DELETE', `/${name}/${id}`, undefined, { 'if-match': '"1"' }), 404);
      expectProblem(await askers.admin('PUT', `/${name}/${id}`, {}), 405);
    });

    test('tells a stranger nothing and does nothing for one', async () => {
      const id = await make(gapura, next());
      const before = await find(id);
      for (const [who, ask] of Object.entries(askers.strangers)) {
        const paths = [`/${name}`, `/${name}/${encodeURIComponent(id)}`, `/${name}/${encodeURIComponent(id)}/history`];
        for (const path of paths) {
          const answer = await ask('GET', path);
          expect([who, path, [401, 403, 404].includes(answer.status)]).toEqual([who, path, true]);
          expect(Object.keys(answer.body).filter((word) => ['items', 'id', 'current'].includes(word))).toEqual([]);
        }
        for (const operation of written) {
          const [method, path] = addressOf(operation, id);
          const body = await bodyFor(operation);
          const answer = await ask(method, path, method === 'DELETE' ? undefined : body, tagOf(before));
          expect([who, operation.name, [401, 403, 404].includes(answer.status)]).toEqual([who, operation.name, true]);
        }
      }
      expect((await find(id)).body).toEqual(before.body);
    });

    test('lets an officer of another agency change nothing of this one’s', async () => {
      const id = await make(gapura, next());
      const before = await find(id);
      if (before.body.agency_code !== undefined) expect(before.body.agency_code).toBe('BPOM');
      const extents: Record<string, string | undefined> = permissions[resource.permission];
      const seen = await askers.foreign('GET', `/${name}/${encodeURIComponent(id)}`);
      if (extents.agency_officer !== 'everything') expect([403, 404]).toContain(seen.status);
      for (const operation of written) {
        const [method, path] = addressOf(operation, id);
        const body = method === 'DELETE' ? undefined : await bodyFor(operation);
        const answer = await askers.foreign(method, path, body, tagOf(before));
        expect([operation.name, [403, 404].includes(answer.status)]).toEqual([operation.name, true]);
      }
      expect((await find(id)).body).toEqual(before.body);
    });

    test('takes no field that is not asked for', async () => {
      const { extras, isExtra } = listExtras();
      const [making, changing] = [named('create'), named('change')];
      if (making && creation) {
        const well = await askers.admin('POST', `/${name}`, await creation(gapura, next()));
        expectDescribed('post', `/${name}`, well);
        const made = await askers.admin('POST', `/${name}`, { ...extras, ...(await creation(gapura, next())) });
        expect([201, 422]).toContain(made.status);
        if (made.status === 201)
          for (const field of Object.keys(resource.entry.shape).filter((one) => isExtra(making, one) && one in extras))
            expect([field, made.body[field]]).not.toEqual([field, extras[field]]);
      }
      if (!changing || !change) return;
      const id = await make(gapura, next());
      const before = await find(id);
      const answer = await askers.admin('PATCH', `/${name}/${id}`, { ...extras, ...change(next()) }, tagOf(before));
      expect([200, 422]).toContain(answer.status);
      if (answer.status === 422) return;
      expectDescribed('patch', `/${name}/{id}`, answer);
      const kept = Object.keys(resource.entry.shape).filter(
        (field) => isExtra(changing, field) && !['version', 'updated_at', ...derived].includes(field),
      );
      for (const field of kept) expect([field, answer.body[field]]).toEqual([field, before.body[field]]);
      if (before.body.version !== undefined) expect(answer.body.version).toBeGreaterThan(before.body.version);
    });

    test('refuses whatever is sent in place of its fields, and fails over none of it', async () => {
      for (const operation of written) {
        const id = operation.kind === 'create' ? '' : await make(gapura, next());
        const [method, path] = addressOf(operation, id);
        if (method === 'DELETE') continue;
        const fields = listFields(operation.input);
        const bodies: unknown[] = odd.map((value) => Object.fromEntries(fields.map((field) => [field.name, value])));
        const well = await bodyFor(operation);
        for (const [at, field] of fields.entries())
          for (const value of oddFor(operation, field.name, at)) bodies.push({ ...well, [field.name]: value });
        let tag = id ? tagOf(await find(id)) : {};
        for (const [at, body] of [...bodies, ...unreadable].entries()) {
          const answer = await askers.admin(method, path, body, tag);
          if (id && answer.status < 300) tag = tagOf(await find(id));
          if (at % 100 === 0) await gapura.db.deleteFrom('limits').execute();
          const told = [operation.name, JSON.stringify(body).slice(0, 200), answer.status];
          if (answer.status >= 500) expect(told).toEqual('no failure of ours');
          if (answer.status >= 400) expectProblem(answer, answer.status);
        }
      }
    });

    const changing = named('change');
    if (changing && change) {
      test('changes only what was seen, once for each version, and says by whom', async () => {
        const id = await make(gapura, next());
        const path = `/${name}/${encodeURIComponent(id)}`;
        const seen = await find(id);
        expect(seen.headers.get('etag')).toBe(`"${seen.body.version}"`);
        expectProblem(await askers.admin('PATCH', path, change(next())), 428);
        expectProblem(await askers.admin('PATCH', path, change(next()), { 'if-match': 'x' }), 400);
        const late = await askers.admin('PATCH', path, change(next()), { 'if-match': '"999999"' });
        expectProblem(late, 412);
        expect([late.body.current, late.headers.get('etag')]).toEqual([seen.body, seen.headers.get('etag')]);
        expectDescribed('patch', `/${name}/{id}`, late);

        const earlier = await listOperations(gapura, name, id);
        const answers = await storm(2, () => ({
          url: `${gapura.url}/api/v1${path}`,
          method: 'PATCH',
          headers: { authorization: `Bearer ${askers.token}`, 'content-type': 'application/json', ...tagOf(seen) },
          body: JSON.stringify(change(next())),
        }));
        expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 412]);
        const [won] = answers.filter(({ status }) => status === 200);
        expect((await find(id)).body).toEqual(JSON.parse(won?.body ?? ''));

        const [row, ...more] = await listOperations(gapura, name, id);
        expect(more.map(({ id: one }) => one)).toEqual(earlier.map(({ id: one }) => one));
        expect(row).toMatchObject({
          actor_id: null,
          client_id: 'kontrak',
          detail: { resource: name, id, operation: 'change' },
        });
        expectNothingPrivate(changing, (row?.detail.changes ?? {}) as Record<string, unknown>);
      });
    }

    /** An odd text and any odd value; where several operations ask for the same field, they share the two among them. */
    function oddFor(operation: Operation, field: string, at: number): unknown[] {
      const both = [odd_texts[at % odd_texts.length], odd[at % odd.length]];
      const asking = written.filter(({ input }) => Object.hasOwn(input.shape, field));
      return asking.length > 1 ? [both[asking.indexOf(operation) % 2]] : both;
    }

    async function bodyFor(operation: Operation): Promise<Record<string, unknown>> {
      if (operation.kind === 'create') return (await creation?.(gapura, next())) ?? {};
      return operation.kind === 'change' ? (change?.(next()) ?? {}) : {};
    }

    function listExtras() {
      const extras: Record<string, unknown> = {
        id: '00000000-0000-4000-8000-000000000000',
        version: 777,
        origin: 'own',
        created_at: '2001-01-01T00:00:00.000Z',
        updated_at: '2001-01-01T00:00:00.000Z',
        is_set: true,
        generation: 77,
        roles: ['administrator'],
        role: 'administrator',
        granted_by: 'x',
        email_verified: true,
        password: 'Diselundupkan-2026',
        prototype: { role: 'administrator' },
      };
      const asked = (operation: Operation) => Object.keys(operation.input.shape);
      const everywhere = operations.flatMap(asked);
      return {
        extras: Object.fromEntries(Object.entries(extras).filter(([field]) => !everywhere.includes(field))),
        isExtra: (operation: Operation, field: string) => !asked(operation).includes(field),
      };
    }
  });
}

/** A problem document, whatever its matter. */
export function expectProblem(answer: ApiAnswer, status: number): void {
  expect([answer.status, answer.headers.get('content-type')]).toEqual([status, 'application/problem+json']);
  expect(answer.body).toMatchObject({
    type: 'about:blank',
    title: expect.stringMatching(/\S/),
    status,
    code: expect.stringMatching(/^[a-z_]+$/),
    request_id: expect.stringMatching(/\S/),
  });
}

function expectNothingPrivate(operation: Operation, changes: Record<string, unknown>): void {
  const unseen = listFields(operation.input as z.ZodObject).filter(({ meta }) => meta.personal || meta.secret);
  for (const { name } of unseen) expect([name, changes[name] ?? null]).toEqual([name, null]);
}

const odd_texts = ['é'.repeat(20_000), '\\u0000%00', '\u0001\u001b[31m', ' ', "'; DROP TABLE x; --", '{{7*7}}<script>'];

const odd: unknown[] = [
  null,
  '',
  -1,
  1e308,
  2 ** 53,
  true,
  [],
  ['a', 'a', ['b']],
  { toString: 'x', constructor: { prototype: { role: 'administrator' } } },
  ...odd_texts,
];

/** Bodies that are no object of keepable text; strings are sent as they are. */
const unreadable: unknown[] = [
  '',
  '[]',
  '"text"',
  'null',
  '{',
  '{"name":"a","name":["b"],"__proto__":{"role":"administrator"}}',
  '{"name":"\\u0000"}',
  '{"name":"\\ud800"}',
  `{"name":${'['.repeat(5000)}${']'.repeat(5000)}}`,
];
