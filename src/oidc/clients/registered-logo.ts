/** The picture that a client names when it registers itself: fetched once, judged and kept here, for pages show no other. */

import { largest_logo, removeLogo, saveLogo } from '../../clients/logos.ts';
import type { Config } from '../../config.ts';
import { type Database, inTransaction } from '../../database.ts';
import { type Outbound, OutboundError } from '../../outbound.ts';
import { onOpenNetwork } from './registration.ts';

/** Whoever registers waits for it. */
const longest_wait_ms = 3000;

/**
 * Keeps the picture at `logo_uri` for a client, or none where there is none that pages could show: a registration does not
 * fail over it (RFC 7591 section 2 leaves to the server what it makes of it).
 */
export function keepRegisteredLogo(
  db: Database,
  { call }: Pick<Outbound, 'call'>,
  config: Pick<Config, 'private_hosts'>,
) {
  const isOpen = onOpenNetwork(config);
  const fetchPicture = async (logo_uri: unknown): Promise<Buffer | undefined> => {
    const url = typeof logo_uri === 'string' ? URL.parse(logo_uri) : null;
    if (!url || !isOpen(url)) return undefined;
    try {
      const { status, body } = await call(url.href, { timeout_ms: longest_wait_ms, max_bytes: largest_logo });
      return status === 200 ? body : undefined;
    } catch (error) {
      if (error instanceof OutboundError) return undefined;
      throw error;
    }
  };
  return async (client_id: string, logo_uri: unknown): Promise<void> => {
    const picture = await fetchPicture(logo_uri);
    await inTransaction(db, async (tx) => {
      const client = await tx
        .selectFrom('clients')
        .select('metadata')
        .where('id', '=', client_id)
        .where('origin', '=', 'dynamic')
        .forUpdate()
        .executeTakeFirst();
      // Meanwhile it may have named another, or be gone.
      if (!client || client.metadata.logo_uri !== logo_uri) return;
      const kept = picture && (await saveLogo(tx, client_id, picture));
      if (kept?.state !== 'kept') await removeLogo(tx, client_id);
    });
  };
}
