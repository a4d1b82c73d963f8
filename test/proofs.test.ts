/** Proofs: worth something for one purpose, in one flow, once; every wrong try counted; nothing but keyed hashes kept. */

import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createAccount } from '../src/accounts/account.ts';
import { type Database, inTransaction, openDatabase } from '../src/database.ts';
import {
  findProof,
  issueProof,
  type NewProof,
  type ProofPurpose,
  type ProofTry,
  proof_purposes,
  purgeProofs,
  spendProof,
  voidProofs,
} from '../src/proofs.ts';
import { moveClock, resetClock } from './support/clock.ts';
import { createTestDatabase, type TestDatabase } from './support/postgres.ts';

let database: TestDatabase;
let db: Database;
/** A second pool, as another node has one. */
let elsewhere: Database;
let budi: string;
let tono: string;

const keys = [randomBytes(32)];
const flow = 'alur-di-peramban-ini';
const target = 'budi@contoh.example';
const minute = 60;
const lifetimes: Record<ProofPurpose, number> = {
  human_check: 10 * minute,
  invitation: 7 * 86_400,
  link_callback: 10 * minute,
  not_me: 7 * 86_400,
  recovery_address: 86_400,
  reset: 10 * minute,
};

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  elsewhere = openDatabase(database.url, { max: 10, application_name: 'the other node' });
  budi = (await createAccount(db, { username: 'budi', full_name: 'Budi Contoh' })).id;
  tono = (await createAccount(db, { username: 'tono', full_name: 'Tono Contoh' })).id;
});

afterEach(async () => {
  await resetClock(db);
  await db.deleteFrom('proofs').execute();
});

afterAll(async () => {
  await elsewhere.destroy();
  await database.drop();
});

const issue = (changes: Partial<NewProof> = {}, made_with = keys) =>
  inTransaction(db, (tx) => issueProof(tx, made_with, { purpose: 'reset', subject: budi, target, flow, ...changes }));
const spend = (secret: string, changes: Partial<ProofTry> = {}, on = db) =>
  spendProof(on, keys, { purpose: 'reset', flow, secret, ...changes });
const listRows = () => db.selectFrom('proofs').selectAll().orderBy('created_at').execute();
/** As a token is brought: it is its own flow. */
const spendToken = (purpose: ProofPurpose, secret: string, changes: Partial<ProofTry> = {}) =>
  spendProof(db, keys, { purpose, secret, ...changes });
const is_token = (purpose: ProofPurpose) => ['invitation', 'link_callback', 'not_me'].includes(purpose);
const wrong = 'AAAAAAAA';

