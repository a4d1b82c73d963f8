/** `npm start`: what a newcomer is promised of the first command. */

import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { demo_password } from '../../src/demo/people.ts';
import { findFreeRow, runDemo, startDemo } from '../support/demo.ts';
import { newHttpVisitor } from '../support/http.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gapura-start-'));
  await chmod(folder, 0o755);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

test('it starts everything, prints where it is, stops on Ctrl-C, and keeps data and sessions over a kill -9', async () => {
  const data_folder = join(folder, 'data');
  const port = await findFreeRow();
  const first = await startDemo({ data_folder, port });
  for (const address of [first.gapura, first.e_bpom, first.cargolink, first.portal_insw, first.inbox]) {
    expect(first.output()).toContain(address);
    expect((await fetch(address, { redirect: 'manual' })).status).toBeLessThan(400);
  }
  for (const word of ['budi', 'sari', 'tono', 'petugas', 'layanan', 'pengembang', 'admin', demo_password])
    expect(first.output()).toContain(word);
  const visitor = newHttpVisitor(first.gapura);
  const home = await visitor.submit(await visitor.get('/portal'), { identifier: 'budi', password: demo_password });
  expect(home.body).toContain('PT Contoh Pangan Nusantara');
  await first.kill();

  const second = await startDemo({ data_folder, port });
  expect((await visitor.get('/portal')).body).toContain('PT Contoh Pangan Nusantara');
  expect(await second.stop()).toBe(0);
  for (const address of [first.gapura, first.e_bpom, first.inbox]) await expect(fetch(address)).rejects.toThrow();

  const third = await startDemo({ data_folder, port });
  expect((await visitor.get('/portal')).body).toContain('PT Contoh Pangan Nusantara');
  expect(await third.stop()).toBe(0);
  // What it made up is for this user alone.
  expect((await stat(join(data_folder, 'secrets.json'))).mode & 0o077).toBe(0);
  expect(await readFile(join(data_folder, 'secrets.json'), 'utf8')).toContain('"demo-');
}, 120_000);

test('a taken port is one sentence that names it, and exit code 1', async () => {
  const port = await findFreeRow();
  const other = createServer();
  await new Promise<void>((done) => other.listen(port + 3, '127.0.0.1', done));
  const { code, output } = await runDemo({ data_folder: join(folder, 'taken'), port });
  other.close();
  expect(code).toBe(1);
  expect(output.trim().split('\n')).toHaveLength(1);
  expect(output).toContain(String(port + 3));
});

test('a data folder that cannot be written is one sentence that names it, and exit code 1', async () => {
  const file = join(folder, 'a-file');
  await writeFile(file, '');
  const { code, output } = await runDemo({ data_folder: join(file, 'data') });
  expect(code).toBe(1);
  expect(output.trim().split('\n')).toHaveLength(1);
  expect(output).toContain(file);
});

test.each([
  ['postgres://nobody:nothing@127.0.0.1:9/none', 'does not answer'],
  ['not an address', 'postgres://user:password@host:5432/database'],
])('a broken DATABASE_URL (%s) is one sentence, and exit code 1', async (database_url, words) => {
  const { code, output } = await runDemo({ data_folder: join(folder, 'broken'), database_url });
  expect(code).toBe(1);
  expect(output.trim().split('\n')).toHaveLength(1);
  expect(output).toContain(words);
});
