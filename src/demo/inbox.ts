/** The inbox of the demonstration: every mail that Gapura sends, and beside it the population registry. */

import type { SiteContext } from './context.ts';
import { createMails, findMail, listMails, type Mail, mails_per_page, receiveMails } from './mails.ts';
import { type RegistryPerson, registryRoutes } from './registry.ts';
import { type Site, type SiteGround, type SiteLook, type SiteOptions, startSite } from './site.ts';

export interface InboxOptions extends SiteOptions {
  smtp_port: number;
  gapura_url: string;
  people: RegistryPerson[];
}

/** Starts the inbox, its SMTP listener and the registry. Rejects with the untouched error of a socket or the database. */
export async function startInbox(options: InboxOptions): Promise<Site> {
  const look: SiteLook = {
    name: 'inbox',
    title: 'Gapura Demo',
    layout: 'demo/inbox/layout',
    assets: 'inbox',
    surroundings: { gapura_url: options.gapura_url },
  };
  return startSite(look, options, async (ground) => {
    const { router, page, db } = ground;
    await createMails(db);
    router.get('/', (ctx) => {
      page(ctx, 'demo/inbox/start', { title: ctx.state.t('demo.inbox.start.title') });
    });
    router.get('/inbox', (ctx) => showList(ground, ctx));
    router.get('/inbox/mails/:id', async (ctx) => {
      const mail = await findAsked(ground, ctx);
      if (!mail) return;
      const title = mail.subject || ctx.state.t('demo.inbox.mail.no_subject');
      page(ctx, 'demo/inbox/mail', { title, mail, when: writeTime(ctx, mail), pieces: splitLinks(mail.text) });
    });
    router.get('/inbox/mails/:id/html', async (ctx) => {
      const mail = await findAsked(ground, ctx);
      if (!mail?.html) return;
      // Somebody else's HTML: no script, no form, nothing loaded, an origin of its own; its links open beside the page.
      ctx.set(
        'content-security-policy',
        "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'",
      );
      ctx.type = 'html';
      ctx.body = `<!doctype html><meta charset="utf-8"><base target="_blank">${mail.html}`;
    });
    registryRoutes(ground, options.people);
    return receiveMails(db, options.smtp_port);
  });
}

async function showList({ db, page }: SiteGround, ctx: SiteContext): Promise<void> {
  const to = typeof ctx.query.to === 'string' ? ctx.query.to.replaceAll('\0', '').trim() : '';
  const before = readNumber(ctx.query.before);
  const mails = await listMails(db, { before, to });
  const shown = mails.slice(0, mails_per_page);
  const last = shown.at(-1);
  const older = new URLSearchParams({ ...(to === '' ? {} : { to }), ...(last ? { before: last.id } : {}) });
  page(ctx, 'demo/inbox/list', {
    title: ctx.state.t('demo.inbox.list.title'),
    mails: shown.map((mail) => ({ ...mail, when: writeTime(ctx, mail) })),
    to,
    is_first_page: before === null,
    older_href: mails.length > mails_per_page ? `/inbox?${older}` : undefined,
  });
}

async function findAsked({ db }: SiteGround, ctx: SiteContext): Promise<Mail | undefined> {
  const id = readNumber(ctx.params.id);
  return id === null ? undefined : findMail(db, id);
}

/** A row's number as text; null for what cannot be one. */
function readNumber(value: unknown): string | null {
  return typeof value === 'string' && /^\d{1,18}$/.test(value) ? value : null;
}

function writeTime(ctx: SiteContext, mail: Mail): string {
  const format = { dateStyle: 'medium', timeStyle: 'medium', timeZone: 'Asia/Jakarta' } as const;
  return `${mail.received_at.toLocaleString(ctx.state.language === 'id' ? 'id-ID' : 'en-GB', format)} WIB`;
}

/** A plain text in pieces, those that are web addresses marked, so that the page can link them. */
function splitLinks(text: string): { text: string; is_link: boolean }[] {
  return text
    .split(/(https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)])/)
    .map((piece, index) => ({ text: piece, is_link: index % 2 === 1 }));
}
