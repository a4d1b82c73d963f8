/** What every prompt promises, whatever it asks: one plain page, a way out, nothing for strangers, never a dead end. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { ClientRegistration } from '../../src/clients/client.ts';
import { policy } from '../../src/policy/policy.ts';
import { moveClock, resetClock } from '../support/clock.ts';
import { registerClient, startGapura, type TestGapura } from '../support/gapura.ts';
import { type Answer, findForm, type HttpVisitor, newHttpVisitor } from '../support/http.ts';
import { followTo, openParty, type TestParty } from '../support/relying-party.ts';

/** A leaf as the suite needs it. */
export interface PromptCase {
  /** The name of the engine's prompt. */
  name: string;
  /** Leads a visitor from the application's address to this prompt's open page. */
  open(visitor: HttpVisitor, address: string): Promise<Answer>;
  /** The right answer to a page. */
  answer(page: Answer): Record<string, string>;
  /** An answer that is not this person's to give. */
  foreign: Record<string, string>;
  /** The ids of the buttons that go on and that go back. */
  buttons?: { submit: string; cancel: string };
  /** The page's heading in each language. */
  heading: { id: string; en: string };
  /** What the suite's client is besides, so that it meets this prompt. */
  client?: Partial<ClientRegistration>;
  /** Builds what the prompt needs of the world; what it returns takes it down again. */
  prepare?(gapura: TestGapura): Promise<() => Promise<void>>;
  /** Makes the prompt be asked again after it was answered for good. */
  reset?(gapura: TestGapura): Promise<unknown>;
}

const redirect_origins = ['http://kontrak.localhost:4999', 'http://kontrak-dua.localhost:4999'];
const other_origins = ['http://keluar.localhost:4997', 'http://lanjut.localhost:4998'];
/** Seconds from its opening after which a page is over for certain: the engine itself tolerates clocks that are 15 s off. */
const lifetime = policy('interaction.lifetime') + 20;
const over = {
  expired: { id: 'Halaman ini sudah kedaluwarsa', status: 410 },
  finished: { id: 'Langkah ini sudah selesai', status: 410 },
  elsewhere: { id: 'Halaman ini tidak dapat dilanjutkan di sini', status: 410 },
  unknown: { id: 'Halaman ini tidak dapat dilanjutkan di sini', status: 404 },
};

