/** The outbox: a mail is committed with what it tells of, waits out a server that is down, goes once, and leaks nothing. */

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import PostalMime, { type Email } from 'postal-mime';
import { SMTPServer } from 'smtp-server';
import { createAccount } from '../../src/accounts/account.ts';
import { Secret } from '../../src/crypto.ts';
import { type Database, inTransaction } from '../../src/database.ts';
import { openSmtp } from '../../src/delivery/channels/smtp.ts';
import {
  type Channel,
  type Delivery,
  deliverMail,
  type MailOrder,
  type Message,
  purgeMails,
  resendMail,
  sendMail,
  writeMail,
} from '../../src/delivery/outbox.ts';
import { mail_secrets, mail_templates } from '../../src/delivery/templates.ts';
import { catalogues, languages } from '../../src/i18n/messages.ts';
import { type Job, type Jobs, openJobs, type Payloads, work } from '../../src/jobs.ts';
import { policy } from '../../src/policy/policy.ts';
import { issueProof, spendProof, voidProofs } from '../../src/proofs.ts';
import { startWorker } from '../../src/worker.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { startGapura } from '../support/gapura.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

const address = 'kanari.rahasia@contoh.example';
const values = {
  name: 'Budi Contoh',
  application: 'e-BPOM',
  username: 'user_bpom',
  time: 'Sabtu, 21 November 2026 pukul 10.00 WIB',
  support: 'Service Desk Gapura (layanan@gapura.example)',
};

let database: TestDatabase;
let db: Database;
let jobs: Jobs;
/** The keys under which secrets wait. */
const keys = [randomBytes(32)];
const errors: object[] = [];
const log = { error: (fields: object) => void errors.push(fields) };
const stops: (() => Promise<void> | void)[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  jobs = await openJobs({ database_url: new Secret(database.url) }, { log });
});

beforeEach(async () => {
  errors.length = 0;
  await jobs.boss.updateQueue('mail', { retryDelay: 0, retryBackoff: false });
});

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
  await resetClock(db);
  await sql`DELETE FROM jobs.job`.execute(db);
  await db.deleteFrom('mails').execute();
});

afterAll(async () => {
  await jobs.stop();
  await database.drop();
});

const until = async (is_so: () => boolean | Promise<boolean>) => {
  while (!(await is_so())) await new Promise((resolve) => setTimeout(resolve, 20));
};

const order = (changes: Partial<MailOrder> = {}): MailOrder => {
  return { account_id: null, to: address, language: 'id', template: 'link_added', values, ...changes };
};

async function send(changes: Partial<MailOrder> = {}): Promise<string> {
  const outcome = await inTransaction(db, (tx) => sendMail(tx, jobs, order(changes)));
  if (outcome.state !== 'queued') throw new Error(outcome.because);
  return outcome.mail_id;
}

const findMail = (id: string) => db.selectFrom('mails').selectAll().where('id', '=', id).executeTakeFirst();
const listJobs = async () => (await sql<Record<string, unknown>>`SELECT * FROM jobs.job`.execute(db)).rows;

/** A channel that keeps what it is given, and answers as it is told. */
function makeChannel(answer: (message: Message) => Delivery | Promise<Delivery> = () => ({ state: 'sent' })) {
  const given: Message[] = [];
  const channel: Channel = {
    name: 'uji',
    async send(message) {
      given.push(message);
      return answer(message);
    },
    close: () => undefined,
  };
  return { channel, given };
}

/** One more worker, with its own connection to the queues. */
async function startWork(channel: Channel): Promise<void> {
  const own = await openJobs({ database_url: new Secret(database.url) }, { works: true, log });
  stops.push(() => own.stop());
  await work(own, 'mail', deliverMail(db, { channel, keys }, log), { concurrency: 4, poll_seconds: 0.5 });
}

/** Runs the job of a mail here and now. */
function deliver(channel: Channel, mail_id: string, is_last = false): Promise<void> {
  const { signal } = new AbortController();
  const job: Job<Payloads['mail']> = { id: 'x', payload: { mail_id }, attempt: 1, is_last, signal };
  return deliverMail(db, { channel, keys }, log)(job);
}

