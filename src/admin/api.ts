/** The interface for programs, /api/v1: the same resources and operations as the console's, in JSON (RFC 9110, 9457, 7396). */

import type Router from '@koa/router';
import type { Context } from 'koa';
import { page } from '../views.ts';
import { answerCarried, problem, readJson } from './api-answer.ts';
import { type ApiStore, authenticate, payRate, refuseScope } from './api-caller.ts';
import { listHistory } from './history.ts';
import { claimKey, type KeptAnswer, keepAnswer } from './idempotency.ts';
import { findEntry, listCounted, most_counted, readListQuery, tellEntry } from './listing.ts';
import { describeApi } from './openapi.ts';
import { type Order, perform, reachOfActor, undoable } from './operation.ts';
import { outlineApi } from './outline.ts';
import type { Desk, Entry, Operation, Resource } from './resource.ts';

const root = '/api/v1';

/** Serves the interface. Without a token everything but its description is 401; what a token may not see is 403 or 404. */
export function mountApi(router: Router, store: ApiStore): void {
  const open = (act: (ctx: Context, desk: Desk, resource: Resource) => Promise<void>) => async (ctx: Context) => {
    ctx.set('cache-control', 'no-store');
    const desk = await authenticate(ctx, store);
    if (!desk || !(await payRate(ctx, desk))) return;
    const resource = desk.findResource(String(ctx.params.resource));
    if (!resource) return problem(ctx, 404, 'not_found');
    if (!reachOfActor(desk.actor, resource.permission)) return refuseScope(ctx, resource.permission);
    await act(ctx, desk, resource);
  };
  const operate = (choose: (resource: Resource, ctx: Context) => Operation | undefined) =>
    open(async (ctx, desk, resource) => {
      const operation = choose(resource, ctx);
      if (!operation) return problem(ctx, 404, 'not_found');
      if (!reachOfActor(desk.actor, operation.permission)) return refuseScope(ctx, operation.permission);
      await carryOutOnce(ctx, desk, resource, operation);
    });
  const named = (name: string) => (resource: Resource) => resource.operations.find((one) => one.name === name);

  // Anybody may ask for it, so it is written once.
  let description: string | undefined;
  router.get(`${root}/openapi.json`, (ctx) => {
    description ??= JSON.stringify(describeApi(store.config));
    ctx.set('cache-control', 'public, max-age=300');
    ctx.type = 'application/json';
    ctx.body = description;
  });
  router.get(root, (ctx) => page(ctx, 'admin/api', { outline: outlineApi(store.config, ctx.state.language) }));
  router.get(`${root}/:resource`, open(list));
  router.post(`${root}/:resource`, operate(named('creation')));
  router.get(`${root}/:resource/:id`, open(show));
  router.patch(`${root}/:resource/:id`, operate(named('change')));
  router.delete(`${root}/:resource/:id`, operate(named('removal')));
  router.get(`${root}/:resource/:id/:section`, open(showSection));
  router.post(
    `${root}/:resource/:id/:operation`,
    operate(({ operations }, ctx) =>
      operations.find((one) => one.kind === 'act' && !one.is_console_only && one.name === ctx.params.operation),
    ),
  );
}

async function list(ctx: Context, desk: Desk, resource: Resource): Promise<void> {
  const reach = reachOfActor(desk.actor, resource.permission) ?? { agencies: [], organisations: [] };
  const read = readListQuery(resource, ctx.query);
  if (read.state === 'refused') return problem(ctx, 400, 'invalid_query', { errors: read.errors });
  const { count, ...found } = await listCounted(desk.db, resource, reach, read.query);
  const address = (cursor: string | undefined) => {
    const query = new URLSearchParams(ctx.querystring);
    query.delete('cursor');
    if (cursor) query.set('cursor', cursor);
    return `${desk.config.url}${root}/${resource.name}${query.size > 0 ? `?${query}` : ''}`;
  };
  const links = {
    first: address(undefined),
    ...(found.next ? { next: address(found.next) } : {}),
    ...(found.previous ? { prev: address(found.previous) } : {}),
  };
  ctx.set(
    'link',
    Object.entries(links)
      .map(([rel, href]) => `<${href}>; rel="${rel}"`)
      .join(', '),
  );
  ctx.body = {
    items: found.entries.map((entry) => tellEntry(resource, entry)),
    // Counted up to a limit; beyond it only that there are more.
    count: Math.min(count, most_counted),
    has_more_than_count: count > most_counted,
    links,
  };
}

async function show(ctx: Context, desk: Desk, resource: Resource): Promise<void> {
  const entry = await find(desk, resource, String(ctx.params.id));
  if (!entry) return problem(ctx, 404, 'not_found');
  if (entry.version !== undefined) {
    const etag = `"${entry.version}"`;
    ctx.set('etag', etag);
    if (isKnown(ctx.get('if-none-match'), etag)) {
      ctx.status = 304;
      return;
    }
  }
  ctx.body = tellEntry(resource, entry);
}

