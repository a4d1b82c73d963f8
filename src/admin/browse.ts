/** The console's pages to look at: its home, a list, an entry with all that belongs to it. */

import type { Context } from 'koa';
import { formatDateTime } from '../i18n/dates.ts';
import { page } from '../views.ts';
import { drawFacts, showValue } from './facts.ts';
import { listFields } from './fields.ts';
import { listHistory } from './history.ts';
import { countEntries, findEntry, type ListQuery, listCounted, most_counted, readListQuery } from './listing.ts';
import { reachOfActor } from './operation.ts';
import { listVisible, readHeader, readNotice } from './page.ts';
import type { Desk, Entry, Filter, Operation, Option, Resource } from './resource.ts';
import { drawWays } from './ways.ts';
import { wordOf } from './words.ts';

/** GET /admin: what there is to see and to do. */
export async function showHome(ctx: Context, desk: Desk): Promise<void> {
  const header = await readHeader(ctx, desk, '');
  const entries = await Promise.all(
    listVisible(desk).map(async (resource) => {
      const reach = reachOfActor(desk.actor, resource.permission) ?? 'everything';
      const waiting = resource.waiting && (await countEntries(desk.db, resource, reach, resource.waiting));
      return {
        href: `/admin/${resource.name}${waiting ? `?${new URLSearchParams(resource.waiting as Record<string, string>)}` : ''}`,
        group: resource.group,
        title: ctx.state.t(`admin.${resource.name}.title`),
        lead: ctx.state.t(`admin.${resource.name}.lead`),
        waiting,
      };
    }),
  );
  page(ctx, 'admin/home', { header, entries });
}

/** GET /admin/:resource */
export async function showList(ctx: Context, desk: Desk, resource: Resource): Promise<void> {
  const { t } = ctx.state;
  const { name, list } = resource;
  const header = await readHeader(ctx, desk, name);
  const reach = reachOfActor(desk.actor, resource.permission);
  if (!reach) return ctx.throw(403);
  const sent = { ...ctx.query };
  delete sent.done;
  const read = readListQuery(resource, sent);
  // An address that was bent shows the list as it begins, and says so.
  const first = readListQuery(resource, {}) as { query: ListQuery };
  const query = read.state === 'read' ? read.query : first.query;
  const [{ count, ...found }, filters] = await Promise.all([
    listCounted(desk.db, resource, reach, query),
    drawFilters(ctx, desk, resource),
  ]);
  const fields = new Map(listFields(resource.entry).map((field) => [field.name, field]));
  const address = (changes: Record<string, string | undefined>) => {
    const parameters = new URLSearchParams();
    const all = { ...(read.state === 'read' ? sent : {}), cursor: undefined, ...changes };
    for (const [key, value] of Object.entries(all))
      if (typeof value === 'string' && value !== '') parameters.set(key, value);
    return `/admin/${name}${parameters.size > 0 ? `?${parameters}` : ''}`;
  };
  if (read.state === 'refused') ctx.status = 400;
  page(ctx, 'admin/list', {
    header,
    name,
    problem: read.state === 'refused' ? t('errors.list.bent') : undefined,
    notice: readNotice(ctx, resource),
    filters,
    is_filtered: Object.keys(query.filters).length > 0,
    columns: list.columns.map((column) => {
      const is_sorted = query.sort === column;
      const turned = is_sorted && !query.is_descending ? `-${column}` : column;
      return {
        label: t(`admin.${name}.${column}`),
        href: Object.hasOwn(list.sorts, column) ? address({ sort: turned }) : undefined,
        sorted: is_sorted ? (query.is_descending ? 'descending' : 'ascending') : undefined,
      };
    }),
    rows: found.entries.map((entry) => ({
      href: `/admin/${name}/${encodeURIComponent(entry.id)}`,
      note: describeEntry(ctx, desk, resource, entry),
      cells: list.columns.map((column) => {
        const field = fields.get(column);
        return field ? showValue(ctx, resource, field, entry[column], header.zone, true).text : '';
      }),
    })),
    count: count > most_counted ? t('admin.list.more_than', { count: most_counted }) : t('admin.list.count', { count }),
    next: found.next && address({ cursor: found.next }),
    previous: found.previous && address({ cursor: found.previous }),
    creations: offered(desk, resource, undefined).map((operation) => describe(ctx, resource, operation, undefined)),
    done: doneOf(ctx, resource),
  });
}

