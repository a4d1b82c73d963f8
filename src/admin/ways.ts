/** Where one goes on from an entry: the lists of what belongs to it, and what is made next, begun with what is known. */

import type { Context } from 'koa';
import { isWithin, type Permission } from '../permissions.ts';
import { reachOfActor } from './operation.ts';
import type { Desk, Entry, Place } from './resource.ts';

/** A way to a list or a form of another resource. */
interface Way {
  to: string;
  /** Filters of the list, or what the form begins with. */
  query: Record<string, unknown>;
  /** Where that lies, as far as the entry says: whoever does not reach so far is not sent there. */
  at?: Place;
}

interface Ways {
  creations?: Way[];
  lists?: Way[];
}

const ways: Record<string, (entry: Entry) => Ways> = {
  agencies({ id }) {
    const own = (to: string, more = {}) => ({ to, query: { agency_code: id, ...more }, at: { agency_code: id } });
    return {
      creations: [
        own('accounts', { role: 'agency_officer' }),
        own('directorates'),
        own('clients'),
        own('applications'),
      ],
      lists: [own('directorates'), own('clients'), own('applications'), own('memberships'), own('roles')],
    };
  },
  directorates({ id, agency_code }) {
    const within = { to: 'memberships', query: { directorate_id: id }, at: { agency_code: String(agency_code) } };
    return { creations: [within], lists: [within] };
  },
  organisations({ id, npwp }) {
    const people = { to: 'accounts', query: { organisation_id: npwp }, at: { organisation_id: id } };
    const units = { to: 'memberships', query: { organisation_id: npwp } };
    return {
      creations: [{ ...people, query: { organisation_id: npwp, role: 'trader' } }, units],
      lists: [people, units],
    };
  },
  accounts({ username }) {
    const held = { to: 'roles', query: { account: username } };
    return { creations: [held], lists: [held] };
  },
  clients({ id, agency_code, client_name, client_uri }) {
    const query = { client_id: id, agency_code, name: client_name, url: client_uri };
    return agency_code ? { creations: [{ to: 'applications', query, at: { agency_code: String(agency_code) } }] } : {};
  },
};

/** The ways on for somebody, those to something new first. */
export function drawWays(ctx: Context, desk: Desk, name: string, entry: Entry) {
  const { t } = ctx.state;
  const { creations = [], lists = [] } = ways[name]?.(entry) ?? {};
  const reaches = (permission: Permission | undefined, at: Place | undefined) => {
    const reach = permission && reachOfActor(desk.actor, permission);
    return reach !== undefined && (at === undefined || isWithin(reach, at));
  };
  const made = creations.flatMap(({ to, query, at }) => {
    const creation = desk.findResource(to)?.operations.find(({ kind }) => kind === 'create');
    if (!reaches(creation?.permission, at)) return [];
    return [{ href: `/admin/${to}/creation?${write(query)}`, label: t(`admin.${to}.op_creation`) }];
  });
  const listed = lists
    .filter(({ to, at }) => reaches(desk.findResource(to)?.permission, at))
    .map(({ to, query }) => ({ href: `/admin/${to}?${write(query)}`, label: t(`admin.${to}.title`) }));
  return [
    { title: t('admin.entry.ways_next'), links: made },
    { title: t('admin.entry.ways_there'), links: listed },
  ].filter(({ links }) => links.length > 0);
}

function write(query: Record<string, unknown>): string {
  return String(
    new URLSearchParams(Object.entries(query).flatMap(([name, value]) => (value ? [[name, String(value)]] : []))),
  );
}
