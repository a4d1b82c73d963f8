/** Human checks as a test answers them: what a page asks, the letters of its picture, the number of its work. */

import type { Config } from '../../src/config.ts';
import { open } from '../../src/crypto.ts';
import type { Database } from '../../src/database.ts';
import { mailKeys } from '../../src/delivery/outbox.ts';
import { openCheckKeys } from '../../src/human-check/human-check.ts';
import { readLetters } from '../../src/human-check/picture.ts';
import { isWorkDone } from '../../src/human-check/work.ts';

/** The check on a page; `picture` is the address of its picture. Undefined when the page asks nothing. */
export function readCheck(
  html: string,
): { id: string; challenge: string; bits: number; picture: string | undefined } | undefined {
  const id = /name="captcha_id" value="([^"]+)"/.exec(html)?.[1];
  if (id === undefined) return undefined;
  const [, challenge = '', bits = '0'] = /data-challenge="([^"]+)" data-bits="(\d+)"/.exec(html) ?? [];
  return { id, challenge, bits: Number(bits), picture: /src="(\/human-check\/[^"]+)"/.exec(html)?.[1] };
}

/** Reads a picture as a person does. */
export function lettersOf(config: Pick<Config, 'secrets'>, id: string): string {
  return readLetters(openCheckKeys(config).checks[0] as Buffer, id);
}

/** Does the work as a browser does. */
export function doWork({ challenge, bits }: { challenge: string; bits: number }): string {
  for (let at = 0; ; at += 1) if (isWorkDone(challenge, bits, String(at))) return String(at);
}

/** The code of the latest mail, which waits there sealed; undefined when the latest goes to nobody. */
export async function readMailedCode(db: Database, config: Pick<Config, 'secrets'>): Promise<string | undefined> {
  const mails = db.selectFrom('mails').selectAll().where('template', '=', 'human_check');
  const mail = await mails.orderBy('created_at', 'desc').executeTakeFirstOrThrow();
  return mail.secret === null ? undefined : open(mailKeys(config), mail.secret, `mails.secret ${mail.id}`);
}
