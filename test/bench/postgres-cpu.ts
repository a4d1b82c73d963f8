/** The CPU that a PostgreSQL server used, all its processes, as the kernel of Linux tells it. */

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Postgres } from '../../src/demo/postgres.ts';

/** Ticks of the kernel's count are hundredths of a second on every Linux. */
const tick = 10_000;

/** CPU in µs since the server's start; 0 where there is no /proc. */
export async function readPostgresCpu({ folder }: Pick<Postgres, 'folder'>): Promise<number> {
  const [first = ''] = (await readFile(join(folder, 'postmaster.pid'), 'utf8')).split('\n');
  const processes = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  const ticks = await Promise.all(processes.map((pid) => readTicks(pid, first)));
  return ticks.reduce((sum, one) => sum + one, 0) * tick;
}

/** Of the server's own process also what its ended children used; of its children their own; of all others nothing. */
async function readTicks(pid: string, server: string): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The second field is the name in brackets, which may hold anything.
  const [, parent, ...rest] = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [user = 0, system = 0, of_children = 0, in_kernel_of_children = 0] = rest.slice(9, 13).map(Number);
  if (pid === server) return user + system + of_children + in_kernel_of_children;
  return parent === server ? user + system : 0;
}
