/** e-BPOM beside a stand-in for Gapura, for the tests of what the two say to each other. */

import pg from 'pg';
import { type EBpomOptions, startEBpom } from '../../src/demo/e-bpom.ts';
import type { Site } from '../../src/demo/site.ts';
import { newHttpVisitor } from '../support/http.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { findFreePort, makeStandIn, type StandIn, signQuestion } from './gapura-stand-in.ts';

/** The password that e-BPOM's users begin with. */
export const own_password = 'Ebpom-Test-2026!';

export interface Reply {
  status: number;
  type: string | null;
  body: Record<string, string>;
  headers: Headers;
}

export interface Scene {
  database: TestDatabase;
  db: pg.Pool;
  gapura: StandIn;
  site: Site;
  /** Of verification. */
  endpoint: string;
  /** user_bpom's password as it is now. */
  password: string;
  /** Posts to the verification endpoint. */
  post(question: { body: string; token?: string }, headers?: Record<string, string>): Promise<Reply>;
  /** Asks the verification endpoint as Gapura does. */
  ask(question: unknown, changes?: Parameters<typeof signQuestion>[3]): Promise<Reply>;
  /** Fills in the page for e-BPOM's own passwords as a user does; fields not given are those of a change that succeeds. */
  submit(fields?: Record<string, string>): ReturnType<ReturnType<typeof newHttpVisitor>['get']>;
  /** Changes user_bpom's password to a new one, which counts from then on. */
  change(): ReturnType<Scene['submit']>;
  countKept(): Promise<number>;
  restart(): Promise<void>;
  close(): Promise<void>;
}

/** Waits for a condition. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** Starts both on a database of their own. */
export async function openScene({ migrated = false } = {}): Promise<Scene> {
  const database = await createTestDatabase({ migrated });
  const db = new pg.Pool({ connectionString: database.url, max: 1 });
  // Dropping the database may cut a connection that is just being closed.
  db.on('error', () => undefined);
  const gapura = await makeStandIn();
  await gapura.start();
  const port = await findFreePort();
  const url = `http://localhost:${port}`;
  const endpoint = `${url}/gapura/verification`;
  const options: EBpomOptions = {
    port,
    url,
    issuer: gapura.issuer,
    gapura_url: gapura.url,
    client_id: 'e-bpom',
    client_secret: 'not used here',
    database_url: database.url,
    own_password,
  };
  let changes = 0;
  const scene: Scene = {
    database,
    db,
    gapura,
    site: await startEBpom(options),
    endpoint,
    password: own_password,
    async post({ body, token }, headers = {}) {
      const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
      const answer = await fetch(endpoint, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...authorization, ...headers },
        body,
      });
      const read = (await answer.json()) as Record<string, string>;
      return { status: answer.status, type: answer.headers.get('content-type'), body: read, headers: answer.headers };
    },
    ask: async (question, replaced) => scene.post(await signQuestion(gapura, endpoint, question, replaced)),
    async submit(fields = {}) {
      const visitor = newHttpVisitor(url);
      const next = 'A-New-One-2026!';
      const typed = { username: 'user_bpom', password: scene.password, new_password: next, confirm_password: next };
      return visitor.submit(await visitor.get('/own-password'), { ...typed, ...fields });
    },
    async change() {
      const next = `Ebpom-Change-${++changes}!`;
      const answer = await scene.submit({ new_password: next, confirm_password: next });
      if (answer.status === 200) scene.password = next;
      return answer;
    },
    countKept: async () => (await db.query('SELECT FROM e_bpom_notices')).rowCount ?? 0,
    async restart() {
      await scene.site.close();
      scene.site = await startEBpom(options);
    },
    async close() {
      await scene.site.close();
      await gapura.stop();
      await db.end();
      await database.drop();
    },
  };
  return scene;
}
