/** Security headers: on every answer, with the policy that the page asked for and no room for more. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Middleware } from '../../src/http/guard.ts';
import { startApp, type TestApp } from '../support/app.ts';

// As the engine does it for its self-posting pages: parsed, a hash added, written again.
const addHash: Middleware = (ctx) => {
  const policy = ctx.response.get('content-security-policy').split(';');
  const written = policy.map((directive) =>
    directive.startsWith('script-src') ? `${directive} 'sha256-abc+/='` : directive,
  );
  ctx.set('content-security-policy', written.join(';'));
};

const answer: Middleware = (ctx, next) => {
  if (ctx.path === '/broken') throw new Error('broken');
  if (ctx.path === '/prompt' || ctx.path === '/both')
    ctx.state.csp.form_action.push('https://app.example:8443', 'com.example.app:');
  if (ctx.path === '/evil')
    ctx.state.csp.form_action.push(
      "https://a.example; script-src 'unsafe-inline'",
      '*',
      "'unsafe-inline'",
      'https://a b',
    );
  if (ctx.path === '/engine' || ctx.path === '/both') addHash(ctx, next);
  if (ctx.path === '/own') ctx.set('content-security-policy', 'sandbox');
  if (ctx.path === '/kept') ctx.set('cache-control', 'public, max-age=60');
  if (ctx.path !== '/missing') ctx.body = 'ok';
};

let app: TestApp;

beforeAll(async () => {
  app = await startApp(answer);
});

afterAll(() => app.close());

const get = (path: string) => app.send(`GET ${path} HTTP/1.1\nHost: sso.test:3000\nConnection: close\n\n`);

const readPolicy = async (path: string) => {
  const { headers } = await get(path);
  const directives = (headers['content-security-policy'] ?? '').split(';').map((directive) => directive.split(' '));
  return Object.fromEntries(directives.map(([name, ...sources]) => [name, sources]));
};

test.each(['/', '/missing', '/broken', '/%00', '/engine'])('%s has all of them', async (path) => {
  const { headers } = await get(path);
  expect(headers).toMatchObject({
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'strict-origin',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'cache-control': 'no-store',
  });
  expect(headers['strict-transport-security']).toBeUndefined();
  expect(await readPolicy(path)).toMatchObject({
    'default-src': ["'none'"],
    'style-src': ["'self'"],
    'form-action': ["'self'"],
    'frame-ancestors': ["'none'"],
    'base-uri': ["'none'"],
  });
});

test('a prompt may send its form on to its client, and the script hash of the engine stays', async () => {
  expect((await readPolicy('/prompt'))['form-action']).toEqual([
    "'self'",
    'https://app.example:8443',
    'com.example.app:',
  ]);
  expect((await readPolicy('/engine'))['script-src']).toEqual(["'self'", "'sha256-abc+/='"]);
  expect(await readPolicy('/both')).toMatchObject({
    'script-src': ["'self'", "'sha256-abc+/='"],
    'form-action': ["'self'", 'https://app.example:8443', 'com.example.app:'],
  });
});

test('what is no origin does not get into the policy', async () => {
  expect(await readPolicy('/evil')).toEqual(await readPolicy('/'));
});

test('a policy or a lifetime that the page sets itself stays', async () => {
  expect((await get('/own')).headers['content-security-policy']).toBe('sandbox');
  expect((await get('/kept')).headers['cache-control']).toBe('public, max-age=60');
});

test('keys and descriptions may be read by other origins', async () => {
  for (const path of ['/connect/jwks', '/connect/.well-known/openid-configuration']) {
    const { headers } = await get(path);
    expect(headers['cross-origin-resource-policy']).toBeUndefined();
    expect(headers['cache-control']).toBeUndefined();
  }
});
