/** Settings to copy: each in the language it is for, with the client's own values and without its secret. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { presets } from '../../src/clients/presets.ts';
import { listSnippets, type Snippet } from '../../src/clients/snippets.ts';

const folder = mkdtempSync(join(tmpdir(), 'gapura-snippets-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const issuer = 'https://gapura.contoh.example/connect';

const web = {
  client_id: 'e-bpom',
  metadata: {
    redirect_uris: ['https://e-bpom.contoh.example/masuk/kembali'],
    post_logout_redirect_uris: ['https://e-bpom.contoh.example/keluar'],
    backchannel_logout_uri: 'https://e-bpom.contoh.example/logout',
    token_endpoint_auth_method: 'client_secret_basic',
    grant_types: ['authorization_code', 'refresh_token'],
    id_token_signed_response_alg: 'ES256',
    scope: 'openid profile email',
  },
};

const withMetadata = (metadata: object) => ({ client_id: 'uji', metadata: { ...web.metadata, ...metadata } });

const clients: Record<string, { client_id: string; metadata: Record<string, unknown> }> = {
  web,
  post: withMetadata({ token_endpoint_auth_method: 'client_secret_post' }),
  jwt: withMetadata({ token_endpoint_auth_method: 'client_secret_jwt' }),
  certificate: withMetadata({ token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_san_dns: 'a.example' }),
  public: withMetadata({ token_endpoint_auth_method: 'none' }),
  edwards: withMetadata({ id_token_signed_response_alg: 'EdDSA' }),
  service: withMetadata({ grant_types: ['client_credentials'], response_types: [], redirect_uris: [] }),
  fapi2: withMetadata({ ...presets.fapi2, scope: 'openid' }),
  bare: { client_id: 'bare', metadata: {} },
  odd: { client_id: `o'd"d\\$\{x}`, metadata: { ...web.metadata, scope: `a'b "c` } },
};

const snippets = Object.entries(clients).flatMap(([name, client]) =>
  listSnippets(client, issuer).map((snippet): [string, string, Snippet] => [name, snippet.name, snippet]),
);

function find(name: string, client = web): Snippet {
  const snippet = listSnippets(client, issuer).find((one) => one.name === name);
  if (!snippet) throw new Error(`no snippet ${name}`);
  return snippet;
}

test('there is one for everything an agency uses', () => {
  expect(listSnippets(web, issuer).map(({ name }) => name)).toEqual([
    'express-openid-connect',
    'openid-client',
    'spring',
    'spring-java',
    'laravel',
    'laravel-php',
    'mod_auth_openidc',
    'oauth2-proxy',
  ]);
});

test('what cannot do what a client must is left out', () => {
  const names = (name: string) => listSnippets(clients[name] ?? web, issuer).map((snippet) => snippet.name);
  for (const name of ['jwt', 'certificate', 'public', 'service', 'fapi2'])
    expect(names(name)).toEqual(['openid-client']);
  expect(names('edwards')).not.toContain('spring');
});

describe.each(snippets.filter(([, , { language }]) => language === 'javascript'))(
  'of %s, %s',
  (client, name, snippet) => {
    test('is JavaScript', () => {
      const file = join(folder, `${client}-${name}.mjs`);
      writeFileSync(file, snippet.text);
      expect(() => execFileSync(process.execPath, ['--check', file], { stdio: 'pipe' })).not.toThrow();
    });
  },
);

test('JavaScript names only what openid-client has', async () => {
  const library: object = await import('openid-client');
  const used = snippets.flatMap(([, name, { text }]) =>
    name === 'openid-client' ? [...text.matchAll(/\bclient\.(\w+)/g)].map(([, word = '']) => word) : [],
  );
  expect(used.length).toBeGreaterThan(20);
  expect([...new Set(used)].filter((word) => !(word in library))).toEqual([]);
});

test('a certificate is shown at every call', () => {
  const { text } = find('openid-client', clients.certificate as typeof web);
  expect(text).toContain("import { Agent, fetch } from 'undici';");
  expect(text).toMatch(/client\.TlsClientAuth\(\),\n {2}options,\n\);/);
});

test('FAPI 2.0 pushes its request and binds its tokens', () => {
  const { text } = find('openid-client', clients.fapi2 as typeof web);
  expect(text).toContain('buildAuthorizationUrlWithPAR(config, parameters, { DPoP })');
  expect(text).toContain('client.PrivateKeyJwt(privateKey)');
  expect(text.match(/\{ DPoP \}/g)).toHaveLength(3);
});

/** Reads the few forms of YAML that stand there: keys by indentation, values plain or in JSON's quotes. */
function readYaml(text: string): Record<string, unknown> {
  const root: Record<string, unknown> = {};
  const open: Record<string, unknown>[] = [root];
  for (const line of text.trimEnd().split('\n')) {
    const [, indent = '', key = '', value = ''] = /^( *)([\w-]+):(?: (.+))?$/.exec(line) ?? [];
    expect([line, key]).not.toEqual([line, '']);
    expect(indent.length % 2).toBe(0);
    const parent = open[indent.length / 2] as Record<string, unknown>;
    if (value === '') open[indent.length / 2 + 1] = parent[key] = {};
    else parent[key] = value.startsWith('"') ? JSON.parse(value) : value;
  }
  return root;
}

