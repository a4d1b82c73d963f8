/** Every call to a machine that is not ours: which addresses may be reached, for how long, and how much is read. */

import { lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { Agent, request } from 'undici';

/** Why a call gave no answer. `refused_address` is never worth another try; the others may be. */
export type OutboundReason = 'refused_address' | 'unreachable' | 'slow' | 'too_large' | 'redirect';

export class OutboundError extends Error {
  readonly because: OutboundReason;

  constructor(because: OutboundReason, host: string, cause?: unknown) {
    super(`call to ${host}: ${because}`, { cause });
    this.name = 'OutboundError';
    this.because = because;
  }
}

export interface OutboundCall {
  method?: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'HEAD';
  headers?: Record<string, string>;
  body?: string | Uint8Array;
  /** From the look-up of the name to the last byte of the body. */
  timeout_ms?: number;
  max_bytes?: number;
  /** Hosts (host or host:port) on private networks that whoever registered this very address may name. */
  accept_private?: readonly string[];
  /** For this call alone: the authority (PEM) that must have signed the other side's certificate, and our own certificate. */
  tls?: { ca?: string; cert?: string; key?: string };
  signal?: AbortSignal | undefined;
}

export interface OutboundAnswer {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

export interface Outbound {
  /**
   * Calls an http or https address. A redirect is not followed: it could lead where the address itself may not.
   * @throws OutboundError
   */
  call(url: string, options?: OutboundCall): Promise<OutboundAnswer>;
  /** A `fetch` with the same rules, for the engine's `fetch` setting; its own dispatcher and redirect mode are ignored. */
  asFetch(limits?: Pick<OutboundCall, 'timeout_ms' | 'max_bytes' | 'accept_private'>): typeof fetch;
  close(): Promise<void>;
}

type Subnet = [address: string, bits: number, family: 'ipv4' | 'ipv6'];

// Never reached, not even where private networks are accepted: no host, link-local and the metadata addresses of clouds,
// multicast and broadcast, and NAT64, behind which any of them may stand.
// "::ffff:0:0/96" needs no line: BlockList reads such addresses as IPv4.
const never: Subnet[] = [
  ['0.0.0.0', 8, 'ipv4'],
  ['169.254.0.0', 16, 'ipv4'],
  ['224.0.0.0', 4, 'ipv4'],
  ['240.0.0.0', 4, 'ipv4'],
  ['100.100.100.200', 32, 'ipv4'],
  ['192.0.0.192', 32, 'ipv4'],
  ['::', 128, 'ipv6'],
  ['fe80::', 10, 'ipv6'],
  ['ff00::', 8, 'ipv6'],
  ['fd00:ec2::', 32, 'ipv6'],
  ['64:ff9b::', 96, 'ipv6'],
  ['64:ff9b:1::', 48, 'ipv6'],
];

// The special-purpose registries of IANA (RFC 6890). For IPv6 the other way round: what is not global unicast is refused.
const special: Subnet[] = [
  ['10.0.0.0', 8, 'ipv4'],
  ['100.64.0.0', 10, 'ipv4'],
  ['127.0.0.0', 8, 'ipv4'],
  ['172.16.0.0', 12, 'ipv4'],
  ['192.0.0.0', 24, 'ipv4'],
  ['192.0.2.0', 24, 'ipv4'],
  ['192.31.196.0', 24, 'ipv4'],
  ['192.52.193.0', 24, 'ipv4'],
  ['192.88.99.0', 24, 'ipv4'],
  ['192.168.0.0', 16, 'ipv4'],
  ['192.175.48.0', 24, 'ipv4'],
  ['198.18.0.0', 15, 'ipv4'],
  ['198.51.100.0', 24, 'ipv4'],
  ['203.0.113.0', 24, 'ipv4'],
  ['2001::', 23, 'ipv6'],
  ['2001:db8::', 32, 'ipv6'],
  ['2002::', 16, 'ipv6'],
  ['2620:4f:8000::', 48, 'ipv6'],
  ['3fff::', 20, 'ipv6'],
];

const listOf = (subnets: Subnet[]): BlockList => {
  const list = new BlockList();
  for (const subnet of subnets) list.addSubnet(...subnet);
  return list;
};
const never_list = listOf(never);
const special_list = listOf(special);
const global_list = listOf([['2000::', 3, 'ipv6']]);
const mapped_list = listOf([['::ffff:0:0', 96, 'ipv6']]);

/** Whether a call may connect to an IP address; with `accept_private` also to loopback and private networks. */
export function mayReach(address: string, accept_private: boolean): boolean {
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
  if (!isIP(address) || never_list.check(address, family)) return false;
  if (accept_private) return true;
  if (special_list.check(address, family)) return false;
  return family === 'ipv4' || (global_list.check(address, family) && !mapped_list.check(address, family));
}

/** Opens the way out. `private_hosts` (host or host:port) are hosts of private networks that the operator lets all calls reach. */
export function createOutbound({ private_hosts }: { private_hosts: readonly string[] }): Outbound {
  // Two agents, since a connection that was accepted for one caller must not be reused by another who may not have it.
  const agents = { public: openAgent(false), private: openAgent(true) };

  const call = async (address: string, options: OutboundCall = {}): Promise<OutboundAnswer> => {
    const url = URL.parse(address);
    if (!url || !['http:', 'https:'].includes(url.protocol) || url.username || url.password) {
      throw new OutboundError('refused_address', url?.host ?? 'no address');
    }
    const is_accepted = [private_hosts, options.accept_private ?? []].some((hosts) => isNamed(hosts, url));
    const literal = url.hostname.replace(/^\[|\]$/g, '');
    if (isIP(literal) && !mayReach(literal, is_accepted)) throw new OutboundError('refused_address', url.host);
    const { timeout_ms = 5000, max_bytes = 65_536 } = options;
    const limit = AbortSignal.timeout(timeout_ms);
    const own_agent = options.tls && openAgent(is_accepted, options.tls);
    try {
      const answer = await request(url, {
        dispatcher: own_agent ?? (is_accepted ? agents.private : agents.public),
        method: options.method ?? 'GET',
        headers: { 'user-agent': 'gapura', 'accept-encoding': 'identity', ...options.headers },
        body: options.body ?? null,
        signal: options.signal ? AbortSignal.any([options.signal, limit]) : limit,
      });
      const { statusCode: status, body } = answer;
      // Destroying an unread body closes its connection, so an endless one costs nothing more.
      body.on('error', () => undefined);
      if (status >= 300 && status < 400 && status !== 304) {
        body.destroy();
        throw new OutboundError('redirect', url.host);
      }
      const chunks: Buffer[] = [];
      let received = 0;
      for await (const chunk of body) {
        received += chunk.length;
        if (received > max_bytes) throw new OutboundError('too_large', url.host);
        chunks.push(chunk);
      }
      return { status, headers: flatten(answer.headers), body: Buffer.concat(chunks) };
    } catch (error) {
      throw toOutboundError(error, url.host, limit.aborted);
    } finally {
      await own_agent?.destroy();
    }
  };

  return {
    call,
    asFetch: (limits = {}) => {
      return async (input, init = {}) => {
        const address = input instanceof Request ? input.url : input.toString();
        const headers = new Headers(init.headers);
        const form = init.body instanceof URLSearchParams;
        if (form && !headers.has('content-type')) headers.set('content-type', 'application/x-www-form-urlencoded');
        const answer = await call(address, {
          ...limits,
          method: (init.method ?? 'GET').toUpperCase() as NonNullable<OutboundCall['method']>,
          headers: Object.fromEntries(headers),
          ...(init.body == null ? {} : { body: form ? String(init.body) : (init.body as string | Uint8Array) }),
          signal: init.signal ?? undefined,
        });
        const is_empty = [204, 205, 304].includes(answer.status);
        return new Response(is_empty ? null : new Uint8Array(answer.body), {
          status: answer.status,
          headers: answer.headers,
        });
      };
    },
    close: async () => {
      await Promise.all([agents.public.destroy(), agents.private.destroy()]);
    },
  };
}

// The look-up is part of connecting: the address that was checked is the one connected to, so a name that answers
// differently the second time (DNS rebinding) gains nothing.
function openAgent(accept_private: boolean, tls: OutboundCall['tls'] = {}): Agent {
  const checked: LookupFunction = (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      const first = found?.[0];
      if (error || !first) return callback(error ?? new Error('no address'), []);
      if (!found.every(({ address }) => mayReach(address, accept_private))) {
        return callback(Object.assign(new Error('refused address'), { code: 'REFUSED_ADDRESS' }), []);
      }
      return options.all ? callback(null, found) : callback(null, first.address, first.family);
    });
  };
  return new Agent({
    connect: { ...tls, lookup: checked, timeout: 5000 },
    allowH2: false,
    keepAliveTimeout: 4000,
    connections: 16,
  });
}

function isNamed(hosts: readonly string[], url: URL): boolean {
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return hosts.some((host) => {
    const name = host.toLowerCase();
    return name === url.hostname || name === `${url.hostname}:${port}`;
  });
}

function flatten(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  const pairs = Object.entries(headers).map(([name, value]) => [name, [value].flat().join(', ')]);
  return Object.fromEntries(pairs) as Record<string, string>;
}

function toOutboundError(error: unknown, host: string, is_late: boolean): OutboundError {
  if (error instanceof OutboundError) return error;
  const code = (error as { code?: unknown } | null)?.code;
  if (code === 'REFUSED_ADDRESS') return new OutboundError('refused_address', host);
  if (is_late || (typeof code === 'string' && /^UND_ERR_(CONNECT|HEADERS|BODY)_TIMEOUT$/.test(code))) {
    return new OutboundError('slow', host, error);
  }
  return new OutboundError('unreachable', host, error);
}
