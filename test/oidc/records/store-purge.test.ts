/** What becomes of the engine's records when their time is over, and the clients that its adapter reads. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { saveClient } from '../../../src/clients/client.ts';
import { randomToken } from '../../../src/crypto.ts';
import { type Database, inTransaction } from '../../../src/database.ts';
import { createAdapter } from '../../../src/oidc/adapter.ts';
import { findPastInteraction } from '../../../src/oidc/records/past-interactions.ts';
import type { RecordStore } from '../../../src/oidc/records/store.ts';
import { purgeRecords } from '../../../src/oidc/records/write.ts';
import { purgeSessions } from '../../../src/oidc/sessions/session-store.ts';
import { policy } from '../../../src/policy/policy.ts';
import { moveClock, resetClock } from '../../support/clock.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts';
import { openRecords } from '../../support/records.ts';

let database: TestDatabase;
let db: Database;
let records: RecordStore;

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  records = openRecords(db);
});

afterEach(async () => {
  await resetClock(db);
  await db.deleteFrom('oidc_records').execute();
});

afterAll(() => database.drop());

async function store(model: string, ttl: number, payload: Record<string, unknown> = {}): Promise<string> {
  const id = randomToken();
  await createAdapter(records, model).upsert(
    id,
    { jti: id, kind: model, params: { client_id: 'e-bpom' }, ...payload },
    ttl,
  );
  return id;
}

const countRecords = async () => (await db.selectFrom('oidc_records').select('model').execute()).length;

describe('an interaction that is over', () => {
  test('tells whose it was and why: finished, expired, or open in another browser', async () => {
    const [finished, expired, elsewhere] = [
      await store('Interaction', 600),
      await store('Interaction', 60),
      await store('Interaction', 600),
    ];
    await createAdapter(records, 'Interaction').destroy(finished);
    await moveClock(db, 61);
    expect(await findPastInteraction(records, finished)).toEqual({ because: 'finished', client_id: 'e-bpom' });
    expect(await findPastInteraction(records, expired)).toEqual({ because: 'expired', client_id: 'e-bpom' });
    expect(await findPastInteraction(records, elsewhere)).toEqual({ because: 'elsewhere', client_id: 'e-bpom' });
  });

  test('that was finished says so also after it would have expired', async () => {
    const id = await store('Interaction', 60);
    await createAdapter(records, 'Interaction').destroy(id);
    await moveClock(db, 3600);
    expect(await findPastInteraction(records, id)).toEqual({ because: 'finished', client_id: 'e-bpom' });
  });

  test('that never was is unknown, and a code is no interaction', async () => {
    const code = await store('AuthorizationCode', 60, { clientId: 'e-bpom' });
    expect(await findPastInteraction(records, randomToken())).toBeUndefined();
    expect(await findPastInteraction(records, code)).toBeUndefined();
  });

  test('leads back for as long as the policy says, and no longer', async () => {
    const id = await store('Interaction', 60);
    await moveClock(db, policy('interaction.memory') + 50);
    await purgeRecords(db);
    expect(await findPastInteraction(records, id)).toMatchObject({ because: 'expired' });
    await moveClock(db, policy('interaction.memory') + 61);
    expect(await purgeRecords(db)).toBe(1);
    expect(await findPastInteraction(records, id)).toBeUndefined();
  });
});

describe('the purge', () => {
  test('takes what is over, a minute later, and leaves what lives', async () => {
    await store('AccessToken', 60, { clientId: 'e-bpom' });
    const living = await store('AccessToken', 600, { clientId: 'e-bpom' });
    await createAdapter(records, 'Session').upsert(randomToken(), { uid: 'over', authorizations: {} }, 60);
    await createAdapter(records, 'Session').upsert(randomToken(), { uid: 'alive', authorizations: {} }, 600);
    await moveClock(db, 110);
    expect(await purgeRecords(db)).toBe(0);
    expect(await purgeSessions(db)).toBe(0);
    await moveClock(db, 121);
    expect(await purgeRecords(db)).toBe(1);
    expect(await purgeSessions(db)).toBe(1);
    expect(await createAdapter(records, 'AccessToken').find(living)).toMatchObject({ jti: living });
    expect(await db.selectFrom('oidc_sessions').select('uid').execute()).toEqual([{ uid: 'alive' }]);
  });

  test('reads none of the interactions that stay', async () => {
    await sql`INSERT INTO oidc_records (id_hash, model, payload, expires_at)
      SELECT sha256(n::text::bytea), 'Interaction', '{}', gapura_now() FROM generate_series(1, 500) AS n`.execute(db);
    await store('AccessToken', 60, { clientId: 'e-bpom' });
    await moveClock(db, 3600);
    await inTransaction(db, async (tx) => {
      // Of so few rows PostgreSQL would rather read all.
      await sql`SET LOCAL enable_seqscan = off`.execute(tx);
      const count = async () => {
        const { rows } = await sql<{ read: number }>`SELECT (seq_tup_read + idx_tup_fetch)::int AS read
          FROM pg_stat_xact_user_tables WHERE relname = 'oidc_records'`.execute(tx);
        return rows[0]?.read ?? 0;
      };
      const before = await count();
      expect(await purgeRecords(tx)).toBe(1);
      expect((await count()) - before).toBeLessThan(10);
    });
  });

  test('goes batch by batch, and two nodes share the work', async () => {
    for (let at = 0; at < 10; at += 1) await store('AccessToken', 60, { clientId: 'e-bpom' });
    await moveClock(db, 200);
    expect(await purgeRecords(db, 4)).toBe(4);
    const both = await Promise.all([purgeRecords(db, 3), purgeRecords(db, 3)]);
    expect(both[0] + both[1]).toBe(10 - 4 - (await countRecords()));
    while ((await purgeRecords(db, 3)) > 0);
    expect(await countRecords()).toBe(0);
  });
});

describe('clients in the adapter', () => {
  const clients = () => createAdapter(records, 'Client');

  test('are read as they were registered; unknown and switched off ones are not there', async () => {
    await saveClient(records.clients, {
      id: 'e-bpom',
      first_party: true,
      metadata: { client_name: 'e-BPOM', redirect_uris: ['https://e-bpom.contoh.example/callback'] },
    });
    expect(await clients().find('e-bpom')).toMatchObject({
      client_id: 'e-bpom',
      client_name: 'e-BPOM',
      first_party: true,
    });
    expect(await clients().find('tidak-ada')).toBeUndefined();
    await db.updateTable('clients').set({ active: false, disabled_at: new Date() }).execute();
    expect(await clients().find('e-bpom')).toBeUndefined();
  });

  test('are not written through the engine', async () => {
    await expect(clients().upsert('baru', { client_id: 'baru' }, 60)).rejects.toThrow();
    await expect(clients().destroy('e-bpom')).rejects.toThrow();
    expect(await db.selectFrom('clients').select('id').execute()).toEqual([{ id: 'e-bpom' }]);
  });
});
