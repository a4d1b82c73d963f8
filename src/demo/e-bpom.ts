/** e-BPOM of the demonstration (screens D4 and D6): export and import recommendations of the food and drug agency. */

import { listRoles, readObject, readText } from './claims.ts';
import type { SiteContext } from './context.ts';
import { addLogin } from './login.ts';
import { addLogout, backchannel_logout_path } from './logout.ts';
import { openNotices } from './notices.ts';
import { addOwnPassword } from './own-password.ts';
import { type OwnUser, openOwnUsers } from './own-users.ts';
import { openRelyingParty, type RelyingParty, type RelyingPartyOptions } from './relying-party.ts';
import { countSessions, type Session } from './sessions.ts';
import { type Site, type SiteLook, startSite } from './site.ts';
import { addVerification, verification_path } from './verification.ts';

export interface EBpomOptions extends RelyingPartyOptions {
  /** The password of its own users. */
  own_password: string;
}

const food = { code: 'PANGAN', name: 'Inspeksi dan Sertifikasi Produk Pangan' };
const traditional_medicine = {
  code: 'OT',
  name: 'Inspeksi dan Sertifikasi Obat Tradisional, Kosmetik, dan Produk Komplemen',
};

const pangan = { display_name: 'PT Contoh Pangan Nusantara', npwp: '0000001016000000' };
const kosmetika = { display_name: 'PT Contoh Kosmetika Jaya', npwp: '0000001024000000' };

const own_users: OwnUser[] = [
  { username: 'user_bpom', ...pangan, directorate: food },
  { username: 'user_bpom_ot', ...pangan, directorate: traditional_medicine },
  { username: 'tono_bpom', ...kosmetika, directorate: traditional_medicine },
];

/** Where Gapura takes the notices of the application that it knows as e-bpom. */
const notices_path = '/links/notices/e-bpom';

const scope = 'openid profile email phone address organization role directorate linked_account';

/** The folders of document D's picture with their counts. */
const folders = [
  { id: 'inbox', count: 5 },
  { id: 'recommended', count: 0 },
  { id: 'rejected', count: 5 },
  { id: 'sent', count: 0 },
  { id: 'draft', count: 36 },
] as const;

/** Starts e-BPOM. Rejects with the untouched error of the socket or the database. */
export async function startEBpom(options: EBpomOptions): Promise<Site> {
  const look: SiteLook = {
    name: 'e_bpom',
    title: options.name ?? 'e-BPOM',
    layout: 'demo/e-bpom/layout',
    assets: 'e-bpom',
    form_origins: [new URL(options.issuer).origin],
    machine_paths: [backchannel_logout_path, verification_path],
  };
  return startSite(look, options, async (ground) => {
    // More free tries than Gapura gives: whoever comes through Gapura meets its limit, which says for how long, first.
    const users = await openOwnUsers(ground.db, {
      name: 'e_bpom',
      users: own_users,
      password: options.own_password,
      free_failures: 10,
    });
    const party = await openRelyingParty(ground, options, {
      name: 'e_bpom',
      scope,
      prompts: ['select_directorate'],
      pages: ['/'],
      has_public_home: true,
    });
    addLogin(party);
    addLogout(party);
    await addVerification(party, users);
    const address = options.gapura_url + notices_path;
    const notices = await openNotices(ground, { audience: options.issuer, address });
    addOwnPassword({ party, users, notices });
    const { router, page } = ground;
    router.get('/', (ctx) => showHome(party, ctx));
    router.get('/about', (ctx) => page(ctx, 'demo/e-bpom/about', { title: 'About' }));
    router.get('/help', (ctx) => page(ctx, 'demo/e-bpom/help', { title: 'Help', ...linkGapura(party) }));
    router.get('/documents', (ctx) => showDocuments(party, ctx));
    return () => notices.stop();
  });
}

async function showHome(party: RelyingParty, ctx: SiteContext): Promise<void> {
  const visitor = await party.findVisitor(ctx);
  if (visitor.state === 'signed_in') return showTrader(party, ctx, visitor.session);
  party.ground.page(ctx, 'demo/e-bpom/home', {
    title: ctx.state.t('demo.e-bpom.home.title'),
    is_ended: visitor.state === 'ended',
    online: await countSessions(party.ground.db, 'e_bpom'),
    ...linkGapura(party),
  });
}

/** Pages of Gapura that know from the client's name whither to lead back. */
function linkGapura({ options }: RelyingParty) {
  const asking = new URLSearchParams({ client_id: options.client_id });
  return {
    registration_href: `${options.gapura_url}/registration?${asking}`,
    recovery_href: `${options.gapura_url}/recovery?${asking}`,
  };
}

/** Everything personal on this page comes from claims. */
function showTrader(party: RelyingParty, ctx: SiteContext, session: Session): void {
  const { claims } = session;
  const { t } = ctx.state;
  const roles = listRoles(claims);
  const role = roles.includes('trader') ? 'trader' : roles[0];
  party.ground.page(ctx, 'demo/e-bpom/trader', {
    title: t('demo.e-bpom.trader.title'),
    name: readText(claims, 'name') ?? readText(claims, 'preferred_username') ?? session.subject,
    role: role === undefined ? t('demo.e-bpom.trader.no_role') : role.charAt(0).toUpperCase() + role.slice(1),
    organisation: readText(readObject(claims, 'organization'), 'name'),
    directorate: readText(readObject(claims, 'directorate'), 'name'),
    own_username: readText(readObject(claims, 'linked_account'), 'username'),
    credentials_href: `${party.options.gapura_url}/portal/credentials`,
    folders: nameFolders(ctx),
  });
}

async function showDocuments(party: RelyingParty, ctx: SiteContext): Promise<void> {
  const visitor = await party.findVisitor(ctx);
  if (visitor.state !== 'signed_in') return ctx.redirect('/');
  const { t } = ctx.state;
  const folder = nameFolders(ctx).find(({ id }) => id === ctx.query.folder);
  const kind = ({ ski: t('demo.e-bpom.documents.ski'), ske: t('demo.e-bpom.documents.ske') } as Record<string, string>)[
    String(ctx.query.kind)
  ];
  party.ground.page(ctx, 'demo/e-bpom/documents', {
    title: folder?.name ?? kind ?? t('demo.e-bpom.documents.title'),
    count: folder?.count,
    kind,
  });
}

function nameFolders(ctx: SiteContext) {
  const { t } = ctx.state;
  const names = {
    inbox: 'Inbox',
    recommended: t('demo.e-bpom.trader.recommended'),
    rejected: t('demo.e-bpom.trader.rejected'),
    sent: t('demo.e-bpom.trader.sent'),
    draft: 'Draft',
  };
  return folders.map(({ id, count }) => ({ id, count, name: names[id] }));
}
