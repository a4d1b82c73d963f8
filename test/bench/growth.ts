/** `npm run bench -- --growth`: what operations cost on a database of a million against one of a thousand, and what purging costs there. */

import { accounts } from '../../src/admin/resources/accounts.ts';
import { organisations } from '../../src/admin/resources/organisations.ts';
import { openRecorded, planLists } from '../support/growth.ts';
import { readUserinfo, redeem } from './calls.ts';
import { growCrowd } from './crowd.ts';
import { judgePairs, type Row, spreadOf, type Table } from './figures.ts';
import { clients, password } from './fill.ts';
import { enter, newVisitor, type Site, signIn } from './flows.ts';
import { link, type Operation, openApplication, openOperations, prepareFlows } from './growth-flows.ts';
import { type Found, inTurns, takePairs } from './measure.ts';
import { readPostgresCpu } from './postgres-cpu.ts';
import { measurePurge } from './purge.ts';
import { type Installation, install, openPlace, type Place } from './servers.ts';
import { asWeb } from './tokens.ts';

export interface GrowthScale {
  pairs: number;
  /** Accounts of the two databases. */
  small: number;
  large: number;
  /** Expired records that are purged while people sign in. */
  expired: number;
  /** How many people act. */
  people: number;
}

// What an operator is told to set for such a database (docker/README.md).
const settings = { shared_buffers: '2GB', max_wal_size: '16GB', checkpoint_timeout: '30min' };

/** Loads, measures, purges; leaves nothing behind. `tell` hears what is being done. */
export async function takeGrowth(scale: GrowthScale, scope: string, tell: (what: string) => void): Promise<Found> {
  const application = await openApplication();
  const place = await openPlace(['small', 'large'], settings);
  try {
    const small = await open(place, 'small', scale.small, { scale, scope, endpoint: application.endpoint });
    tell(`${scale.small} accounts loaded`);
    const large = await open(place, 'large', scale.large, { scale, scope, endpoint: application.endpoint });
    tell(`${scale.large} accounts loaded`);
    const found: Found[] = [await compare(place, small, large, scale)];
    tell('operations compared');
    found.push({ rows: [], tables: [await planConsole(place, scale.large)] });
    found.push(await measurePurge(large, scale.expired, scale.pairs));
    tell('purged');
    return {
      rows: found.flatMap(({ rows }) => rows),
      tables: found.flatMap(({ tables = [] }) => tables),
    };
  } finally {
    application.stop();
    await place.stop();
  }
}

/** One database of the two, with somebody whose rows the crowd has. */
export interface Grown extends Installation {
  site: Site;
  template: string;
}

async function open(
  place: Place,
  name: string,
  count: number,
  { scale, scope, endpoint }: { scale: GrowthScale; scope: string; endpoint: string },
): Promise<Grown> {
  const installation = await install(place, name, scale.people);
  const { db, gapura, people } = installation;
  await prepareFlows(installation, password, endpoint);
  const site: Site = { ...gapura, client: clients.bench, password, scope };
  // The person whose rows the crowd has does nothing else, so that there are few of them.
  const [pattern = '', ...others] = people;
  const person = await db
    .selectFrom('account_identifiers as i')
    .innerJoin('account_organisations as o', 'o.account_id', 'i.account_id')
    .select(['i.account_id', 'o.organisation_id'])
    .where('i.canonical', '=', pattern)
    .executeTakeFirstOrThrow();
  const visitor = newVisitor(pattern);
  const web = asWeb(site);
  await readUserinfo(web, (await redeem(web, await signIn(web, visitor))).access_token);
  await enter(site, visitor, '/portal');
  await link(site, visitor);
  await growCrowd(db, person.account_id, person.organisation_id, count - people.length);
  return { ...installation, people: others, site, template: person.account_id };
}

interface Cost {
  node: number;
  postgres: number;
  /** µs from the first request to the last answer, for each. */
  elapsed: number;
}

async function compare(place: Place, small: Grown, large: Grown, scale: GrowthScale): Promise<Found> {
  const callers = 16;
  const few = await openOperations(small.site, small.people, callers);
  const many = await openOperations(large.site, large.people, callers);
  const rows: Row[] = [];
  const told: string[][] = [];
  for (const [at, operation] of few.entries()) {
    const other = many[at] as Operation;
    const floor = () => takeCost(place, small.site, operation);
    const ours = () => takeCost(place, large.site, other);
    await floor();
    await ours();
    const taken = await takePairs(scale.pairs, floor, ours);
    const sum = ({ node, postgres }: Cost) => node + postgres;
    rows.push(
      judgePairs(
        { work: `${operation.name}, with ${scale.large} accounts over ${scale.small}`, measure: 'ratio', target: 1.1 },
        taken.map((pair) => ({ floor: sum(pair.floor), ours: sum(pair.ours) })),
      ),
    );
    const median = (side: 'floor' | 'ours', key: keyof Cost) =>
      String(Math.round(spreadOf(taken.map((pair) => pair[side][key])).median));
    const both = (key: keyof Cost) => [median('floor', key), median('ours', key)];
    told.push([operation.name, ...both('node'), ...both('postgres'), ...both('elapsed')]);
  }
  const head = ['µs of one', 'Gapura CPU, small', 'large', 'PostgreSQL CPU, small', 'large', 'elapsed, small', 'large'];
  return { rows, tables: [{ head, rows: told }] };
}

async function takeCost({ postgres }: Place, site: Site, { callers, times, run }: Operation): Promise<Cost> {
  const read = async () => ({ node: (await site.usage()).cpu, postgres: await readPostgresCpu(postgres) });
  const before = await read();
  const began = performance.now();
  await inTurns(callers, times, async (at, who) => void (await run(at, who)));
  const elapsed = (performance.now() - began) * 1000;
  const after = await read();
  return {
    node: (after.node - before.node) / times,
    postgres: (after.postgres - before.postgres) / times,
    elapsed: elapsed / times,
  };
}

/** Which index each list of the console uses, and how many pages it reads. */
async function planConsole({ postgres }: Place, count: number): Promise<Table> {
  const recorded = openRecorded(postgres.url('large'));
  const last = count - 1000;
  const plans = [
    ...(await planLists(recorded, organisations, [`massal ${last}`, '0900000000'])),
    ...(await planLists(recorded, accounts, [`massal${last}`, 'c4ca4238'])),
  ];
  await recorded.close();
  return {
    head: ['console, large', 'pages read', 'the first indexes'],
    rows: plans.map(({ what, blocks, scanned, sorts, indexes }) => {
      const notes = [scanned.length > 0 ? `reads all of ${scanned}` : '', sorts ? 'sorts' : ''].filter(Boolean);
      return [what, String(blocks), [...indexes.slice(0, 3), ...notes].join(' ')];
    }),
  };
}
