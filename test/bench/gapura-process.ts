/** Gapura as `serve` runs it, in a process that tells its driver the CPU it used and, while asked to, the statements it sends. */

import pg from 'pg';
import { pino } from 'pino';
import { readProcessConfig } from '../../src/config.ts';
import { listen } from '../../src/http/listen.ts';
import { openGapura } from '../../src/server.ts';
import { answerDriver } from './answers.ts';

const config = readProcessConfig();
const gapura = await openGapura(config, pino({ level: config.log_level, base: null }));
await listen(gapura.app, config.listen_host, config.listen_port);

// Only while statements are listed; the measured passes run the driver of PostgreSQL as it is.
const sendAsItIs = pg.Client.prototype.query;
let sent: string[] = [];

answerDriver({
  record() {
    sent = [];
    pg.Client.prototype.query = function (this: pg.Client, ...parts: unknown[]) {
      const [statement] = parts;
      sent.push(typeof statement === 'string' ? statement : String((statement as { text?: unknown }).text));
      return Reflect.apply(sendAsItIs, this, parts);
    } as typeof sendAsItIs;
  },
  recorded() {
    pg.Client.prototype.query = sendAsItIs;
    return sent;
  },
});
