/** A stranger's FAPI 2.0 client, made of keys and plain requests: any part of what it sends can be left out or spoilt. */

import { constants, createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { calculateJwkThumbprint, type JWK } from 'jose';
import { openConsole, submitWell } from './desk.ts';
import { demo_password, type TestGapura } from './gapura.ts';
import { type Answer, findForm, type HttpVisitor } from './http.ts';
import { followTo } from './relying-party.ts';

/** A pair of keys and the algorithm it signs with. */
export interface Key {
  alg: 'ES256' | 'PS256' | 'RS256';
  secret: KeyObject;
  /** The public half, as it stands in a key set or in the head of a proof. */
  jwk: JWK;
  /** RFC 7638. */
  thumbprint: string;
}

export async function makeKey(alg: Key['alg'] = 'ES256'): Promise<Key> {
  const { privateKey: secret, publicKey } =
    alg === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = publicKey.export({ format: 'jwk' }) as JWK;
  return { alg, secret, jwk, thumbprint: await calculateJwkThumbprint(jwk) };
}

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Signs whatever is given, whether a library would or not; members that are undefined are left out. */
export function signJwt(header: object, claims: object, { alg, secret }: Key): string {
  const text = `${encode(header)}.${encode(claims)}`;
  const way = {
    ES256: { key: secret, dsaEncoding: 'ieee-p1363' as const },
    PS256: { key: secret, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 },
    RS256: secret,
  };
  return `${text}.${sign('sha256', Buffer.from(text), way[alg]).toString('base64url')}`;
}

/** What differs from the proper token: members over the proper ones (undefined takes one away), another key, or the text itself. */
export interface Spoilt {
  header?: Record<string, unknown>;
  claims?: Record<string, unknown>;
  key?: Key;
  text?: (jwt: string) => string;
}

/** How one request differs from the proper one; `false` leaves a part out. */
export interface Sending {
  assertion?: Spoilt | false;
  proof?: Spoilt | false;
  headers?: Record<string, string>;
  method?: string;
}

export interface FapiAnswer {
  status: number;
  headers: Headers;
  /** What its JSON says; a text that is none stands in `text`. */
  // biome-ignore lint/suspicious/noExplicitAny: each test knows what it asked for
  body: any;
}

/** A request for authorization, before it is pushed. */
export interface Prepared {
  verifier: string;
  parameters: Record<string, string>;
}

export interface FapiClient {
  id: string;
  redirect_uri: string;
  /** Signs its assertions. */
  key: Key;
  /** What its tokens are bound to. */
  proof_key: Key;
  /** A signed assertion of who it is (RFC 7523), valid for a minute. */
  assert(spoilt?: Spoilt): string;
  /** A proof for one request (RFC 9449). */
  prove(method: string, url: string, access_token?: string, spoilt?: Spoilt): string;
  /** A form sent to one of the issuer's addresses, with an assertion and a proof; asked for a nonce it sends again with it. */
  send(path: string, form: Record<string, string>, sending?: Sending): Promise<FapiAnswer>;
  /** A proper request with `more` over its parameters; an empty one is left out. */
  prepare(more?: Record<string, string>): Prepared;
  push(prepared: Prepared, sending?: Sending): Promise<FapiAnswer>;
  /** The address that a browser is sent to. */
  addressOf(request_uri: string, more?: Record<string, string>): string;
  /** The same for a request that is pushed on the way. */
  begin(prepared: Prepared, sending?: Sending): Promise<string>;
  /** Where a person comes back to; signs in and allows where that is asked. */
  visit(visitor: HttpVisitor, address: string): Promise<URL>;
  redeem(returned: URL, prepared: Prepared, sending?: Sending, more?: Record<string, string>): Promise<FapiAnswer>;
  /** All of it, for a request of its usual kind. */
  authorize(visitor: HttpVisitor, more?: Record<string, string>): Promise<{ prepared: Prepared; returned: URL }>;
  getTokens(visitor: HttpVisitor, more?: Record<string, string>): Promise<FapiAnswer['body']>;
  /** Asks for the person's claims as a resource. */
  callResource(access_token: string, sending?: Sending & { scheme?: string; query?: string }): Promise<FapiAnswer>;
}

const seconds = () => Math.floor(Date.now() / 1000);
const randomText = () => randomBytes(24).toString('base64url');
const hashOf = (text: string) => createHash('sha256').update(text).digest('base64url');
const assertion_type = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/** Registers a client at the console with what its preset fills in, and nothing else but id, name, address and public key. */
export async function openFapiClient(gapura: Pick<TestGapura, 'url' | 'config'>, id: string): Promise<FapiClient> {
  const redirect_uri = `https://${id}.contoh.example/kembali`;
  const [key, proof_key] = [await makeKey(), await makeKey()];
  const jwk = { ...key.jwk, kid: 'tanda', use: 'sig', alg: 'ES256' };
  const admin = await openConsole(gapura, 'admin');
  await submitWell(admin, await admin.get('/admin/clients/creation?preset=fapi2'), {
    client_id: id,
    client_name: `Bank ${id}`,
    redirect_uris: redirect_uri,
    jwks: JSON.stringify({ keys: [jwk] }),
  });
  return newFapiClient(gapura.config.issuer, { id, redirect_uri, key, proof_key });
}

function newFapiClient(issuer: string, own: Pick<FapiClient, 'id' | 'redirect_uri' | 'key' | 'proof_key'>): FapiClient {
  const { id, redirect_uri } = own;

  const assert: FapiClient['assert'] = ({ header, claims, key = own.key, text = same } = {}) => {
    const proper = { iss: id, sub: id, aud: issuer, jti: randomText(), iat: seconds(), exp: seconds() + 60 };
    return text(signJwt({ alg: key.alg, kid: 'tanda', ...header }, { ...proper, ...claims }, key));
  };

  const prove: FapiClient['prove'] = (htm, htu, access_token, spoilt = {}) => {
    const { header, claims, key = own.proof_key, text = same } = spoilt;
    const ath = access_token === undefined ? undefined : hashOf(access_token);
    const proper = { jti: randomText(), htm, htu, iat: seconds(), ath };
    const head = { typ: 'dpop+jwt', alg: key.alg, jwk: key.jwk, ...header };
    return text(signJwt(head, { ...proper, ...claims }, key));
  };

  async function ask(
    url: string,
    init: RequestInit,
    proof: Spoilt | false,
    access_token?: string,
  ): Promise<FapiAnswer> {
    const [htu = ''] = url.split('?');
    const once = async (spoilt: Spoilt | false) => {
      const dpop = spoilt ? { dpop: prove(init.method ?? 'GET', htu, access_token, spoilt) } : {};
      return readAnswer(await fetch(url, { ...init, headers: { ...dpop, ...init.headers }, redirect: 'manual' }));
    };
    const answer = await once(proof);
    const nonce = answer.headers.get('dpop-nonce');
    const is_asked = /use_dpop_nonce/.test(`${answer.body.error} ${answer.headers.get('www-authenticate')}`);
    if (!proof || !nonce || !is_asked || proof.claims?.iat !== undefined) return answer;
    return once({ ...proof, claims: { ...proof.claims, nonce } });
  }

  const send: FapiClient['send'] = async (
    path,
    form,
    { assertion = {}, proof = {}, headers, method = 'POST' } = {},
  ) => {
    const said = assertion ? { client_assertion: assert(assertion), client_assertion_type: assertion_type } : {};
    const body = new URLSearchParams({ ...said, ...form });
    return ask(`${issuer}${path}`, { method, ...(method === 'GET' ? {} : { body }), headers: headers ?? {} }, proof);
  };

  const push: FapiClient['push'] = ({ parameters }, sending) => send('/par', parameters, sending);

  const addressOf: FapiClient['addressOf'] = (request_uri, more = {}) =>
    `${issuer}/auth?${new URLSearchParams({ client_id: id, request_uri, ...more })}`;

  const prepare: FapiClient['prepare'] = (more = {}) => {
    const verifier = randomBytes(32).toString('base64url');
    const proper: Record<string, string> = {
      client_id: id,
      response_type: 'code',
      redirect_uri,
      scope: 'openid profile',
      state: randomText(),
      nonce: randomText(),
      code_challenge: hashOf(verifier),
      code_challenge_method: 'S256',
      ...more,
    };
    return { verifier, parameters: Object.fromEntries(Object.entries(proper).filter(([, value]) => value !== '')) };
  };

  const begin: FapiClient['begin'] = async (prepared, sending) => {
    const { status, body } = await push(prepared, sending);
    if (status !== 201) throw new Error(`not pushed: ${status} ${JSON.stringify(body)}`);
    return addressOf(body.request_uri);
  };

  const visit: FapiClient['visit'] = (visitor, address) => visitAs(visitor, address, redirect_uri);

  const redeem: FapiClient['redeem'] = (returned, { verifier }, sending, more = {}) => {
    const code = returned.searchParams.get('code') ?? '';
    const proper = { grant_type: 'authorization_code', code, redirect_uri, code_verifier: verifier };
    const form = Object.entries({ ...proper, ...more }).filter(([, value]) => value !== '');
    return send('/token', Object.fromEntries(form), sending);
  };

  const authorize: FapiClient['authorize'] = async (visitor, more) => {
    const prepared = prepare(more);
    return { prepared, returned: await visit(visitor, await begin(prepared)) };
  };

  return {
    ...own,
    assert,
    prove,
    send,
    prepare,
    push,
    addressOf,
    begin,
    visit,
    redeem,
    authorize,
    async getTokens(visitor, more) {
      const { prepared, returned } = await authorize(visitor, more);
      const { status, body } = await redeem(returned, prepared);
      if (status !== 200) throw new Error(`no tokens: ${status} ${JSON.stringify(body)}`);
      return body;
    },
    callResource(access_token, { proof = {}, headers = {}, method = 'GET', scheme = 'DPoP', query = '' } = {}) {
      const own_headers = { authorization: `${scheme} ${access_token}`, ...headers };
      return ask(`${issuer}/userinfo${query}`, { method, headers: own_headers }, proof, access_token);
    },
  };
}

const same = (jwt: string) => jwt;

async function readAnswer(response: Response): Promise<FapiAnswer> {
  const text = await response.text();
  const is_json = /json/.test(response.headers.get('content-type') ?? '');
  return { status: response.status, headers: response.headers, body: is_json ? JSON.parse(text) : { text } };
}

/** Follows an address as Budi, who signs in and allows where he is asked, to where the application gets its answer. */
async function visitAs(visitor: HttpVisitor, address: string, redirect_uri: string): Promise<URL> {
  let answer = await visitor.get(address, { follow: false });
  for (let pages = 0; pages < 4; pages++) {
    const reached = await followTo(visitor, redirect_uri, answer);
    if ('returned' in reached) return reached.returned;
    answer = await answerPage(visitor, reached.page);
  }
  throw new Error(`the questions do not end: ${answer.url}`);
}

async function answerPage(visitor: HttpVisitor, page: Answer): Promise<Answer> {
  const post = (fields: Record<string, string>) => visitor.post(page.url, fields, { follow: false });
  if (page.body.includes('name="identifier"')) return post({ identifier: 'budi', password: demo_password });
  if (page.body.includes('id="allow"')) return post({ ...findForm(page.body, 'consent').fields, allow: '1' });
  throw new Error(`an unexpected page (${page.status} ${page.url}): ${page.body.replace(/<[^>]+>|\s+/g, ' ')}`);
}