/** A mail server on this machine that takes everything. */
async function listen(port = 0) {
  const received: Email[] = [];
  const server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    closeTimeout: 50,
    logger: false,
    onData(stream, _session, callback) {
      void (async () => {
        const chunks: Buffer[] = [];
        for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
        received.push(await PostalMime.parse(Buffer.concat(chunks)));
        callback();
      })();
    },
  });
  server.listen(port, '127.0.0.1');
  await once(server.server, 'listening');
  return {
    port: (server.server.address() as AddressInfo).port,
    received,
    close: () => new Promise<void>((resolve) => void server.close(() => resolve())),
  };
}

const busy: Delivery = { state: 'refused', because: 'recipient_451', permanent: false };

describe('a mail', () => {
  test('that was committed is sent, with its words, to its address', async () => {
    const { channel, given } = makeChannel();
    await startWork(channel);
    const id = await send();
    await until(async () => (await findMail(id))?.sent_at != null);
    expect(given).toEqual([{ id, to: address, written_at: expect.any(Date), ...writeMail(order()) }]);
    expect(await findMail(id)).toMatchObject({ tries: 1, because: null, given_up_at: null, taken_until: null });
    expect(errors).toEqual([]);
  });

  test('that was rolled back leaves nothing: no row, no job', async () => {
    const undone = inTransaction(db, async (tx) => {
      await sendMail(tx, jobs, order());
      throw new Error('no');
    });
    await expect(undone).rejects.toThrow('no');
    expect(await db.selectFrom('mails').selectAll().execute()).toEqual([]);
    expect(await listJobs()).toEqual([]);
  });

  test('stands in no job: the queue knows a number alone', async () => {
    const id = await send();
    const [job, ...others] = await listJobs();
    expect(others).toEqual([]);
    expect(job?.data).toEqual({ mail_id: id });
  });

  test.each([
    'bukan alamat',
    '',
    'a@contoh.example, b@contoh.example',
    'a@contoh.example;b@contoh.example',
    'Budi <budi@contoh.example>',
    '<budi@contoh.example>',
    'budi@contoh.example\r\nBcc: lain@contoh.example',
    'budi@contoh.example\n',
    'budi@contoh.example\0',
    `${'a'.repeat(250)}@contoh.example`,
  ])('to %j is refused, and nothing is written', async (to) => {
    const outcome = await inTransaction(db, (tx) => sendMail(tx, jobs, order({ to })));
    expect(outcome).toEqual({ state: 'refused', because: 'bad_address' });
    expect(await db.selectFrom('mails').selectAll().execute()).toEqual([]);
    expect(await listJobs()).toEqual([]);
  });

  test('with a blank that nothing fills fails where it is written, not where it is sent', async () => {
    const { username: _, ...less } = values;
    await expect(send({ values: less })).rejects.toThrow('username');
    expect(await listJobs()).toEqual([]);
  });

  test('goes with its account, and its job then does nothing', async () => {
    const { id: account_id } = await createAccount(db, { username: 'sementara', full_name: 'Sementara' });
    const id = await send({ account_id });
    await db.deleteFrom('accounts').where('id', '=', account_id).execute();
    const { channel, given } = makeChannel();
    await deliver(channel, id);
    expect([await findMail(id), given]).toEqual([undefined, []]);
  });
});