// RFC 9110 section 13.1.2, whatever the request says of caches: a program that names a version has it.
function isKnown(if_none_match: string, etag: string): boolean {
  const tags = if_none_match.split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return tags.includes('*') || tags.includes(etag);
}

async function showSection(ctx: Context, desk: Desk, resource: Resource): Promise<void> {
  const entry = await find(desk, resource, String(ctx.params.id));
  const section = resource.sections?.find(({ name, is_page_only }) => name === ctx.params.section && !is_page_only);
  if (!entry || (!section && ctx.params.section !== 'history')) return problem(ctx, 404, 'not_found');
  if (!section) {
    const rows = await listHistory(desk.db, resource.name, entry.id, { size: 100 });
    ctx.body = { items: rows };
    return;
  }
  if (!reachOfActor(desk.actor, section.permission)) return refuseScope(ctx, section.permission);
  const rows = await section.list(desk, entry);
  ctx.body = { items: rows.map((row) => tellEntry({ ...resource, entry: section.row }, row as Entry)) };
}

async function find(desk: Desk, resource: Resource, id: string): Promise<Entry | undefined> {
  const reach = reachOfActor(desk.actor, resource.permission);
  return reach && findEntry(desk.db, resource, reach, id);
}

/** Reads the request, does it, answers; a request with an `Idempotency-Key` is done once and answered each time. */
async function carryOutOnce(ctx: Context, desk: Desk, resource: Resource, operation: Operation): Promise<void> {
  const key = ctx.get('idempotency-key');
  if (key && !/^[\x21-\x7e]{8,200}$/.test(key)) return problem(ctx, 400, 'invalid_idempotency_key');
  const match = /^"(\d{1,9})"$/.exec(ctx.get('if-match'));
  if (ctx.get('if-match') && !match) return problem(ctx, 400, 'invalid_if_match');
  // A removal says nothing but why, where a second person will ask.
  const is_mute = ctx.method === 'DELETE' && !operation.four_eyes;
  const read = is_mute ? { state: 'read' as const, value: {} } : await readJson(ctx);
  if (read.state === 'refused') return problem(ctx, read.status, read.code);
  const id = ctx.params.id === undefined ? undefined : String(ctx.params.id);
  const asked = { id, value: read.value, version: match ? Number(match[1]) : undefined };
  const keyed = {
    actor: JSON.stringify([desk.actor.account_id, desk.actor.client_id]),
    key,
    asked: JSON.stringify([ctx.method, ctx.path, asked.value, asked.version ?? null]),
  };
  const answer = await undoable(desk.db, async (tx, undo: (outcome: KeptAnswer) => never) => {
    const inner = { ...desk, db: tx };
    // Before anything is looked for: what was removed is gone, and the answer to its removal is not.
    const claim = key ? await claimKey(tx, desk.config, keyed) : { state: 'new' as const };
    if (claim.state === 'done')
      return { ...claim.answer, headers: { ...claim.answer.headers, 'idempotency-replayed': 'true' } };
    const order = await readOrder(inner, resource, operation, asked);
    const carried = claim.state === 'mismatch' ? claim : 'state' in order ? order : await perform(tx, desk, order);
    const now = carried.state === 'done' ? await find(inner, resource, carried.id) : undefined;
    const made = answerCarried(ctx, desk, { resource, operation }, carried, now);
    if (carried.state !== 'done' && carried.state !== 'waiting') return undo(made);
    if (key) await keepAnswer(tx, desk.config, keyed, made);
    return made;
  });
  for (const [name, value] of Object.entries(answer.headers)) ctx.set(name, value);
  ctx.status = answer.status;
  ctx.body = answer.body || null;
  if (!answer.body) ctx.status = 204;
}

/** What is to be done, or why that cannot even be asked. */
async function readOrder(
  desk: Desk,
  resource: Resource,
  operation: Operation,
  { id, value, version }: { id: string | undefined; value: Record<string, unknown>; version: number | undefined },
): Promise<Order | { state: 'not_found' | 'version_missing' }> {
  const entry = id === undefined ? undefined : await find(desk, resource, id);
  if (id !== undefined && !entry) return { state: 'not_found' };
  const is_change = operation.kind === 'change' || operation.kind === 'remove';
  // Who changes what they have not seen overwrites somebody (RFC 6585 section 3).
  if (is_change && entry?.version !== undefined && version === undefined) return { state: 'version_missing' };
  const begun = operation.kind === 'change' ? await operation.begin?.(desk, entry, {}) : undefined;
  const { approval_reason, ...input } = value;
  // A merge patch (RFC 7396): what is not named stays; null empties.
  const order = { resource, operation, id, input: { ...begun, ...(operation.four_eyes ? input : value) }, version };
  return typeof approval_reason === 'string' ? { ...order, because: approval_reason } : order;
}
