/** What is settled about a request before anyone acts on it: its id, its sender's address, our own host, its log line. */

import { BlockList, isIP } from 'node:net';
import type { DefaultContext, Middleware as KoaMiddleware, Next, ParameterizedContext } from 'koa';
import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import { randomToken } from '../crypto.ts';
import { type Language, type Translate, translator } from '../i18n/messages.ts';
import { certificateTaker, type ToldCertificate } from './client-certificate.ts';

/** What every later step finds in `ctx.state`. */
export interface RequestState {
  request_id: string;
  /** The person's IP address: of the peer, or told by a trusted proxy. */
  address: string;
  /** The certificate by which a program proved itself to a trusted proxy. */
  certificate?: ToldCertificate;
  language: Language;
  t: Translate;
  /** Origins that this page may also send forms to (`form_action`) or show pictures from (`images`). */
  csp: { form_action: string[]; images: string[] };
  log: Logger;
}

export type RequestContext = ParameterizedContext<RequestState, DefaultContext>;
export type Middleware = KoaMiddleware<RequestState, DefaultContext>;

/** Paths that answer to any host, for probes reach a node by its number. */
const host_free = new Set(['/healthz', '/readyz', '/metrics']);

/**
 * Steps that come first, in order: the request's id and log line, then the address, then host and scheme, which from here on
 * are the configured ones whatever was sent (security.md 6.1, row 16). The app needs `proxy = true`, so that koa and the
 * engine read scheme and address from the headers written here; nobody else's survive.
 */
export function openRequest(config: Config, log: Logger): Middleware {
  const isTrusted = proxyCheck(config.trusted_proxies);
  const readAddress = addressReader(isTrusted);
  const takeCertificate = certificateTaker(config);
  const scheme = config.secure ? 'https' : 'http';
  return async (ctx, next) => {
    const began = process.hrtime.bigint();
    const request_id = randomToken(12);
    const { headers, socket } = ctx.req;
    const peer = readIp(socket.remoteAddress ?? '') ?? '';
    const address = readAddress(peer, headers['x-forwarded-for']);
    const certificate = takeCertificate(headers, isTrusted(peer));
    for (const name of Object.keys(headers)) {
      if (is_told_by_proxies.test(name)) delete headers[name];
    }
    headers['x-forwarded-for'] = address;
    headers['x-forwarded-proto'] = scheme;
    ctx.set('x-request-id', request_id);
    let own_log: Logger | undefined;
    ctx.state = {
      request_id,
      address,
      ...(certificate ? { certificate } : {}),
      language: 'id',
      t: translator('id'),
      csp: { form_action: [], images: [] },
      get log() {
        // Most requests have only their one line, below.
        own_log ??= log.child({ request_id });
        return own_log;
      },
    } satisfies RequestState;
    try {
      await next();
      // What nobody read of a body would be read to its end, for nothing; after an answer that closes, it is not.
      if (!ctx.req.complete && !ctx.headerSent) ctx.set('connection', 'close');
    } finally {
      const ms = Math.round(Number(process.hrtime.bigint() - began) / 1e5) / 10;
      const line = { request_id, method: ctx.method, path: hideIds(ctx.path), status: ctx.status, ms };
      if (host_free.has(ctx.path)) log.debug(line, 'request');
      else log.info(line, 'request');
    }
  };
}

const is_told_by_proxies =
  /^(x-forwarded-.*|forwarded|x-real-ip|x-original-.*|x-rewrite-.*|x-http-method.*|x-method-override|x-ssl-.*|x-client-.*|true-client-ip|cf-connecting-ip|x-host)$/;

// A path may hold what opens something: the id of a sign-in, the token of an invitation or a notice. The log gets a word in its place.
function hideIds(path: string): string {
  return path
    .slice(0, 300)
    .replace(/^(\/interaction|\/connect\/auth)\/[^/]+/, '$1/:uid')
    .replace(/^(\/human-check)\/[^/]+/i, '$1/:id')
    .replace(/^(\/invitation|\/notices)\/[^/]+/i, '$1/:token');
}

function proxyCheck(trusted: string[]): (address: string) => boolean {
  const proxies = new BlockList();
  for (const network of trusted) {
    const [address = '', bits] = network.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    proxies.addSubnet(address, Number(bits ?? (family === 'ipv6' ? 128 : 32)), family);
  }
  return (address) => isIP(address) > 0 && proxies.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

// From the right, each proxy vouches for the one before it; the first that is not ours is the person, and what stands left
// of it is the person's own invention.
function addressReader(
  isTrusted: (address: string) => boolean,
): (peer: string, forwarded: string | string[] | undefined) => string {
  return (peer, forwarded) => {
    let address = peer;
    const hops = [forwarded ?? []].flat().join(',').split(',').reverse();
    for (const hop of hops) {
      if (!isTrusted(address)) break;
      const before = readIp(hop.trim());
      if (!before) break;
      address = before;
    }
    return address;
  };
}

// With a port or brackets as some proxies write it, and IPv4 in IPv6's clothes as a dual-stack socket does.
function readIp(text: string): string | undefined {
  const bare = text.replace(/^\[(.*)\](:\d+)?$/, '$1').replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, '$1');
  const address = bare.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '');
  return isIP(address) ? address : undefined;
}

