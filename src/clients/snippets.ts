/** Settings to copy into an application: the same client in the words of the libraries and proxies that agencies use. */

import { writeExpress } from './snippets/express.ts';
import { factsOf, type Known } from './snippets/facts.ts';
import { writeLaravel } from './snippets/laravel.ts';
import { writeOpenidClient } from './snippets/openid-client.ts';
import { writeApache, writeProxy } from './snippets/proxies.ts';
import { writeSpring } from './snippets/spring.ts';

/** A piece of configuration; the secret is never in it, only the name under which the application must find it. */
export interface Snippet {
  name: string;
  /** What it is called by those who use it. */
  title: string;
  /** Where it goes. */
  file: string;
  language: 'javascript' | 'java' | 'yaml' | 'php' | 'apache' | 'toml' | 'shell';
  text: string;
}

/** The pieces that fit a client; what cannot do what it was registered for is left out. */
export function listSnippets(client: Known, issuer: string): Snippet[] {
  const facts = factsOf(client, issuer);
  const shows_secret = facts.method === 'client_secret_basic' || facts.method === 'client_secret_post';
  if (facts.is_service || facts.is_pushed || facts.is_bound || !shows_secret) return [writeOpenidClient(facts)];
  return [
    writeExpress(facts),
    writeOpenidClient(facts),
    ...writeSpring(facts),
    ...writeLaravel(facts),
    writeApache(facts),
    writeProxy(facts),
  ];
}
