/** Preloaded into a server process: to it, hosts of contoh.example are on the open network, and they stand on this machine. */

import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';

/** Of a root server: any address does that everybody could reach. */
const open_address = '198.41.0.4';
const isStage = (hostname: unknown) => typeof hostname === 'string' && hostname.endsWith('.contoh.example');

type Told = (error: Error | null, address: unknown, family?: number) => void;
type Lookup = (hostname: string, options: { all?: boolean }, told: Told) => void;

const tell = (address: string, { all = false }: { all?: boolean }, told: Told) =>
  all ? told(null, [{ address, family: 4 }]) : told(null, address, 4);

const real_lookup = dns.lookup as unknown as Lookup;
const lookup: Lookup = (hostname, options, told) =>
  isStage(hostname) ? tell(open_address, options, told) : real_lookup(hostname, options, told);
Object.assign(dns, { lookup });
syncBuiltinESMExports();

// The product looks up, judges the address it was told, and connects to it: only the last step leads here.
const connect = net.Socket.prototype.connect as (...words: unknown[]) => net.Socket;
net.Socket.prototype.connect = function (this: net.Socket, ...words: unknown[]): net.Socket {
  const options = [words[0]].flat()[0] as { host?: unknown; lookup?: Lookup };
  const { lookup: judge } = options;
  if (isStage(options.host) && judge) {
    options.lookup = (hostname, asked, told) =>
      judge(hostname, asked, (error, address, family) =>
        error ? told(error, address, family) : tell('127.0.0.1', asked, told),
      );
  }
  return connect.apply(this, words);
};
