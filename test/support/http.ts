/** A visitor without a browser: keeps cookies as browsers do, follows redirects across hosts, reads and sends forms. */

export interface Answer {
  status: number;
  /** Of the page that answered, after redirects. */
  url: URL;
  headers: Headers;
  body: string;
  /** Every address on the way, the first included. */
  trail: string[];
}

export interface Form {
  action: string;
  method: string;
  fields: Record<string, string>;
  /** The same with names that occur several times (check boxes). */
  pairs: [name: string, value: string][];
}

export interface RequestOptions {
  headers?: Record<string, string>;
  /** false: a redirect is the answer. */
  follow?: boolean;
}

interface Cookie {
  name: string;
  value: string;
  host: string;
  path: string;
  secure: boolean;
}

export interface HttpVisitor {
  cookies: Cookie[];
  get(address: string | URL, options?: RequestOptions): Promise<Answer>;
  post(
    address: string | URL,
    fields: Record<string, string> | URLSearchParams,
    options?: RequestOptions,
  ): Promise<Answer>;
  /** Sends the form of a page, with `values` over its fields. */
  submit(page: Answer, values?: Record<string, string>, form?: string): Promise<Answer>;
}

/** A visitor with an empty cookie jar; relative addresses count from `origin`. */
export function newHttpVisitor(origin: string): HttpVisitor {
  const cookies: Cookie[] = [];
  async function ask(address: string | URL, init: RequestInit, options: RequestOptions): Promise<Answer> {
    const { follow = true } = options;
    let url = new URL(address, origin);
    let request = init;
    let headers = options.headers ?? {};
    const trail = [url.href];
    for (let hops = 0; hops < 20; hops++) {
      const cookie = cookieHeader(cookies, url);
      const own = { 'accept-language': 'id', ...(cookie && { cookie }), ...headers };
      const response = await fetch(url, { ...request, headers: { ...own, ...request.headers }, redirect: 'manual' });
      keepCookies(cookies, url, response.headers.getSetCookie());
      const location = response.headers.get('location');
      if (!follow || !location || response.status < 300 || response.status > 399)
        return { status: response.status, url, headers: response.headers, body: await response.text(), trail };
      await response.body?.cancel();
      url = new URL(location, url);
      trail.push(url.href);
      if (response.status === 307 || response.status === 308) continue;
      request = { method: 'GET' };
      // A browser names the sending page when it sends a form, not when it follows the redirect after it.
      headers = Object.fromEntries(Object.entries(headers).filter(([name]) => name !== 'origin'));
    }
    throw new Error(`redirects without end: ${trail.join(' -> ')}`);
  }
  const post: HttpVisitor['post'] = (address, fields, options = {}) => {
    const target = new URL(address, origin);
    const body = new URLSearchParams(fields).toString();
    const headers = { origin: target.origin, ...options.headers };
    const type = { 'content-type': 'application/x-www-form-urlencoded' };
    return ask(target, { method: 'POST', body, headers: type }, { ...options, headers });
  };
  return {
    cookies,
    get: (address, options = {}) => ask(address, { method: 'GET' }, options),
    post,
    submit(page, values = {}, form_name) {
      const form = findForm(page.body, form_name);
      const action = new URL(form.action || page.url.href, page.url);
      const sent = new URLSearchParams(form.pairs);
      // In its place where the form has it, as a browser sends it; once, however many boxes were ticked.
      for (const [name, value] of Object.entries(values)) sent.set(name, value);
      return post(action, sent, { headers: { origin: page.url.origin, referer: page.url.href } });
    },
  };
}

/** Host and path decide, the port never (RFC 6265 section 5.4); loopback counts as secure, as in Chromium. */
function cookieHeader(cookies: Cookie[], url: URL): string {
  const is_secure = url.protocol === 'https:' || /^(localhost|.*\.localhost|127\..*)$/.test(url.hostname);
  return cookies
    .filter(
      (cookie) => cookie.host === url.hostname && (is_secure || !cookie.secure) && isBelow(url.pathname, cookie.path),
    )
    .sort((one, other) => other.path.length - one.path.length)
    .map((cookie) => `${cookie.name}=${cookie.value}`)
    .join('; ');
}