describe('a proof', () => {
  test.each(proof_purposes)('for %s is spent by its secret, once, and says what it was for', async (purpose) => {
    const detail = { langkah: 'satu' };
    const { id, secret, left } = await issue({ purpose, client_id: 'e-bpom', detail });
    expect(left).toBe(10);
    const own = is_token(purpose) ? {} : { flow };
    expect(await spendProof(db, keys, { purpose, secret, ...own })).toEqual({
      state: 'spent',
      proof: {
        ...{ id, purpose, subject: budi, target, client_id: 'e-bpom', detail, attempts: 1, attempts_allowed: 10 },
        ...{ created_at: expect.any(Date), expires_at: expect.any(Date), spent_at: expect.any(Date), voided_at: null },
      },
    });
    expect(await spendProof(db, keys, { purpose, secret, ...own })).toEqual({
      state: 'refused',
      because: 'spent',
      subject: budi,
    });
  });

  test('is worth nothing for any other purpose, even in the same flow', async () => {
    const secrets = new Map<ProofPurpose, string>();
    for (const purpose of proof_purposes) secrets.set(purpose, (await issue({ purpose })).secret);
    for (const [issued, secret] of secrets) {
      for (const purpose of proof_purposes.filter((one) => one !== issued)) {
        for (const own of [{ flow }, { flow: secret }]) {
          const { state } = await spendProof(db, keys, { purpose, secret, ...own });
          expect([issued, purpose, state === 'spent']).toEqual([issued, purpose, false]);
        }
      }
    }
    expect((await listRows()).filter((row) => row.spent_at)).toEqual([]);
    for (const [purpose, secret] of secrets) {
      const own = is_token(purpose) ? {} : { flow };
      expect(await spendProof(db, keys, { purpose, secret, ...own })).toMatchObject({ state: 'spent' });
    }
  });

  test('stands in no row, log or answer as it is: only under a key', async () => {
    const browser = 'peramban-rahasia';
    for (const [at, purpose] of proof_purposes.entries()) {
      const own = `${flow}-${at}`;
      const { secret } = await issue({ purpose, flow: own, browser });
      const shown = JSON.stringify([await listRows(), await findProof(db, keys, { purpose, flow: own })]);
      for (const held of [secret, own, browser])
        for (const form of ['utf8', 'hex', 'base64', 'base64url'] as const)
          expect(shown).not.toContain(Buffer.from(held).toString(form));
    }
    const other = [randomBytes(32)];
    const { secret } = await issue();
    expect(await spendProof(db, other, { purpose: 'reset', flow, secret })).toMatchObject({ because: 'unknown' });
  });

  test('made under an older key is still good, and a new one is made under the first', async () => {
    const next = [randomBytes(32), ...keys];
    const { secret } = await issue();
    expect(await findProof(db, next, { purpose: 'reset', flow })).toMatchObject({ subject: budi });
    const { secret: newer } = await issue({ target: 'lain@contoh.example' }, next);
    expect((await listRows()).map((row) => row.voided_at !== null)).toEqual([true, false]);
    expect(await spendProof(db, next, { purpose: 'reset', flow, secret })).toMatchObject({ state: 'wrong' });
    expect(await spendProof(db, keys, { purpose: 'reset', flow, secret: newer })).toMatchObject({ state: 'refused' });
    expect(await spendProof(db, next, { purpose: 'reset', flow, secret: newer })).toMatchObject({ state: 'spent' });
  });

  test('as a code is eight signs that nobody takes for each other, in any case, gap or width', async () => {
    for (const typed of [
      (code: string) => code,
      (code: string) => code.toLowerCase(),
      (code: string) => ` ${code.slice(0, 4)} ${code.slice(4)}\t`,
      (code: string) => `${code.slice(0, 4)}-${code.slice(4).toLowerCase()}`,
      (code: string) => code.replace(/./g, (sign) => String.fromCodePoint((sign.codePointAt(0) ?? 0) + 0xfee0)),
    ]) {
      const { secret } = await issue();
      expect(secret).toMatch(/^[A-Z3-9]{8}$/);
      expect(secret).not.toMatch(/[01258BILOQSUZ]/);
      expect(await spend(typed(secret))).toMatchObject({ state: 'spent' });
    }
  });

  test('as an sms is six digits, and as a token 32 bytes that are taken as they are', async () => {
    const sms = await issue({ secret: 'sms', lifetime: 5 * minute });
    expect(sms.secret).toMatch(/^\d{6}$/);
    expect(await spend(`${sms.secret.slice(0, 3)} ${sms.secret.slice(3)}`)).toMatchObject({ state: 'spent' });
    const { secret } = await issue({ purpose: 'invitation' });
    expect(Buffer.from(secret, 'base64url')).toHaveLength(32);
    for (const bent of [secret.toUpperCase(), ` ${secret}`, secret.slice(1), `${secret}=`, ''])
      expect(await spendToken('invitation', bent)).toMatchObject({ because: 'unknown' });
    expect(await spendToken('invitation', secret)).toMatchObject({ state: 'spent' });
  });

  test('without a flow or a key is not made', async () => {
    await expect(issue({ flow: '' })).rejects.toThrow('flow');
    await expect(issue({}, [])).rejects.toThrow('key');
    expect(await listRows()).toEqual([]);
  });

  test('that was rolled back is worth nothing', async () => {
    let secret = '';
    const undone = inTransaction(db, async (tx) => {
      ({ secret } = await issueProof(tx, keys, { purpose: 'reset', subject: budi, target, flow }));
      throw new Error('no');
    });
    await expect(undone).rejects.toThrow('no');
    expect(await spend(secret)).toMatchObject({ because: 'unknown' });
  });
});

