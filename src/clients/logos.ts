/** The pictures of clients: checked by what they are and not by what they are called, kept here, served from here. */

import { createHash } from 'node:crypto';
import type { Database, Transaction } from '../database.ts';
import type { Middleware } from '../http/guard.ts';
import type { ClientLogos } from '../tables.ts';
import { logoAddress } from './engine-client.ts';

/** Bytes of a picture. */
export const largest_logo = 100 * 1024;

const smallest_side = 64;
const longest_side = 1024;
/** A picture stands in a square; one that is longer than this would be a strip in it. */
const widest_shape = 1.5;

interface Picture {
  type: ClientLogos['type'];
  width: number;
  height: number;
  moves: boolean;
}

export type KeptLogo = { state: 'kept'; address: string } | { state: 'refused'; because: string };

/** Keeps a client's picture in place of the one it had. `because` is a message key. */
export async function saveLogo(tx: Transaction, client_id: string, bytes: Buffer): Promise<KeptLogo> {
  const refused = (because: string): KeptLogo => ({ state: 'refused', because });
  if (bytes.length > largest_logo) return refused('errors.client.logo_large');
  const picture = readPicture(bytes);
  // Among the others: SVG, which can run scripts and load pictures from elsewhere.
  if (!picture) return refused('errors.client.logo_type');
  const { type, width, height } = picture;
  const [short, long] = [Math.min(width, height), Math.max(width, height)];
  if (short < smallest_side || long > longest_side) return refused('errors.client.logo_sides');
  if (long > short * widest_shape) return refused('errors.client.logo_shape');
  if (picture.moves) return refused('errors.client.logo_moves');
  const digest = createHash('sha256').update(bytes).digest('base64url');
  const columns = { type, bytes, digest };
  await tx
    .insertInto('client_logos')
    .values({ client_id, ...columns })
    .onConflict((conflict) => conflict.column('client_id').doUpdateSet(columns))
    .execute();
  return { state: 'kept', address: logoAddress(client_id, type, digest) };
}

/** Takes a client's picture away. @returns whether it had one */
export async function removeLogo(tx: Transaction, client_id: string): Promise<boolean> {
  const { numDeletedRows } = await tx.deleteFrom('client_logos').where('client_id', '=', client_id).executeTakeFirst();
  return numDeletedRows === 1n;
}

/** Answers `/assets/logos/<client>/<digest>.<type>`. An address with another digest is not found: it may be kept for ever. */
export function serveLogos(db: Database): Middleware {
  return async (ctx, next) => {
    const found = /^\/assets\/logos\/([\w.~%!'()*-]{1,200})\/([\w-]{43})\.(png|jpeg|webp)$/.exec(ctx.path);
    if (!found) return next();
    if (ctx.method !== 'GET' && ctx.method !== 'HEAD') ctx.throw(405, { headers: { allow: 'GET, HEAD' } });
    const [, name = '', digest = '', extension = ''] = found;
    const client_id = decode(name);
    if (client_id === undefined) return next();
    const logo = await db
      .selectFrom('client_logos')
      .select(['type', 'bytes'])
      .where('client_id', '=', client_id)
      .where('digest', '=', digest)
      .executeTakeFirst();
    if (logo?.type !== `image/${extension}`) return next();
    ctx.set('cache-control', 'public, max-age=31536000, immutable');
    ctx.set('x-content-type-options', 'nosniff');
    ctx.type = logo.type;
    ctx.body = logo.bytes;
  };
}

function decode(name: string): string | undefined {
  try {
    const text = decodeURIComponent(name);
    return text.includes('\0') ? undefined : text;
  } catch {
    return undefined;
  }
}

/** What a picture is by its first bytes and its header; undefined for anything else. */
export function readPicture(bytes: Buffer): Picture | undefined {
  try {
    return readPng(bytes) ?? readJpeg(bytes) ?? readWebp(bytes);
  } catch (error) {
    // It ends before its header does.
    if (/^ERR_(OUT_OF_RANGE|BUFFER_OUT_OF_BOUNDS)$/.test(String((error as { code?: unknown }).code))) return undefined;
    throw error;
  }
}

/** PNG (ISO/IEC 15948): the header comes first; an animation announces itself before the first part of the picture. */
function readPng(bytes: Buffer): Picture | undefined {
  if (bytes.toString('latin1', 0, 8) !== '\x89PNG\r\n\x1a\n' || bytes.toString('latin1', 12, 16) !== 'IHDR')
    return undefined;
  const first = bytes.indexOf('IDAT', 0, 'latin1');
  const moves = bytes.subarray(0, first < 0 ? undefined : first).includes('acTL', 0, 'latin1');
  return { type: 'image/png', width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20), moves };
}

/** JPEG (ITU-T T.81, annex B): segments, one of which, the start of the frame, has the size. */
function readJpeg(bytes: Buffer): Picture | undefined {
  if (bytes.readUInt16BE(0) !== 0xffd8) return undefined;
  for (let at = 2; ; ) {
    if (bytes.readUInt8(at) !== 0xff) return undefined;
    const marker = bytes.readUInt8(at + 1);
    if (marker === 0xff) {
      at += 1;
      continue;
    }
    // C4, C8 and CC are tables and an extension; D8 to DA begin or end what has no size before it.
    const is_frame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (is_frame) {
      return {
        type: 'image/jpeg',
        height: bytes.readUInt16BE(at + 5),
        width: bytes.readUInt16BE(at + 7),
        moves: false,
      };
    }
    if (marker >= 0xd0 && marker <= 0xda) return undefined;
    at += 2 + Math.max(bytes.readUInt16BE(at + 2), 2);
  }
}

/** WebP (RFC 9649, sections 2.4 to 2.7): one of three headers. */
function readWebp(bytes: Buffer): Picture | undefined {
  if (bytes.toString('latin1', 0, 4) !== 'RIFF' || bytes.toString('latin1', 8, 12) !== 'WEBP') return undefined;
  const type = 'image/webp';
  switch (bytes.toString('latin1', 12, 16)) {
    case 'VP8X':
      return {
        type,
        width: bytes.readUIntLE(24, 3) + 1,
        height: bytes.readUIntLE(27, 3) + 1,
        moves: (bytes.readUInt8(20) & 0x02) !== 0,
      };
    case 'VP8L': {
      if (bytes.readUInt8(20) !== 0x2f) return undefined;
      const size = bytes.readUInt32LE(21);
      return { type, width: (size & 0x3fff) + 1, height: ((size >>> 14) & 0x3fff) + 1, moves: false };
    }
    case 'VP8 ':
      if (bytes.readUIntBE(23, 3) !== 0x9d012a) return undefined;
      return { type, width: bytes.readUInt16LE(26) & 0x3fff, height: bytes.readUInt16LE(28) & 0x3fff, moves: false };
    default:
      return undefined;
  }
}
