/** The page that sends a form on by itself (OAuth form_post, the end of another person's session), in our own words and look. */

import type { Context } from 'koa';
import { page } from '../views.ts';

// The engine writes this page itself and offers no setting for it; a test holds that it still looks like this.
const written_by_engine =
  /<title>Submitting Callback<\/title>[\s\S]*<form method="post" action="([^"]*)">([\s\S]*?)<noscript>/;
const field = /<input type="hidden" name="([^"]*)" value="([^"]*)"\/>/g;

const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'", '#x27': "'" };

function decode(text = ''): string {
  return text.replace(/&(amp|lt|gt|quot|#39|#x27);/g, (whole, name: string) => entities[name] ?? whole);
}

/** Replaces the engine's page by ours: the same form, a button with words, and a script that presses it. */
export function showForwardPage(ctx: Context): void {
  if (typeof ctx.body !== 'string') return;
  const [found, action, inputs = ''] = written_by_engine.exec(ctx.body) ?? [];
  if (!found) return;
  const { status } = ctx;
  const fields = [...inputs.matchAll(field)].map(([, name, value]) => ({ name: decode(name), value: decode(value) }));
  page(ctx, 'oidc/forward', { action: decode(action), fields });
  ctx.status = status;
  // The engine's inline script is gone with its page, and so is what the policy allowed for it.
  ctx.set('content-security-policy', ctx.response.get('content-security-policy').replace(/ 'sha256-[^']+'/g, ''));
}
