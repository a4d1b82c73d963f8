/** A statement that PostgreSQL plans once for each connection, by name. */

import pg from 'pg';

/** A statement prepared under its name. */
export interface Sent {
  /** Undefined: planned for this once. */
  name: string | undefined;
  text: string;
  values: unknown[];
}

/** Hands a statement to a connection. */
export function submit(client: pg.Client | pg.PoolClient, { name, text, values }: Sent): Promise<pg.QueryResult> {
  return new Promise((resolve, reject) => {
    // As an object of pg's own, or pg copies what it is given, property by property.
    const query = new pg.Query(text, values) as unknown as {
      name: string | undefined;
      callback: (error: Error | null, result: pg.QueryResult) => void;
    };
    query.name = name;
    query.callback = (error, result) => (error ? reject(error) : resolve(result));
    client.query(query as unknown as pg.Submittable);
  });
}

/** The plan no longer fits its table, or was never made, since what came before it failed; nothing was done either way. */
const without_plan = new Set(['0A000', '26000']);

/**
 * Sends a prepared statement. A table that was changed under a plan (by a release that is being put in place of this one)
 * makes PostgreSQL refuse the plan, before anything is done: it is sent once more without one, and planned anew the next time.
 */
export async function sendBy(
  client: pg.Client | pg.PoolClient,
  statement: Sent,
  send: (statement: Sent) => Promise<pg.QueryResult> = (one) => submit(client, one),
): Promise<pg.QueryResult> {
  try {
    return await send(statement);
  } catch (error) {
    if (!statement.name || !without_plan.has(String((error as { code?: unknown }).code))) throw error;
    forgetPlan(client, statement.name);
    return send({ ...statement, name: undefined });
  }
}

function forgetPlan(client: pg.Client | pg.PoolClient, name: string): void {
  const { parsedStatements, submittedNamedStatements } = (client as unknown as { connection: Plans }).connection;
  if (!(name in parsedStatements)) return;
  delete parsedStatements[name];
  delete submittedNamedStatements[name];
  // Another may have been first; then there is none of that name.
  client.query(`DEALLOCATE ${pg.escapeIdentifier(name)}`).catch(() => undefined);
}

interface Plans {
  parsedStatements: Record<string, string>;
  submittedNamedStatements: Record<string, string>;
}
