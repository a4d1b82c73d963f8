/** An agency brought on, by people at the console in a real browser and by programs at the interface; and its people sign in. */

import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as oidc from 'openid-client';
import type { Page } from 'playwright-core';
import PostalMime, { type Email } from 'postal-mime';
import { SMTPServer } from 'smtp-server';
import { type ClientPreset, presets } from '../../src/clients/presets.ts';
import { type Browser, clickAndSettle, expectNoAxeViolations, expectQuiet, openBrowser } from '../support/browser.ts';
import { signInAt, textOf } from '../support/demo.ts';
import { type ApiClient, getClientToken, newApiClient, openConsole } from '../support/desk.ts';
import { demo_password, startGapura, type TestGapura } from '../support/gapura.ts';
import { until } from '../support/nodes.ts';
import { openParty, type TestParty } from '../support/relying-party.ts';

let gapura: TestGapura;
let browser: Browser;
let post: SMTPServer;
let applications: Server;
let applications_port: number;
const mails: { to: string; mail: Email }[] = [];

beforeAll(async () => {
  post = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    logger: false,
    onData(stream, { envelope }, callback) {
      void buffer(stream).then(async (raw) => {
        const mail = await PostalMime.parse(raw);
        for (const { address } of envelope.rcptTo) mails.push({ to: address, mail });
        callback();
      });
    },
  });
  post.listen(0, '127.0.0.1');
  // Where people come back to; what is done with the code is the test's affair.
  applications = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(
      '<!doctype html><html lang="id"><title>Aplikasi</title><link rel="icon" href="data:,"><h1>Kembali</h1>',
    );
  }).listen(0, '127.0.0.1');
  await Promise.all([once(post.server, 'listening'), once(applications, 'listening')]);
  applications_port = (applications.address() as AddressInfo).port;
  const { port } = post.server.address() as AddressInfo;
  gapura = await startGapura({ works: true, env: { GAPURA_SMTP_URL: `smtp://127.0.0.1:${port}` } });
  browser = await openBrowser();
});

afterAll(async () => {
  await browser?.close();
  await gapura?.stop();
  applications?.close();
  await new Promise<void>((closed) => post.close(() => closed()));
});

type Values = Record<string, unknown>;

/** Somebody who makes entries: a person at the console, or a program at the interface. */
interface Maker {
  /** Makes an entry and gives its id, with the secret that was shown. */
  make(resource: string, values: Values, preset?: ClientPreset): Promise<{ id: string; secret: string | undefined }>;
}

const password = 'Kenari-Terbang-77!';
/** One person's password must not be told from another's by what it holds of the name, so the names hold nothing of it. */
const companies = ['Cendana', 'Gaharu', 'Jati', 'Meranti', 'Ulin'];
/** In which of the three directorates each company has a user. */
const memberships = [['LAUT', 'DARAT'], ['LAUT'], ['DARAT'], ['UDARA'], []];

interface Scene {
  code: string;
  prefix: string;
  npwps: string[];
  /** Whether the people's browsers run scripts. */
  scripts: boolean;
  administrator: Maker;
  /** Who adds the organisations. */
  desk: Maker;
  /** The agency's officer, once there is one. */
  openOfficer(username: string): Promise<Maker>;
}

/** Follows the way on from the page that is open, else the menu, and fills the form field by field. */
function atConsole(page: Page): Maker {
  return {
    async make(resource, values, preset) {
      const way = `main :is(.ways, [role=status]) a[href^="/admin/${resource}/creation"]`;
      if ((await page.locator(way).count()) > 0) await clickAndSettle(page, way);
      else {
        await clickAndSettle(page, `.menu-wide a[href="/admin/${resource}"]`);
        await clickAndSettle(page, `main a[href="/admin/${resource}/creation"]`);
      }
      if (preset) await clickAndSettle(page, `main a[href$="preset=${preset}"]`);
      for (const [name, value] of Object.entries(values)) await fillIn(page, name, value);
      await clickAndSettle(page, '#submit');
      const problems = page.locator('#problems');
      expect([resource, (await problems.count()) > 0 ? await problems.innerText() : '']).toEqual([resource, '']);
      const shown = page.locator('code.secret');
      const secret = (await shown.count()) > 0 ? await shown.innerText() : undefined;
      if (secret !== undefined) await clickAndSettle(page, 'main .actions a');
      else expect(await page.locator('[role=status]').innerText()).toContain(values.email ?? 'sudah');
      return { id: decodeURIComponent(new URL(page.url()).pathname.split('/').at(-1) ?? ''), secret };
    },
  };
}