describe('a secret', () => {
  const text = 'https://gapura.example/invitation/tersembunyi';
  const invitation = {
    template: 'invitation',
    values: { name: 'Budi', username: 'budi', inviter: 'Sari', time: 'besok', support: 'Meja Bantuan' },
  } as const;
  const invite = () => send({ ...invitation, secret: { text, keys } });
  const listText = async () => {
    const rows = await db.selectFrom('mails').selectAll().execute();
    return JSON.stringify([rows, await listJobs()]);
  };

  test('waits sealed, is in the mail that is sent, and is gone after it', async () => {
    const id = await invite();
    expect(await findMail(id)).toMatchObject({ secret: expect.stringMatching(/^v1\./) });
    expect(await listText()).not.toContain('tersembunyi');
    const { channel, given } = makeChannel();
    await deliver(channel, id);
    expect(given[0]?.text).toContain(text);
    expect(given[0]?.html).toContain(`href="${text}"`);
    expect(given[0]?.subject).not.toContain('tersembunyi');
    expect(await findMail(id)).toMatchObject({ secret: null, sent_at: expect.any(Date) });
  });

  test('stays sealed while the sending is tried again, and is gone when it is given up', async () => {
    const id = await invite();
    await expect(deliver(makeChannel(() => busy).channel, id)).rejects.toThrow('recipient_451');
    expect((await findMail(id))?.secret).not.toBeNull();
    await expect(deliver(makeChannel(() => busy).channel, id, true)).rejects.toThrow('recipient_451');
    expect(await findMail(id)).toMatchObject({ secret: null, given_up_at: expect.any(Date) });
    expect(JSON.stringify(errors)).not.toContain('tersembunyi');
  });

  test('opens in no other row and under no other key', async () => {
    const { secret } = (await findMail(await invite())) ?? {};
    const other = await invite();
    await db.updateTable('mails').set({ secret }).where('id', '=', other).execute();
    const { channel, given } = makeChannel();
    await expect(deliver(channel, other)).rejects.toThrow();
    const { signal } = new AbortController();
    const third = await invite();
    const job: Job<Payloads['mail']> = { id: 'x', payload: { mail_id: third }, attempt: 1, is_last: false, signal };
    await expect(deliverMail(db, { channel, keys: [randomBytes(32)] }, log)(job)).rejects.toThrow('no key fits');
    expect(given).toEqual([]);
  });

  test('under an older key is still opened', async () => {
    const id = await invite();
    const { channel, given } = makeChannel();
    const { signal } = new AbortController();
    const job: Job<Payloads['mail']> = { id: 'x', payload: { mail_id: id }, attempt: 1, is_last: false, signal };
    await deliverMail(db, { channel, keys: [randomBytes(32), ...keys] }, log)(job);
    expect(given[0]?.text).toContain(text);
  });

  test('that a mail lacks, or has no place for, fails where it is written', async () => {
    await expect(send(invitation)).rejects.toThrow('secret');
    await expect(send({ secret: { text, keys } })).rejects.toThrow('secret');
    await expect(send({ ...invitation, secret: { text, keys: [] } })).rejects.toThrow('key');
    expect(await listJobs()).toEqual([]);
  });
});

describe('a failure', () => {
  test('that can pass is tried again until it has passed', async () => {
    let tries = 0;
    const { channel, given } = makeChannel(() => (++tries < 3 ? busy : { state: 'sent' }));
    await startWork(channel);
    const id = await send();
    await until(async () => (await findMail(id))?.sent_at != null);
    expect(given.map((message) => message.id)).toEqual([id, id, id]);
    expect(await findMail(id)).toMatchObject({ tries: 3, because: null });
    expect(errors).toEqual([]);
  });

  test('that cannot pass ends it, with its reason and without the address', async () => {
    const { channel, given } = makeChannel(() => ({ state: 'refused', because: 'recipient_550', permanent: true }));
    await startWork(channel);
    const id = await send();
    await until(async () => (await findMail(id))?.given_up_at != null);
    await until(async () => (await listJobs()).every(({ state }) => state === 'completed'));
    expect(given).toHaveLength(1);
    expect(await findMail(id)).toMatchObject({ sent_at: null, because: 'recipient_550', tries: 1 });
    expect(errors).toEqual([{ mail_id: id, template: 'link_added', because: 'recipient_550' }]);
    await deliver(channel, id);
    expect(given).toHaveLength(1);
  });

  test('at the last try ends it too, in the dead letters, and no job holds the address', async () => {
    const { channel } = makeChannel(() => busy);
    await jobs.boss.updateQueue('mail', { retryLimit: 1 });
    try {
      await startWork(channel);
      const id = await send();
      await until(async () => (await jobs.boss.findJobs('mail_dead')).length > 0);
      expect(await findMail(id)).toMatchObject({ sent_at: null, because: 'recipient_451', tries: 2 });
      expect((await findMail(id))?.given_up_at).toBeInstanceOf(Date);
      const [dead] = await jobs.boss.findJobs('mail_dead');
      expect(dead?.data).toEqual({ mail_id: id });
      expect(errors).toEqual([{ mail_id: id, template: 'link_added', because: 'recipient_451' }]);
      expect(JSON.stringify(await listJobs())).not.toContain('kanari');
    } finally {
      await jobs.boss.updateQueue('mail', { retryLimit: 100 });
    }
  });
});

