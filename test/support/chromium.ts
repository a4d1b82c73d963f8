/** Unpacks the Chromium that npm brought, with the libraries and fonts that a bare machine lacks. */

import { execFile } from 'node:child_process';
import { access, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { inflate } from '@sparticuz/chromium';

const packages = fileURLToPath(new URL('../../node_modules/', import.meta.url));
const source = join(packages, '@sparticuz/chromium');

/**
 * Unpacks once per installed version, some 1.5 s. The package's own `executablePath` takes whatever lies at /tmp/chromium,
 * half written or from another version; this makes a folder of its own and moves it into place whole.
 * @returns the folder for `describeChromium`
 */
export async function unpackChromium(): Promise<string> {
  const { version } = JSON.parse(await readFile(join(source, 'package.json'), 'utf8'));
  const folder = join(packages, '.cache', `gapura-chromium-${version}`);
  if (await exists(folder)) return folder;
  const unfinished = `${folder}-${process.pid}`;
  await mkdir(unfinished, { recursive: true });
  try {
    await inflateInto(unfinished, ['chromium.br', 'fonts.tar.br', 'al2023.tar.br']);
    await rename(unfinished, folder).catch(async (error) => {
      if (!(await exists(folder))) throw error;
    });
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  // Only these fonts, so that a page is as wide on one machine as on another.
  const places = `<dir>${join(folder, 'fonts', 'fonts')}</dir><cachedir>${join(folder, 'fonts', 'cache')}</cachedir>`;
  await writeFile(join(folder, 'fonts', 'fonts.conf'), `<?xml version="1.0"?><fontconfig>${places}</fontconfig>\n`);
  return folder;
}

/** The program and the environment it runs in; the libraries that came along are used only where the system has none. */
export async function describeChromium(folder: string): Promise<{ program: string; env: Record<string, string> }> {
  const program = join(folder, 'chromium');
  const fonts = { FONTCONFIG_PATH: join(folder, 'fonts'), HOME: process.env.HOME ?? dirname(folder) };
  const libraries = { LD_LIBRARY_PATH: join(folder, 'al2023', 'lib') };
  for (const env of [fonts, { ...fonts, ...libraries }]) {
    const runs = promisify(execFile)(program, ['--version'], { env }).then(
      () => true,
      () => false,
    );
    if (await runs) return { program, env };
  }
  throw new Error(`${program} does not start on this machine, even with the libraries that came with it`);
}

/** `inflate` looks at the folder for temporary files when it is called and not later. */
async function inflateInto(folder: string, names: string[]): Promise<void> {
  const before = process.env.TMPDIR;
  process.env.TMPDIR = folder;
  const work = names.map((name) => inflate(join(source, 'bin', name)));
  if (before === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = before;
  await Promise.all(work);
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
