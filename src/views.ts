/** Pages and mails: every view compiled once at start, with the words, dates and addresses that all of them use. */

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ejs, { type TemplateFunction } from 'ejs';
import { formatDate, formatDateTime } from './i18n/dates.ts';
import { type Language, languages, type Translate, translator } from './i18n/messages.ts';

const folder = fileURLToPath(new URL('../views', import.meta.url));

/** A file that pages name by `asset('name')`; its address changes with its content, so it may be kept for ever. */
export interface Asset {
  url: string;
  type: string;
  body: Buffer;
}

/** What stands on every page, whoever asks for it; the app carries it as `app.context.site`. */
export interface Site {
  support: { name: string; email: string; phone: string };
}

/** As much of a request as a page reads and writes. */
export interface PageContext {
  state: { language: Language; t: Translate };
  originalUrl: string;
  querystring: string;
  site?: Site;
  type: string;
  body: unknown;
}

/** The names that a view may use without `page.`. */
const commons = ['t', 'language', 'asset', 'date', 'date_time', 'npwp', 'logo', 'layout', 'support', 'language_links'];

const types: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** The assets by name. The stylesheet is Pico and ours in one, since one request is quicker than two. */
export const assets: ReadonlyMap<string, Asset> = readAssets();

const templates = compileViews();

/** The names of the views there are. */
export const views: readonly string[] = [...templates.keys()].sort();

/**
 * Renders one view without a layout.
 * @throws Error for a view that does not exist
 */
export function render(name: string, data: object): string {
  const template = templates.get(name);
  if (!template) throw new Error(`there is no view ${name}`);
  return template(data as Record<string, unknown>);
}

/** Answers a page: the view, in the layout that it names by `layout('gate' or 'shell', { title })`. The status stays. */
export function page(ctx: PageContext, name: string, data: object): void {
  const { language, t } = ctx.state;
  let frame: object | undefined;
  const shared = {
    t,
    language,
    asset: assetUrl,
    date: (value: Date, { zone }: { zone: string }) => formatDate(language, value, zone),
    date_time: (value: Date, { zone }: { zone: string }) => formatDateTime(language, value, zone),
    npwp: maskNpwp,
    logo: ownLogo,
    support: ctx.site?.support,
    language_links: linkLanguages(ctx),
    layout: (kind: 'gate' | 'shell', options: object) => {
      frame = { kind, ...options };
    },
  };
  const content = render(name, { ...shared, ...data });
  if (!frame) throw new Error(`the view ${name} names no layout`);
  ctx.type = 'html';
  ctx.body = render('layout', { ...shared, frame, content });
}

/** What a mail says. `code` and `link` are set apart, so that they can be read, copied and opened. */
export interface Mail {
  subject: string;
  greeting: string;
  paragraphs: string[];
  code?: string;
  code_note?: string;
  link?: string;
  footer?: string;
}

/** Writes a mail in both forms; each says everything. */
export function composeMail(language: Language, mail: Mail): { subject: string; text: string; html: string } {
  const data = { t: translator(language), language, ...mail };
  return { subject: mail.subject, text: render('mail/message.txt', data), html: render('mail/message', data) };
}

/** An NPWP in its mask: a company's of 15 digits and a zero as `00.000.101.6-000.000`, any other in groups of four. */
export function maskNpwp(value: string): string {
  const old = /^0(\d\d)(\d{3})(\d{3})(\d)(\d{3})(\d{3})$/.exec(value);
  if (old) return `${old.slice(1, 4).join('.')}.${old[4]}-${old[5]}.${old[6]}`;
  return value.replace(/(\d{4})(?=\d)/g, '$1 ');
}

// A picture from the application's own server would tell that server who is about to sign in, and when.
function ownLogo(client: { logo_uri?: string } | undefined): string | undefined {
  const address = client?.logo_uri ?? '';
  return /^(data:image\/(png|webp|jpeg|svg\+xml)[;,]|\/assets\/)/.test(address) ? address : undefined;
}

/** This page in each language. From the address as it was sent: below a mounted app `path` has lost its beginning. */
function linkLanguages({ originalUrl, querystring }: PageContext): Record<string, string> {
  // One slash and no second: two in front, one of each kind, or a whole address would name another host.
  const [path = ''] = originalUrl.replace(/^[/\\]+/, '').split('?');
  const query = new URLSearchParams(querystring);
  return Object.fromEntries(
    languages.map((language) => {
      query.set('lang', language);
      return [language, `/${path}?${query}`];
    }),
  );
}

function assetUrl(name: string): string {
  const asset = assets.get(name);
  if (!asset) throw new Error(`there is no asset ${name}`);
  return asset.url;
}

function readAssets(): Map<string, Asset> {
  const pico = createRequire(import.meta.url).resolve('@picocss/pico/css/pico.fluid.classless.min.css');
  return new Map(
    readdirSync(join(folder, 'assets')).map((name) => {
      const own = readFileSync(join(folder, 'assets', name));
      const body = name === 'gapura.css' ? Buffer.concat([readFileSync(pico), own]) : own;
      const hash = createHash('sha256').update(body).digest('hex').slice(0, 16);
      const extension = extname(name);
      const type = types[extension];
      if (!type) throw new Error(`views/assets/${name} has no known type`);
      return [name, { url: `/assets/${basename(name, extension)}.${hash}${extension}`, type, body }];
    }),
  );
}

// The demonstration's applications keep their own views under views/demo and compile them themselves.
function compileViews(): Map<string, TemplateFunction> {
  const compiled = new Map<string, TemplateFunction>();
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const name = file.replaceAll('\\', '/').replace(/\.ejs$/, '');
    if (!file.endsWith('.ejs') || name.startsWith('demo/')) continue;
    const filename = join(folder, file);
    const options = {
      filename,
      root: folder,
      cache: true,
      strict: true,
      localsName: 'page',
      destructuredLocals: commons,
    };
    const template = ejs.compile(readFileSync(filename, 'utf8'), options);
    // Where `include('/parts/…')` looks first: without it each part would be read from the disk at its first use.
    ejs.cache.set(filename, template);
    compiled.set(name, template);
  }
  return compiled;
}
