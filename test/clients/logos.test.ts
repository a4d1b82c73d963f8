/** Logos: told by their bytes, kept here, served under an address that changes with them. */

import { deflateSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { findClientMetadata } from '../../src/clients/engine-client.ts';
import { largest_logo, readPicture, removeLogo, saveLogo } from '../../src/clients/logos.ts';
import { inTransaction } from '../../src/database.ts';
import { registerClient, startGapura, type TestGapura } from '../support/gapura.ts';

let gapura: TestGapura;

beforeAll(async () => {
  gapura = await startGapura();
  await registerClient(gapura, 'berlogo');
});

afterAll(() => gapura.stop());

function chunk(name: string, body: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, Buffer.from(name, 'latin1'), body, Buffer.alloc(4)]);
}

/** A picture of zeros; the sums of its parts are left out, for nothing here shows it. */
function makePng(width: number, height: number, { moves = false, more = 0 } = {}): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 8;
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    ...(moves ? [chunk('acTL', Buffer.alloc(8))] : []),
    chunk('IDAT', Buffer.concat([deflateSync(Buffer.alloc(width * height + height)), Buffer.alloc(more)])),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function makeJpeg(width: number, height: number): Buffer {
  const frame = Buffer.from([0xff, 0xc0, 0, 11, 8, height >> 8, height & 255, width >> 8, width & 255, 1, 1, 0x11, 0]);
  const before = Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xff, 0xc4, 0, 3, 0]);
  return Buffer.concat([before, frame, Buffer.from([0xff, 0xd9])]);
}

function makeWebp(kind: 'VP8X' | 'VP8L' | 'VP8 ', width: number, height: number, moves = false): Buffer {
  const bytes = Buffer.alloc(40);
  bytes.write('RIFF', 0, 'latin1');
  bytes.write('WEBP', 8, 'latin1');
  bytes.write(kind, 12, 'latin1');
  if (kind === 'VP8X') {
    bytes[20] = moves ? 0x02 : 0;
    bytes.writeUIntLE(width - 1, 24, 3);
    bytes.writeUIntLE(height - 1, 27, 3);
  } else if (kind === 'VP8L') {
    bytes[20] = 0x2f;
    bytes.writeUInt32LE((width - 1) | ((height - 1) << 14), 21);
  } else {
    bytes.writeUIntBE(0x9d012a, 23, 3);
    bytes.writeUInt16LE(width, 26);
    bytes.writeUInt16LE(height, 28);
  }
  return bytes;
}

const save = (bytes: Buffer) => inTransaction(gapura.db, (tx) => saveLogo(tx, 'berlogo', bytes));
const refused = async (bytes: Buffer) => {
  const outcome = await save(bytes);
  return outcome.state === 'refused' ? outcome.because.replace('errors.client.', '') : outcome.state;
};

test.each([
  ['PNG', makePng(300, 200), { type: 'image/png', width: 300, height: 200, moves: false }],
  ['JPEG', makeJpeg(300, 200), { type: 'image/jpeg', width: 300, height: 200, moves: false }],
  ['WebP', makeWebp('VP8 ', 300, 200), { type: 'image/webp', width: 300, height: 200, moves: false }],
  ['WebP without loss', makeWebp('VP8L', 300, 200), { type: 'image/webp', width: 300, height: 200, moves: false }],
  ['WebP with more', makeWebp('VP8X', 300, 200, true), { type: 'image/webp', width: 300, height: 200, moves: true }],
])('a %s picture tells what it is', (_kind, bytes, expected) => {
  expect(readPicture(bytes)).toEqual(expected);
});

test('whatever is cut off or something else is no picture, and no failure', () => {
  const pictures = [makePng(64, 64), makeJpeg(64, 64), makeWebp('VP8X', 64, 64), makeWebp('VP8 ', 64, 64)];
  for (const picture of pictures)
    for (let length = 0; length < 30; length += 1) expect(() => readPicture(picture.subarray(0, length))).not.toThrow();
  for (const text of ['<svg xmlns="http://www.w3.org/2000/svg"/>', '<html>', 'GIF89a', '%PDF-1.7', ''])
    expect(readPicture(Buffer.from(text))).toBeUndefined();
});

describe('a logo', () => {
  test('is refused by a word that helps', async () => {
    expect(await refused(Buffer.from('<svg onload="alert(1)"/>'))).toBe('logo_type');
    expect(await refused(makePng(64, 64, { more: largest_logo }))).toBe('logo_large');
    expect(await refused(makePng(63, 63))).toBe('logo_sides');
    expect(await refused(makePng(1025, 1000))).toBe('logo_sides');
    expect(await refused(makePng(200, 100))).toBe('logo_shape');
    expect(await refused(makePng(64, 64, { moves: true }))).toBe('logo_moves');
    expect((await findClientMetadata(gapura.gapura.clients, 'berlogo'))?.logo).toBeUndefined();
  });

  test('is served as what it is, for ever, and shown on the sign-in page from here alone', async () => {
    const bytes = makePng(128, 128);
    const kept = await save(bytes);
    if (kept.state !== 'kept') throw new Error(kept.because);
    const answer = await fetch(`${gapura.url}${kept.address}`);
    expect(answer.status).toBe(200);
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'content-type': 'image/png',
      'x-content-type-options': 'nosniff',
      'cache-control': expect.stringContaining('immutable'),
    });
    expect(Buffer.from(await answer.arrayBuffer()).equals(bytes)).toBe(true);
    const client = await gapura.gapura.engine.prompts.findClient('berlogo', 'id');
    expect(client?.asking).toMatchObject({ logo_uri: kept.address });
  });

  test('with another content has another address, and the old one is gone', async () => {
    const [first, second] = [await save(makePng(128, 128)), await save(makeJpeg(128, 128))];
    if (first.state !== 'kept' || second.state !== 'kept') throw new Error('not kept');
    expect((await fetch(`${gapura.url}${first.address}`)).status).toBe(404);
    expect((await fetch(`${gapura.url}${second.address}`)).headers.get('content-type')).toBe('image/jpeg');
    expect((await fetch(`${gapura.url}${second.address.replace('.jpeg', '.png')}`)).status).toBe(404);
    expect((await fetch(`${gapura.url}${second.address}`, { method: 'POST' })).status).toBeGreaterThanOrEqual(400);
    expect((await fetch(`${gapura.url}/assets/logos/%00/${'a'.repeat(43)}.png`)).status).toBeLessThan(500);
    expect(await inTransaction(gapura.db, (tx) => removeLogo(tx, 'berlogo'))).toBe(true);
    expect((await fetch(`${gapura.url}${second.address}`)).status).toBe(404);
  });
});