describe('bound', () => {
  test('to its flow: in another it is nothing', async () => {
    const { secret } = await issue();
    expect(await spend(secret, { flow: 'alur-lain' })).toEqual({ state: 'refused', because: 'unknown', subject: null });
    expect(await spend(secret, { flow: secret })).toMatchObject({ because: 'unknown' });
    expect(await spend(secret)).toMatchObject({ state: 'spent' });
  });

  test('to its browser: from another it counts as wrong, and the right one still may', async () => {
    const { secret } = await issue({ purpose: 'link_callback', browser: 'peramban budi' });
    for (const browser of [undefined, '', 'peramban tono'])
      expect(await spendToken('link_callback', secret, { browser })).toMatchObject({ state: 'wrong' });
    expect(await spendToken('link_callback', secret, { browser: 'peramban budi' })).toMatchObject({ state: 'spent' });
  });

  test('to its subject and target, where they are asked for', async () => {
    const { secret } = await issue({ purpose: 'link_callback', target: 'e-bpom' });
    expect(await spendToken('link_callback', secret, { subject: tono })).toMatchObject({ state: 'wrong', left: 9 });
    expect(await spendToken('link_callback', secret, { target: 'lain' })).toMatchObject({ state: 'wrong', left: 8 });
    expect(await spendToken('link_callback', secret, { subject: budi, target: 'e-bpom' })).toMatchObject({
      state: 'spent',
    });
  });

  test('to nobody, as a decoy: it looks and counts as any other, and nothing spends it', async () => {
    const real = await issue();
    const decoy = await issue({ subject: null, flow: 'alur-umpan' });
    expect([decoy.secret.length, decoy.left]).toEqual([real.secret.length, real.left]);
    const seen = async (own: string) => {
      const answers: unknown[] = [];
      for (let tries = 0; tries < 11; tries += 1) {
        const { state, ...more } = await spend(wrong, { flow: own });
        answers.push([state, 'left' in more ? more.left : 'because' in more && more.because]);
      }
      return answers;
    };
    const other = await issue({ subject: null, flow: 'alur-umpan-2' });
    expect(await spend(other.secret, { flow: 'alur-umpan-2' })).toMatchObject({ state: 'wrong', left: 9 });
    expect(await seen('alur-umpan')).toEqual(await seen(flow));
  });
});

describe('a wrong secret', () => {
  test('says how many are left; after the last not even the right one is looked at', async () => {
    const { secret } = await issue();
    for (let left = 9; left >= 0; left -= 1)
      expect(await spend(wrong)).toEqual({ state: 'wrong', left, subject: budi });
    expect(await spend(secret)).toEqual({ state: 'refused', because: 'used_up', subject: budi });
    expect(await findProof(db, keys, { purpose: 'reset', flow })).toBeUndefined();
  });

  test('counts on after a new code of the same flow, and not in another flow', async () => {
    await issue();
    for (let tries = 0; tries < 7; tries += 1) await spend(wrong);
    const again = await issue();
    expect(again.left).toBe(3);
    expect(await spend(wrong)).toMatchObject({ left: 2 });
    for (let tries = 0; tries < 2; tries += 1) await spend(wrong);
    const late = await issue();
    expect(late.left).toBe(0);
    expect(await spend(late.secret)).toMatchObject({ because: 'used_up' });
    const other = await issue({ flow: 'alur-baru' });
    expect(await spend(other.secret, { flow: 'alur-baru' })).toMatchObject({ state: 'spent' });
  });

  test('may be anything', async () => {
    for (const typed of ['', ' ', '\0', 'x'.repeat(100_000), '🔑', "' OR true --"]) {
      await issue({ flow: `alur-${typed.length}` });
      expect(await spend(typed, { flow: `alur-${typed.length}` })).toMatchObject({ state: 'wrong' });
      expect(await spendToken('invitation', typed)).toMatchObject({ because: 'unknown' });
    }
  });
});

describe('a newer one', () => {
  test('voids the older of the same flow, and of the same subject and target in any flow', async () => {
    const first = await issue();
    const second = await issue();
    const third = await issue({ flow: 'alur-lain' });
    expect(await spend(first.secret)).toMatchObject({ state: 'refused', because: 'voided', subject: budi });
    expect(await spend(second.secret)).toMatchObject({ because: 'voided' });
    expect(await spend(third.secret, { flow: 'alur-lain' })).toMatchObject({ state: 'spent' });
  });

  test('leaves others alone: of another person, target or purpose, and all where it is asked to', async () => {
    const first = await issue();
    await issue({ flow: 'a', subject: tono });
    await issue({ flow: 'b', target: 'lain@contoh.example' });
    await issue({ flow: 'c', purpose: 'recovery_address' });
    await issue({ flow: 'd', keeps_others: true });
    expect(await spend(first.secret)).toMatchObject({ state: 'spent' });
  });

  test('is one alone of 30 that are issued at once, by flow and by person', async () => {
    await Promise.all(Array.from({ length: 30 }, (_, at) => issue(at % 2 ? { flow: `alur-${at}` } : {})));
    const open = (await listRows()).filter((row) => row.voided_at === null);
    expect(open).toHaveLength(1);
  });
});

