/** The certification plan "Back-Channel Logout", module by module: the notice reaches the application by itself. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import * as oidc from 'openid-client';
import { until } from '../support/nodes.ts';
import type { Server } from '../support/server.ts';
import { isSignedIn, signed_out_uri, signOut } from './sign-out.ts';
import { type Site, startSite } from './site.ts';
import { discover, openDynamicParty, openSuite, type Suite, signInAt } from './suite.ts';

let suite: Suite;
let site: Site;
let worker: Server;

beforeAll(async () => {
  site = await startSite();
  suite = await openSuite({ env: site.env });
  worker = await suite.startWork();
});

afterAll(async () => {
  await worker?.stop();
  await suite?.stop();
  await site?.close();
});

test('oidcc-backchannel-logout-discovery-endpoint-verification', async () => {
  expect(await discover(suite)).toMatchObject({
    backchannel_logout_supported: true,
    backchannel_logout_session_supported: true,
    end_session_endpoint: `${suite.issuer}/session/end`,
  });
});

test('oidcc-backchannel-rp-initiated-logout', async () => {
  const metadata = {
    backchannel_logout_uri: `${site.url}/keluar`,
    backchannel_logout_session_required: true,
    post_logout_redirect_uris: [signed_out_uri],
  };
  const party = await openDynamicParty(suite, metadata as Partial<oidc.ClientMetadata>, oidc.ClientSecretBasic());
  const { visit, tokens, claims } = await signInAt(party);
  const { returned } = await signOut(party, visit.visitor, {
    id_token_hint: tokens.id_token as string,
    post_logout_redirect_uri: signed_out_uri,
    state: 'keadaan',
  });
  expect(returned?.href).toBe(`${signed_out_uri}?state=keadaan`);
  await until(() => site.posted.length > 0);
  const [notice] = site.posted;
  expect([notice?.path, [...(notice?.form.keys() ?? [])]]).toEqual(['/keluar', ['logout_token']]);
  const { payload, protectedHeader } = await jwtVerify(
    notice?.form.get('logout_token') ?? '',
    createRemoteJWKSet(new URL(`${suite.issuer}/jwks`)),
    { issuer: suite.issuer, audience: party.client_id },
  );
  expect(protectedHeader).toMatchObject({ alg: 'RS256', typ: 'logout+jwt' });
  expect(payload).toMatchObject({
    sub: claims.sub,
    sid: claims.sid,
    jti: expect.any(String),
    iat: expect.any(Number),
    exp: expect.any(Number),
    events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
  });
  expect(payload).not.toHaveProperty('nonce');
  expect(await isSignedIn(party, visit.visitor)).toBe(false);
  expect(site.posted).toHaveLength(1);
});
