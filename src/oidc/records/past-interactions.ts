/** Interactions that are over: why, and whose application it was, so that a late visitor is led back. */

import { keyedDigest } from '../../crypto.ts';
import { seconds_left } from './records.ts';
import type { RecordStore } from './store.ts';

/** Why an interaction's page is no longer valid, and whose client it served; undefined for one never heard of. */
export async function findPastInteraction(
  store: RecordStore,
  uid: string,
): Promise<{ because: 'finished' | 'expired' | 'elsewhere'; client_id: string } | undefined> {
  const row = await store.db
    .selectFrom('oidc_records as r')
    .select(['r.client_id', 'r.consumed_at', seconds_left.as('seconds_left')])
    .where('r.id_hash', '=', keyedDigest(store.id_key, `Interaction\0${uid}`))
    .executeTakeFirst();
  if (!row?.client_id) return undefined;
  const because = row.consumed_at ? 'finished' : row.seconds_left <= 0 ? 'expired' : 'elsewhere';
  return { because, client_id: row.client_id };
}
