/** Switching a client off and on, and removing it: each says first what it breaks. */

import { z } from 'zod';
import { deleteClient, disableClient, enableClient, type Switched } from '../../clients/client.ts';
import { describeImpact } from '../../clients/impact.ts';
import type { Transaction } from '../../database.ts';
import type { Desk, Entry, Operation, Outcome, Said } from '../resource.ts';
import { isInHand } from './client-registration.ts';

const switching = {
  kind: 'act',
  permission: 'clients:write',
  is_weighty: true,
  input: z.object({}),
} as const satisfies Partial<Operation>;

export const disabling: Operation = {
  ...switching,
  name: 'disabling',
  input: z.object({ because: z.string().trim().min(3, 'errors.client.reason').max(500, 'errors.too_long') }),
  applies: (entry, desk) => isInHand(entry, desk) && entry.active === true,
  warn: describeBreakage,
  async run(tx, { actor, engine }, { because }, entry) {
    const id = String(entry?.id);
    const by = { by: actor.account_id, because: String(because) };
    return tell(await disableClient(tx, id, by, engine.endGrantsOfClient), id);
  },
};

export const enabling: Operation = {
  ...switching,
  name: 'enabling',
  applies: (entry, desk) => isInHand(entry, desk) && entry.active === false,
  async run(tx, { engine }, _input, entry) {
    const id = String(entry?.id);
    return tell(await enableClient(tx, id, engine.endGrantsOfClient), id);
  },
};

export const removal: Operation = {
  ...switching,
  name: 'removal',
  kind: 'remove',
  applies: isInHand,
  // What comes after it may stand at other addresses.
  four_eyes: () => 'four_eyes.client_address',
  warn: describeBreakage,
  async run(tx, { engine }, _input, entry) {
    const id = String(entry?.id);
    return tell(await deleteClient(tx, id, (within) => endAll(within, engine, id)), id);
  },
};

/** With the tokens of a client that registered itself: its name would else be free for whoever still has one. */
async function endAll(tx: Transaction, engine: Desk['engine'], id: string): Promise<void> {
  await engine.endGrantsOfClient(tx, id);
  await engine.endRegistrationTokens(tx, id);
}

function tell(switched: Switched, id: string): Outcome {
  if (switched.state === 'done') return { state: 'done', id };
  if (switched.because === 'own') return { state: 'refused', errors: { form: 'errors.client.own' } };
  // Somebody else switched or removed it in between.
  return { state: 'conflict' };
}

async function describeBreakage({ db }: Desk, { id }: Entry): Promise<Said[]> {
  const impact = await describeImpact(db, id);
  if (!impact) return [];
  const { people, links, secrets } = impact;
  const names = impact.applications.map(({ name }) => name).join(', ');
  return [
    { key: 'admin.clients.breaks_people', values: { people } },
    ...(names ? [{ key: 'admin.clients.breaks_applications', values: { names, links } }] : []),
    ...(secrets > 0 ? [{ key: 'admin.clients.breaks_secrets', values: { secrets } }] : []),
  ];
}
