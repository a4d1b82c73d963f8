/** The page that sends a form on by itself (OAuth form_post, the end of another person's session), in our own words and look. */

import type { Context } from 'koa';
import type { KoaContextWithOIDC } from 'oidc-provider';
import { page } from '../../views.ts';
import { describeClient } from '../clients/clients.ts';

// The engine writes this page itself and offers no setting for it; a test holds that it still looks like this.
const written_by_engine =
  /<title>Submitting Callback<\/title>[\s\S]*<form method="post" action="([^"]*)">([\s\S]*?)<noscript>/;
const field = /<input type="hidden" name="([^"]*)" value="([^"]*)"\/>/g;

const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'", '#x27': "'" };

function decode(text = ''): string {
  return text.replace(/&(amp|lt|gt|quot|#39|#x27);/g, (whole, name: string) => entities[name] ?? whole);
}

/**
 * The origins that the form may end at: it goes to us, but the redirects after it lead on to the application that asked, and
 * Chromium checks each of them against form-action.
 */
async function listWayMarks(ctx: Context): Promise<string[]> {
  const { oidc } = ctx as unknown as Partial<KoaContextWithOIDC>;
  const client_id = oidc?.session?.state?.clientId;
  const client = typeof client_id === 'string' ? await oidc?.provider.Client.find(client_id) : undefined;
  return client ? describeClient(client, ctx.state.language).form_origins : [];
}

/** The form of the engine's page, which is not to be shown; undefined where the answer is none. */
export function readForwardForm(
  ctx: Context,
): { action: string; fields: { name: string; value: string }[] } | undefined {
  if (typeof ctx.body !== 'string') return undefined;
  const [found, action, inputs = ''] = written_by_engine.exec(ctx.body) ?? [];
  if (!found) return undefined;
  // The engine's inline script goes with its page, and so does what the policy allowed for it.
  ctx.set('content-security-policy', ctx.response.get('content-security-policy').replace(/ 'sha256-[^']+'/g, ''));
  const fields = [...inputs.matchAll(field)].map(([, name, value]) => ({ name: decode(name), value: decode(value) }));
  return { action: decode(action), fields };
}

/** Replaces the engine's page by ours: the same form, a button with words, and a script that presses it. */
export async function showForwardPage(ctx: Context): Promise<void> {
  const form = readForwardForm(ctx);
  if (!form) return;
  const { status } = ctx;
  ctx.state.csp.form_action.push(...(await listWayMarks(ctx)));
  page(ctx, 'oidc/forward', form);
  ctx.status = status;
}