async function fillIn(page: Page, name: string, value: unknown): Promise<void> {
  const fields = page.locator(`form.card [name="${name}"]`);
  const group = page.locator('details.group:not([open])', { has: page.locator(`[name="${name}"]`) });
  if ((await group.count()) > 0) await group.locator('summary').click();
  const kind = await fields.first().evaluate((field) => (field as HTMLInputElement).type);
  if (kind === 'select-one') await fields.selectOption(String(value));
  else if (kind !== 'checkbox') await fields.fill(Array.isArray(value) ? value.join('\n') : String(value));
  else if (!Array.isArray(value)) await fields.setChecked(value === true);
  else for (const box of await fields.all()) await box.setChecked(value.includes(await box.getAttribute('value')));
}

/** A program says itself what a preset fills in for a person. */
function atInterface(api: ApiClient): Maker {
  return {
    async make(resource, values, preset) {
      const { status, body } = await api('POST', `/${resource}`, { ...(preset ? presets[preset] : {}), ...values });
      expect([resource, status, body.errors]).toEqual([resource, 201, undefined]);
      return { id: body.id, secret: body.shown_once?.secret };
    },
  };
}

/** Opens the console as somebody and gives their page. */
async function enterConsole(username: string, password: string): Promise<Page> {
  const { page } = await browser.newVisitor();
  await page.goto(`${gapura.url}/admin`);
  await signInAt(page, username, password);
  await page.waitForURL(`${gapura.url}/admin`);
  return page;
}

/** Opens the link of the one invitation that came to an address, and makes the password. */
async function acceptInvitation(address: string, scripts: boolean): Promise<void> {
  await until(() => mails.some(({ to }) => to === address));
  const received = mails.filter(({ to }) => to === address);
  expect(received.map(({ mail }) => mail.subject)).toEqual([expect.stringMatching(/./)]);
  const [link] = /http:\S+\/invitation\/[\w-]+/.exec(received[0]?.mail.text ?? '') ?? [];
  const { page, close } = await browser.newVisitor({ scripts });
  await page.goto(String(link));
  await page.fill('#new_password', password);
  await page.fill('#confirm_password', password);
  expect((await clickAndSettle(page, '#submit')).status()).toBe(200);
  expect(await textOf(page)).toContain('Masuk');
  expectQuiet(page);
  await close();
}

/** Goes from an authorization to where it ends, answering as a person would; gives the pages met and the tokens, if it came to them. */
async function passThrough(
  page: Page,
  party: TestParty,
  { identifier, password, directorate = '' }: { identifier: string; password: string; directorate?: string },
) {
  const { address, checks } = await party.begin();
  await page.goto(address);
  const met: string[] = [];
  while (!page.url().startsWith(party.redirect_uri)) {
    if (met.length > 5) throw new Error(`the pages do not end: ${met.join(', ')}`);
    if ((await page.locator('#identifier').count()) > 0) {
      met.push('login');
      await page.fill('#identifier', identifier);
      await page.fill('#password', password);
      await clickAndSettle(page, '#submit');
    } else if ((await page.locator('#directorate').count()) > 0) {
      met.push('directorate');
      const name = new RegExp(`${directorate}$`, 'i');
      await page.selectOption(
        '#directorate',
        (await page.locator('option', { hasText: name }).getAttribute('value')) ?? '',
      );
      await clickAndSettle(page, '#submit');
    } else if ((await page.locator('#allow').count()) > 0) {
      met.push('consent');
      await clickAndSettle(page, '#allow');
    } else {
      met.push((await page.locator('h1').innerText()).trim());
      return { met, tokens: undefined };
    }
  }
  return { met, tokens: await party.redeem(new URL(page.url()), checks) };
}

/** What userinfo tells with the tokens. */
async function tell(party: TestParty, tokens: oidc.TokenEndpointResponse & oidc.TokenEndpointResponseHelpers) {
  const subject = tokens.claims()?.sub ?? '';
  return oidc.fetchUserInfo(party.configuration, tokens.access_token, subject);
}

