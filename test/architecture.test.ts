/** The house of DESIGN 4: who may import whom, who writes what, and what stands in one place only. */

import { describe, expect, test } from '@jest/globals';
import manifest from '../package.json' with { type: 'json' };
import id from '../src/i18n/id.json' with { type: 'json' };
import {
  findCycles,
  findLateImports,
  findLayerBreaches,
  findLongFiles,
  findMessageBreaches,
  findSecondWriters,
  findUndeclaredPackages,
  findUnrenderedViews,
  findWords,
} from './support/architecture.ts';
import { listImports, readTree, withoutComments } from './support/source.ts';

const sources = readTree(['src', 'db'], ['.ts', '.mjs']);
const views = readTree(['views'], ['.ejs']);
const migrations = readTree(['db/migrations'], ['.sql']);

const environment = /\bprocess\.env\b/g;
const clock = /\bDate\.now\b|\bnew Date(?:\(\s*\)|(?!\s*\(|\w))|(?<![\w.])Date\(\)|\bperformance\.timeOrigin\b/g;
const sql_clock = /(?<!gapura_)\bnow\(\)|\bcurrent_timestamp\b|\b(?:clock|statement|transaction)_timestamp\(/gi;
const chance = /\bMath\.random\b/g;

describe('this project', () => {
  test('imports only downwards', () => expect(findLayerBreaches(sources)).toEqual([]));
  test('has no ring of imports', () => expect(findCycles(sources)).toEqual([]));
  test('imports nothing inside a function', () => expect(findLateImports(sources)).toEqual([]));
  test('runs in production on its dependencies alone', () =>
    expect(findUndeclaredPackages(sources, Object.keys(manifest.dependencies))).toEqual([]));
  test('writes each table in one file', () => expect(findSecondWriters(sources)).toEqual([]));
  test('renders every view', () => expect(findUnrenderedViews({ ...sources, ...views })).toEqual([]));
  test('uses every message', () =>
    expect(findMessageBreaches({ ...sources, ...views }, Object.keys(id)).unused).toEqual([]));
  test('reads the environment in config.ts', () =>
    expect(findWords(sources, environment, 'reads process.env', ['src/config.ts'])).toEqual([]));
  test('reads the clock in clock.ts', () =>
    expect(findWords(sources, clock, 'reads the clock', ['src/clock.ts'])).toEqual([]));
  test('has one clock in SQL', () => {
    const defined = /^CREATE FUNCTION gapura_now\(\).*$/m;
    const statements = Object.entries(migrations).map(([path, text]) => [
      path,
      text.replace(/--.*$/gm, '').replace(defined, ''),
    ]);
    expect(findWords(Object.fromEntries(statements), sql_clock, 'another clock than gapura_now()')).toEqual([]);
    expect(Object.values(migrations).filter((text) => defined.test(text))).toHaveLength(1);
  });
  test('takes no chance but the secure one', () => expect(findWords(sources, chance, 'Math.random')).toEqual([]));
  test('has files that fit on a few screens', () => expect(findLongFiles(sources)).toEqual([]));
});

describe('the checks find', () => {
  test('imports upwards, sideways, into the demonstration, and files without a place', () => {
    const tree = {
      'src/clients.ts': "import { a } from './prompts/prompt.ts';\nimport type { B } from './terms.ts';",
      'src/http/form.ts': "import { c } from '../config.ts';\nimport { d } from './guard.ts';",
      'src/server.ts': "import { a } from './main.ts';\nimport {\n  b,\n} from './demo/pages.ts';",
      'src/demo/site.ts': "import { s } from './start.ts';",
      'src/odds.ts': '',
    };
    expect(findLayerBreaches(tree)).toEqual([
      'src/odds.ts:1: "odds" has no place in the picture of what imports what',
      'src/clients.ts:1: imports src/prompts/prompt.ts, which is above it',
      'src/clients.ts:2: imports src/terms.ts, which is beside it',
      'src/server.ts:2: imports src/demo/pages.ts, and only the demonstration itself may',
      'src/demo/site.ts:1: nothing imports the start of the demonstration',
    ]);
  });

  test('rings, but not the shape that a leaf takes from its centre', () => {
    const centre = "import { leaf } from './leaf.ts';";
    expect(
      findCycles({ 'src/links/link.ts': centre, 'src/links/leaf.ts': "import type { Link } from './link.ts';" }),
    ).toEqual([]);
    expect(
      findCycles({ 'src/links/link.ts': centre, 'src/links/leaf.ts': "import { link } from './link.ts';" }),
    ).toEqual(['src/links/link.ts:1: a ring: src/links/link.ts -> src/links/leaf.ts -> src/links/link.ts']);
  });

  test('late imports and packages that production lacks', () => {
    const tree = {
      'src/main.ts': "await import('./demo/start.ts');\nawait import('./worker.ts');\nimport x from '@a/b/c';",
    };
    expect(findLateImports(tree)).toEqual(['src/main.ts:2: imports inside the code']);
    expect(findUndeclaredPackages(tree, ['@a/b'])).toEqual([]);
    expect(findUndeclaredPackages(tree, ['@a/bc'])).toEqual(['src/main.ts:3: @a/b/c is not among the dependencies']);
  });

  test('second writers, in kysely and in SQL, and a demonstration that goes past the owner', () => {
    const tree = {
      'src/clients.ts': "db.insertInto('clients');\ndb.selectFrom('terms');",
      'src/terms.ts': 'sql`UPDATE clients SET a = 1`;\n// DELETE FROM comments\nsql`SELECT FOR UPDATE SKIP LOCKED`',
      'src/audit.ts': "sql`INSERT INTO events VALUES (1) ON CONFLICT DO UPDATE SET a = 1`; db.deleteFrom('events')",
      'src/demo/people.ts': "sql`CREATE TABLE own (a int)`; db.query('INSERT INTO own'); db.deleteFrom('roles')",
    };
    expect(findSecondWriters(tree)).toEqual([
      'src/clients.ts:1: writes the table clients, and so does src/terms.ts',
      'src/terms.ts:1: writes the table clients, and so does src/clients.ts',
      'src/demo/people.ts:1: writes the table roles, which has an owner to ask',
    ]);
  });

  test('views that nothing renders', () => {
    const tree = {
      'src/portal/home.ts': `page(ctx, 'portal/home'); page(ctx, \`errors/\${kind}\`)`,
      'views/portal/home.ejs': "<%- include('../parts/field') %>",
      'views/parts/field.ejs': '',
      'views/parts/old.ejs': '',
      'views/errors/gone.ejs': '',
    };
    expect(findUnrenderedViews(tree)).toEqual(['views/parts/old.ejs:1: nothing renders this view']);
  });

  test('messages that nothing uses, and messages that are not there', () => {
    const tree = {
      'src/a.ts': `t('words.yes'); t('words.rows', { count }); t(\`errors.\${x}.title\`); t('words.gone'); // 'words.no'\nt(\`none.\${x}\`)`,
    };
    const keys = ['words.yes', 'words.no', 'words.rows_one', 'words.rows_other', 'errors.a.title', 'errors.a.text'];
    expect(findMessageBreaches(tree, keys)).toEqual({
      unused: ['src/i18n/id.json: nothing uses words.no', 'src/i18n/id.json: nothing uses errors.a.text'],
      unknown: [`src/a.ts:2: no message fits none.\${x}`, 'src/a.ts:1: there is no message words.gone'],
    });
  });

  test('the environment, clocks, chance and long files', () => {
    const text = 'process.env.A;\nDate.now();\nnew Date();\nnew Date(0);\nMath.random();\nnew Date;\n// Date.now()';
    const lines = (pattern: RegExp) => findWords({ 'src/a.ts': text }, pattern, '').map((found) => found.split(':')[1]);
    expect([lines(environment), lines(clock), lines(chance)]).toEqual([['1'], ['2', '3', '6'], ['5']]);
    expect('a now() CURRENT_TIMESTAMP gapura_now() clock_timestamp()'.match(sql_clock)).toHaveLength(3);
    expect(findLongFiles({ 'src/a.ts': 'x\n'.repeat(250), 'src/b.ts': 'x\n'.repeat(251) })).toEqual([
      'src/b.ts:251: 251 lines',
    ]);
  });

  test('code and comments apart, whatever strings hold', () => {
    const text = `const a = 'http://x'; // one\nconst b = \`//\${c ? \`/*\${'}'}\` : {}}//\`; /* two\n*/ const d = /['"\`/*]/; // three`;
    expect(withoutComments(text).replace(/ +/g, ' ')).toBe(
      `const a = 'http://x'; \nconst b = \`//\${c ? \`/*\${'}'}\` : {}}//\`; \n const d = /['"\`/*]/; `,
    );
    expect(
      listImports(
        "// import a from 'a'\nimport type { B } from 'b';\nimport 'c';\nexport * from 'd';\nexport const e = 'f';",
      ),
    ).toEqual([
      { from: 'b', line: 2, is_type: true, is_dynamic: false },
      { from: 'c', line: 3, is_type: false, is_dynamic: false },
      { from: 'd', line: 4, is_type: false, is_dynamic: false },
    ]);
  });
});
