/** The rules of the house as functions from a tree of sources to breaches, each `file:line: words`. */

import { posix } from 'node:path';
import { below, type Import, lineOf, listImports, type Tree, withoutComments } from './source.ts';

/**
 * What stands on what, top row first: a file may import its own folder and every row below. In a row marked `beside` the
 * neighbours may be imported too: those at the top start each other, those at the bottom are the platform.
 */
const rows: { names: string[]; beside?: true }[] = [
  {
    names: [
      ...['gapura', 'main', 'serve', 'workers', 'log', 'worker', 'server', 'surfaces'],
      ...['check', 'create-admin', 'rotate-keys', 'demo'],
    ],
    beside: true,
  },
  { names: ['seed'] },
  { names: ['portal', 'admin'] },
  { names: ['oidc'] },
  { names: ['prompts'] },
  { names: ['recovery', 'registrations', 'sign-in', 'links', 'approvals', 'resource-servers'] },
  { names: ['factors', 'organisations', 'applications', 'clients', 'consents', 'terms', 'trials'] },
  { names: ['accounts', 'human-check', 'calendar'] },
  { names: ['proofs'] },
  { names: ['delivery'] },
  { names: ['http'] },
  { names: ['views'] },
  { names: ['i18n'] },
  { names: ['duties'] },
  { names: ['permissions', 'policy', 'audit', 'limits', 'outbound', 'jobs'] },
  {
    names: [
      'changes',
      'crypto',
      'root-secrets',
      'database',
      'pool',
      'lines',
      'prepared',
      'statements',
      'tables',
      'clock',
      'config',
      'end',
      'settings',
      'text',
    ],
    beside: true,
  },
];

/** The only places where a module is loaded late: the version is checked first, and production has no demonstration. */
const late_imports = new Map([
  ['src/gapura.mjs', './main.ts'],
  ['src/main.ts', './demo/start.ts'],
  ['src/accounts/password-strength.ts', './estimator.ts'],
]);

/** The folder or file that a source belongs to in the picture: `src/http/form.ts` is `http`, `db/seed.ts` is `seed`. */
function partOf(path: string): string {
  return /^(?:src|db)\/([^/.]+)/.exec(path)?.[1] ?? path;
}

function resolveImport(path: string, { from }: Import): string | undefined {
  return from.startsWith('.') ? posix.join(posix.dirname(path), from) : undefined;
}

function eachImport<T>(tree: Tree, look: (path: string, found: Import, target: string) => T | undefined): T[] {
  return Object.entries(tree).flatMap(([path, text]) =>
    listImports(text).flatMap((found) => {
      const target = resolveImport(path, found);
      const seen = target === undefined ? undefined : look(path, found, target);
      return seen === undefined ? [] : [seen];
    }),
  );
}

/** Imports upwards or sideways, of the demonstration from outside it, and files that have no place in the picture. */
export function findLayerBreaches(tree: Tree): string[] {
  const rowOf = (part: string) => rows.findIndex((row) => row.names.includes(part));
  const homeless = Object.keys(tree)
    .filter((path) => rowOf(partOf(path)) < 0)
    .map((path) => `${path}:1: "${partOf(path)}" has no place in the picture of what imports what`);
  const breaches = eachImport(tree, (path, found, target) => {
    const [from, to] = [partOf(path), partOf(target)];
    const is_source = /^(src|db)\/.*\.ts$/.test(target);
    if (!is_source || from === to || late_imports.get(path) === found.from) return undefined;
    const [own, other] = [rowOf(from), rowOf(to)];
    const where = `${path}:${found.line}: imports ${target}`;
    if (to === 'demo') return `${where}, and only the demonstration itself may`;
    if (other < own) return `${where}, which is above it`;
    return other === own && !rows[own]?.beside ? `${where}, which is beside it` : undefined;
  });
  const starters = eachImport(tree, (path, found, target) =>
    target === 'src/demo/start.ts' && !found.is_dynamic
      ? `${path}:${found.line}: nothing imports the start of the demonstration`
      : undefined,
  );
  return [...homeless, ...breaches, ...starters];
}