describe('a mail with a code whose proof is over before it is sent', () => {
  const flow = 'alur';
  const ask = { purpose: 'reset', flow, target: 'uji' } as const;
  let person: string;

  beforeAll(async () => {
    person = (await createAccount(db, { username: 'pemulih', full_name: 'Pemulih' })).id;
  });

  afterEach(() => db.deleteFrom('proofs').execute());

  async function sendCode() {
    const proof = await inTransaction(db, (tx) => issueProof(tx, keys, { ...ask, subject: person }));
    const blanks = { name: 'Budi', username: 'budi', time: 'besok', support: 'Meja Bantuan' };
    const secret = { text: proof.secret, keys, proof_id: proof.id };
    return { ...proof, mail_id: await send({ template: 'recovery_code', values: blanks, secret }) };
  }
  type Sent = Awaited<ReturnType<typeof sendCode>>;

  test.each<[string, (sent: Sent) => Promise<unknown>]>([
    ['void', () => inTransaction(db, (tx) => voidProofs(tx, { subject: person }))],
    ['replaced', sendCode],
    ['spent', ({ secret }) => spendProof(db, keys, { ...ask, secret })],
    ['used up', () => Promise.all(Array.from({ length: 10 }, () => spendProof(db, keys, { ...ask, secret: 'X' })))],
    ['expired', () => moveClock(db, 601)],
    ['purged', () => db.deleteFrom('proofs').execute()],
  ])('is closed when it is %s, unsent, and its secret is gone', async (_, end) => {
    const sent = await sendCode();
    await end(sent);
    const { channel, given } = makeChannel();
    await Promise.all(Array.from({ length: 3 }, () => deliver(channel, sent.mail_id)));
    expect(given).toEqual([]);
    const closed = { because: 'void', secret: null, sent_at: null, given_up_at: expect.any(Date), taken_until: null };
    expect(await findMail(sent.mail_id)).toMatchObject(closed);
    expect(errors).toEqual([]);
  });

  test('goes while it is open, and is left out at a later try when it is not any more', async () => {
    const { channel, given } = makeChannel();
    const { mail_id } = await sendCode();
    await deliver(channel, mail_id);
    expect(given.map(({ id }) => id)).toEqual([mail_id]);
    const late = await sendCode();
    await expect(deliver(makeChannel(() => busy).channel, late.mail_id)).rejects.toThrow('recipient_451');
    await moveClock(db, 601);
    await deliver(channel, late.mail_id);
    expect(given).toHaveLength(1);
    expect(await findMail(late.mail_id)).toMatchObject({ because: 'void', tries: 2 });
  });
});

describe('a mail that was given up', () => {
  const refuse: Delivery = { state: 'refused', because: 'recipient_550', permanent: true };
  const resend = (id: string) => inTransaction(db, (tx) => resendMail(tx, jobs, id));

  test('is opened once, and then goes as the same mail', async () => {
    const { channel, given } = makeChannel(() => (given.length > 1 ? { state: 'sent' } : refuse));
    const id = await send();
    await deliver(channel, id);
    await sql`DELETE FROM jobs.job`.execute(db);
    expect([await resend(id), await resend(id)]).toEqual([true, false]);
    expect(await listJobs()).toEqual([expect.objectContaining({ name: 'mail', data: { mail_id: id } })]);
    await startWork(channel);
    await until(async () => (await findMail(id))?.sent_at != null);
    expect(given.map((message) => message.id)).toEqual([id, id]);
    expect(await findMail(id)).toMatchObject({ given_up_at: null, because: null, tries: 2 });
    expect(await resend(id)).toBe(false);
  });

  test('stays closed where the way again was rolled back, where it carried a secret, and where it never was to go', async () => {
    const { channel } = makeChannel(() => refuse);
    const id = await send();
    const secret = { text: 'AAAA CCCC', keys };
    const erased = await send({ template: 'recovery_code', secret });
    for (const one of [id, erased]) await deliver(channel, one);
    const decoy = await send({ is_decoy: true });
    await sql`DELETE FROM jobs.job`.execute(db);
    const undone = inTransaction(db, async (tx) => {
      await resendMail(tx, jobs, id);
      throw new Error('undone');
    });
    await expect(undone).rejects.toThrow('undone');
    expect([await resend(erased), await resend(decoy)]).toEqual([false, false]);
    for (const one of [id, erased, decoy]) expect((await findMail(one))?.given_up_at).toBeInstanceOf(Date);
    expect(await listJobs()).toEqual([]);
  });
});