/** The whole of it: who does what is the same at the console and at the interface. */
async function bringOn({ code, prefix, npwps, scripts, administrator, desk, openOfficer }: Scene): Promise<void> {
  const lower = code.toLowerCase();
  const mailOf = (username: string) => `${username}@surat.example`;
  const callback = (id: string) => `http://${id}.localhost:${applications_port}/callback`;

  // The administrator: the agency and its officer, who makes the own password.
  await administrator.make('agencies', { code, name: `Badan ${prefix} Contoh`, name_en: `${prefix} Example Agency` });
  const chief = `petugas_${lower}`;
  const staff = { role: 'agency_officer', agency_code: code };
  await administrator.make('accounts', { username: chief, full_name: 'Nila Asmara', email: mailOf(chief), ...staff });
  await acceptInvitation(mailOf(chief), scripts);

  // The officer: what belongs to the agency.
  const officer = await openOfficer(chief);
  const directorates = new Map<string, string>();
  for (const [directorate, name] of [
    ['LAUT', 'Perdagangan Laut'],
    ['DARAT', 'Perdagangan Darat'],
    ['UDARA', 'Perdagangan Udara'],
  ] as const) {
    const { id } = await officer.make('directorates', { agency_code: code, code: directorate, name });
    directorates.set(directorate, id);
  }
  const [izin, lacak] = [`${lower}-izin`, `${lower}-lacak`];
  const common = { agency_code: code, contacts: [mailOf(chief)] };
  const web = await officer.make(
    'clients',
    {
      client_id: izin,
      client_name: `Izin ${prefix}`,
      ...common,
      redirect_uris: [callback(izin)],
      scope: ['openid', 'profile', 'organization', 'role', 'directorate'],
      directorate_required: true,
    },
    'web_server',
  );
  const single = await officer.make(
    'clients',
    {
      client_id: lacak,
      client_name: `Lacak ${prefix}`,
      ...common,
      redirect_uris: [callback(lacak)],
      scope: ['openid', 'profile', 'organization', 'role'],
    },
    'single_page',
  );
  expect([web.id, single.id, single.secret]).toEqual([izin, lacak, undefined]);
  for (const id of [izin, lacak])
    await officer.make('applications', {
      id,
      name: `Aplikasi ${id}`,
      about: 'Perizinan dan pelacakan',
      about_en: 'Permits and tracking',
      url: `http://${id}.localhost:${applications_port}/`,
      agency_code: code,
      client_id: id,
    });

  // The companies and their people; the officer says who has a user where.
  const people: { username: string; npwp: string; company: string; id: string; of: string[] }[] = [];
  for (const [place, word] of companies.entries()) {
    const [npwp = '', company, username] = [npwps[place], `PT ${prefix} ${word}`, `${lower}_${word.toLowerCase()}`];
    const organisation = await desk.make('organisations', { name: company, npwp, city: 'Jakarta' });
    const { id } = await administrator.make('accounts', {
      username,
      full_name: 'Rangga Wisnu',
      email: mailOf(username),
      organisation_id: npwp,
      position: 'Staf',
      role: 'trader',
    });
    const of = memberships[place] ?? [];
    for (const directorate of of) {
      const directorate_id = directorates.get(directorate);
      const made = await officer.make('memberships', { organisation_id: npwp, directorate_id });
      expect(made.id).toBe(`${organisation.id}.${directorate_id}`);
    }
    people.push({ username, npwp: npwp.replace(/\D/g, ''), company, id, of });
  }
  for (const { username } of people) await acceptInvitation(mailOf(username), scripts);

  // The people sign in: once with a password, and at the second application with nothing but their consent.
  const scope = 'openid profile organization role';
  const party = await openParty(
    gapura.config.issuer,
    { client_id: izin, client_secret: web.secret, redirect_uri: callback(izin) },
    `${scope} directorate`,
  );
  const second = await openParty(
    gapura.config.issuer,
    { client_id: lacak, client_secret: undefined, redirect_uri: callback(lacak) },
    scope,
  );
  for (const { username, npwp, company, id, of } of people) {
    const { page, close } = await browser.newVisitor({ scripts });
    const directorate = of.at(-1) ?? '';
    const answers = { identifier: username, password, directorate: `Perdagangan ${directorate}` };
    const first = await passThrough(page, party, answers);
    const choice = of.length > 1 ? ['directorate'] : [];
    expect([username, first.met]).toEqual([
      username,
      of.length > 0 ? ['login', ...choice, 'consent'] : ['login', 'Belum ada direktorat untuk Anda'],
    ]);
    const known = {
      sub: id,
      preferred_username: username,
      organization: expect.objectContaining({ name: company, npwp: `0${npwp}`, active: true }),
      role: [{ name: 'trader', level: 1 }],
    };
    const chosen = { agency: code, code: directorate, name: expect.stringMatching(new RegExp(`${directorate}$`, 'i')) };
    if (first.tokens) {
      expect(first.tokens.claims()).toMatchObject({ sub: id, directorate: chosen });
      expect(await tell(party, first.tokens)).toMatchObject({ ...known, directorate: chosen });
    }
    const next = await passThrough(page, second, answers);
    expect([username, next.met]).toEqual([username, ['consent']]);
    const told = next.tokens && (await tell(second, next.tokens));
    expect(told).toMatchObject(known);
    expect(told).not.toHaveProperty('directorate');
    expectQuiet(page);
    await close();
  }

  await meetStrangers({
    code,
    party,
    addresses: [`clients/${izin}`, `applications/${lacak}`, `accounts/${people[0]?.id}`],
  });
}

