/** The certification plan "Third-Party-Initiated Login", module by module: the address at which others may begin a sign-in. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as oidc from 'openid-client';
import { openDynamicParty, openSuite, type Suite } from './suite.ts';

let suite: Suite;

beforeAll(async () => {
  suite = await openSuite();
});

afterAll(() => suite?.stop());

const register = (initiate_login_uri: string) =>
  openDynamicParty(suite, { initiate_login_uri }, oidc.ClientSecretBasic());

test('oidcc-3rd_party-init-login', async () => {
  const initiate_login_uri = 'https://suite.contoh.example/masuk';
  const { configuration } = await register(initiate_login_uri);
  const client = configuration.clientMetadata();
  expect(client.initiate_login_uri).toBe(initiate_login_uri);
  const answer = await fetch(String(client.registration_client_uri), {
    headers: { authorization: `Bearer ${client.registration_access_token}` },
  });
  expect(answer.status).toBe(200);
  expect(await answer.json()).toMatchObject({ client_id: client.client_id, initiate_login_uri });
});

test('oidcc-3rd_party-init-login-nohttps', async () => {
  await expect(register('http://suite.contoh.example/masuk')).rejects.toMatchObject({
    status: 400,
    error: 'invalid_client_metadata',
  });
});
