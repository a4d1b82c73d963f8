/** The verifier `http`: the contract of verifiers against a real server, the request as it is sent, and which answers count. */

import { createHash } from 'node:crypto';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createLocalJWKSet, decodeJwt, exportJWK, generateKeyPair, type JWK, jwtVerify } from 'jose';
import { nowSeconds } from '../../../src/clock.ts';
import type { VerifierTools } from '../../../src/links/link.ts';
import { httpSettings, httpVerifier } from '../../../src/links/verifiers/http.ts';
import { createRequestSigner } from '../../../src/oidc/keys/request-signer.ts';
import { createOutbound } from '../../../src/outbound.ts';
import { type Behaviour, testVerifier, type VerifierGround } from '../../contracts/verifier.ts';
import { own_password, startApplication, type TestApplication } from '../../support/application.ts';
import { makeCertificate } from '../../support/certificate.ts';

const issuer = 'http://sso.test:3000/connect';
const outbound = createOutbound({ private_hosts: [] });
const right = { username: 'user_bpom', password: own_password };
const name = { subject: 's-pangan', username: 'user_bpom', display_name: 'PT user_bpom', directorate: 'PANGAN' };
const broken = { state: 'unavailable', because: 'broken', reason: expect.any(String) };

let jwk: JWK;
let tools: VerifierTools;
/** What stands at an address of the private network that nobody confirmed. */
let private_place: Server;
let strayed = 0;
const stops: (() => Promise<void>)[] = [];

beforeAll(async () => {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  jwk = { ...(await exportJWK(privateKey)), kid: 'kunci-gapura', alg: 'ES256' };
  tools = {
    call: outbound.call,
    signRequest: createRequestSigner(issuer, { keys: [jwk] }),
    unseal: (sealed) => Buffer.from(sealed, 'base64').toString(),
  };
  private_place = createServer((_, res) => {
    strayed += 1;
    res.setHeader('content-type', 'application/json').end('{"result":"verified","subject":"penyusup"}');
  });
  await new Promise<void>((resolve) => private_place.listen(0, '127.0.0.1', resolve));
});

afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

afterAll(async () => {
  await outbound.close();
  private_place.closeAllConnections();
  await new Promise((resolve) => private_place.close(resolve));
});

const yes = JSON.stringify({ result: 'verified', ...name });
const json = { 'content-type': 'application/json' };

/** How each behaviour looks in HTTP; those that are missing are the stand-in's own. */
const behaviours: Partial<Record<Behaviour, RequestListener>> = {
  silent: () => undefined,
  drips: (_, res) => {
    res.writeHead(200, json);
    const drip = setInterval(() => res.write(' '), 20);
    res.on('close', () => clearInterval(drip));
  },
  endless: (_, res) => {
    res.writeHead(200, json);
    const more = () => {
      while (!res.destroyed && res.write(' '.repeat(8192)));
    };
    res.on('drain', more);
    more();
  },
  breaks_off: (_, res) => {
    res.writeHead(200, { ...json, 'content-length': String(yes.length) });
    res.write(yes.slice(0, 20), () => res.destroy());
  },
  fails: (_, res) => void res.writeHead(500, json).end('{"error":"server_error"}'),
  fails_with_yes: (_, res) => void res.writeHead(500, json).end(yes),
  redirects: (_, res) => {
    const { port } = private_place.address() as AddressInfo;
    res.writeHead(307, { location: `http://127.0.0.1:${port}/verification` }).end();
  },
  other_format: (_, res) => void res.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(yes),
  nonsense: (_, res) => void res.writeHead(200, json).end('{"result":"verified","subj'),
  nul: (_, res) => void res.writeHead(200, json).end(JSON.stringify({ result: 'verified', ...name, subject: 's\0t' })),
};

async function startGround(behaviour: Behaviour): Promise<VerifierGround> {
  const known = makeCertificate();
  const is_strange = behaviour === 'strange_certificate';
  const application = await startApplication(is_strange ? makeCertificate() : undefined);
  strayed = 0;
  let asked = 0;
  const ground: VerifierGround = {
    behaviour,
    tools,
    settings: {
      endpoint: application.endpoint,
      timeout: 1000,
      // Whatever the port, so that nothing but staying where it was sent keeps it from straying.
      private_hosts: ['127.0.0.1'],
      ...(is_strange ? { authority: known.cert } : {}),
    },
    get asked() {
      return asked + application.asked.length;
    },
    get strayed() {
      return strayed;
    },
    countOpen: () => application.countOpen(),
    stop: () => application.stop(),
    start: () => application.start(),
  };
  Object.defineProperty(application, 'answer', {
    get: () => {
      const answer = behaviours[ground.behaviour];
      return (
        answer &&
        ((req, res) => {
          asked += 1;
          req.resume();
          answer(req, res);
        })
      );
    },
  } satisfies { get(): RequestListener | undefined });
  return ground;
}