function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith('/') ? folder : `${folder}/`);
}

function keepCookies(cookies: Cookie[], url: URL, lines: string[]): void {
  for (const line of lines) {
    const [pair = '', ...rest] = line.split(';').map((part) => part.trim());
    const attributes = new Map(
      rest.map((part) => [part.split('=')[0]?.toLowerCase(), part.slice(part.indexOf('=') + 1)]),
    );
    const name = pair.slice(0, pair.indexOf('='));
    const path = attributes.get('path') ?? (url.pathname.slice(0, url.pathname.lastIndexOf('/')) || '/');
    const cookie = {
      name,
      value: pair.slice(name.length + 1),
      host: url.hostname,
      path,
      secure: attributes.has('secure'),
    };
    const at = cookies.findIndex((old) => old.name === name && old.host === cookie.host && old.path === path);
    if (at >= 0) cookies.splice(at, 1);
    const ends = attributes.get('expires');
    const is_over = attributes.has('max-age')
      ? Number(attributes.get('max-age')) <= 0
      : ends && Date.parse(ends) <= Date.now();
    if (!is_over) cookies.push(cookie);
  }
}

/**
 * The only form of a page, or the one whose id, name or action is `name`; buttons are not among the fields.
 * @throws Error when there is none, or several and no name
 */
export function findForm(html: string, name?: string): Form {
  const forms = [...html.matchAll(/<form\b([^>]*)>(.*?)<\/form>/gis)].map(([, tag = '', inside = '']) => ({
    tag: readAttributes(tag),
    inside,
  }));
  const fitting = forms.filter(({ tag }) => name === undefined || [tag.id, tag.name, tag.action].includes(name));
  const [found] = fitting;
  if (!found || fitting.length > 1)
    throw new Error(`${fitting.length} forms fit ${name ?? 'the page'}:\n${html.slice(0, 600)}`);
  const pairs: [string, string][] = [];
  for (const [, text = ''] of found.inside.matchAll(/<input\b([^>]*)>/gis)) {
    const tag = readAttributes(text);
    const type = tag.type ?? 'text';
    const is_off = ['checkbox', 'radio'].includes(type) && tag.checked === undefined;
    if (tag.name && !is_off && !['submit', 'button', 'image', 'reset'].includes(type))
      pairs.push([tag.name, tag.value ?? '']);
  }
  for (const [, text = '', inside = ''] of found.inside.matchAll(/<textarea\b([^>]*)>(.*?)<\/textarea>/gis)) {
    const tag = readAttributes(text);
    // A browser leaves out the line end right after the tag.
    if (tag.name) pairs.push([tag.name, decode(inside.replace(/^\r?\n/, ''))]);
  }
  for (const [, text = '', inside = ''] of found.inside.matchAll(/<select\b([^>]*)>(.*?)<\/select>/gis)) {
    const options = [...inside.matchAll(/<option\b([^>]*)>/gis)].map(([, option = '']) => readAttributes(option));
    const chosen = options.find((option) => option.selected !== undefined) ?? options[0];
    const tag = readAttributes(text);
    if (tag.name) pairs.push([tag.name, chosen?.value ?? '']);
  }
  const { action = '', method = 'get' } = found.tag;
  return { action, method: method.toLowerCase(), fields: Object.fromEntries(pairs), pairs };
}

function readAttributes(text: string): Record<string, string | undefined> {
  const pairs = text.matchAll(/([\w-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?/g);
  return Object.fromEntries(
    [...pairs].map(([, name = '', a, b, c]) => [name.toLowerCase(), decode(a ?? b ?? c ?? '')]),
  );
}

function decode(text: string): string {
  const names: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"' };
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(amp|lt|gt|quot));/gi, (_, hex, decimal, name) =>
    name ? (names[name.toLowerCase()] ?? '') : String.fromCodePoint(hex ? Number.parseInt(hex, 16) : Number(decimal)),
  );
}