/** Rings of imports; the types that a leaf takes from its centre make none. */
export function findCycles(tree: Tree): string[] {
  const edges = new Map<string, string[]>();
  eachImport(tree, (path, found, target) => {
    const is_shape = found.is_type && posix.dirname(path).startsWith(posix.dirname(target));
    if (!is_shape && !found.is_dynamic && target in tree) edges.set(path, [...(edges.get(path) ?? []), target]);
    return undefined;
  });
  const done = new Set<string>();
  const rings: string[] = [];
  const walk = (path: string, trail: string[]) => {
    if (trail.includes(path))
      rings.push(`${path}:1: a ring: ${[...trail.slice(trail.indexOf(path)), path].join(' -> ')}`);
    if (done.has(path) || trail.includes(path)) return;
    for (const next of edges.get(path) ?? []) walk(next, [...trail, path]);
    done.add(path);
  };
  for (const path of edges.keys()) walk(path, []);
  return rings;
}

/** Tables written by more than one file. The demonstration may write tables that it makes itself, and no others. */
export function findSecondWriters(tree: Tree): string[] {
  const writers = new Map<string, Map<string, number>>();
  const own = new Set<string>();
  for (const [path, text] of Object.entries(tree)) {
    const code = withoutComments(text);
    if (partOf(path) === 'demo')
      for (const [, table = ''] of code.matchAll(/CREATE TABLE (?:IF NOT EXISTS )?"?([\w.]+|\$\{\w+\})/g))
        own.add(table);
    for (const { table, line } of listWrites(code)) {
      const files = writers.get(table) ?? new Map<string, number>();
      if (!files.has(path)) files.set(path, line);
      writers.set(table, files);
    }
  }
  return [...writers].flatMap(([table, files]) => {
    if (own.has(table)) return [];
    const foreign = [...files].filter(([path]) => ['demo', 'seed'].includes(partOf(path)));
    const owners = [...files].filter(([path]) => !['demo', 'seed'].includes(partOf(path)));
    const seconds = owners.length > 1 ? owners : [];
    return [...seconds, ...foreign].map(([path, line]) => {
      const others = [...files.keys()].filter((other) => other !== path);
      return `${path}:${line}: writes the table ${table}${others.length > 0 ? `, and so does ${others.join(', ')}` : ', which has an owner to ask'}`;
    });
  });
}

function listWrites(code: string): { table: string; line: number }[] {
  const patterns = [
    /\b(?:insertInto|updateTable|deleteFrom|mergeInto|replaceInto)\(\s*['"`]([\w.]+)/g,
    /\b(?:INSERT INTO|DELETE FROM|MERGE INTO|TRUNCATE(?: TABLE)?)\s+(?:ONLY\s+)?"?([\w.]+|\$\{\w+\})/g,
    /\bUPDATE\s+(?:ONLY\s+)?"?([\w.]+|\$\{\w+\})"?(?:\s+(?:AS\s+)?\w+)?\s+SET\b/g,
  ];
  return patterns.flatMap((pattern) =>
    [...code.matchAll(pattern)].map((found) => ({ table: found[1] ?? '', line: lineOf(code, found.index) })),
  );
}

/** Views that no source names and no view includes. */
export function findUnrenderedViews(tree: Tree): string[] {
  const views = Object.keys(tree).filter((path) => path.endsWith('.ejs'));
  const named = new Set<string>();
  const patterns: RegExp[] = [];
  for (const [path, text] of Object.entries(tree)) {
    // An address such as '/portal/home' in a page is no view; in a source a view stands without the first slash.
    const is_view = path.endsWith('.ejs');
    const names = is_view ? /\binclude\(\s*['"`]([^'"`]+)['"`]/g : /['"`]([\w-]+(?:\/[\w.-]+)*)['"`]/g;
    for (const [, name = ''] of text.matchAll(names))
      named.add(is_view && !name.startsWith('/') ? posix.join(posix.dirname(path), name) : posix.join('views', name));
    // An include whose name is put together begins with a slash, like every include.
    const dynamic = is_view ? text.replaceAll(/(\binclude\(\s*`)\//g, '$1') : text;
    patterns.push(...listDynamic(dynamic).map(({ pattern }) => pattern));
  }
  return views
    .filter((path) => {
      const name = path.replace(/\.ejs$/, '');
      const is_dynamic = patterns.some((pattern) => pattern.test(name.slice('views/'.length)));
      return !named.has(name) && !named.has(path) && !is_dynamic;
    })
    .map((path) => `${path}:1: nothing renders this view`);
}

/** Templates such as `errors.engine.${key}.title`: which names they can become. */
function listDynamic(text: string): { pattern: RegExp; index: number; words: string }[] {
  return [...text.matchAll(/`([a-z][\w-]*[./][\w./-]*\$\{[^`]*)`/g)].map((found) => {
    const words = found[1] ?? '';
    const parts = words.split(/\$\{(?:[^{}]|\{[^{}]*\})*\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    return { pattern: new RegExp(`^${parts.join('[\\w-]+')}$`), index: found.index, words };
  });
}

/** Message keys that nothing uses, and keys in `t('…')` that are in no catalogue. `keys` are those of the catalogue. */
export function findMessageBreaches(tree: Tree, keys: string[]): { unused: string[]; unknown: string[] } {
  const literals = new Set<string>();
  const patterns: RegExp[] = [];
  const unknown: string[] = [];
  const known = new Set(keys.flatMap((key) => [key, singular(key)]));
  for (const [path, raw] of Object.entries(tree)) {
    const text = path.endsWith('.ts') ? withoutComments(raw) : raw;
    for (const [, name = ''] of text.matchAll(/['"`]([a-z][\w-]*(?:\.[\w-]+)+)['"`]/g)) literals.add(name);
    for (const { pattern, index, words } of listDynamic(text)) {
      patterns.push(pattern);
      if (/\bt\(\s*$/.test(text.slice(0, index)) && !keys.some((key) => pattern.test(key)))
        unknown.push(`${path}:${lineOf(text, index)}: no message fits ${words}`);
    }
    // Keys also travel as plain words, to be translated elsewhere; those of no view are told by their first part.
    for (const found of text.matchAll(/(?:\bt\(\s*['"`]|['"`](?=(?:errors|words)\.))([\w.-]+)['"`]/g))
      if (!known.has(found[1] ?? ''))
        unknown.push(`${path}:${lineOf(text, found.index)}: there is no message ${found[1]}`);
  }
  const isUsed = (key: string) =>
    literals.has(key) || literals.has(singular(key)) || patterns.some((pattern) => pattern.test(key));
  return { unused: keys.filter((key) => !isUsed(key)).map((key) => `src/i18n/id.json: nothing uses ${key}`), unknown };
}

/** i18next keeps plural forms under the key with one of these endings. */
function singular(key: string): string {
  return key.replace(/_(?:zero|one|two|few|many|other)$/, '');
}

/** Occurrences of `pattern` in the code (comments aside) of all files but `allowed`. */
export function findWords(tree: Tree, pattern: RegExp, what: string, allowed: string[] = []): string[] {
  return Object.entries(tree)
    .filter(([path]) => !allowed.includes(path))
    .flatMap(([path, text]) => {
      const code = withoutComments(text);
      return [...code.matchAll(pattern)].map((found) => `${path}:${lineOf(code, found.index)}: ${what}`);
    });
}

/** `import(…)` anywhere but in the places that need it. */
export function findLateImports(tree: Tree): string[] {
  return Object.entries(tree).flatMap(([path, text]) =>
    listImports(text)
      .filter((found) => found.is_dynamic && late_imports.get(path) !== found.from)
      .map((found) => `${path}:${found.line}: imports inside the code`),
  );
}

/** Packages that production code imports and that `npm ci --omit=dev` would not install. */
export function findUndeclaredPackages(tree: Tree, dependencies: string[]): string[] {
  return Object.entries(below(tree, 'src/demo/', false)).flatMap(([path, text]) =>
    listImports(text)
      .filter(({ from }) => !from.startsWith('.') && !from.startsWith('node:'))
      .filter(({ from }) => !dependencies.some((name) => from === name || from.startsWith(`${name}/`)))
      .map(({ from, line, is_type }) => (is_type ? '' : `${path}:${line}: ${from} is not among the dependencies`))
      .filter(Boolean),
  );
}

/** Files longer than 250 lines; the list of tables and the demonstration may be. */
export function findLongFiles(tree: Tree): string[] {
  return Object.entries(below(tree, 'src/demo/', false))
    .map(([path, text]) => ({ path, lines: text.trimEnd().split('\n').length }))
    .filter(({ path, lines }) => lines > 250 && path !== 'src/tables.ts')
    .map(({ path, lines }) => `${path}:251: ${lines} lines`);
}
