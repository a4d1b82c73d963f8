/** The security headers of every answer; the content security policy is finished when the page has said what it needs. */

import type { Config } from '../config.ts';
import type { Middleware } from './guard.ts';

// No `default-src` but 'none', nothing inline, no frames. `script-src` is always written out: the engine adds the hash of its
// self-posting pages only to a policy that has one. `form-action` is checked by Chromium for every redirect after a form.
const directives = (form_action: string[], images: string[]) => ({
  'default-src': ["'none'"],
  'script-src': ["'self'"],
  'style-src': ["'self'"],
  'img-src': ["'self'", 'data:', ...images],
  'connect-src': ["'self'"],
  'form-action': ["'self'", ...form_action],
  'frame-ancestors': ["'none'"],
  'base-uri': ["'none'"],
  'object-src': ["'none'"],
});

const fixed = {
  'x-content-type-options': 'nosniff',
  // Not `no-referrer`: with it browsers send "Origin: null" with forms, and the guard could not tell our own from others'.
  // With this one the origin is all that anybody learns, never the path.
  'referrer-policy': 'strict-origin',
  'x-frame-options': 'DENY',
  'permissions-policy':
    'accelerometer=(), browsing-topics=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), hid=(), magnetometer=(), microphone=(), midi=(), payment=(), serial=(), usb=(), xr-spatial-tracking=()',
};

/** Addresses that other origins read: keys and descriptions. They may also be kept by caches. */
const for_others = /^\/(connect\/jwks|connect\/\.well-known\/.*|\.well-known\/oauth-authorization-server\/.*)$/;

/** Pages that an application may have opened in a window of its own: cut off from it, they could not lead back. */
const for_windows = /^\/(connect|interaction)\//;

/** Sets the headers before the page is made, and finishes policy and caching after it. Errors are pages by then. */
export function setHeaders(config: Config): Middleware {
  const first_policy = writePolicy([], []);
  const always = Object.entries({
    ...fixed,
    'content-security-policy': first_policy,
    ...(config.secure ? { 'strict-transport-security': 'max-age=63072000; includeSubDomains' } : {}),
  });
  return async (ctx, next) => {
    const { res } = ctx;
    for (const [name, value] of always) res.setHeader(name, value);
    if (!for_windows.test(ctx.path)) res.setHeader('cross-origin-opener-policy', 'same-origin');
    const is_for_others = for_others.test(ctx.path);
    if (!is_for_others) res.setHeader('cross-origin-resource-policy', 'same-origin');
    await next();
    if (!is_for_others && !ctx.response.get('cache-control')) ctx.set('cache-control', 'no-store');
    const { form_action, images } = ctx.state.csp;
    const policy = ctx.response.get('content-security-policy');
    if (policy === first_policy && form_action.length + images.length === 0) return;
    const hashes = policy.match(/'sha256-[A-Za-z0-9+/=]+'/g) ?? [];
    const is_ours = hashes.reduce((text, hash) => text.replace(` ${hash}`, ''), policy) === first_policy;
    if (!is_ours && policy !== '') return;
    ctx.set('content-security-policy', writePolicy(form_action, images, hashes));
  };
}

function writePolicy(form_action: string[], images: string[], scripts: string[] = []): string {
  const policy = directives(form_action.filter(isSource), images.filter(isSource));
  policy['script-src'].push(...scripts);
  return Object.entries(policy)
    .map(([name, sources]) => [name, ...new Set(sources)].join(' '))
    .join(';');
}

// An origin, or the scheme of an application on a phone; anything else could carry a directive of its own.
function isSource(text: string): boolean {
  return /^[a-z][a-z0-9+.-]*:(\/\/(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:\d{1,5})?)?$/i.test(text);
}
