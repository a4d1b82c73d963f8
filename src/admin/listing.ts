/** Entries as they are found and listed: narrowed to a reach, filtered, sorted, and paged by cursor, quick at a million rows. */

import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../database.ts';
import type { Reach } from '../permissions.ts';
import { type Cursor, readCursor, writeCursor } from './cursor.ts';
import type { Entry, Resource, SortType } from './resource.ts';

/** What is asked of a list; made by `readListQuery`. */
export interface ListQuery {
  /** A name of the resource's sorts. */
  sort: string;
  is_descending: boolean;
  /** Values as the filters' schemas made them. */
  filters: Record<string, unknown>;
  size: number;
  cursor: Cursor | undefined;
}

export interface EntryPage {
  entries: Entry[];
  /** Cursors of the pages beside this one, where there are any. */
  next: string | undefined;
  previous: string | undefined;
}

/** The largest page, and what is listed without being asked. */
export const largest_page = 100;
const usual_page = 20;

/** Beyond this many, a list says "more than": counting a million rows for a number nobody uses costs more than the page. */
export const most_counted = 1000;

type Sent = Record<string, string | string[] | undefined>;

/**
 * Reads what a query asks of a list: `sort`, `size`, `cursor` and the resource's filters.
 * @returns the query, or for each wrong parameter the key of its message; unknown parameters are wrong too
 */
export function readListQuery(
  { list, id }: Resource,
  sent: Sent,
): { state: 'read'; query: ListQuery } | { state: 'refused'; errors: Record<string, string> } {
  const errors: Record<string, string> = {};
  const filters: Record<string, unknown> = {};
  const [first_sort = 'id'] = Object.keys(list.sorts);
  const query: ListQuery = {
    sort: first_sort,
    is_descending: list.is_latest_first ?? false,
    filters,
    size: list.size ?? usual_page,
    cursor: undefined,
  };
  for (const [name, value] of Object.entries(sent)) {
    if (typeof value !== 'string') {
      errors[name] = 'errors.field.repeated';
    } else if (name === 'sort') {
      query.is_descending = value.startsWith('-');
      query.sort = value.replace(/^-/, '');
      if (!Object.hasOwn(list.sorts, query.sort)) errors.sort = 'errors.list.sort';
    } else if (name === 'size') {
      query.size = Number(value);
      if (!/^\d{1,3}$/.test(value) || query.size < 1 || query.size > largest_page) errors.size = 'errors.list.size';
    } else if (Object.hasOwn(list.filters ?? {}, name)) {
      const read = list.filters?.[name]?.schema.safeParse(value);
      if (read?.success) filters[name] = read.data;
      else if (value !== '') errors[name] = 'errors.field.invalid';
    } else if (name !== 'cursor') {
      errors[name] = 'errors.list.unknown';
    }
  }
  if (typeof sent.cursor === 'string' && !errors.sort) {
    const cursor = readCursor(sent.cursor, orderOf(query), sortOf(list.sorts, query.sort).type, id);
    if (cursor) query.cursor = cursor;
    else errors.cursor = 'errors.list.cursor';
  }
  return Object.keys(errors).length > 0 ? { state: 'refused', errors } : { state: 'read', query };
}

/** One page of a list, within a reach, and how many entries there are (see `countEntries`). */
export async function listCounted(
  db: Database,
  resource: Resource,
  reach: Reach,
  query: ListQuery,
): Promise<EntryPage & { count: number }> {
  const count = await countEntries(db, resource, reach, query.filters);
  const is_rare = Object.keys(query.filters).length > 0 && count <= most_counted;
  return { ...(await listEntries(db, resource, reach, query, is_rare)), count };
}

/**
 * One page of a list, within a reach.
 * @param is_rare the filters find few entries: they are found first and put in order then. PostgreSQL guesses badly how many
 *   names a word has, and would go through a million of them in their order, looking for three.
 */
