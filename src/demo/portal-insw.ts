/** Portal INSW of the demonstration (screen D7): the single window's own portal, whose profile page is made of claims alone. */

import { maskNpwp, readObject, readText } from './claims.ts';
import { leadTo, type SiteContext } from './context.ts';
import { addLogin } from './login.ts';
import { addLogout, backchannel_logout_path } from './logout.ts';
import { openRelyingParty, type RelyingParty, type RelyingPartyOptions } from './relying-party.ts';
import type { Session } from './sessions.ts';
import { type Site, type SiteLook, startSite } from './site.ts';

const scope = 'openid profile email phone address organization role';

/** Starts Portal INSW. Rejects with the untouched error of the socket or the database. */
export async function startPortalInsw(options: RelyingPartyOptions): Promise<Site> {
  const look: SiteLook = {
    name: 'portal_insw',
    title: options.name ?? 'Portal INSW',
    layout: 'demo/portal-insw/layout',
    assets: 'portal-insw',
    form_origins: [new URL(options.issuer).origin],
    machine_paths: [backchannel_logout_path],
    surroundings: { credentials_href: `${options.gapura_url}/portal/credentials`, is_signed_in: false },
  };
  return startSite(look, options, async (ground) => {
    const party = await openRelyingParty(ground, options, {
      name: 'portal_insw',
      scope,
      prompts: [],
      pages: ['/', '/import', '/manifest'],
      has_public_home: false,
    });
    addLogin(party);
    addLogout(party);
    const { router, page } = ground;
    router.get('/', (ctx) => forSignedIn(party, ctx, (session) => showProfile(party, ctx, session)));
    router.get('/import', (ctx) =>
      forSignedIn(party, ctx, () => {
        const title = ctx.state.t('demo.portal-insw.menu.import');
        const text = ctx.state.t('demo.portal-insw.section.import');
        page(ctx, 'demo/portal-insw/section', { title, text, is_signed_in: true });
      }),
    );
    router.get('/manifest', (ctx) =>
      forSignedIn(party, ctx, () => {
        const text = ctx.state.t('demo.portal-insw.section.manifest');
        page(ctx, 'demo/portal-insw/section', { title: 'Manifest', text, is_signed_in: true });
      }),
    );
    return undefined;
  });
}

/** "Langsung masuk tanpa login": a stranger goes to Gapura at once; who was just signed out is told so first. */
async function forSignedIn(party: RelyingParty, ctx: SiteContext, show: (session: Session) => void): Promise<void> {
  const visitor = await party.findVisitor(ctx);
  if (visitor.state === 'signed_in') return show(visitor.session);
  if (visitor.state === 'ended') return leadTo(ctx, '/signed-out?because=ended');
  leadTo(ctx, `/login?${new URLSearchParams({ return_to: ctx.path })}`);
}

function showProfile(party: RelyingParty, ctx: SiteContext, { claims }: Session): void {
  const { t, language } = ctx.state;
  const organisation = readObject(claims, 'organization');
  const address = readObject(claims, 'address');
  const npwp = readText(organisation, 'npwp');
  const company_rows = [
    [t('demo.portal-insw.profile.company_name'), readText(organisation, 'name')],
    [t('demo.portal-insw.profile.company_address'), readText(organisation, 'address')],
    ['NPWP', npwp === undefined ? undefined : maskNpwp(npwp)],
    ['EDINUMBER', readText(organisation, 'edi_number')],
    ['SRP', readText(organisation, 'srp')],
  ];
  const user_rows = [
    [t('demo.portal-insw.profile.full_name'), readText(claims, 'name')],
    ['User Login', readText(claims, 'preferred_username')],
    [t('demo.portal-insw.profile.address'), readText(address, 'street_address')],
    [t('demo.portal-insw.profile.phone'), readText(claims, 'phone_number')],
    [t('demo.portal-insw.profile.mobile'), readText(claims, 'mobile_number')],
    ['Fax', readText(claims, 'fax_number')],
    [t('demo.portal-insw.profile.postal_code'), readText(address, 'postal_code')],
    [t('demo.portal-insw.profile.city'), readText(address, 'locality')],
    ['E-Mail', readText(claims, 'email')],
    ['Expiry', writeExpiry(readText(claims, 'account_expires_at'), language)],
  ];
  party.ground.page(ctx, 'demo/portal-insw/profile', {
    title: 'Profile User',
    company_rows,
    user_rows,
    is_signed_in: true,
  });
}

/** As in document D: 02 SEPTEMBER 2011, a day in Jakarta. */
function writeExpiry(text: string | undefined, language: 'id' | 'en'): string | undefined {
  const date = new Date(text ?? '');
  if (Number.isNaN(date.getTime())) return undefined;
  const format = { day: '2-digit', month: 'long', year: 'numeric', timeZone: 'Asia/Jakarta' } as const;
  return new Intl.DateTimeFormat(language === 'id' ? 'id-ID' : 'en-GB', format).format(date).toUpperCase();
}