/** Tono, of another company, has no directorate here; and an officer of BPOM sees nothing of the agency, nor a program of theirs. */
async function meetStrangers({ code, party, addresses }: { code: string; party: TestParty; addresses: string[] }) {
  const { page, close } = await browser.newVisitor();
  const tono = await passThrough(page, party, { identifier: 'tono', password: demo_password });
  expect([tono.met, tono.tokens]).toEqual([['login', 'Belum ada direktorat untuk Anda'], undefined]);
  await close();

  const officer = await openConsole(gapura, 'petugas');
  const token = await getClientToken(gapura, `mesin-bpom-${code.length}`, 'agency_officer', { agency_code: 'BPOM' });
  const program = newApiClient(gapura.url, token);
  for (const address of addresses) {
    expect([address, (await officer.get(`/admin/${address}`)).status]).toEqual([address, 404]);
    expect([address, (await program('GET', `/${address}`)).status]).toEqual([address, 404]);
  }
  for (const list of ['clients', 'applications', 'memberships', 'roles', 'accounts']) {
    expect([list, (await officer.get(`/admin/${list}`)).body.toLowerCase().includes(`${code.toLowerCase()}`)]).toEqual([
      list,
      false,
    ]);
    const { status, body } = await program('GET', `/${list}?size=100`);
    expect([list, status, JSON.stringify(body).toLowerCase().includes(code.toLowerCase())]).toEqual([list, 200, false]);
  }
  // The agency itself is no secret; nobody is led on from it to what they may not do.
  const shown = await officer.get(`/admin/agencies/${code}`);
  expect([shown.status, shown.body.includes('/creation')]).toEqual([200, false]);
  const other = await program('POST', '/directorates', { agency_code: code, code: 'ASING', name: 'Asing' });
  expect(other.status).toBe(403);
}

test('through the console alone, in a browser', async () => {
  const administrator = await enterConsole('admin', demo_password);
  const desk = await enterConsole('layanan', demo_password);
  const pages = [administrator, desk];
  await bringOn({
    code: 'SAMUDRA',
    prefix: 'Samudra',
    npwps: ['002014', '002022', '002030', '002048', '002055'].map(maskNpwp),
    scripts: true,
    administrator: atConsole(administrator),
    desk: atConsole(desk),
    async openOfficer(username) {
      const page = await enterConsole(username, password);
      pages.push(page);
      return atConsole(page);
    },
  });
  for (const page of pages) {
    await expectNoAxeViolations(page);
    expectQuiet(page);
  }
}, 240_000);

test('through the interface alone, by programs', async () => {
  const administrator = newApiClient(gapura.url, await getClientToken(gapura, 'mesin-pusat', 'administrator'));
  const code = 'KHATULISTIWA';
  await bringOn({
    code,
    prefix: 'Khatulistiwa',
    npwps: ['003012', '003020', '003038', '003046', '003053'].map(maskNpwp),
    scripts: false,
    administrator: atInterface(administrator),
    desk: atInterface(administrator),
    async openOfficer() {
      const client_id = 'mesin-khatulistiwa';
      const scope = ['admin:read', 'admin:write'];
      const { secret } = await atInterface(administrator).make(
        'clients',
        { client_id, client_name: 'Mesin', agency_code: code, api_role: 'agency_officer', scope },
        'service',
      );
      const response = await fetch(`${gapura.config.issuer}/token`, {
        method: 'POST',
        headers: { authorization: `Basic ${Buffer.from(`${client_id}:${secret}`).toString('base64')}` },
        body: new URLSearchParams({ grant_type: 'client_credentials', scope: scope.join(' ') }),
      });
      const { access_token } = (await response.json()) as { access_token: string };
      return atInterface(newApiClient(gapura.url, access_token));
    },
  });
}, 240_000);

/** Six digits of an example company, as people write its NPWP. */
function maskNpwp(digits: string): string {
  return `00.000.${digits.slice(2, 5)}.${digits.slice(5)}-000.000`;
}
