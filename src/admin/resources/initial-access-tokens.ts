/** The tokens that clients register themselves with: issued and shown once, listed, taken back. */

import { sql } from 'kysely';
import { z } from 'zod';
import { clients_per_token, endInitialAccessToken } from '../../oidc/clients/initial-tokens.ts';
import { policy } from '../../policy/policy.ts';
import { moment } from '../fields.ts';
import type { Resource } from '../resource.ts';

const day = 86_400;

/** A token with which anybody may register is not left lying about. */
const most_days = 90;
const most_clients = 100;

const over = sql<boolean>`(r.expires_at <= gapura_now() OR r.clients_left = 0)`;

export const initialAccessTokens: Resource = {
  name: 'initial-access-tokens',
  group: 'applications',
  permission: 'initial-access-tokens:read',
  id: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  entry: z.object({
    id: z.uuid(),
    issued_at: moment(),
    issued_by: z.string().nullable(),
    expires_at: moment(),
    clients_left: z.int(),
    is_usable: z.boolean(),
  }),
  select: (db) =>
    db
      .selectFrom('initial_access_tokens as i')
      .select(['i.id', 'i.issued_at', 'i.expires_at', 'i.clients_left'])
      .select((eb) => [
        eb.selectFrom('accounts as a').whereRef('a.id', '=', 'i.issued_by').select('a.full_name').as('issued_by'),
        sql<boolean>`(i.expires_at > gapura_now() AND i.clients_left > 0)`.as('is_usable'),
      ]),
  list: {
    columns: ['issued_at', 'issued_by', 'expires_at', 'clients_left', 'is_usable'],
    sorts: { issued_at: 'timestamptz', expires_at: 'timestamptz' },
    is_latest_first: true,
    filters: {
      usable: {
        schema: z.enum(['true', 'false']),
        where: (value: string) => (value === 'true' ? sql<boolean>`NOT ${over}` : over),
      },
    },
  },
  title: ({ issued_by, id }) => String(issued_by ?? id),
  notice: () =>
    policy('clients.dynamic_registration')
      ? undefined
      : {
          text: 'admin.initial-access-tokens.notice',
          href: '/admin/policies/clients.dynamic_registration',
          label: 'admin.initial-access-tokens.notice_way',
        },
  operations: [
    {
      name: 'creation',
      kind: 'create',
      permission: 'initial-access-tokens:write',
      is_weighty: true,
      input: z.object({
        days: z.int().min(1, 'errors.initial-token.days').max(most_days, 'errors.initial-token.days'),
        clients: z.int().min(1, 'errors.initial-token.clients').max(most_clients, 'errors.initial-token.clients'),
      }),
      begin: async () => ({ days: 7, clients: clients_per_token }),
      place: async () => ({}),
      async run(tx, { engine, actor }, { days, clients }) {
        const order = { by: actor.account_id, expires_in: Number(days) * day, clients: Number(clients) };
        const { id, token } = await engine.issueInitialToken(tx, order);
        return { state: 'done', id, shown_once: { token } };
      },
    },
    {
      name: 'removal',
      kind: 'remove',
      permission: 'initial-access-tokens:write',
      is_weighty: true,
      input: z.object({}),
      async run(tx, _desk, _input, entry) {
        const id = String(entry?.id);
        return (await endInitialAccessToken(tx, id)) ? { state: 'done', id } : { state: 'conflict' };
      },
    },
  ],
};