/** Runs the suite for one leaf. Its client asks for everything there is, so that each prompt is met on the way. */
export function testPrompt(one: PromptCase): void {
  const { name, open, answer, foreign, heading, client: more, prepare, reset } = one;
  const buttons = one.buttons ?? { submit: 'submit', cancel: 'cancel' };
  let gapura: TestGapura;
  let clear: (() => Promise<void>) | undefined;
  let party: TestParty;

  async function begin(parameters: Record<string, string> = {}, visitor = newHttpVisitor(gapura.url)) {
    const { address, checks } = await party.begin(parameters);
    return { visitor, checks, page: await open(visitor, address) };
  }

  const send = (visitor: HttpVisitor, page: Answer, fields: Record<string, string>) =>
    visitor.post(page.url, fields, { follow: false });

  /** What no form of ours sends, with the person's own cookies. */
  async function sendBytes({ cookies }: HttpVisitor, { url }: Answer, body: string, type?: string) {
    const fitting = cookies.filter(({ path }) => path === '/' || path === url.pathname);
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        cookie: fitting.map((one) => `${one.name}=${one.value}`).join('; '),
        'content-type': type ?? 'application/x-www-form-urlencoded',
        origin: gapura.url,
      },
      body,
    });
    return { status: response.status, body: await response.text() };
  }

  /** The page says what happened, asks nothing, and each of its ways on leads somewhere. */
  async function expectOver(page: Answer, what: keyof typeof over, visitor: HttpVisitor) {
    expect(page).toMatchObject({ status: over[what].status });
    expect(page.body).toContain(`<h1>${over[what].id}</h1>`);
    expect(page.body).not.toContain('<form');
    expect(page.headers.get('cache-control')).toBe('no-store');
    const ways = [...page.body.matchAll(/<a class="button[^"]*" href="([^"]+)"/g)].map(([, href]) => href);
    expect(ways).toEqual(what === 'unknown' ? ['/portal'] : [`${redirect_origins[0]}/`, '/portal']);
    expect((await visitor.get('/portal')).status).toBe(200);
  }

  function expectSamePage(page: Answer, refused: Answer) {
    expect(refused).toMatchObject({ status: 422, url: page.url });
    expect(refused.body).toContain('id="problems"');
    expect(refused.body).toContain(`<h1>${heading.id}</h1>`);
    expect(findForm(refused.body)).toMatchObject({ action: page.url.pathname, method: 'post' });
    for (const header of ['content-security-policy', 'cache-control', 'content-type'])
      expect([header, refused.headers.get(header)]).toEqual([header, page.headers.get(header)]);
  }

  /** The answer is taken: the application gets its code, or the next question is asked at an address of its own. */
  async function expectTaken(visitor: HttpVisitor, page: Answer, sent: Answer) {
    expect(sent.status).toBe(303);
    const reached = await followTo(visitor, party.redirect_uri, sent);
    if ('returned' in reached) return expect(reached.returned.searchParams.get('code')).toBeTruthy();
    expect(reached.page.status).toBe(200);
    expect(reached.page.url.pathname).toMatch(/^\/interaction\//);
    expect(reached.page.url.pathname).not.toBe(page.url.pathname);
  }

  /** The engine's own page for an answer that comes too late. */
  function expectLate(page: Answer) {
    expect(page.status).toBe(400);
    expect(page.body).toContain('<h1>Halaman ini sudah tidak berlaku</h1>');
    const ways = [...page.body.matchAll(/<a class="button[^"]*" href="([^"]+)"/g)].map(([, href]) => href);
    expect(ways).toEqual([`${redirect_origins[0]}/`, '/portal', '/']);
  }

  describe(`the prompt ${name}`, () => {
    beforeAll(async () => {
      gapura = await startGapura();
      const client = await registerClient(gapura, 'kontrak', {
        agency_code: 'BPOM',
        directorate_required: true,
        ...more,
        form_action_origins: other_origins.slice(1),
        metadata: {
          redirect_uris: redirect_origins.map((origin) => `${origin}/callback`),
          post_logout_redirect_uris: [`${other_origins[0]}/selesai`],
        },
      });
      party = await openParty(gapura.config.issuer, client);
      clear = await prepare?.(gapura);
    });

    afterEach(async () => {
      await resetClock(gapura.db);
      await gapura.db.deleteFrom('limits').execute();
      await reset?.(gapura);
    });

    afterAll(async () => {
      await clear?.();
      await gapura.stop();
    });

    test('is a plain form with a button to go on and one to go back, without scripts of its own, kept by no cache', async () => {
      const { visitor, page } = await begin();
      expect(page.status).toBe(200);
      expect(page.url.pathname).toMatch(/^\/interaction\/[\w-]{21,}$/);
      expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
      expect(page.headers.get('cache-control')).toBe('no-store');
      expect(findForm(page.body)).toMatchObject({ action: page.url.pathname, method: 'post' });
      expect(page.body).toMatch(new RegExp(`<button id="${buttons.submit}" type="submit"`));
      expect(page.body).toMatch(new RegExp(`<button id="${buttons.cancel}" type="submit"[^>]* name="cancel"`));
      expect(page.body).not.toMatch(/\son[a-z]+=|<script(?![^>]* src=)|<style|\sstyle=|javascript:/i);
      expect(page.body).toContain('Aplikasi kontrak');
      expect((await visitor.get(page.url)).body).toBe(page.body);
    });

    test('goes on with what its form sends', async () => {
      const { visitor, page } = await begin();
      const form = findForm(page.body);
      await expectTaken(visitor, page, await send(visitor, page, { ...form.fields, ...answer(page) }));
    });

    test('names the places where its form may end, and no others', async () => {
      const { visitor, page } = await begin();
      for (const { headers } of [page, await send(visitor, page, foreign)]) {
        const sources = headers.get('content-security-policy') ?? '';
        const allowed = /(?:^|;)form-action ([^;]*)/.exec(sources)?.[1]?.split(' ');
        expect(allowed?.sort()).toEqual(["'self'", ...redirect_origins, ...other_origins].sort());
      }
    });

    test('speaks the language that the application asks for, until the person chooses', async () => {
      const { visitor, page } = await begin({ ui_locales: 'fr en-GB id' });
      expect(page.body).toContain('<html lang="en">');
      expect(page.body).toContain(`<h1>${heading.en}</h1>`);
      const chosen = await visitor.get(`${page.url}?lang=id`);
      expect(chosen.url.href).toBe(page.url.href);
      expect(chosen.body).toContain('<html lang="id">');
      expect(chosen.body).toContain(`<h1>${heading.id}</h1>`);
      expect((await begin({ ui_locales: 'en' }, visitor)).page.body).toContain('<html lang="id">');
    });

    test('goes back to the application when it is cancelled', async () => {
      const { visitor, page, checks } = await begin();
      const reached = await followTo(visitor, party.redirect_uri, await send(visitor, page, { cancel: '1' }));
      if (!('returned' in reached)) throw new Error(`not back at the application: ${reached.page.url}`);
      expect(Object.fromEntries(reached.returned.searchParams)).toMatchObject({
        error: 'access_denied',
        state: checks.expectedState,
        iss: gapura.config.issuer,
      });
      expect(reached.returned.searchParams.has('code')).toBe(false);
      await expectOver(await visitor.get(page.url), 'finished', visitor);
    });

    test('refuses an answer that is not this person’s on the same page, and takes the right one after it', async () => {
      const { visitor, page } = await begin();
      expectSamePage(page, await send(visitor, page, foreign));
      expectSamePage(page, await send(visitor, page, {}));
      await expectTaken(visitor, page, await send(visitor, page, answer(page)));
    });

    test('shows no password again, in no field and in no words', async () => {
      const { visitor, page } = await begin();
      const secret = 'Kanari-Rahasia-77';
      for (const shown of [page, await send(visitor, page, { ...foreign, password: secret })]) {
        expect(shown.body).not.toContain(secret);
        for (const [input] of shown.body.matchAll(/<input\b[^>]*type="password"[^>]*>/g))
          expect(input).not.toMatch(/\svalue\s*=/);
      }
    });

    test('opens for no other browser', async () => {
      const { page, visitor } = await begin();
      const stranger = newHttpVisitor(gapura.url);
      await expectOver(await stranger.get(page.url), 'elsewhere', stranger);
      await expectOver(await send(stranger, page, answer(page)), 'elsewhere', stranger);
      // Nor for a browser with a sign-in of its own, whose cookie belongs to another address.
      const { visitor: other } = await begin();
      await expectOver(await send(other, page, answer(page)), 'elsewhere', other);
      await expectTaken(visitor, page, await send(visitor, page, answer(page)));
    });

    test('that has expired says so and leads back', async () => {
      const { visitor, page } = await begin();
      await moveClock(gapura.db, lifetime);
      await expectOver(await visitor.get(page.url), 'expired', newHttpVisitor(gapura.url));
      await expectOver(await send(visitor, page, answer(page)), 'expired', newHttpVisitor(gapura.url));
      await expectOver(await send(visitor, page, { cancel: '1' }), 'expired', newHttpVisitor(gapura.url));
      // The browser has forgotten the cookie by then.
      await expectOver(await newHttpVisitor(gapura.url).get(page.url), 'expired', newHttpVisitor(gapura.url));
    });

    test('sent twice, or answered before it ran out and resumed after it, is no dead end', async () => {
      const { visitor, page } = await begin();
      const first = await send(visitor, page, answer(page));
      const second = await send(visitor, page, answer(page));
      expect([second.status, second.headers.get('location')]).toEqual([303, first.headers.get('location')]);
      await expectTaken(visitor, page, first);
      expectLate(await visitor.get(second.headers.get('location') ?? '', { follow: false }));
      await expectOver(await send(visitor, page, answer(page)), 'finished', visitor);

      await reset?.(gapura);
      const slow = await begin();
      const sent = await send(slow.visitor, slow.page, answer(slow.page));
      await moveClock(gapura.db, lifetime);
      expectLate(await slow.visitor.get(sent.headers.get('location') ?? '', { follow: false }));
    });

    test('that was finished says so when the back button shows it again', async () => {
      const { visitor, page } = await begin();
      await expectTaken(visitor, page, await send(visitor, page, answer(page)));
      await expectOver(await visitor.get(page.url), 'finished', visitor);
      await expectOver(await send(visitor, page, answer(page)), 'finished', visitor);
      await expectOver(await send(visitor, page, { cancel: '1' }), 'finished', visitor);
    });

    test('that never was says so', async () => {
      const { visitor, page } = await begin();
      for (const uid of ['AAAAAAAAAAAAAAAAAAAAA', 'x', '..%2f..', '%F0%9F%94%91', '__proto__', 'a'.repeat(500)]) {
        const address = `/interaction/${uid}`;
        await expectOver(await visitor.get(address), 'unknown', visitor);
        await expectOver(await visitor.post(address, answer(page), { follow: false }), 'unknown', visitor);
      }
    });

    test('takes nothing but a form of bearable size and readable text', async () => {
      const { visitor, page } = await begin();
      const fields = new URLSearchParams(answer(page)).toString();
      const field = Object.keys(answer(page))[0];
      expect((await sendBytes(visitor, page, JSON.stringify(answer(page)), 'application/json')).status).toBe(415);
      expect((await sendBytes(visitor, page, fields, 'text/plain')).status).toBe(415);
      expect((await sendBytes(visitor, page, `--a\r\n\r\n--a--`, 'multipart/form-data; boundary=a')).status).toBe(415);
      expect((await sendBytes(visitor, page, `${field}=${'a'.repeat(40_000)}`)).status).toBe(413);
      expect((await sendBytes(visitor, page, `${'a=b&'.repeat(101)}${fields}`)).status).toBe(413);
      for (const odd of [`${field}=a%00b`, `${field}=%ff`, `${field}=\u0000`, `${fields}&${fields}`, `%00=1&${fields}`])
        expect([odd, (await sendBytes(visitor, page, odd)).status]).toEqual([odd, 422]);
      await expectTaken(visitor, page, await send(visitor, page, answer(page)));
    });

    test('takes no answer from another site', async () => {
      const { visitor, page } = await begin();
      for (const headers of [{ origin: 'https://jahat.example' }, { 'sec-fetch-site': 'cross-site' }]) {
        const refused = await visitor.post(page.url, answer(page), { follow: false, headers });
        expect(refused.status).toBe(403);
      }
      await expectTaken(visitor, page, await send(visitor, page, answer(page)));
    });
  });
}