export async function listEntries(
  db: Database,
  resource: Resource,
  reach: Reach,
  query: ListQuery,
  is_rare = false,
): Promise<EntryPage> {
  const sort = sortOf(resource.list.sorts, query.sort);
  // What no index is over, no index can give in order.
  const by = is_rare ? sql`coalesce(${sort.by}, ${sort.by})` : sort.by;
  const is_backward = query.cursor?.is_backward ?? false;
  const is_down = query.is_descending !== is_backward;
  const direction = is_down ? 'desc' : 'asc';
  let found = narrow(db, resource, reach, query.filters).select(sql<string>`(${by})::text`.as('cursor_value'));
  if (query.cursor) {
    const { value, id } = query.cursor;
    found = found.where(
      is_down ? sql<boolean>`(${by}, r.id) < (${value}, ${id})` : sql<boolean>`(${by}, r.id) > (${value}, ${id})`,
    );
  }
  const rows = (await found
    .orderBy(by, direction)
    .orderBy(sql`r.id`, direction)
    .limit(query.size + 1)
    .execute()) as (Entry & { cursor_value: string })[];
  const has_more = rows.length > query.size;
  const shown = rows.slice(0, query.size);
  if (is_backward) shown.reverse();
  const [first, last] = [shown[0], shown.at(-1)];
  const has_next = is_backward || has_more;
  const has_previous = is_backward ? has_more : query.cursor !== undefined;
  return {
    entries: shown.map(({ cursor_value: _, ...entry }) => readRow(resource, entry as Entry)),
    next: last && has_next ? writeCursor(last, orderOf(query), false) : undefined,
    previous: first && has_previous ? writeCursor(first, orderOf(query), true) : undefined,
  };
}

/** How many entries a query finds, at most `most_counted` + 1. */
export async function countEntries(
  db: Database,
  resource: Resource,
  reach: Reach,
  filters: ListQuery['filters'],
): Promise<number> {
  const some = narrow(db, resource, reach, filters)
    .clearSelect()
    .select(sql`1`.as('one'))
    .limit(most_counted + 1);
  const { count } = await db
    .selectFrom(some.as('some'))
    .select(sql<number>`count(*)::int`.as('count'))
    .executeTakeFirstOrThrow();
  return count;
}

/** An entry within a reach; undefined when there is none, which is the same to whoever may not see it. */
export async function findEntry(
  db: Database,
  resource: Resource,
  reach: Reach,
  id: string,
): Promise<Entry | undefined> {
  if (!resource.id.test(id)) return undefined;
  const row = await narrow(db, resource, reach, {}).where(sql<boolean>`r.id = ${id}`).executeTakeFirst();
  return row && readRow(resource, row as Entry);
}

function readRow({ read }: Resource, row: Entry): Entry {
  return read ? read(row) : row;
}

/** An entry as programs are told of it: the fields of the resource's schema and no others; times as RFC 3339. */
export function tellEntry({ entry: schema }: Resource, entry: Entry): Record<string, unknown> {
  return Object.fromEntries(
    Object.keys(schema.shape).map((name) => {
      const value = entry[name];
      return [name, value instanceof Date ? value.toISOString() : (value ?? null)];
    }),
  );
}

function narrow(db: Database, resource: Resource, reach: Reach, filters: ListQuery['filters']) {
  // The condition is the centre's, so that no leaf can forget it; a leaf without one is for those who see everything.
  const within = reach === 'everything' ? undefined : (resource.within?.(reach) ?? sql<boolean>`false`);
  let found = db.selectFrom(resource.select(db).as('r') as never).selectAll() as unknown as Narrowed;
  if (within) found = found.where(within);
  for (const [name, value] of Object.entries(filters)) {
    const filter = resource.list.filters?.[name];
    if (filter) found = found.where(filter.where(value as never));
  }
  return found;
}

// The columns are each resource's own, so kysely cannot know them.
type Narrowed = ReturnType<ReturnType<typeof anySelection>['selectAll']>;

function anySelection(db: Database) {
  return db.selectFrom(sql<Record<string, unknown>>`(SELECT 1)`.as('r'));
}

function sortOf(sorts: Resource['list']['sorts'], name: string): { type: SortType; by: RawBuilder<unknown> } {
  const sort = sorts[name] ?? 'text';
  return typeof sort === 'string' ? { type: sort, by: sql.ref(`r.${name}`) } : sort;
}

/** How a list is sorted, in one word; a cursor counts only in the order that it was made in. */
function orderOf({ sort, is_descending }: ListQuery): string {
  return `${is_descending ? '-' : ''}${sort}`;
}
