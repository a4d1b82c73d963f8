/** What a person is called at clients that must not recognise them by comparing notes with others (OpenID Connect Core 8.1). */

import type { KoaContextWithOIDC } from 'oidc-provider';
import { randomToken } from '../../crypto.ts';
import type { Database } from '../../database.ts';
import type { Client } from '../clients/clients.ts';

/** The engine's `pairwiseIdentifier`: a name drawn by chance at the first meeting, the same for all clients of one sector. */
export function nameBySector(db: Database) {
  return async (_ctx: KoaContextWithOIDC | undefined, account_id: string, client: Client): Promise<string> => {
    // Typed nowhere: the host of the sector's document, else of the addresses to return to.
    const { sectorIdentifier: sector = client.clientId } = client as { sectorIdentifier?: string };
    const find = () =>
      db
        .selectFrom('pairwise_subjects')
        .select('subject')
        .where('sector', '=', sector)
        .where('account_id', '=', account_id)
        .executeTakeFirst();
    const known = await find();
    if (known) return known.subject;
    // Of two first meetings at once, both take the name of the one that came first.
    await db
      .insertInto('pairwise_subjects')
      .values({ sector, account_id, subject: randomToken() })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    const drawn = await find();
    if (!drawn) throw new Error('a subject was drawn and is not there');
    return drawn.subject;
  };
}
