/** Rows: what a browser fetches to show the sign-in page for the first time, and how often it must wait for it. */

import { judgeAlone, spreadOf } from './figures.ts';
import { newVisitor, openSignInPage, type Site } from './flows.ts';
import type { Found, Run } from './measure.ts';

export interface Fetched {
  path: string;
  /** Of the body, as sent. */
  bytes: number;
  encoding: string;
  /** 0 for the document, 1 for what it names, 2 for what that names in turn. */
  depth: number;
}

/** Bytes as sent, and the round trips after the document. */
export async function measurePage({ ours, scale }: Run): Promise<Found> {
  const files = await fetchSignInPage(ours);
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const times: number[] = [];
  for (let at = 0; at < 2 + scale.flows.sign_in / 4; at++) times.push(await timePage(ours, files));
  const { median, min, max } = spreadOf(times);
  const ms = (value: number) => value.toFixed(1);
  return {
    rows: [
      judgeAlone({ work: 'sign-in page with its files, as sent', unit: 'bytes', target: 20_000 }, [bytes]),
      judgeAlone({ work: 'sign-in page, round trips after the document', unit: 'trips', target: 1 }, [
        Math.max(...files.map(({ depth }) => depth)),
      ]),
    ],
    tables: [
      {
        head: ['sign-in page', 'bytes', 'encoding'],
        rows: [
          ...files.map((file) => [file.path, String(file.bytes), file.encoding]),
          ['document and files over kept connections', `${ms(median)} ms`, `${ms(min)} – ${ms(max)} ms`],
        ],
      },
    ],
  };
}

/** Fetches the sign-in page and everything that it needs, with the encodings that browsers accept. */
async function fetchSignInPage(site: Site): Promise<Fetched[]> {
  const visitor = newVisitor('orang');
  const path = await openSignInPage(site, visitor);
  const cookie = [...visitor.cookies].map(([name, { value }]) => `${name}=${value}`).join('; ');
  const found: Fetched[] = [];
  const seen = new Set<string>();
  let level = [path];
  for (let depth = 0; level.length > 0; depth++) {
    const next: string[] = [];
    for (const one of level.filter((one) => !seen.has(one))) {
      seen.add(one);
      const file = await fetchOne(site, one, depth === 0 ? cookie : '');
      found.push({ ...file, path: depth === 0 ? '/interaction/:uid' : one, depth });
      // What it names is read from a copy that is not compressed.
      const { body } = await site.pool.request({
        path: one,
        method: 'GET',
        ...(depth === 0 && { headers: { cookie } }),
      });
      next.push(...(depth === 0 ? listNamed : listImported)(await body.text()));
    }
    level = next;
  }
  return found;
}

/** The document, then all else at once. Milliseconds. */
async function timePage(site: Site, files: Fetched[]): Promise<number> {
  const visitor = newVisitor('orang');
  const path = await openSignInPage(site, visitor);
  const cookie = [...visitor.cookies].map(([name, { value }]) => `${name}=${value}`).join('; ');
  const began = performance.now();
  await fetchOne(site, path, cookie);
  await Promise.all(files.filter(({ depth }) => depth > 0).map((file) => fetchOne(site, file.path)));
  return performance.now() - began;
}

async function fetchOne(site: Site, path: string, cookie = ''): Promise<Omit<Fetched, 'depth'>> {
  const headers = { 'accept-encoding': 'gzip, deflate, br, zstd', ...(cookie && { cookie }) };
  const answer = await site.pool.request({ path, method: 'GET', headers });
  const bytes = (await answer.body.arrayBuffer()).byteLength;
  if (answer.statusCode !== 200) throw new Error(`${answer.statusCode} at ${path}`);
  return { path, bytes, encoding: String(answer.headers['content-encoding'] ?? 'none') };
}

/** The addresses of stylesheets, scripts and pictures of a document. */
export function listNamed(html: string): string[] {
  const tags = html.matchAll(/<(?:link\b[^>]*\brel="(?:stylesheet|icon)"[^>]*|script\b[^>]*|img\b[^>]*)>/g);
  const addresses = [...tags].map(([tag]) => /\b(?:href|src)="(\/[^"]+)"/.exec(tag)?.[1]);
  return [...new Set(addresses.filter((address) => address !== undefined))];
}

/** The addresses that a stylesheet or a script names in turn. */
export function listImported(text: string): string[] {
  const named = text.matchAll(/(?:@import|\burl\(|\bfrom|\bimport)\s*\(?\s*["']?(\/[^"')\s]+)/g);
  return [...new Set([...named].map(([, address]) => address ?? ''))];
}
