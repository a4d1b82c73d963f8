/** The mails that wait, went out or were given up: to whom in part, why, and once more; never what they say. */

import { sql } from 'kysely';
import { z } from 'zod';
import type { Database } from '../../database.ts';
import { can_resend, resendMail } from '../../delivery/outbox.ts';
import { mail_templates } from '../../delivery/templates.ts';
import { maskAddress } from '../../recovery/mask.ts';
import { moment } from '../fields.ts';
import type { Resource } from '../resource.ts';

/** A mail is `void` when what it carried was over before it could be sent: nobody needs it any more. */
const states = z.enum(['waiting', 'sent', 'given_up', 'void']);

export const mails: Resource = {
  name: 'mails',
  group: 'system',
  permission: 'mails:read',
  id: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  entry: z.object({
    id: z.uuid(),
    created_at: moment(),
    template: z.enum(mail_templates),
    language: z.enum(['id', 'en']),
    address: z.string(),
    state: states,
    tries: z.int(),
    because: z.string().nullable(),
    is_resendable: z.boolean(),
  }),
  select,
  read: (row) => ({ ...row, address: maskAddress(String(row.address)) }),
  list: {
    columns: ['created_at', 'template', 'address', 'state', 'tries', 'because'],
    sorts: { created_at: 'timestamptz' },
    is_latest_first: true,
    filters: {
      state: { schema: states, where: (value: string) => sql<boolean>`r.state = ${value}` },
      template: { schema: z.enum(mail_templates), where: (value: string) => sql<boolean>`r.template = ${value}` },
    },
  },
  waiting: { state: 'given_up' },
  describe: ({ state, is_resendable }) =>
    `admin.mails.told_${state === 'given_up' && !is_resendable ? 'erased' : String(state)}`,
  title: ({ template, address }) => `${template}: ${address}`,
  operations: [
    {
      name: 'resend',
      kind: 'act',
      permission: 'mails:write',
      input: z.object({}),
      applies: ({ is_resendable }) => is_resendable === true,
      async run(tx, { jobs }, _input, entry) {
        const id = String(entry?.id);
        return (await resendMail(tx, jobs, id)) ? { state: 'done', id } : { state: 'conflict' };
      },
    },
  ],
};

/** Decoys are left out: they never were to reach anybody, and what looks like one more failure would only tell that they are made. */
function select(db: Database) {
  return db
    .selectFrom('mails as m')
    .select(['m.id', 'm.created_at', 'm.template', 'm.language', 'm.to_address as address', 'm.tries', 'm.because'])
    .select([
      sql<string>`CASE WHEN m.sent_at IS NOT NULL THEN 'sent' WHEN m.given_up_at IS NULL THEN 'waiting'
        WHEN m.because = 'void' THEN 'void' ELSE 'given_up' END`.as('state'),
      can_resend.as('is_resendable'),
    ])
    .where('m.because', 'is distinct from', 'decoy');
}
