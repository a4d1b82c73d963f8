/** Secrets at the engine: two that overlap, also where the client signs with them, and their last use. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as oidc from 'openid-client';
import { endClientSecret, issueClientSecret, listClientSecrets } from '../../../src/clients/secrets.ts';
import { inTransaction } from '../../../src/database.ts';
import { registerClient, startGapura, type TestGapura } from '../../support/gapura.ts';
import { storm } from '../../support/storm.ts';

let gapura: TestGapura;

beforeAll(async () => {
  gapura = await startGapura();
});

afterAll(() => gapura.stop());

/** A service that says who it is in this way, with one secret in use. */
async function newService(id: string, method: string): Promise<string[]> {
  const { client_secret } = await registerClient(gapura, id, {
    metadata: {
      token_endpoint_auth_method: method,
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
      scope: 'openid',
    },
  });
  const issued = await inTransaction(gapura.db, (tx) => issueClientSecret(tx, gapura.gapura.clients, id, { by: null }));
  if (issued.state !== 'issued') throw new Error(issued.because);
  return [client_secret, issued.secret];
}

/** Asks for a token with a secret; gives `token`, or the status of the refusal. */
async function ask(id: string, way: oidc.ClientAuth): Promise<unknown> {
  const execute = [oidc.allowInsecureRequests];
  const configuration = await oidc.discovery(new URL(gapura.config.issuer), id, undefined, way, { execute });
  try {
    await oidc.clientCredentialsGrant(configuration, { scope: 'openid' });
    return 'token';
  } catch (error) {
    return (error as { status?: number }).status;
  }
}

const uses = async (id: string) =>
  (await listClientSecrets(gapura.db, id)).map(({ last_used_at }) => last_used_at !== null);

test.each([
  ['client_secret_basic', oidc.ClientSecretBasic],
  ['client_secret_post', oidc.ClientSecretPost],
  ['client_secret_jwt', oidc.ClientSecretJwt],
])(
  'both secrets of a client that uses %s open it, each notes its own use, and the one that ended does not',
  async (method, way) => {
    const id = `layanan-${method.slice(14)}`;
    const [older = '', newer = ''] = await newService(id, method);
    expect(await ask(id, way(newer))).toBe('token');
    expect(await uses(id)).toEqual([true, false]);
    expect(await ask(id, way(older))).toBe('token');
    expect(await uses(id)).toEqual([true, true]);
    expect(await ask(id, way(`${older}x`))).toBe(401);

    const [, first] = await listClientSecrets(gapura.db, id);
    await inTransaction(gapura.db, (tx) => endClientSecret(tx, id, first?.id ?? ''));
    expect(await ask(id, way(older))).toBe(401);
    expect(await ask(id, way(newer))).toBe('token');
  },
);

test('many requests at once note the use without standing in each other’s way', async () => {
  const [, secret = ''] = await newService('sibuk', 'client_secret_post');
  const body = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: 'sibuk',
    client_secret: secret,
    scope: 'openid',
  });
  const answers = await storm(20, () => ({ url: `${gapura.config.issuer}/token`, body: `${body}` }));
  expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
  expect(await uses('sibuk')).toEqual([true, false]);
});

test('what a client says of itself in signing is told to nobody', async () => {
  const text = JSON.stringify(gapura.log);
  expect(text).not.toContain('gapura_secret_');
  expect(text).not.toContain('secret-of-');
});
