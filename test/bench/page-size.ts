/** How much a browser fetches to show the sign-in page for the first time: the document and every file that it names. */

import { newVisitor, openSignInPage, type Site } from './flows.ts';

export interface Fetched {
  path: string;
  /** Of the body, as sent. */
  bytes: number;
  encoding: string;
}

/** Fetches the sign-in page and its stylesheet, script and mark with the encodings that browsers accept. */
export async function fetchSignInPage(site: Site): Promise<Fetched[]> {
  const visitor = newVisitor('orang');
  const path = await openSignInPage(site, visitor);
  const cookie = [...visitor.cookies].map(([name, { value }]) => `${name}=${value}`).join('; ');
  const document = await fetchOne(site, path, cookie);
  // What it names is read from a copy that is not compressed.
  const { body } = await site.pool.request({ path, method: 'GET', headers: { cookie } });
  const named = listNamed(await body.text());
  return [
    { ...document, path: '/interaction/:uid' },
    ...(await Promise.all(named.map((file) => fetchOne(site, file)))),
  ];
}

async function fetchOne(site: Site, path: string, cookie = ''): Promise<Fetched> {
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
