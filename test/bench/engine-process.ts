/**
 * The floor: the bare engine, everything in a Map that evicts nothing, the same clients and APIs, every sign-in granted
 * unasked. It also makes password hashes, the floor of a sign-in.
 */

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import argon2 from 'argon2';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import { type Adapter, type AdapterPayload, type Configuration, Provider, type ResourceServer } from 'oidc-provider';
import { answerDriver, type Question } from './answers.ts';

const [port = '', clients_text = '[]', person_text = '{}', apis_text = '{}'] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const clients = JSON.parse(clients_text) as NonNullable<Configuration['clients']>;
const person = JSON.parse(person_text) as Record<string, unknown>;
const apis = JSON.parse(apis_text) as Record<'jwt' | 'opaque', { identifier: string; lifetime: number; scope: string }>;

const records = new Map<string, AdapterPayload>();
const sessions = new Map<string, AdapterPayload>();

function createAdapter(model: string): Adapter {
  const key = (id: string) => `${model}:${id}`;
  return {
    async upsert(id, payload) {
      records.set(key(id), payload);
      if (model === 'Session') sessions.set(payload.uid as string, payload);
    },
    find: async (id) => records.get(key(id)),
    findByUid: async (uid) => sessions.get(uid),
    findByUserCode: async () => undefined,
    async consume(id) {
      const payload = records.get(key(id));
      if (payload) payload.consumed = Math.floor(Date.now() / 1000);
    },
    async destroy(id) {
      records.delete(key(id));
    },
    revokeByGrantId: async () => undefined,
  };
}

function findApi(_ctx: unknown, identifier: string): ResourceServer {
  const format = identifier === apis.jwt.identifier ? 'jwt' : 'opaque';
  return {
    scope: apis[format].scope,
    audience: identifier,
    accessTokenTTL: apis[format].lifetime,
    accessTokenFormat: format,
    ...(format === 'jwt' ? { jwt: { sign: { alg: 'ES256' as const } } } : {}),
  };
}

const { privateKey } = await generateKeyPair('ES256', { extractable: true });
const key: JWK = { ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig' };

// The same scopes, claims, proof of possession and lifetimes as Gapura has; nothing else that would cost.
const configuration: Configuration = {
  adapter: createAdapter,
  clients,
  claims: {
    openid: ['sub', 'acr', 'amr', 'auth_time'],
    profile: ['name', 'preferred_username', 'locale', 'zoneinfo', 'updated_at', 'mobile_number'],
    email: ['email', 'email_verified'],
    phone: ['phone_number', 'phone_number_verified'],
    address: ['address'],
    organization: ['organization'],
    role: ['role'],
  },
  cookies: { keys: [randomUUID()] },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true, allowedPolicy: async () => true },
    resourceIndicators: { enabled: true, getResourceServerInfo: findApi },
  },
  findAccount: (_ctx, sub) => ({ accountId: sub, claims: async () => ({ ...person, sub }) }),
  // Replaced at each use, as ours are where nothing else is chosen.
  issueRefreshToken: (_ctx, asking) => asking.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: true,
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  jwks: { keys: [key] } as NonNullable<Configuration['jwks']>,
  async loadExistingGrant({ oidc }) {
    const { session, client: asking, provider: engine } = oidc;
    const known = session?.grantIdFor(asking?.clientId ?? '');
    if (known) return engine.Grant.find(known);
    const grant = new engine.Grant({ accountId: session?.accountId ?? '', clientId: asking?.clientId ?? '' });
    grant.addOIDCScope([...oidc.requestParamOIDCScopes].join(' '));
    for (const [identifier, { scope }] of Object.entries(oidc.resourceServers ?? {}))
      grant.addResourceScope(identifier, scope);
    await grant.save();
    return grant;
  },
  pkce: { required: () => true },
  routes: {
    authorization: '/connect/auth',
    introspection: '/connect/introspection',
    jwks: '/connect/jwks',
    token: '/connect/token',
    userinfo: '/connect/userinfo',
  },
  scopes: ['openid', 'profile', 'email', 'phone', 'address', 'organization', 'role'],
  ttl: {
    AccessToken: (_ctx, token) => token.resourceServer?.accessTokenTTL ?? 900,
    AuthorizationCode: 60,
    ClientCredentials: (_ctx, token) => token.resourceServer?.accessTokenTTL ?? 600,
    Grant: 30 * 86_400,
    IdToken: 3600,
    Interaction: 3600,
    RefreshToken: 30 * 86_400,
    Session: 86_400,
  },
};

const provider = new Provider(issuer, configuration);
provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) return next();
  const login = { accountId: randomUUID(), acr: 'urn:gapura:acr:password', amr: ['pwd'] };
  ctx.status = 303;
  ctx.redirect(await provider.interactionResult(ctx.req, ctx.res, { login }));
});

const server = createServer({ keepAliveTimeout: 65_000 }, provider.callback());
await new Promise<void>((resolve) => server.listen(Number(port), '127.0.0.1', resolve));

/** Compares `times` passwords, `at_once` of them at a time: one hash each, of the stored hash's own parameters. */
async function compare({ times, at_once, hash, password }: Question): Promise<void> {
  let left = Number(times);
  const work = async () => {
    while (left-- > 0)
      if (!(await argon2.verify(String(hash), String(password)))) throw new Error('the password does not fit');
  };
  await Promise.all(Array.from({ length: Number(at_once) }, work));
}

answerDriver({ compare });
