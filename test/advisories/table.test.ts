/** The table of advisories in test/README.md says the truth: each stands in the name of a test, or in a file that there is. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';

const here = new URL('.', import.meta.url);
const numbers = /(?:CVE-\d+-\d+|GHSA(?:-\w{4}){3}|issue \d+)/g;

/** The rows of the table: the numbers of each, and the file that it names. */
function readTable(): { ids: string[]; file: string | undefined }[] {
  const text = readFileSync(new URL('../README.md', here), 'utf8');
  const [, section = ''] = /\n## Advisories\n([\s\S]*?)\n## /.exec(text) ?? [];
  const rows = section.split('\n').filter((line) => line.startsWith('| ') && !/^\| (?:advisory|---)/.test(line));
  return rows.map((row) => {
    const cells = row.split('|').map((cell) => cell.trim());
    return { ids: cells[1]?.match(numbers) ?? [], file: /^`(.+\.test\.ts)`$/.exec(cells[3] ?? '')?.[1] };
  });
}

/** What the names of the tests in a file of this folder say. */
function readTitles(name: string): string {
  const text = readFileSync(new URL(name, here), 'utf8');
  return [...text.matchAll(/^\s*(?:test|describe)\(\s*(['`])(.*?)\1/gm), ...text.matchAll(/^\]\)\(\s*(['`])(.*?)\1/gm)]
    .map(([, , title]) => title)
    .join('\n');
}

test('every file it names is there, and those of this folder name the number', () => {
  const table = readTable();
  expect(table.length).toBeGreaterThan(40);
  for (const { ids, file } of table) {
    if (file === undefined) continue;
    expect([file, existsSync(new URL(`../${file}`, here))]).toEqual([file, true]);
    const [folder, name = ''] = file.split('/');
    if (folder !== 'advisories') continue;
    const titles = readTitles(name);
    expect([file, ids.filter((id) => !titles.includes(id))]).toEqual([file, []]);
  }
});

test('every number in the name of a test here stands in it', () => {
  const known = new Set(readTable().flatMap(({ ids }) => ids));
  const files = readdirSync(here).filter((name) => name.endsWith('.test.ts') && name !== 'table.test.ts');
  const used = files.flatMap((name) => readTitles(name).match(numbers) ?? []);
  expect(used.length).toBeGreaterThan(20);
  expect(used.filter((id) => !known.has(id))).toEqual([]);
});
