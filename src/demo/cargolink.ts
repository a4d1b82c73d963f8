/** CargoLink of the demonstration: an old application with its own log-in form and session cookie, and no OpenID Connect. */

import { now } from '../clock.ts';
import { leadTo, type SiteContext } from './context.ts';
import { readForm } from './form.ts';
import { type OwnUser, type OwnUsers, openOwnUsers } from './own-users.ts';
import { type Site, type SiteGround, type SiteLook, type SiteOptions, startSite } from './site.ts';
import { clearCookie, hashToken, newToken, readCookie, setCookie } from './visitor.ts';

export interface CargoLinkOptions extends SiteOptions {
  /** The password of its own user. */
  own_password: string;
  /** What the application calls itself. */
  name?: string;
}

const own_users: OwnUser[] = [
  { username: 'cargo_budi', display_name: 'Budi Contoh Santoso', npwp: '0000001016000000', directorate: null },
];

/** Invented: what a company of the demonstration might have under way. */
const shipments = [
  { number: 'CL-2026-004817', goods: 'Susu skim bubuk', from: 'Rotterdam', to: 'Tanjung Priok', state: 'sailing' },
  { number: 'CL-2026-004702', goods: 'Kakao bubuk', from: 'Singapore', to: 'Tanjung Priok', state: 'unloading' },
  { number: 'CL-2026-004655', goods: 'Ekstrak jahe', from: 'Tanjung Perak', to: 'Yokohama', state: 'delivered' },
] as const;

const session_seconds = 12 * 3600;

/** Starts CargoLink. Rejects with the untouched error of the socket or the database. */
export async function startCargoLink(options: CargoLinkOptions): Promise<Site> {
  const look: SiteLook = {
    name: 'cargolink',
    title: options.name ?? 'CargoLink',
    layout: 'demo/cargolink/layout',
    assets: 'cargolink',
  };
  return startSite(look, options, async (ground) => {
    await createTables(ground);
    const users = await openOwnUsers(ground.db, {
      name: 'cargolink',
      users: own_users,
      password: options.own_password,
      free_failures: 5,
    });
    const { router } = ground;
    router.get('/', async (ctx) => {
      const username = await findUsername(ground, ctx);
      if (username === undefined) return showLogin(ground, ctx);
      const title = ctx.state.t('demo.cargolink.home.title');
      ground.page(ctx, 'demo/cargolink/home', { title, username, shipments });
    });
    router.get('/login', (ctx) => leadTo(ctx, '/'));
    router.post('/login', (ctx) => logIn(ground, ctx, users));
    router.post('/logout', async (ctx) => {
      const id = readCookie(ctx, 'cargolink');
      if (id !== undefined) await ground.db.query('DELETE FROM cargolink_sessions WHERE id_hash = $1', [hashToken(id)]);
      clearCookie(ctx, 'cargolink');
      leadTo(ctx, '/');
    });
    return undefined;
  });
}

async function createTables({ db }: SiteGround): Promise<void> {
  await db.query(`
    SELECT pg_advisory_xact_lock(hashtext('cargolink'));
    CREATE TABLE IF NOT EXISTS cargolink_sessions (
      id_hash text PRIMARY KEY, username text NOT NULL, expires_at timestamptz NOT NULL);`);
}

async function findUsername({ db }: SiteGround, ctx: SiteContext): Promise<string | undefined> {
  const id = readCookie(ctx, 'cargolink');
  if (id === undefined) return undefined;
  const { rows } = await db.query<{ username: string }>(
    'SELECT username FROM cargolink_sessions WHERE id_hash = $1 AND expires_at > $2',
    [hashToken(id), now()],
  );
  return rows[0]?.username;
}

function showLogin(ground: SiteGround, ctx: SiteContext, refusal?: { username: string; error: string }): void {
  const title = ctx.state.t('demo.cargolink.login.title');
  ground.page(ctx, 'demo/cargolink/login', { title, username: refusal?.username ?? '', error: refusal?.error });
}

async function logIn(ground: SiteGround, ctx: SiteContext, users: OwnUsers): Promise<void> {
  const { db } = ground;
  const { t } = ctx.state;
  const form = await readForm(ctx);
  const username = (form.get('username') ?? '').trim().slice(0, 100);
  const check = await users.check(username, form.get('password') ?? '');
  if (check.state === 'waiting') {
    showLogin(ground, ctx, { username, error: t('demo.cargolink.login.wait', { seconds: check.retry_after }) });
    ctx.status = 429;
    ctx.set('retry-after', String(check.retry_after));
    return;
  }
  if (check.state !== 'right') {
    showLogin(ground, ctx, { username, error: t('demo.cargolink.login.wrong') });
    ctx.status = 422;
    return;
  }
  const id = newToken();
  const until = new Date(now().getTime() + session_seconds * 1000);
  await db.query('DELETE FROM cargolink_sessions WHERE expires_at <= $1', [now()]);
  await db.query('INSERT INTO cargolink_sessions VALUES ($1, $2, $3)', [hashToken(id), username, until]);
  setCookie(ctx, 'cargolink', id, session_seconds);
  leadTo(ctx, '/');
}