/** Refuses (421, RFC 9110 section 15.5.20) what was not sent to the configured host; then only that host's name is left to read. */
export function pinHost(config: Config): Middleware {
  const { host } = new URL(config.url);
  return async (ctx, next) => {
    const { req } = ctx;
    if (!host_free.has(ctx.path)) {
      const sent = listHosts(req.rawHeaders);
      const target = req.url?.startsWith('/') ? undefined : URL.parse(req.url ?? '');
      const is_ours = (name: string | undefined) =>
        name === host || (name !== undefined && nameHost(name, config.url) === host);
      if (sent.length !== 1 || !is_ours(sent[0]) || target === null || (target && !is_ours(target.host))) {
        // The page links to itself in the other language, and a foreign address has no place in that link either.
        if (target !== undefined) ctx.originalUrl = ctx.request.originalUrl = req.url = '/';
        ctx.throw(421);
      }
      if (target) {
        req.url = target.pathname + target.search;
        ctx.originalUrl = ctx.request.originalUrl = req.url;
      }
    }
    req.headers.host = host;
    await next();
  };
}

/** Every Host that was sent: node keeps the first and tells of no other. */
function listHosts(raw: string[]): string[] {
  return raw.filter((_, at) => at % 2 === 1 && raw[at - 1]?.length === 4 && raw[at - 1]?.toLowerCase() === 'host');
}

// "SSO.example.go.id:443" and "sso.example.go.id" are one host at https.
function nameHost(name: string, url: string): string | undefined {
  if (!/^[\w.:[\]-]+$/.test(name)) return undefined;
  return URL.parse(`${new URL(url).protocol}//${name}`)?.host;
}

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
const longest_address = 16_384;
/** As many as other servers take. Node is told to drop none: those at the end are the ones that a proxy added. */
const most_headers = 100;
/** Bytes of a body: a form with a file. The engine has a bound of its own, and words of the standard for it. */
const largest_body = 512 * 1024;

/**
 * Refuses what no page of ours sends: other methods (405), endless addresses (414), headers (431) and bodies (413), addresses
 * that do not decode (400). A body that does not tell its length is counted by whoever reads it.
 */
export async function refuseOddRequests(ctx: RequestContext, next: Next): Promise<void> {
  if (!methods.includes(ctx.method)) {
    ctx.throw(405, { headers: { allow: methods.join(', ') } });
  }
  if ((ctx.req.url ?? '').length > longest_address) ctx.throw(414);
  if (ctx.req.rawHeaders.length > 2 * most_headers) ctx.throw(431);
  if (!isOfEngine(ctx.path) && Number(ctx.req.headers['content-length'] ?? 0) > largest_body) ctx.throw(413);
  if (!isReadable(ctx.path) || !ctx.querystring.split(/[&=]/).every(isReadable)) ctx.throw(400);
  await next();
}

// PostgreSQL keeps no NUL in text, so a NUL that came through would end as our own error.
function isReadable(text: string): boolean {
  if (!text.includes('%')) return true;
  try {
    return !decodeURIComponent(text.replaceAll('+', ' ')).includes('\0');
  } catch {
    return false;
  }
}

/**
 * Refuses (403) a change that another site's page sends with a person's cookies. The engine's own addresses are for other
 * programs and carry their own proof; of them only the confirmation of a sign-out acts on the cookie alone. A request with
 * neither header comes from no browser of the last years, and what does carries SameSite cookies.
 */
export function refuseCrossSite(config: Config): Middleware {
  const reads = new Set(['GET', 'HEAD', 'OPTIONS']);
  return async (ctx, next) => {
    // The interface for programs reads no cookie: what it does is allowed by a token alone.
    const is_interface = ctx.path.startsWith('/api/');
    const is_open = is_interface || (isOfEngine(ctx.path) && !/^\/connect\/session\/end\/confirm\/?$/i.test(ctx.path));
    if (!reads.has(ctx.method) && !is_open) {
      const { 'sec-fetch-site': site, origin } = ctx.req.headers;
      const is_own = site ? site === 'same-origin' || site === 'none' : origin === undefined || origin === config.url;
      if (!is_own) ctx.throw(403, { code: 'cross_site' });
    }
    await next();
  };
}

/** Whether an address is the engine's, which speaks with programs. */
export function isOfEngine(path: string): boolean {
  return path === '/connect' || path.startsWith('/connect/');
}
