/** What a piece of work asks of the database: the texts of its statements, in order. */

import { jest } from '@jest/globals';
import pg from 'pg';

/**
 * The SQL that this process sends while `work` runs, by whichever connection; the values are left out, and so is what comes by
 * itself: the job queue, the watch for changes, and the commits that several writes share.
 */
export async function listStatements(work: () => Promise<unknown>): Promise<string[]> {
  const texts: string[] = [];
  const { query } = pg.Client.prototype;
  const spy = jest.spyOn(pg.Client.prototype, 'query').mockImplementation(function (
    this: pg.Client,
    ...args: unknown[]
  ) {
    const [first] = args as [string | { text: string }];
    const text = typeof first === 'string' ? first : first.text;
    if (!/pgboss|\bjobs\.|\btopics\b|pg_logical_emit_message|^LISTEN|^SET /.test(text)) texts.push(text);
    return Reflect.apply(query, this, args);
  } as typeof query);
  try {
    await work();
  } finally {
    spy.mockRestore();
  }
  return texts;
}
