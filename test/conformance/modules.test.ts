/** The certification modules by name: each has a test of that name, or a line in test/README.md that says why the suite skips it. */

import { readdir, readFile } from 'node:fs/promises';
import { describe, expect, test } from '@jest/globals';

/** Of release 5.1.43 of the suite, as every list here. */
const basic = [
  'server',
  'response-type-missing',
  'idtoken-signature',
  'idtoken-unsigned',
  'userinfo-get',
  'userinfo-post-header',
  'userinfo-post-body',
  'ensure-request-without-nonce-succeeds-for-code-flow',
  'scope-profile',
  'scope-email',
  'scope-address',
  'scope-phone',
  'scope-all',
  'alternate-happy-flow',
  'display-page',
  'display-popup',
  'prompt-login',
  'prompt-none-not-logged-in',
  'prompt-none-logged-in',
  'max-age-1',
  'max-age-10000',
  'ensure-request-with-unknown-parameter-succeeds',
  'id-token-hint',
  'login-hint',
  'ui-locales',
  'claims-locales',
  'ensure-request-with-acr-values-succeeds',
  'codereuse',
  'codereuse-30seconds',
  'ensure-registered-redirect-uri',
  'ensure-post-request-succeeds',
  'server-client-secret-post',
  'request-uri-unsigned-supported-correctly-or-rejected-as-unsupported',
  'unsigned-request-object-supported-correctly-or-rejected-as-unsupported',
  'claims-essential',
  'ensure-request-object-with-redirect-uri',
  'refresh-token',
  'ensure-request-with-valid-pkce-succeeds',
].map((name) => `oidcc-${name}`);

const dynamic = [
  'server',
  'idtoken-unsigned',
  'ensure-request-object-with-redirect-uri',
  'refresh-token',
  'discovery-endpoint-verification',
  'idtoken-rs256',
  'userinfo-rs256',
  'ensure-redirect-uri-in-authorization-request',
  'redirect-uri-query-OK',
  'redirect-uri-query-mismatch',
  'redirect-uri-query-added',
  'redirect-uri-regfrag',
  'registration-logo-uri',
  'registration-policy-uri',
  'registration-tos-uri',
  'registration-jwks-uri',
  'registration-sector-uri',
  'registration-sector-bad',
  'server-rotate-keys',
  'refresh-token-rp-key-rotation',
  'request-uri-unsigned',
  'request-uri-signed-rs256',
  'ensure-client-assertion-with-iss-aud-succeeds',
].map((name) => `oidcc-${name}`);

const rp_logout = [
  'rp-initiated-logout-discovery-endpoint-verification',
  'rp-initiated-logout',
  'rp-initiated-logout-bad-post-logout-redirect-uri',
  'rp-initiated-logout-modified-id-token-hint',
  'rp-initiated-logout-no-id-token-hint',
  'rp-initiated-logout-no-params',
  'rp-initiated-logout-no-post-logout-redirect-uri',
  'rp-initiated-logout-no-state',
  'rp-initiated-logout-only-state',
  'rp-initiated-logout-query-added-to-post-logout-redirect-uri',
  'rp-initiated-logout-bad-id-token-hint',
].map((name) => `oidcc-${name}`);

const fapi = [
  'discovery-end-point-verification',
  'happy-flow',
  'user-rejects-authentication',
  'ensure-authorization-request-without-state-success',
  'ensure-authorization-request-without-nonce-success',
  'ensure-authorization-request-with-64-char-nonce-success',
  'ensure-other-scope-order-succeeds',
  'test-claims-parameter-identity-claims',
  'access-token-type-header-case-sensitivity',
  'check-dpop-proof-nbf-exp',
  'ensure-dpopproof-with-iat-10seconds-before-succeeds',
  'ensure-dpopproof-with-iat-10seconds-after-succeeds',
  'ensure-mismatched-dpop-jkt-fails',
  'ensure-token-endpoint-fails-with-mismatched-dpop-proof-jkt',
  'ensure-token-endpoint-fails-with-mismatched-dpop-jkt',
  'ensure-dpopproof-at-par-endpoint-binding-success',
  'ensure-dpop-auth-code-binding-success',
  'ensure-different-nonce-inside-and-outside-request-object',
  'ensure-different-state-inside-and-outside-request-object',
  'ensure-authorization-request-with-long-nonce',
  'ensure-authorization-request-with-long-state',
  'state-only-outside-request-object-not-used',
  'ensure-request-object-without-redirect-uri-fails',
  'plain-fapi-tolerate-unregistered-redirect-uri',
  'ensure-unsigned-authorization-request-without-using-par-fails',
  'ensure-redirect-uri-in-authorization-request',
  'ensure-response-type-code-idtoken-fails',
  'ensure-response-type-token-fails',
  'ensure-client-id-in-token-endpoint',
  'ensure-holder-of-key-required',
  'ensure-authorization-code-is-bound-to-client',
  'attempt-reuse-authorization-code-after-one-second',
  'ensure-token-endpoint-fails-with-expired-auth-code',
  'ensure-signed-client-assertion-with-RS256-fails',
  'ensure-client-assertion-in-token-endpoint',
  'ensure-client-assertion-with-exp-is-5-minutes-in-past-fails',
  'ensure-client-assertion-with-wrong-aud-fails',
  'ensure-client-assertion-with-no-sub-fails',
  'dpop-negative-tests',
  'refresh-token',
  'par-ensure-reused-request-uri-prior-to-auth-completion-succeeds',
  'par-attempt-reuse-request_uri',
  'par-attempt-to-use-expired-request_uri',
  'par-ensure-jwt-client-assertions-nbf-8-seconds-in-the-future-is-accepted',
  'par-ensure-jwt-client-assertions-nbf-over-60-seconds-in-the-future-fails',
  'par-attempt-to-use-request_uri-for-different-client',
  'par-authorization-request-containing-request_uri-form-param',
  'par-attempt-invalid-http-method',
  'par-ensure-pkce-required',
  'ensure-pkce-code-verifier-required',
  'incorrect-pkce-code-verifier-rejected',
  'par-plain-pkce-rejected',
  'par-without-duplicate-parameters',
  'par-test-array-as-audience-fails',
  'par-test-par-endpoint-url-as-audience-fails',
  'par-test-token-endpoint-url-as-audience-fails',
].map((name) => `fapi2-security-profile-final-${name}`);

