/** The secrets of a client at the console and for programs: one more, shown once, and the end of one. */

import { z } from 'zod';
import { endClientSecret, issueClientSecret, listClientSecrets } from '../../clients/secrets.ts';
import { formatDateTime } from '../../i18n/dates.ts';
import type { Desk, Entry, Operation, Option } from '../resource.ts';
import { hasSecret, isInHand } from './client-registration.ts';

const canHaveSecret = (entry: Entry, desk: Desk) => isInHand(entry, desk) && hasSecret(entry);

export const secret: Operation = {
  name: 'secret',
  kind: 'act',
  permission: 'clients:write',
  is_weighty: true,
  input: z.object({ expires_on: z.iso.date().nullish() }),
  applies: canHaveSecret,
  async run(tx, { clients, actor }, { expires_on }, entry) {
    const id = String(entry?.id);
    // The whole day that was named still counts, in the zone of the capital.
    const expires_at = typeof expires_on === 'string' ? new Date(`${expires_on}T23:59:59+07:00`) : null;
    const issued = await issueClientSecret(tx, clients, id, { expires_at, by: actor.account_id });
    if (issued.state === 'issued') return { state: 'done', id, shown_once: { secret: issued.secret } };
    const field = issued.because === 'already_over' ? 'expires_on' : 'form';
    return { state: 'refused', errors: { [field]: `errors.client.secret_${issued.because}` } };
  },
};

export const secretEnd: Operation = {
  name: 'secret-end',
  kind: 'act',
  permission: 'clients:write',
  is_weighty: true,
  input: z.object({ secret_id: z.string().meta({ options: 'live_secrets' }) }),
  applies: canHaveSecret,
  async run(tx, _desk, { secret_id }, entry) {
    const id = String(entry?.id);
    if (await endClientSecret(tx, id, String(secret_id))) return { state: 'done', id };
    return { state: 'refused', errors: { secret_id: 'errors.client.secret_unknown' } };
  },
};

/** The secrets to choose from, by when they were made: nothing else of them is known. */
export async function listLiveSecrets({ db, language }: Desk, entry: Entry | undefined): Promise<Option[]> {
  const secrets = await listClientSecrets(db, String(entry?.id));
  return secrets.map(({ id, created_at }) => ({
    value: id,
    label: formatDateTime(language, created_at, 'Asia/Jakarta'),
  }));
}
