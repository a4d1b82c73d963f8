/** The portal's own addresses: who may see them, and how a person gets in, out and back. */

import type Router from '@koa/router';
import type { Context } from 'koa';
import type { InvitationStore } from '../accounts/invitation.ts';
import type { PasswordStore } from '../accounts/password-change.ts';
import type { AuditRequest } from '../audit/audit.ts';
import type { ClientStore } from '../clients/client.ts';
import type { Validate } from '../clients/engine-rules.ts';
import { nowSeconds } from '../clock.ts';
import type { Config } from '../config.ts';
import type { Database, Transaction } from '../database.ts';
import type { CheckStore } from '../human-check/mail-code.ts';
import type { LinkStore } from '../links/link.ts';
import { askSignIn, enter, type Surface } from '../oidc/sessions/entry.ts';
import type { SignedInPerson } from '../oidc/sessions/session.ts';
import type { RecoveryStore } from '../recovery/recovery.ts';
import { recovered_acr } from '../recovery/reset.ts';
import { pickApplications, showApplication, showApplications } from './applications.ts';
import { showClient, showClients, showSubmission, submitSecret, submitSubmission } from './clients.ts';
import { showConsents, submitAccessEnd, submitAllAccessEnd, submitWithdrawal } from './consents.ts';
import { showCredentials, submitCredentials } from './credentials.ts';
import { showHome } from './home.ts';
import { showInvitation, submitInvitation } from './invitation.ts';
import { submitVerification, takeReturn } from './link-callback.ts';
import { showLink, showRemoval, submitDefault, submitLabel, submitLink, submitRemoval } from './links.ts';
import { showNotice, submitNotice } from './not-me.ts';
import { showProfile } from './profile.ts';
import { mountRecovery } from './recover.ts';
import {
  showAddition,
  showAddressRemoval,
  submitAddition,
  submitAddressCode,
  submitAddressRemoval,
  submitAddressResend,
} from './recovery-address.ts';
import { showRegistration } from './registration.ts';
import { showSessions, submitAllEnd, submitOthersEnd, submitSessionEnd } from './sessions.ts';

/** The client under which the portal asks the engine who is there. */
export const portal_client = 'portal';

/** What the portal needs. */
export interface PortalStore extends PortalEngine {
  db: Database;
  config: Config;
  links: LinkStore;
  clients: ClientStore;
  invitations: InvitationStore;
  passwords: PasswordStore;
  recoveries: RecoveryStore;
  checks: CheckStore;
}

/** The engine as the portal sees it; it is handed in. */
export interface PortalEngine {
  findSignedIn(ctx: Context): Promise<SignedInPerson | undefined>;
  /** Whose session this browser has, whichever applications it has opened. */
  findSession(ctx: Context): Promise<{ account_id: string; session_uid: string } | undefined>;
  /** Ends all that a client was granted by a person. */
  endGrantsOf(tx: Transaction, account_id: string, client_id: string): Promise<void>;
  /** Ends a session of this person as a sign-out would: its applications hear of it. False when there is none. */
  endSession(tx: Transaction, uid: string, owner: { account_id: string; request: AuditRequest }): Promise<boolean>;
  /** Gives this browser's session a new cookie; the old one is dead. */
  renewSession(ctx: Context): Promise<void>;
  /** Takes the cookie of a session that has ended, and what the browser kept of its pages. */
  leaveBrowser(ctx: Context): void;
  /** The engine's rules about a client. */
  validateClient: Validate;
  /** The application that sent a visitor here: its name and where it begins. */
  findClient(id: string): Promise<{ asking: { name: string }; way_back: string | undefined } | undefined>;
}

/** A page of somebody who is signed in; `is_recovered`: by the code of a recovery a moment ago, and not by a password. */
export type PersonalPage = (
  ctx: Context,
  store: PortalStore,
  account_id: string,
  session_uid: string,
  is_recovered: boolean,
) => Promise<void>;

interface Page {
  method: 'get' | 'post';
  /** `:id` is one name of small letters, digits and dashes. */
  address: string;
  show: PersonalPage;
  /** Seconds: whoever signed in longer ago proves first that it is still the same person. */
  max_age?: number;
  /** Where a sign-in on the way here leads, when it is not this address. */
  entry?: string;
  /** Opens also to whoever signed in by the code of a recovery, for as long as that is recent. */
  opens_by_code?: true;
}

const fresh = 300;
const recovered_fresh = 900;
const table = '/portal/applications';
const credentials = '/portal/credentials';
const sessions = '/portal/sessions';
const allowed = '/portal/consents';