describe('at once', () => {
  test('of 50 that bring the right secret to two nodes one wins', async () => {
    const { secret } = await issue();
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, (_, at) => spend(secret, {}, at % 2 ? elsewhere : db)),
    );
    expect(outcomes.filter(({ state }) => state === 'spent')).toHaveLength(1);
    expect(outcomes.filter(({ state }) => state === 'refused')).toHaveLength(49);
    expect(await listRows()).toMatchObject([{ attempts: 1, spent_at: expect.any(Date) }]);
  });

  test('of 500 wrong ones no more are looked at than are allowed', async () => {
    await issue();
    const outcomes = await Promise.all(
      Array.from({ length: 500 }, (_, at) => spend(`SALAH${at}`, {}, at % 2 ? elsewhere : db)),
    );
    const lefts = outcomes.flatMap((outcome) => (outcome.state === 'wrong' ? [outcome.left] : []));
    expect(lefts.sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(await listRows()).toMatchObject([{ attempts: 10, spent_at: null }]);
  });
});

describe('time', () => {
  test.each(proof_purposes)('ends a proof for %s when its lifetime is over', async (purpose) => {
    const own = (secret: string) => (is_token(purpose) ? { purpose, secret } : { purpose, secret, flow });
    const early = await issue({ purpose });
    await moveClock(db, lifetimes[purpose] - 5);
    expect(await spendProof(db, keys, own(early.secret))).toMatchObject({ state: 'spent' });
    await resetClock(db);
    const late = await issue({ purpose });
    await moveClock(db, lifetimes[purpose] + 5);
    expect(await findProof(db, keys, { purpose, flow: is_token(purpose) ? late.secret : flow })).toBeUndefined();
    expect(await spendProof(db, keys, own(late.secret))).toEqual({
      state: 'refused',
      because: 'expired',
      subject: budi,
    });
    expect((await listRows()).at(-1)).toMatchObject({ attempts: 0, spent_at: null });
  });

  test('may be set shorter by whoever issues it', async () => {
    const { secret } = await issue({ lifetime: 5 * minute });
    await moveClock(db, 5 * minute + 5);
    expect(await spend(secret)).toMatchObject({ because: 'expired' });
  });

  test('deletes what was over a day ago, batch by batch, and nothing else', async () => {
    for (let at = 0; at < 5; at += 1) await issue({ flow: `alur-${at}`, target: `${at}` });
    const { secret } = await issue({ purpose: 'invitation' });
    await moveClock(db, 86_400);
    expect(await purgeProofs(db)).toBe(0);
    await moveClock(db, 86_400 + 11 * minute);
    expect([await purgeProofs(db, 3), await purgeProofs(db, 3), await purgeProofs(db, 3)]).toEqual([3, 2, 0]);
    expect(await spendToken('invitation', secret)).toMatchObject({ state: 'spent' });
  });
});

test('what is open of a person can be voided, by purpose or altogether, and of nobody else', async () => {
  const code = await issue();
  const invitation = await issue({ purpose: 'invitation' });
  const tonos = await issue({ subject: tono, flow: 'alur-tono' });
  await inTransaction(db, (tx) => voidProofs(tx, { purpose: 'invitation', subject: budi }));
  expect(await spendToken('invitation', invitation.secret)).toMatchObject({ because: 'voided' });
  expect(await inTransaction(db, (tx) => voidProofs(tx, { subject: budi }))).toBe(1);
  expect(await spend(code.secret)).toMatchObject({ because: 'voided' });
  expect(await spend(tonos.secret, { flow: 'alur-tono' })).toMatchObject({ state: 'spent' });
});

test('an account takes its proofs with it', async () => {
  const { id } = await createAccount(db, { username: 'sementara', full_name: 'Sementara' });
  const { secret } = await issue({ subject: id });
  await db.deleteFrom('accounts').where('id', '=', id).execute();
  expect(await spend(secret)).toEqual({ state: 'refused', because: 'unknown', subject: null });
});