/** GET /admin/:resource/:id */
export async function showEntry(ctx: Context, desk: Desk, resource: Resource): Promise<void> {
  const reach = reachOfActor(desk.actor, resource.permission);
  const entry = reach && (await findEntry(desk.db, resource, reach, String(ctx.params.id)));
  if (!entry) return ctx.throw(404);
  const header = await readHeader(ctx, desk, resource.name);
  const sections = (resource.sections ?? []).filter(({ permission }) => reachOfActor(desk.actor, permission));
  const history = await listHistory(desk.db, resource.name, entry.id);
  page(ctx, 'admin/entry', {
    header,
    name: resource.name,
    list: { href: `/admin/${resource.name}`, title: ctx.state.t(`admin.${resource.name}.title`) },
    title: await resource.title(entry, desk.language, desk),
    text: describeEntry(ctx, desk, resource, entry),
    picture: resource.picture?.(entry),
    groups: drawFacts(ctx, resource, resource.entry, entry, header.zone),
    operations: offered(desk, resource, entry).map((operation) => describe(ctx, resource, operation, entry)),
    ways: drawWays(ctx, desk, resource.name, entry),
    sections: await Promise.all(
      sections.map(async (section) => {
        const rows = await section.list(desk, entry);
        // Rows of a resource of their own lead to their pages, and their ids are for programs.
        const is_linked = 'id' in section.row.shape && listVisible(desk).some(({ name }) => name === section.name);
        const fields = listFields(section.row).filter(({ name }) => !is_linked || name !== 'id');
        return {
          name: section.name,
          hrefs: is_linked
            ? rows.map(({ id }) => `/admin/${section.name}/${encodeURIComponent(String(id))}`)
            : undefined,
          title: ctx.state.t(`admin.${resource.name}.section_${section.name}`),
          none: ctx.state.t(
            section.isCut?.(desk) ? 'admin.entry.none_in_reach' : `admin.${resource.name}.section_${section.name}_none`,
          ),
          view: section.view,
          rows,
          entry,
          columns: fields.map(
            (field) =>
              wordOf(
                ctx,
                `admin.${resource.name}.${section.name}_${field.name}`,
                `admin.${resource.name}.${field.name}`,
              ) ?? field.name,
          ),
          cells: rows.map((row) =>
            fields.map((field) => showValue(ctx, resource, field, row[field.name], header.zone, true).text),
          ),
        };
      }),
    ),
    history: history.map(({ at, actor, operation, changes }) => ({
      at: formatDateTime(ctx.state.language, at, header.zone),
      actor: actor ?? ctx.state.t('admin.entry.nobody'),
      operation: wordOf(ctx, `admin.${resource.name}.op_${operation}`) ?? operation,
      changes: Object.entries(changes).map(([field, change]) => ({
        label: wordOf(ctx, `admin.${resource.name}.${field}`) ?? field,
        from: change ? writeOut(change.from) : undefined,
        to: change ? writeOut(change.to) : undefined,
      })),
    })),
    done: doneOf(ctx, resource, entry),
    another: anotherOf(ctx, desk, resource, entry),
  });
}

/** The way to make one more at the same agency, for whoever has just made one. */
function anotherOf(ctx: Context, desk: Desk, resource: Resource, { agency_code }: Entry) {
  const [creation] = ctx.query.done === 'creation' ? offered(desk, resource, undefined) : [];
  if (!creation) return undefined;
  const query = agency_code ? `?${new URLSearchParams({ agency_code: String(agency_code) })}` : '';
  return { href: `/admin/${resource.name}/${creation.name}${query}`, label: ctx.state.t('admin.entry.another') };
}

function writeOut(value: unknown): string {
  if (value === null || value === '') return '—';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** What this person may do now: to an entry, or to make one. */
function offered(desk: Desk, { operations }: Resource, entry: Entry | undefined): Operation[] {
  return operations.filter(
    (operation) =>
      (operation.kind === 'create') === (entry === undefined) &&
      reachOfActor(desk.actor, operation.permission) !== undefined &&
      (!entry || !operation.applies || operation.applies(entry, desk)),
  );
}

function describeEntry(ctx: Context, desk: Desk, resource: Resource, entry: Entry): string | undefined {
  const key = resource.describe?.(entry, desk);
  return key && ctx.state.t(key);
}

function describe(ctx: Context, { name }: Resource, operation: Operation, entry: Entry | undefined) {
  return {
    name: operation.name,
    kind: operation.kind,
    label: ctx.state.t(`admin.${name}.op_${operation.name}`),
    href: entry
      ? `/admin/${name}/${encodeURIComponent(entry.id)}/${operation.name}`
      : `/admin/${name}/${operation.name}`,
  };
}

async function drawFilters(ctx: Context, desk: Desk, resource: Resource) {
  const draw = async ([name, filter]: [string, Filter]) => {
    const options = (await filter.options?.(desk)) ?? enumOf(ctx, resource, name, filter);
    const sent = ctx.query[name];
    return {
      name,
      label: ctx.state.t(`admin.${resource.name}.filter_${name}`),
      options,
      typed: typeof sent === 'string' ? sent.slice(0, 200) : '',
    };
  };
  return Promise.all(Object.entries(resource.list.filters ?? {}).map(draw));
}

function enumOf(ctx: Context, { name }: Resource, filter_name: string, { schema }: Filter): Option[] | undefined {
  const { def } = schema as unknown as { def: { type: string; entries?: Record<string, string> } };
  if (def.type !== 'enum') return undefined;
  return Object.values(def.entries ?? {}).map((value) => ({
    value,
    label: wordOf(ctx, `admin.${name}.${filter_name}_${value}`) ?? value,
  }));
}

/**
 * What was just done: `?done=` is a name of an operation and nothing else. Where an entry is left, its fields fill the blanks.
 */
function doneOf(ctx: Context, { name, operations }: Resource, entry?: Entry): string | undefined {
  const done = operations.find((operation) => operation.name === ctx.query.done);
  if (!done || (done.kind === 'remove') !== (entry === undefined)) return undefined;
  const fields = Object.entries(entry ?? {}).map(([field, value]) => [field, typeof value === 'string' ? value : '—']);
  const key = `admin.${name}.op_${done.name}_done`;
  return wordOf(ctx, key) ? ctx.state.t(key, Object.fromEntries(fields)) : ctx.state.t('admin.entry.done');
}