describe('a mail server that is down', () => {
  test('delays mail and loses none', async () => {
    const { port, close } = await listen();
    await close();

    const channel = openSmtp({
      smtp_url: new Secret(`smtp://127.0.0.1:${port}`),
      mail_from: 'Gapura <noreply@gapura.example>',
      url: 'http://localhost:3000',
    });
    stops.push(() => channel.close());
    await jobs.boss.updateQueue('mail', { retryDelay: 1 });
    await startWork(channel);
    const ids = await Promise.all(Array.from({ length: 10 }, () => send()));
    await until(async () => {
      const rows = await db.selectFrom('mails').select(['because', 'tries']).execute();
      return rows.every(({ because, tries }) => because === 'unreachable' && tries > 0);
    });
    const server = await listen(port);
    stops.push(() => server.close());
    const { received } = server;
    await until(
      async () => (await db.selectFrom('mails').select('id').where('sent_at', 'is', null).execute()).length === 0,
    );
    expect(received.map(({ messageId }) => messageId).sort()).toEqual(ids.map((id) => `<${id}@localhost>`).sort());
    expect(received[0]?.subject).toBe(writeMail(order()).subject);
    expect(received[0]?.text).toContain('user_bpom');
    expect(received[0]?.html).toContain('user_bpom');
  });
});

describe('once', () => {
  test('two workers send each of 40 mails once', async () => {
    const { channel, given } = makeChannel();
    await startWork(channel);
    await startWork(channel);
    const ids = await Promise.all(Array.from({ length: 40 }, () => send()));
    await until(
      async () => (await db.selectFrom('mails').select('id').where('sent_at', 'is', null).execute()).length === 0,
    );
    expect(given.map(({ id }) => id).sort()).toEqual([...ids].sort());
  });

  test('a job that runs twice at once, or again, sends nothing twice', async () => {
    const gate = Promise.withResolvers<Delivery>();
    const { channel, given } = makeChannel(() => gate.promise);
    const id = await send();
    const runs = Array.from({ length: 5 }, () => deliver(channel, id));
    let held = 0;
    for (const run of runs) run.catch(() => (held += 1));
    await until(() => held === 4);
    gate.resolve({ state: 'sent' });
    await Promise.any(runs);
    await deliver(channel, id);
    expect(given).toHaveLength(1);
    expect(await findMail(id)).toMatchObject({ tries: 1, sent_at: expect.any(Date) });
  });

  test('a worker that died in it holds it no longer than its job lasts; the mail is then the same one', async () => {
    const never = makeChannel(() => new Promise(() => undefined));
    const id = await send();
    void deliver(never.channel, id);
    await until(() => never.given.length === 1);
    const { channel, given } = makeChannel();
    await expect(deliver(channel, id)).rejects.toThrow('in_work');
    await moveClock(db, 61);
    await deliver(channel, id);
    expect(given).toEqual(never.given);
    expect(await findMail(id)).toMatchObject({ tries: 2, sent_at: expect.any(Date) });
  });
});

test('the worker of a whole Gapura sends what is committed, and purges what is old', async () => {
  const server = await listen();
  stops.push(() => server.close());
  const gapura = await startGapura({ works: true, env: { GAPURA_SMTP_URL: `smtp://127.0.0.1:${server.port}` } });
  stops.push(() => gapura.stop());
  const { db: own } = gapura;
  const old = await own
    .insertInto('mails')
    .values({ to_address: address, language: 'id', template: 'link_added', values: '{}', created_at: new Date(0) })
    .returning('id')
    .executeTakeFirstOrThrow();
  const purge = await startWorker(own, gapura.gapura.jobs, gapura.gapura.engine, gapura.gapura.mail, log);
  stops.push(() => purge.stop());
  await inTransaction(own, (tx) => sendMail(tx, gapura.gapura.jobs, order({ language: 'en' })));
  await until(() => server.received.length > 0);
  expect(server.received.map(({ subject }) => subject)).toEqual([writeMail(order({ language: 'en' })).subject]);
  await until(async () => !(await own.selectFrom('mails').select('id').where('id', '=', old.id).executeTakeFirst()));
  expect(errors).toEqual([]);
});

