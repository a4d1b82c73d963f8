/** Clients that prove themselves by a certificate (RFC 8705): told by a trusted proxy, named as registered, and bound to their tokens. */

import { createHash, X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { exportJWK, importX509 } from 'jose';
import { createClient } from '../../../src/clients/client.ts';
import { type ClientInput, clientSchema, readRegistration } from '../../../src/clients/metadata.ts';
import { inTransaction } from '../../../src/database.ts';
import { isNamed } from '../../../src/oidc/clients/certificates.ts';
import { makeCertificate } from '../../support/certificate.ts';
import { moveClock, resetClock } from '../../support/clock.ts';
import { newSignedInVisitor, startGapura, type TestGapura } from '../../support/gapura.ts';
import { followTo } from '../../support/relying-party.ts';

const told_by_proxy = {
  GAPURA_TRUSTED_PROXIES: '127.0.0.1',
  GAPURA_CLIENT_CERTIFICATE_HEADER: 'X-SSL-Client-Cert',
  GAPURA_CLIENT_CERTIFICATE_VERDICT_HEADER: 'X-SSL-Client-Verify',
};

const names = { common: 'gudang.contoh.example', organisation: 'Badan, Contoh', uri: 'urn:contoh:gudang' };
const { cert } = makeCertificate(names);
const { cert: other } = makeCertificate(names);
const { cert: stranger } = makeCertificate({ ...names, common: 'asing.contoh.example' });

/** What the proxy tells of a certificate. */
const tell = (pem: string, verdict = 'SUCCESS') => ({
  'x-ssl-client-cert': encodeURIComponent(pem),
  'x-ssl-client-verify': verdict,
});

const thumbprint = (pem: string) => createHash('sha256').update(new X509Certificate(pem).raw).digest('base64url');

async function register(gapura: TestGapura, input: ClientInput) {
  const validate = (metadata: Record<string, unknown>) =>
    gapura.gapura.engine.provider.Client.validate(metadata as { client_id: string });
  const registration = readRegistration(clientSchema.parse({ ...input, first_party: true }));
  return inTransaction(gapura.db, (tx) => createClient(tx, registration, validate));
}

const service = {
  client_name: 'Gudang',
  grant_types: ['client_credentials'],
  response_types: [],
  token_endpoint_auth_method: 'tls_client_auth',
} satisfies Partial<ClientInput>;

async function post(gapura: TestGapura, path: string, form: Record<string, string>, headers: Record<string, string>) {
  const answer = await fetch(`${gapura.config.issuer}${path}`, {
    method: 'POST',
    headers,
    body: new URLSearchParams(form),
  });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

const ask = (gapura: TestGapura, client_id: string, headers: Record<string, string>) =>
  post(gapura, '/token', { grant_type: 'client_credentials', client_id }, headers);

describe('behind a proxy that tells of certificates', () => {
  let gapura: TestGapura;

  beforeAll(async () => {
    gapura = await startGapura({ env: told_by_proxy });
    const self_signed = await exportJWK(await importX509(cert, 'ES256'));
    const x5c = [new X509Certificate(cert).raw.toString('base64')];
    const kept = { state: 'kept', version: 1 };
    const clients: ClientInput[] = [
      { ...service, client_id: 'subjek', tls_client_auth_subject_dn: 'CN=gudang.contoh.example, O=Badan\\, Contoh' },
      { ...service, client_id: 'host', tls_client_auth_san_dns: 'Gudang.contoh.example' },
      { ...service, client_id: 'alamat', tls_client_auth_san_uri: 'urn:contoh:gudang' },
      {
        ...service,
        client_id: 'sendiri',
        token_endpoint_auth_method: 'self_signed_tls_client_auth',
        jwks: { keys: [{ ...self_signed, x5c }] },
      },
      {
        client_id: 'terikat',
        client_name: 'Terikat',
        redirect_uris: ['https://terikat.contoh.example/'],
        grant_types: ['authorization_code', 'refresh_token'],
        token_endpoint_auth_method: 'tls_client_auth',
        tls_client_auth_san_dns: 'gudang.contoh.example',
        tls_client_certificate_bound_access_tokens: true,
        pkce_required: false,
        scope: ['openid', 'profile'],
      },
    ];
    for (const client of clients) expect(await register(gapura, client)).toEqual(kept);
  });

  afterAll(() => gapura.stop());

  test.each(['subjek', 'host', 'alamat'])('%s: the named one gets in, others do not', async (client_id) => {
    expect(await ask(gapura, client_id, tell(cert))).toMatchObject({ status: 200 });
    const refused = { status: 401, body: { error: 'invalid_client' } };
    for (const verdict of ['FAILED:self-signed certificate', 'NONE', 'success', ''])
      expect(await ask(gapura, client_id, tell(cert, verdict))).toMatchObject(refused);
    expect(await ask(gapura, client_id, { 'x-ssl-client-cert': encodeURIComponent(cert) })).toMatchObject(refused);
    expect(await ask(gapura, client_id, {})).toMatchObject(refused);
    if (client_id !== 'alamat') expect(await ask(gapura, client_id, tell(stranger))).toMatchObject(refused);
  });

  test('a registered certificate of the client’s own making needs no authority, and no other will do', async () => {
    expect(await ask(gapura, 'sendiri', tell(cert, 'FAILED:self-signed certificate'))).toMatchObject({ status: 200 });
    const refused = { status: 401, body: { error: 'invalid_client' } };
    expect(await ask(gapura, 'sendiri', tell(other))).toMatchObject(refused);
    expect(await ask(gapura, 'sendiri', {})).toMatchObject(refused);
  });

  test.each([
    ['no certificate', 'bukan sertifikat'],
    ['what does not decode', '%E0%A4%A'],
    ['nothing', ' '],
    ['a key', '-----BEGIN PUBLIC KEY-----%0AAAAA%0A-----END PUBLIC KEY-----'],
    ['half of one', encodeURIComponent(cert.slice(0, 200))],
    ['two at once', `${encodeURIComponent(cert)}, ${encodeURIComponent(other)}`],
    ['one behind another', encodeURIComponent(cert + other)],
    ['far too much', 'A'.repeat(12_000)],
  ])('%s in the header opens nothing and is no failure of ours', async (_what, sent) => {
    const headers = { 'x-ssl-client-cert': sent, 'x-ssl-client-verify': 'SUCCESS' };
    for (const client_id of ['subjek', 'host', 'sendiri'])
      expect(await ask(gapura, client_id, headers)).toMatchObject({ status: 401, body: { error: 'invalid_client' } });
  });

  test('one whose days are over opens nothing, whatever the proxy says', async () => {
    try {
      await moveClock(gapura.db, 3 * 86_400);
      for (const client_id of ['subjek', 'sendiri'])
        expect(await ask(gapura, client_id, tell(cert))).toMatchObject({ status: 401 });
    } finally {
      await resetClock(gapura.db);
    }
    expect(await ask(gapura, 'sendiri', tell(cert))).toMatchObject({ status: 200 });
  });

  test('tokens are bound to the certificate: nobody else uses or renews them', async () => {
    const budi = await newSignedInVisitor(gapura.url, 'budi');
    const redirect_uri = 'https://terikat.contoh.example/';
    const asked = { client_id: 'terikat', redirect_uri, response_type: 'code', scope: 'openid profile' };
    const first = await budi.get(`/connect/auth?${new URLSearchParams(asked)}`, { follow: false });
    const reached = await followTo(budi, redirect_uri, first);
    const code = 'returned' in reached ? (reached.returned.searchParams.get('code') ?? '') : '';
    const form = { grant_type: 'authorization_code', client_id: 'terikat', redirect_uri, code };
    const { status, body } = await post(gapura, '/token', form, tell(cert));
    expect({ status, ...body }).toMatchObject({ status: 200, token_type: 'Bearer' });

    const told = await post(
      gapura,
      '/introspection',
      { client_id: 'terikat', token: String(body.access_token) },
      tell(cert),
    );
    expect(told.body).toMatchObject({ active: true, cnf: { 'x5t#S256': thumbprint(cert) } });
    const userinfo = async (headers: Record<string, string>) => {
      const authorization = `Bearer ${body.access_token}`;
      return (await fetch(`${gapura.config.issuer}/userinfo`, { headers: { authorization, ...headers } })).status;
    };
    expect(await userinfo(tell(cert))).toBe(200);
    expect([await userinfo({}), await userinfo(tell(other)), await userinfo({ 'x-ssl-client-cert': 'x' })]).toEqual([
      401, 401, 401,
    ]);

    const renewal = { grant_type: 'refresh_token', client_id: 'terikat', refresh_token: String(body.refresh_token) };
    expect(await post(gapura, '/token', renewal, {})).toMatchObject({ status: 401, body: { error: 'invalid_client' } });
    const renewed = await post(gapura, '/token', renewal, tell(cert));
    expect(renewed.status).toBe(200);
    const authorization = `Bearer ${renewed.body.access_token}`;
    const bare = await fetch(`${gapura.config.issuer}/userinfo`, { headers: { authorization } });
    expect(bare.status).toBe(401);
  });

  test('discovery names both methods and the binding', async () => {
    const document = await (await fetch(`${gapura.config.issuer}/.well-known/openid-configuration`)).json();
    expect(document.token_endpoint_auth_methods_supported).toEqual(
      expect.arrayContaining(['tls_client_auth', 'self_signed_tls_client_auth']),
    );
    expect(document.tls_client_certificate_bound_access_tokens).toBe(true);
  });
});

describe('the same header', () => {
  test('from whoever is no proxy of ours has no effect', async () => {
    const gapura = await startGapura({ env: { ...told_by_proxy, GAPURA_TRUSTED_PROXIES: '10.9.8.7' } });
    try {
      const client: ClientInput = { ...service, client_id: 'host', tls_client_auth_san_dns: names.common };
      expect(await register(gapura, client)).toMatchObject({ state: 'kept' });
      expect(await ask(gapura, 'host', tell(cert))).toMatchObject({ status: 401, body: { error: 'invalid_client' } });
    } finally {
      await gapura.stop();
    }
  });

  test('where none is set: certificates are neither offered nor accepted, and nothing is bound to one', async () => {
    const gapura = await startGapura({ env: { GAPURA_TRUSTED_PROXIES: '127.0.0.1' } });
    try {
      const { issuer } = gapura.config;
      const text = await (await fetch(`${issuer}/.well-known/openid-configuration`)).text();
      expect(text).not.toMatch(/tls_client|mtls/);
      const client: ClientInput = { ...service, client_id: 'host', tls_client_auth_san_dns: names.common };
      expect(await register(gapura, client)).toMatchObject({
        state: 'refused',
        errors: { token_endpoint_auth_method: 'errors.client.choice' },
      });
      const bound: ClientInput = {
        ...service,
        client_id: 'terikat',
        token_endpoint_auth_method: 'client_secret_basic',
        tls_client_certificate_bound_access_tokens: true,
      };
      expect(await register(gapura, bound)).toMatchObject({
        state: 'refused',
        errors: { tls_client_certificate_bound_access_tokens: 'errors.client.not_here' },
      });
    } finally {
      await gapura.stop();
    }
  });
});

describe('a name in a certificate', () => {
  const certificate = new X509Certificate(cert);
  const isSubject = (name: string) => isNamed(certificate, 'tls_client_auth_subject_dn', name);

  test.each([
    ['CN=gudang.contoh.example,O=Badan\\, Contoh', true],
    ['cn = gudang.contoh.example , o = Badan\\2c Contoh', true],
    ['O=Badan\\, Contoh,CN=gudang.contoh.example', false],
    ['CN=gudang.contoh.example', false],
    ['CN=gudang.contoh.example,O=Badan', false],
    ['CN=gudang.contoh.example,O=Badan\\, Contoh,C=ID', false],
    ['CN=Gudang.contoh.example,O=Badan\\, Contoh', false],
    ['gudang.contoh.example', false],
    ['', false],
    [',,,', false],
    ['=', false],
    ['CN=gudang.contoh.example + O=Badan\\, Contoh', false],
  ])('%s', (name, expected) => {
    expect(isSubject(name)).toBe(expected);
  });

  test('a name of one kind is not taken for another, nor a text inside one for a name of its own', () => {
    expect(isNamed(certificate, 'tls_client_auth_san_dns', 'urn:contoh:gudang')).toBe(false);
    const sly = new X509Certificate(makeCertificate({ uri: 'urn:x, DNS:gudang.contoh.example' }).cert);
    expect(isNamed(sly, 'tls_client_auth_san_dns', 'gudang.contoh.example')).toBe(false);
    expect(isNamed(sly, 'tls_client_auth_san_uri', 'urn:x, DNS:gudang.contoh.example')).toBe(true);
    const two_lines = new X509Certificate(makeCertificate({ common: 'x\nCN=gudang.contoh.example' }).cert);
    expect(isNamed(two_lines, 'tls_client_auth_subject_dn', 'CN=gudang.contoh.example,CN=x')).toBe(false);
  });
});