testVerifier({
  verifier: httpVerifier,
  right,
  locked: 'user_kunci',
  name,
  start: startGround,
  longest_ms: 5000,
});

async function start(tls?: Parameters<typeof startApplication>[0]): Promise<TestApplication> {
  const application = await startApplication(tls);
  stops.push(() => application.stop());
  return application;
}

const settingsOf = ({ endpoint, host }: TestApplication, changes = {}) => ({
  endpoint,
  private_hosts: [host],
  ...changes,
});

const ask = (application: TestApplication, changes = {}, credentials = right) =>
  httpVerifier.verify(settingsOf(application, changes), credentials, tools);

describe('the request', () => {
  test('is one POST of user name and password as JSON, without cookies or anything else of a person', async () => {
    const application = await start();
    await ask(application, {}, { username: ' Budi "é" ', password: 'kata\u2028sandi' });
    expect(application.asked).toHaveLength(1);
    const [{ method, headers, body } = { method: '', headers: {}, body: '' }] = application.asked;
    expect(method).toBe('POST');
    expect(JSON.parse(body)).toEqual({ username: ' Budi "é" ', password: 'kata\u2028sandi' });
    expect(Object.keys(headers).sort()).toEqual(
      [
        'accept',
        'accept-encoding',
        'authorization',
        'connection',
        'content-length',
        'content-type',
        'host',
        'user-agent',
      ].sort(),
    );
    expect(headers).toMatchObject({ accept: 'application/json', 'content-type': 'application/json' });
  });

  test('is signed for this endpoint and this body, for a minute, once', async () => {
    const application = await start();
    await ask(application);
    await ask(application);
    const { d: _, ...public_jwk } = jwk;
    const seen = new Set<unknown>();
    for (const { headers, body } of application.asked) {
      const token = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/.exec(headers.authorization ?? '')?.[1] ?? '';
      const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet({ keys: [public_jwk] }), {
        issuer,
        audience: application.endpoint,
        algorithms: ['ES256'],
      });
      expect(protectedHeader).toEqual({ alg: 'ES256', kid: 'kunci-gapura', typ: 'JWT' });
      expect(Object.keys(payload).sort()).toEqual(['aud', 'body_sha256', 'exp', 'iat', 'iss', 'jti']);
      expect(payload.aud).toBe(application.endpoint);
      expect(payload.body_sha256).toBe(createHash('sha256').update(body).digest('base64url'));
      expect(Number(payload.exp) - Number(payload.iat)).toBeLessThanOrEqual(60);
      expect(Number(payload.exp) - nowSeconds()).toBeGreaterThan(0);
      seen.add(payload.jti);
    }
    expect(seen.size).toBe(2);
    expect([...seen].every((jti) => String(jti).length >= 16)).toBe(true);
  });

  test('says nothing of the password in its signed part but the hash of the body', async () => {
    const application = await start();
    await ask(application);
    const { authorization = '' } = application.asked[0]?.headers ?? {};
    expect(JSON.stringify(decodeJwt(authorization.slice('Bearer '.length)))).not.toContain(own_password);
  });

  test('goes to no private address that was not confirmed for this application', async () => {
    const application = await start();
    const { port } = application;
    for (const private_hosts of [[], ['127.0.0.1:1'], [`localhost:${port}`], ['10.0.0.1']])
      expect(await ask(application, { private_hosts })).toEqual(broken);
    expect(application.asked).toEqual([]);
    expect(await ask(application, { private_hosts: ['127.0.0.1'] })).toMatchObject({ state: 'verified' });
  });
});

