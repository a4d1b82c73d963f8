/** Row: how much memory the process occupies after many requests, and whether it still grows. */

import { askForItself, introspect, readKeys, readUserinfo, redeem, refresh } from './calls.ts';
import { judgeAlone, write } from './figures.ts';
import { clients } from './fill.ts';
import { authorize, type Visitor } from './flows.ts';
import { type Found, inTurns, type Run } from './measure.ts';
import { signInAll, signInNew } from './sign-in.ts';
import { asService, asWeb } from './tokens.ts';

const requests_of_a_round = 8;
const parts = 10;
/** Of so many rounds one begins with a sign-in in a new browser. */
const sign_in_every = 50;

/** Of all that applications do, again and again; nobody signs in when the memory is read. */
export async function measureMemory({ bench, ours, scale }: Run): Promise<Found> {
  const callers = scale.at_once.single_sign_on;
  const web = asWeb(ours);
  const service = asService(ours, 'jwt');
  let api_token = '';
  let done = 0;
  const round = async (at: number, who: number) => {
    if (done++ % sign_in_every === 0) await signInNew(ours, bench.people, at);
    const visitor = visitors[who] as Visitor;
    const { access_token } = await redeem(ours, await authorize(ours, visitor));
    await readUserinfo(ours, access_token);
    const { refresh_token } = await redeem(web, await authorize(web, visitor));
    await refresh(web, refresh_token);
    await introspect(ours, api_token, clients.api);
    await (at % 2 === 0 ? askForItself(service) : readKeys(ours));
  };
  const rounds = Math.ceil(scale.requests / requests_of_a_round / parts);
  const rows: string[][] = [];
  const occupied: number[] = [];
  const read = async (requests: number) => {
    const { resident, heap, heap_used } = await bench.gapura.usage();
    rows.push([String(requests), ...[resident, heap, heap_used].map((size) => write(size, 'bytes'))]);
    return resident;
  };
  // What it occupies before: right after its start where this row is taken alone.
  await read(0);
  const visitors = await signInAll(web, bench.people, callers);
  for (let part = 0; part < parts; part++) {
    // Anew for each part, since it lives half an hour.
    api_token = (await askForItself(asService(ours, 'opaque'))).access_token;
    await inTurns(callers, rounds, round);
    occupied.push(await read((part + 1) * rounds * requests_of_a_round));
  }
  const work = `resident memory after ${parts * rounds * requests_of_a_round} requests`;
  return {
    rows: [judgeAlone({ work, unit: 'bytes', target: 200e6 }, occupied.slice(-1))],
    tables: [{ head: ['requests', 'resident memory', "of it JavaScript's", 'in use'], rows }],
  };
}