interface Plan {
  name: string;
  modules: string[];
  /** Where its tests stand. */
  files: RegExp;
}

const plans: Plan[] = [
  { name: 'Basic', modules: basic, files: /^basic-plan\.ts$/ },
  { name: 'Form Post Basic', modules: basic, files: /^basic-plan\.ts$/ },
  { name: 'Config', modules: ['oidcc-discovery-endpoint-verification'], files: /^oidc-config\.test\.ts$/ },
  { name: 'Dynamic', modules: dynamic, files: /^oidc-(dynamic|config)\.test\.ts$/ },
  { name: 'RP-Initiated Logout', modules: rp_logout, files: /^rp-initiated-logout\.test\.ts$/ },
  {
    name: 'Back-Channel Logout',
    modules: ['oidcc-backchannel-logout-discovery-endpoint-verification', 'oidcc-backchannel-rp-initiated-logout'],
    files: /^backchannel-logout\.test\.ts$/,
  },
  {
    name: 'Third-Party-Initiated Login',
    modules: ['oidcc-3rd_party-init-login', 'oidcc-3rd_party-init-login-nohttps'],
    files: /^third-party-login\.test\.ts$/,
  },
  { name: 'FAPI 2.0 Security Profile', modules: fapi, files: /^fapi2-.*\.test\.ts$/ },
];

const folder = new URL('.', import.meta.url);
const files = (await readdir(folder)).filter((name) => name.endsWith('.ts') && name !== 'modules.test.ts');
const sources = new Map<string, string>();
for (const name of files) sources.set(name, await readFile(new URL(name, folder), 'utf8'));

/** The titles of the tests in the files that fit. */
function listTitles(fits: RegExp): string[] {
  const texts = [...sources].filter(([name]) => fits.test(name)).map(([, text]) => text);
  return texts.flatMap((text) =>
    [...text.matchAll(/^\s*(?:test|describe)\(\s*'([^']+)'/gm)].map(([, title = '']) => title),
  );
}

/** The rows of the table of skips: which plans, which module, and why. */
const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
const skips = [...readme.matchAll(/^\| ([\w ,.-]+) \| `((?:oidcc|fapi2)-[\w-]+)` \| (.+) \|$/gm)].map(
  ([, where = '', module = '', why = '']) => ({ plans: where.split(', '), module, why }),
);

describe.each(plans)('the plan $name', ({ name, modules, files: fits }) => {
  const skipped = skips.filter((skip) => skip.plans.includes(name)).map(({ module }) => module);

  test('has a test for each of its modules, but for those that the suite skips', () => {
    const titles = listTitles(fits);
    expect(modules.filter((module) => !titles.includes(module) && !skipped.includes(module))).toEqual([]);
  });

  test('skips nothing that is tested, and nothing that it does not have', () => {
    const titles = listTitles(fits);
    expect(skipped.filter((module) => titles.includes(module) || !modules.includes(module))).toEqual([]);
  });
});

test('every skip names plans that there are, and says why', () => {
  const known = plans.map(({ name }) => name);
  expect(skips.flatMap((skip) => skip.plans).filter((name) => !known.includes(name))).toEqual([]);
  expect(skips.filter(({ why }) => why.length < 20)).toEqual([]);
  expect(skips.length).toBeGreaterThan(0);
});

test('no module is passed over by a test that is switched off', () => {
  const switched_off = /\b(?:test|describe)\.(?:skip|only|todo|failing)\b/;
  expect([...sources].filter(([, text]) => switched_off.test(text)).map(([name]) => name)).toEqual([]);
});

test('the Basic plan runs in both of its ways', () => {
  expect(sources.get('oidc-basic.test.ts')).toContain("testBasicPlan('query')");
  expect(sources.get('oidc-form-post.test.ts')).toContain("testBasicPlan('form_post')");
});

test('a title that is no module has a typing error', () => {
  const known = new Set(plans.flatMap(({ modules }) => modules));
  const titles = listTitles(/./).filter((title) => /^(oidcc|fapi2)-/.test(title));
  expect(titles.filter((title) => !known.has(title))).toEqual([]);
});
