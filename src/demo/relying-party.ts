/** An application that signs in at Gapura: its options, its cookies, and who is visiting it. */

import type { SiteContext } from './context.ts';
import { discoverProvider, type Provider } from './gapura.ts';
import * as sessions from './sessions.ts';
import type { SiteGround, SiteOptions } from './site.ts';
import { clearCookie, readCookie } from './visitor.ts';

/** How the demonstration starts an application that signs in at Gapura. */
export interface RelyingPartyOptions extends SiteOptions {
  issuer: string;
  client_id: string;
  client_secret: string;
  /** Gapura's own origin, for links to its pages. */
  gapura_url: string;
  /** What the application calls itself. */
  name?: string;
}

/** What one application asks of its sign-in. */
export interface RelyingPartyManner {
  name: sessions.RelyingName;
  scope: string;
  /** Values of `prompt` that its pages may ask for. */
  prompts: string[];
  /** Pages that a sign-in may end on, the first one by default. */
  pages: [string, ...string[]];
  /** Whether `/` can be seen without a session. */
  has_public_home: boolean;
}

/** Who is asking: someone signed in, someone whose session was ended from outside, or anyone else. */
export type Visitor = { state: 'signed_in'; session: sessions.Session } | { state: 'ended' } | { state: 'nobody' };

export interface RelyingParty {
  ground: SiteGround;
  options: RelyingPartyOptions;
  manner: RelyingPartyManner;
  cookies: { session: string; browser: string; sign_out: string };
  /** Gapura, discovered at the first use; rejects while it cannot be reached. */
  findProvider(): Promise<Provider>;
  findVisitor(ctx: SiteContext): Promise<Visitor>;
}

/** Makes the tables of a relying application; its routes are added by addLogin and addLogout. */
export async function openRelyingParty(
  ground: SiteGround,
  options: RelyingPartyOptions,
  manner: RelyingPartyManner,
): Promise<RelyingParty> {
  const { name } = manner;
  await sessions.createTables(ground.db, name);
  const cookies = { session: name, browser: `${name}_login`, sign_out: `${name}_sign_out` };
  return {
    ground,
    options,
    manner,
    cookies,
    findProvider: discoverProvider(options),
    async findVisitor(ctx) {
      const id = readCookie(ctx, cookies.session);
      if (id === undefined) return { state: 'nobody' };
      const session = await sessions.findSession(ground.db, name, id);
      if (session) return { state: 'signed_in', session };
      // The cookie lives exactly as long as its session, so a session that is missing was ended. Said once.
      clearCookie(ctx, cookies.session);
      return { state: 'ended' };
    },
  };
}
