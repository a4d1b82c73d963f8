/** The suite's own address on the open network: the documents that Gapura fetches there, and the notices it sends there. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCertificate } from '../support/certificate.ts';

export interface Site {
  url: string;
  /** What stands at a path: bytes as a picture, the rest as JSON; anything else is not found. */
  documents: Map<string, unknown>;
  /** What was posted, in its order. */
  posted: { path: string; form: URLSearchParams }[];
  /** With these a server process finds the site, and trusts it. */
  env: Record<string, string>;
  close(): Promise<void>;
}

const host = 'suite.contoh.example';

/** Listens by https on a free port. */
export async function startSite(): Promise<Site> {
  const certificate = makeCertificate({ common: host });
  const documents = new Map<string, unknown>();
  const posted: Site['posted'] = [];
  const server = createServer(certificate, async (req, res) => {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk);
    const path = req.url ?? '';
    if (req.method === 'POST') {
      posted.push({ path, form: new URLSearchParams(Buffer.concat(chunks).toString()) });
      res.writeHead(200).end();
      return;
    }
    const found = documents.get(path);
    if (Buffer.isBuffer(found)) res.writeHead(200, { 'content-type': 'image/png' }).end(found);
    else if (found) res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(found));
    else res.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const folder = await mkdtemp(join(tmpdir(), 'gapura-suite-'));
  const authority = join(folder, 'certificate.pem');
  await writeFile(authority, certificate.cert);
  const preload = new URL('../support/open-network.ts', import.meta.url);
  return {
    url: `https://${host}:${(server.address() as AddressInfo).port}`,
    documents,
    posted,
    env: { NODE_EXTRA_CA_CERTS: authority, NODE_OPTIONS: `--import ${preload.href}` },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true, force: true });
    },
  };
}