describe('the line', () => {
  test('is trusted by the authority in the settings, and by nobody else', async () => {
    const known = makeCertificate();
    const application = await start(known);
    expect(await ask(application, { authority: known.cert })).toMatchObject({ state: 'verified' });
    expect(await ask(application, { authority: makeCertificate().cert })).toEqual({
      state: 'unavailable',
      because: 'unreachable',
      reason: expect.stringMatching(/CERT|SIGNATURE/),
    });
    // Without one of its own the application needs a certificate that everybody trusts.
    expect(await ask(application)).toMatchObject({ state: 'unavailable', because: 'unreachable' });
    expect(application.asked).toHaveLength(1);
  });

  test('an authority that is none is no exception, and nothing is told', async () => {
    const application = await start(makeCertificate());
    const authority = '-----BEGIN CERTIFICATE-----\nbukan\n-----END CERTIFICATE-----\n';
    expect(await ask(application, { authority })).toMatchObject({ state: 'unavailable' });
    expect(application.asked).toEqual([]);
  });

  test('carries our own certificate where the settings have one, its key unsealed for the call', async () => {
    const [known, ours] = [makeCertificate(), makeCertificate()];
    const application = await start({ ...known, requestCert: true, rejectUnauthorized: true, ca: ours.cert });
    const sealed = Buffer.from(ours.key).toString('base64');
    const both = { authority: known.cert, client_certificate: ours.cert, client_key: sealed };
    expect(await ask(application, both)).toMatchObject({ state: 'verified' });
    expect(await ask(application, { authority: known.cert })).toMatchObject({ state: 'unavailable' });
    expect(application.asked).toHaveLength(1);
  });
});

describe('settings to be saved', () => {
  const refused = (changes: object) => {
    const read = httpVerifier.settings.safeParse({ endpoint: 'https://aplikasi.example/verifikasi', ...changes });
    return read.success ? [] : read.error.issues.map(({ path, message }) => [path[0], message]);
  };
  const [ours, other] = [makeCertificate(), makeCertificate()];
  const key_of_one_line = ours.key.replaceAll('\n', ' ');

  test.each([
    [{}, []],
    [{ timeout: 20_000 }, ['timeout']],
    [{ endpoint: 'javascript:alert(1)' }, ['endpoint']],
    [{ endpoint: 'https://budi:sandi@aplikasi.example/' }, ['endpoint']],
    [{ endpoint: 'http://aplikasi.example/' }, ['endpoint']],
    [{ endpoint: 'http://10.0.0.5/', private_hosts: ['10.0.0.6'] }, ['endpoint']],
    [{ endpoint: 'http://10.0.0.5:81/', private_hosts: ['10.0.0.5:80'] }, ['endpoint']],
    [{ endpoint: 'http://10.0.0.5/', private_hosts: ['10.0.0.5'] }, []],
    [{ notices_jwks_uri: 'http://aplikasi.example/jwks' }, ['notices_jwks_uri']],
    [{ private_hosts: ['http://10.0.0.5/'] }, ['private_hosts']],
    [{ private_hosts: ['10.0.0.5 10.0.0.6'] }, ['private_hosts']],
    [{ authority: 'bukan' }, ['authority']],
    [{ authority: ours.cert }, []],
    [{ client_certificate: 'bukan', client_key: ours.key }, ['client_certificate']],
    [{ client_certificate: ours.cert, client_key: 'bukan' }, ['client_key']],
    [{ client_certificate: ours.cert, client_key: other.key }, ['client_key']],
    [{ client_key: ours.key }, ['client_certificate']],
    [{ client_certificate: ours.cert }, []],
    [{ client_certificate: ours.cert, client_key: ours.key }, []],
    [{ client_certificate: ours.cert, client_key: key_of_one_line }, []],
  ])('%# are refused only for the field that is wrong', (changes, fields) => {
    expect(refused(changes).map(([field]) => field)).toEqual(fields);
  });

  test('have their key back in lines, however it was pasted', () => {
    const both = { endpoint: 'https://aplikasi.example/', client_certificate: ours.cert, client_key: key_of_one_line };
    expect(httpVerifier.settings.parse(both).client_key).toBe(ours.key);
  });
});