describe('the purge', () => {
  test('deletes what is older than the policy says, batch by batch, and keeps the rest', async () => {
    for (let count = 0; count < 5; count += 1) await send();
    await moveClock(db, policy('mail.retention') - 60);
    const young = await send();
    expect(await purgeMails(db)).toBe(0);
    await moveClock(db, policy('mail.retention') + 60);
    expect([await purgeMails(db, 3), await purgeMails(db, 3), await purgeMails(db, 3)]).toEqual([3, 2, 0]);
    expect(await db.selectFrom('mails').select('id').execute()).toEqual([{ id: young }]);
  });

  test('comes only after the last try', () => {
    const longest_pause = 3600;
    expect(policy('mail.retention')).toBeGreaterThan(100 * longest_pause);
  });
});

/** What fills the blanks of the mails that are not about a link. */
const { name, time, support, username } = values;
const other_values: Partial<Record<(typeof mail_templates)[number], Record<string, string>>> = {
  account_email_changed: { name, time, support },
  account_expiry_changed: { name, time, until: '2 September 2027', support },
  account_locked: { name, time, support },
  account_unlocked: { name, time, support },
  human_check: { name, support },
  invitation: { name, username, inviter: 'Sari Contoh', time, support },
  role_given: { name, time, role: 'Importir', place: 'PT Contoh', support },
  role_taken: { name, time, role: 'Importir', place: 'PT Contoh', support },
  ...recoveryBlanks(),
  link_transfer_refused: { ...values, because: 'Bukan milik Anda' },
  client_secret_expiring: { client: 'e-BPOM', client_id: 'e-bpom', time },
  client_submission_approved: { client: 'e-BPOM', client_id: 'e-bpom' },
  client_submission_refused: { client: 'e-BPOM', because: 'Alamatnya salah' },
  client_submitted: { client: 'e-BPOM' },
};
const with_secret: string[] = Object.keys(mail_secrets);

function recoveryBlanks() {
  const event = { name, username, time, device: 'Firefox di Linux', network: '192.0.2.0/24', support };
  const changed = { ...event, address: 'sar********@gmail.com' };
  return {
    account_frozen: event,
    new_browser: event,
    password_changed: event,
    password_reset: event,
    recovery_used: event,
    recovery_address_added: changed,
    recovery_address_removed: changed,
    recovery_address_code: { name, time, support },
    recovery_address_taken: { time, support },
    recovery_code: { name, username, time, support },
  };
}

describe.each(languages)('the words in %s', (language) => {
  test.each(mail_templates)('%s says who, what, when, where, and what to do', (template) => {
    const blanks = other_values[template] ?? values;
    const mail = writeMail({ template, language, values: blanks }, with_secret.includes(template) ? 'x' : undefined);
    const said = (text: string) => Object.entries(blanks).filter(([, value]) => text.includes(value));
    expect(said(mail.text).map(([name]) => name)).toEqual(Object.keys(blanks));
    expect(said(mail.html).map(([name]) => name)).toEqual(Object.keys(blanks));
    // What it is about: the application, where there is one.
    expect(mail.subject).toContain('application' in blanks || 'client' in blanks ? 'e-BPOM' : 'Gapura');
    expect(mail.text).not.toMatch(/[{}]/);
  });

  test('are those of the mails there are, and no others', () => {
    const named = Object.keys(catalogues[language])
      .filter((key) => key.startsWith('mail.') && key !== 'mail.footer')
      .map((key) => /^mail\.(\w+)\.(?:subject|greeting|text_\d)$/.exec(key)?.[1]);
    expect([...new Set(named)].sort()).toEqual([...mail_templates].sort());
    for (const template of mail_templates) {
      const numbers = Object.keys(catalogues[language]).filter((key) => key.startsWith(`mail.${template}.text_`));
      expect(numbers).toEqual(numbers.map((_, at) => `mail.${template}.text_${at + 1}`));
    }
  });

  test('stay words, whatever an application or a person is called', () => {
    const odd = { ...values, application: '<b>{name}</b>', name: '$t(mail.footer) {{username}}' };
    const mail = writeMail({ template: 'link_added', language, values: odd });
    expect(mail.html).not.toContain('<b>');
    expect(mail.text).toContain('$t(mail.footer) {{username}}');
    expect(mail.subject).toContain('<b>{name}</b>');
  });
});
