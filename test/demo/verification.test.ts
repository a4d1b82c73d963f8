// e-BPOM's verification endpoint: its answers tell no names, and Gapura's verifier understands each of them.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { demoApplications } from '../../src/demo/people.ts';
import type { VerifierTools } from '../../src/links/link.ts';
import { httpVerifier } from '../../src/links/verifiers/http.ts';
import { createOutbound } from '../../src/outbound.ts';
import { moveProcessClock } from '../support/clock.ts';
import { openScene, own_password, type Scene } from './e-bpom-scene.ts';
import { signQuestion } from './gapura-stand-in.ts';

const password = own_password;
const right = { username: 'user_bpom', password };

let scene: Scene;

beforeAll(async () => {
  scene = await openScene();
});

beforeEach(() => scene.db.query('DELETE FROM e_bpom_failures').then(() => undefined));

afterEach(() => moveProcessClock(0));

afterAll(() => scene?.close());

test('while Gapura’s keys cannot be read, the answer is 503', async () => {
  await scene.gapura.stop();
  expect(await scene.ask(right)).toMatchObject({ status: 503, body: { error: 'temporarily_unavailable' } });
  await scene.gapura.start();
  expect((await scene.ask(right)).status).toBe(200);
});

describe('the answer', () => {
  test('to the right password names the user, unchanging, with the directorate’s code', async () => {
    const answer = await scene.ask(right);
    expect(answer.status).toBe(200);
    expect(answer.type).toMatch(/^application\/json\b/);
    expect(answer.body).toEqual({
      result: 'verified',
      subject: expect.stringMatching(/^[\da-f-]{36}$/),
      username: 'user_bpom',
      display_name: 'PT Contoh Pangan Nusantara',
      directorate: 'PANGAN',
    });
    expect(answer.headers.getSetCookie()).toEqual([]);
    expect((await scene.ask(right)).body.subject).toBe(answer.body.subject);
    const other = await scene.ask({ username: ' user_bpom_ot ', password });
    expect(other.body).toMatchObject({ result: 'verified', username: 'user_bpom_ot', directorate: 'OT' });
    expect(other.body.subject).not.toBe(answer.body.subject);
  });

  test('is the same for a wrong password and for a name that nobody has, after the same work', async () => {
    const measure = async (username: string) => {
      const begun = performance.now();
      const answer = await scene.ask({ username, password: 'wrong' });
      return { answer, took: performance.now() - begun };
    };
    const times: Record<string, number[]> = { user_bpom: [], nobody: [] };
    for (let round = 0; round < 5; round++)
      for (const [username, took] of Object.entries(times)) {
        const measured = await measure(username);
        expect([measured.answer.status, measured.answer.body]).toEqual([200, { result: 'refused' }]);
        took.push(measured.took);
      }
    // Without a hash the name that nobody has would be many times faster.
    expect(Math.min(...(times.nobody ?? []))).toBeGreaterThan(Math.min(...(times.user_bpom ?? [])) * 0.4);
  });

  test('“locked” is said after the right password only', async () => {
    await scene.db.query("UPDATE e_bpom_users SET locked_at = now() WHERE username = 'tono_bpom'");
    expect((await scene.ask({ username: 'tono_bpom', password })).body).toEqual({ result: 'locked' });
    expect((await scene.ask({ username: 'tono_bpom', password: 'wrong' })).body).toEqual({ result: 'refused' });
    await scene.db.query("UPDATE e_bpom_users SET locked_at = NULL WHERE username = 'tono_bpom'");
    expect((await scene.ask({ username: 'tono_bpom', password })).body.result).toBe('verified');
  });

  test.each(['user_bpom', 'nobody'])(
    'after ten failures of %s at once its name waits for 30 seconds',
    async (username) => {
      const tries = Array.from({ length: 14 }, () => scene.ask({ username, password: 'wrong' }));
      const results = (await Promise.all(tries)).map(({ body }) => body.result);
      expect(results.filter((result) => result === 'refused')).toHaveLength(10);
      expect(results.filter((result) => result === 'locked')).toHaveLength(4);
      expect((await scene.ask({ username, password })).body).toEqual({ result: 'locked' });
      expect((await scene.ask({ username: 'user_bpom_ot', password })).body.result).toBe('verified');
      moveProcessClock(31);
      expect((await scene.ask({ username, password })).body.result).toBe(
        username === 'nobody' ? 'refused' : 'verified',
      );
    },
  );
});

describe('as JSON and without a page,', () => {
  test('a body of more than 4 KB is 413, another type 415, another method 405', async () => {
    expect(await scene.ask({ ...right, more: 'x'.repeat(4096) })).toMatchObject({
      status: 413,
      body: { error: 'invalid_request' },
    });
    const question = await signQuestion(scene.gapura, scene.endpoint, right);
    expect(await scene.post(question, { 'content-type': 'text/plain' })).toMatchObject({ status: 415 });
    for (const method of ['GET', 'PUT', 'DELETE']) {
      const answer = await fetch(scene.endpoint, { method });
      expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'POST']);
      expect(await answer.json()).toEqual({ error: 'method_not_allowed' });
    }
  });

  test.each<[string, unknown]>([
    ['no JSON', '{'],
    ['a list', []],
    ['nothing', 'null'],
    ['no password', { username: 'user_bpom' }],
    ['a number', { username: 1, password }],
    ['an empty name', { username: '', password }],
    ['a name too long', { username: 'a'.repeat(201), password }],
    ['NUL', { username: 'user_bpom\0', password }],
  ])('a signed question with %s is 400', async (_what, question) => {
    expect(await scene.ask(question)).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
  });

  test('a defect is 500, and the log has nothing of the question', async () => {
    const complaint = jest.spyOn(console, 'error').mockReturnValue(undefined);
    await scene.db.query('ALTER TABLE e_bpom_users RENAME TO gone');
    try {
      expect(await scene.ask(right)).toMatchObject({ status: 500, body: { error: 'server_error' } });
      expect(complaint).toHaveBeenCalledTimes(1);
      expect(JSON.stringify(complaint.mock.calls)).not.toContain(password);
    } finally {
      await scene.db.query('ALTER TABLE gone RENAME TO e_bpom_users');
      complaint.mockRestore();
    }
  });
});

test('Gapura’s own verifier, with the settings of the demonstration, understands every answer', async () => {
  const [application] = demoApplications({
    e_bpom: scene.site.url,
    cargolink: 'http://localhost:1',
    portal_insw: 'http://localhost:2',
  });
  const settings = JSON.parse(application?.verifier_settings ?? '') as Record<string, unknown>;
  const outbound = createOutbound({ private_hosts: [] });
  const tools: VerifierTools = {
    call: outbound.call,
    signRequest: (audience, claims) => scene.gapura.sign(audience, claims),
    unseal: (text) => text,
  };
  try {
    expect(await httpVerifier.verify(settings, right, tools)).toMatchObject({
      state: 'verified',
      name: { username: 'user_bpom', display_name: 'PT Contoh Pangan Nusantara', directorate: 'PANGAN' },
    });
    expect(await httpVerifier.verify(settings, { ...right, password: 'wrong' }, tools)).toEqual({ state: 'refused' });
    await scene.db.query("UPDATE e_bpom_users SET locked_at = now() WHERE username = 'user_bpom'");
    expect(await httpVerifier.verify(settings, right, tools)).toEqual({ state: 'locked' });
  } finally {
    await scene.db.query('UPDATE e_bpom_users SET locked_at = NULL');
    await outbound.close();
  }
});
