/** What every page of the console shows around its matter: who looks at it, and the menu of what they may see. */

import type { Context } from 'koa';
import { findAccount } from '../accounts/store.ts';
import { now } from '../clock.ts';
import { reachOfActor } from './operation.ts';
import { type Desk, type Resource, resources } from './resource.ts';

/** The head of a page of the console. */
export interface ConsoleHeader {
  area: 'console';
  identifier: string;
  role: string;
  now: Date;
  zone: string;
  /** The resource that is open; empty at home. */
  current: string;
  menu: { group: string; entries: { name: string; href: string; label: string }[] }[];
}

/** The headings of the console, in their order. */
const groups: readonly Resource['group'][] = ['applications', 'people', 'system'];

/** The resources that somebody may see, in the order of the console's menu. */
export function listVisible(desk: Desk): Resource[] {
  const visible = resources.filter((resource) => reachOfActor(desk.actor, resource.permission) !== undefined);
  return groups.flatMap((group) => visible.filter((resource) => resource.group === group));
}

/** Reads the head of a page. */
export async function readHeader(ctx: Context, desk: Desk, current: string): Promise<ConsoleHeader> {
  const { t } = ctx.state;
  const account = await findAccount(desk.db, desk.actor.account_id ?? '');
  if (!account) throw new Error('the account of a live session is gone');
  const visible = listVisible(desk);
  const headings = [...new Set(visible.map(({ group }) => group))];
  return {
    area: 'console',
    identifier: account.username,
    role: desk.actor.roles[0]?.role ?? '',
    now: now(),
    zone: account.time_zone,
    current,
    menu: headings.map((group) => ({
      group: t(`admin.group_${group}`),
      entries: visible
        .filter((resource) => resource.group === group)
        .map(({ name }) => ({ name, href: `/admin/${name}`, label: t(`admin.${name}.title`) })),
    })),
  };
}

/** What everybody should know of a resource, in the words of the page. */
export function readNotice(
  ctx: Context,
  { notice }: Resource,
): { text: string; href: string; label: string } | undefined {
  const said = notice?.();
  return said && { text: ctx.state.t(said.text), href: said.href, label: ctx.state.t(said.label) };
}
