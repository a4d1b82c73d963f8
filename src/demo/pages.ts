/** Views, stylesheet and mark of one demonstration application, read once when it starts. */

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ejs, { type TemplateFunction } from 'ejs';

const views_folder = fileURLToPath(new URL('../../views', import.meta.url));

/** A file that the site answers under /assets, with its content's hash in the name. */
export interface Asset {
  path: string;
  type: string;
  body: Buffer;
}

export interface Pages {
  /** Renders `demo/…` with exactly these names in scope; throws for a view that does not exist. */
  render(view: string, data: Record<string, unknown>): string;
  stylesheet: Asset;
  mark: Asset;
}

/** Reads every view of the demonstration, and the stylesheet and mark called `look` in views/demo/assets. */
export function readPages(look: string): Pages {
  const compiled = new Map<string, TemplateFunction>();
  for (const file of readdirSync(join(views_folder, 'demo'), { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ejs')) continue;
    const path = join(views_folder, 'demo', file);
    compiled.set(
      `demo/${file.slice(0, -4).replaceAll('\\', '/')}`,
      ejs.compile(read(path), { filename: path, cache: true }),
    );
  }
  return {
    render(view, data) {
      const template = compiled.get(view);
      if (!template) throw new Error(`no view ${view}`);
      return template(data);
    },
    stylesheet: readAsset(look, 'css', 'text/css; charset=utf-8', read(asset('site.css')) + read(asset(`${look}.css`))),
    mark: readAsset(look, 'svg', 'image/svg+xml', read(asset(`${look}.svg`))),
  };
}

function asset(name: string): string {
  return join(views_folder, 'demo', 'assets', name);
}

function read(path: string): string {
  return readFileSync(path, 'utf8');
}

function readAsset(look: string, extension: string, type: string, text: string): Asset {
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 12);
  return { path: `/assets/${look}.${hash}.${extension}`, type, body: Buffer.from(text) };
}