/** The pages of the portal; of two addresses that fit, the first counts. */
const pages: Page[] = [
  { method: 'get', address: '/portal', show: showHome },
  { method: 'get', address: table, show: showApplications },
  { method: 'get', address: `${table}/selection`, show: pickApplications, entry: table },
  { method: 'get', address: `${table}/:id`, show: showApplication },
  { method: 'get', address: `${table}/:id/link`, show: showLink },
  { method: 'post', address: `${table}/:id/link`, show: submitLink },
  { method: 'post', address: `${table}/:id/verification`, show: submitVerification, entry: table },
  { method: 'post', address: '/portal/links/:id/label', show: submitLabel, entry: table },
  { method: 'post', address: '/portal/links/:id/default', show: submitDefault, entry: table },
  { method: 'get', address: '/portal/links/:id/removal', show: showRemoval, max_age: fresh },
  { method: 'post', address: '/portal/links/:id/removal', show: submitRemoval, max_age: fresh },
  { method: 'get', address: '/portal/profile', show: showProfile },
  { method: 'get', address: sessions, show: showSessions },
  { method: 'post', address: `${sessions}/others/removal`, show: submitOthersEnd, entry: sessions },
  { method: 'post', address: `${sessions}/all/removal`, show: submitAllEnd, entry: sessions },
  { method: 'post', address: `${sessions}/:id/removal`, show: submitSessionEnd, entry: sessions },
  { method: 'get', address: allowed, show: showConsents },
  { method: 'post', address: `${allowed}/:id/removal`, show: submitWithdrawal, entry: allowed },
  { method: 'post', address: '/portal/grants/removal', show: submitAllAccessEnd, entry: allowed },
  { method: 'post', address: '/portal/grants/:id/removal', show: submitAccessEnd, entry: allowed },
  { method: 'get', address: '/portal/clients', show: showClients },
  { method: 'get', address: '/portal/clients/submission', show: showSubmission },
  { method: 'post', address: '/portal/clients/submission', show: submitSubmission },
  { method: 'get', address: '/portal/clients/:id', show: showClient },
  {
    method: 'post',
    address: '/portal/clients/:id/secret',
    show: submitSecret,
    max_age: fresh,
    entry: '/portal/clients',
  },
  { method: 'get', address: credentials, show: showCredentials, opens_by_code: true },
  { method: 'post', address: credentials, show: submitCredentials, opens_by_code: true },
  { method: 'get', address: `${credentials}/recovery`, show: showAddition, max_age: fresh },
  { method: 'post', address: `${credentials}/recovery`, show: submitAddition, max_age: fresh },
  { method: 'post', address: `${credentials}/recovery/:id/code`, show: submitAddressCode, entry: credentials },
  { method: 'post', address: `${credentials}/recovery/:id/resend`, show: submitAddressResend, entry: credentials },
  { method: 'get', address: `${credentials}/recovery/:id/removal`, show: showAddressRemoval, max_age: fresh },
  { method: 'post', address: `${credentials}/recovery/:id/removal`, show: submitAddressRemoval, max_age: fresh },
];

/** Where the entry may lead. Whole addresses and nothing beside them: what comes back in `state` is anybody's. */
const entries = pages
  .filter(({ method, entry }) => method === 'get' && !entry)
  .map(({ address }) => new RegExp(`^${address.replace(':id', '[a-z0-9-]{2,40}')}$`));

const surface: Surface = {
  client_id: portal_client,
  home: '/portal',
  isOwn: (address) => entries.some((entry) => entry.test(address)),
};

/** Serves the portal, its entry and its way out, and the pages for those who cannot sign in. */
export function mountPortal(router: Router, store: PortalStore): void {
  for (const { method, address, show, max_age, entry, opens_by_code } of pages) {
    router[method](address, async (ctx) => {
      const person = await store.findSignedIn(ctx);
      const age = person ? nowSeconds() - person.signed_in_at : 0;
      const is_recovered = person?.acr === recovered_acr;
      const is_open = is_recovered ? opens_by_code && age <= recovered_fresh : max_age === undefined || age <= max_age;
      if (person && is_open) return show(ctx, store, person.account_id, person.session_uid, is_recovered);
      askSignIn(ctx, store.config, surface, entry ?? ctx.path, max_age);
    });
  }
  router.get('/portal/entry', (ctx) => enter(ctx, surface, async () => Boolean(await store.findSignedIn(ctx))));
  router.get('/portal/sign-out', (ctx) => {
    ctx.status = 303;
    ctx.redirect(`${store.config.issuer}/session/end?client_id=${portal_client}`);
  });
  router.get('/.well-known/change-password', (ctx) => {
    ctx.status = 303;
    ctx.redirect('/portal/credentials');
  });
  router.get('/portal/links/callback/:kind', (ctx) => takeReturn(ctx, store));
  router.get('/invitation/:token', (ctx) => showInvitation(ctx, store));
  router.post('/invitation/:token', (ctx) => submitInvitation(ctx, store));
  router.get('/registration', (ctx) => showRegistration(ctx, store));
  router.get('/notices/:token', (ctx) => showNotice(ctx, store));
  router.post('/notices/:token', (ctx) => submitNotice(ctx, store));
  mountRecovery(router, store, (ctx) =>
    askSignIn(ctx, store.config, surface, credentials, undefined, { prompt: 'login', acr_values: recovered_acr }),
  );
}