test('Spring’s settings are YAML with the client’s values, and its class sends a challenge', () => {
  expect(readYaml(find('spring').text)).toEqual({
    spring: {
      security: {
        oauth2: {
          client: {
            registration: {
              gapura: {
                'client-id': 'e-bpom',
                'client-secret': `\${GAPURA_CLIENT_SECRET}`,
                'client-authentication-method': 'client_secret_basic',
                'authorization-grant-type': 'authorization_code',
                'redirect-uri': 'https://e-bpom.contoh.example/masuk/kembali',
                scope: 'openid,profile,email',
              },
            },
            provider: { gapura: { 'issuer-uri': issuer, 'user-name-attribute': 'sub' } },
          },
        },
      },
    },
  });
  const { text } = find('spring-java');
  expect(text).toContain('OAuth2AuthorizationRequestCustomizers.withPkce()');
  expect(text).toContain('SignatureAlgorithm.ES256');
  expect(text).toContain('baseUri("/masuk/kembali")');
});

test('Apache’s directives stand one on a line, and ask for a challenge', () => {
  const { text } = find('mod_auth_openidc');
  for (const line of text.trim().split('\n'))
    expect(line).toMatch(/^(?:\s*(?:OIDC\w+|AuthType|Require) (?:"[^"\n]*"|[\w-]+)|<\/?Location(?: "\/")?>|)$/);
  expect(text).toContain('OIDCPKCEMethod S256');
  expect(text).toContain(`OIDCProviderMetadataURL "${issuer}/.well-known/openid-configuration"`);
  expect(text).toContain('OIDCDefaultLoggedOutURL "https://e-bpom.contoh.example/keluar"');
});

test('oauth2-proxy’s settings are lines of TOML', () => {
  const lines = find('oauth2-proxy')
    .text.trim()
    .split('\n')
    .filter((line) => !line.startsWith('#'));
  const values = Object.fromEntries(
    lines.map((line) => [line.split(' = ')[0], JSON.parse(line.slice(line.indexOf(' = ') + 3))]),
  );
  expect(values).toMatchObject({ client_id: 'e-bpom', oidc_issuer_url: issuer, code_challenge_method: 'S256' });
});

test('Laravel gets its environment and a provider that sends a challenge', () => {
  expect(find('laravel').text).toContain('GAPURA_CLIENT_ID=e-bpom\n');
  const { text } = find('laravel-php');
  expect(text).toContain('$usesPKCE = true');
  expect(text).toContain(`private string $issuer = '${issuer}';`);
  expect(find('laravel-php', clients.odd as typeof web).text).toContain(`'a\\'b'`);
});

test('no secret stands in any of them, and nothing of a client leaves its quotes', () => {
  for (const [client, name, { text }] of snippets) {
    expect(`${client} ${name}: ${text}`).not.toMatch(/"undefined"|'undefined'|\[object|NaN|gapura_secret_/);
    if (client === 'odd') expect(text.split('\n').every((line) => !/^\W*d"d/.test(line))).toBe(true);
  }
});