describe('an answer', () => {
  /** What the verifier makes of an answer. */
  async function read(body: string | Buffer, headers: Record<string, string> = json, status = 200) {
    const application = await start();
    application.answer = (req, res) => {
      req.resume();
      res.writeHead(status, headers).end(body);
    };
    return ask(application);
  }

  test('with fields nobody asked for counts, and they are left out', async () => {
    const answer = { result: 'verified', ...name, password: own_password, roles: ['x'], __proto__x: 1 };
    expect(await read(JSON.stringify(answer))).toEqual({ state: 'verified', name });
    expect(await read(JSON.stringify({ result: 'refused', subject: 's' }))).toEqual({ state: 'refused' });
  });

  test.each([
    ['HTTP 404', yes, json, 404],
    ['Content-Type', yes, { 'content-type': 'text/html' }, 200],
    ['redirect', '', { location: 'https://lain.example/' }, 302],
    ['JSON', 'bukan', json, 200],
    ['JSON: subject', '{"result":"verified"}', json, 200],
    ['JSON: result', '{"result":"ya"}', json, 200],
    ['NUL', JSON.stringify({ result: 'verified', subject: 's\0' }), json, 200],
  ])('that counts for nothing says why: %s', async (reason, body, headers, status) => {
    expect(await read(body, headers as Record<string, string>, status)).toEqual({ ...broken, reason });
  });

  test('may leave out all but the subject', async () => {
    expect(await read('{"result":"verified","subject":"s"}')).toEqual({
      state: 'verified',
      name: { subject: 's', username: right.username, display_name: null, directorate: null },
    });
  });

  test.each(['application/json', 'application/json; charset=utf-8', 'Application/JSON;x=y', 'application/json ;x'])(
    'of the type %s counts',
    async (type) => {
      expect(await read(yes, { 'content-type': type })).toEqual({ state: 'verified', name });
    },
  );

  test.each([
    'text/html',
    'text/plain',
    'text/html; application/json',
    'application/json-seq',
    'application/json+x',
    'application/jsonp',
    '',
  ])('of the type "%s" counts for nothing', async (type) => {
    expect(await read(yes, type ? { 'content-type': type } : {})).toEqual(broken);
  });

  test.each([201, 202, 204, 206, 301, 302, 303, 304, 308, 400, 401, 403, 404, 409, 429, 500, 502, 503])(
    'of status %i counts for nothing, whatever it says',
    async (status) => {
      expect(await read([204, 304].includes(status) ? '' : yes, json, status)).toEqual(broken);
    },
  );

  test.each([
    ['empty', ''],
    ['no object', 'null'],
    ['a list', `[${yes}]`],
    ['a word', '"verified"'],
    ['without a result', '{"subject":"s"}'],
    ['with an unknown result', '{"result":"perhaps","subject":"s"}'],
    ['with a result in capitals', '{"result":"VERIFIED","subject":"s"}'],
    ['with a result that is true', '{"result":true,"verified":true,"subject":"s"}'],
    ['without a subject', '{"result":"verified","username":"user_bpom"}'],
    ['with an empty subject', '{"result":"verified","subject":""}'],
    ['with a subject that is a number', '{"result":"verified","subject":7}'],
    ['with an endless subject', JSON.stringify({ result: 'verified', subject: 's'.repeat(201) })],
    ['with an empty user name', '{"result":"verified","subject":"s","username":""}'],
    [
      'with an endless display name',
      JSON.stringify({ result: 'verified', subject: 's', display_name: 'x'.repeat(201) }),
    ],
    ['with a directorate that is a list', '{"result":"verified","subject":"s","directorate":["PANGAN"]}'],
    ['with an endless directorate', JSON.stringify({ result: 'verified', subject: 's', directorate: 'x'.repeat(41) })],
    ['followed by something else', `${yes}${yes}`],
    ['in a variable', `answer = ${yes};`],
    ['deep beyond use', `${'['.repeat(8000)}${']'.repeat(8000)}`],
  ])('that is %s counts for nothing', async (_what, body) => {
    expect(await read(body)).toEqual(broken);
  });

  test.each(['subject', 'username', 'display_name', 'directorate'])(
    'with a NUL in its %s counts for nothing',
    async (field) => {
      expect(await read(JSON.stringify({ result: 'verified', ...name, [field]: 'a\0b' }))).toEqual(broken);
    },
  );

  test('that is no UTF-8 counts for nothing', async () => {
    const bytes = Buffer.from(yes.replace('PT user', 'PT \u00e9ser'), 'latin1');
    expect(await read(bytes)).toEqual(broken);
  });

  test('may be 16 KB long and no longer', async () => {
    const padded = (length: number) => yes + ' '.repeat(length - yes.length);
    expect(await read(padded(16_384))).toEqual({ state: 'verified', name });
    expect(await read(padded(16_385))).toEqual(broken);
  });
});

test('the settings refuse addresses and times that make no sense', () => {
  const endpoint = 'https://aplikasi.example/verifikasi';
  expect(httpSettings.parse({ endpoint })).toEqual({ endpoint, timeout: 4000, private_hosts: [] });
  for (const wrong of [
    {},
    { endpoint: 'aplikasi.example' },
    { endpoint: 'file:///etc/passwd' },
    { endpoint: 'javascript:alert(1)' },
    { endpoint, timeout: 100 },
    { endpoint, timeout: 60_000 },
    { endpoint, timeout: 1000.5 },
    { endpoint, notices_jwks_uri: 'ftp://aplikasi.example' },
    { endpoint, private_hosts: 'localhost' },
  ])
    expect([wrong, httpSettings.safeParse(wrong).success]).toEqual([wrong, false]);
});
