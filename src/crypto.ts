/** Random values, keyed hashes, sealing, and the Secret type that cannot be printed. */

import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
  randomFillSync,
  timingSafeEqual,
} from 'node:crypto';
import { inspect } from 'node:util';

/** A string that no log, JSON or template can show; only `reveal()` gives it out, at the place of use. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return '[redacted]';
  }

  toJSON(): string {
    return '[redacted]';
  }

  [inspect.custom](): string {
    return '[redacted]';
  }
}

/** A 32-byte key for one purpose, derived from a configured secret (HKDF-SHA256, RFC 5869). */
export function deriveKey(secret: Secret, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret.reveal(), 'gapura', purpose, 32));
}

/** The keys of one purpose, the current first: the first makes, all of them check. */
export function deriveKeys(secrets: readonly Secret[], purpose: string): Buffer[] {
  return secrets.map((secret) => deriveKey(secret, purpose));
}

// Node turns a Buffer into a key at every use, which costs more than the hash; each key is turned once.
const key_objects = new WeakMap<Buffer, KeyObject>();

function keyObject(key: Buffer): KeyObject {
  const known = key_objects.get(key) ?? createSecretKey(key);
  key_objects.set(key, known);
  return known;
}

/** HMAC-SHA256 as bytes, for a column that is only ever compared. */
export function keyedDigest(key: Buffer, text: string): Buffer {
  return createHmac('sha256', keyObject(key)).update(text).digest();
}

/** HMAC-SHA256 in base64url: what is stored in place of a code, a token or a name to be looked up. */
export function keyedHash(key: Buffer, text: string): string {
  return createHmac('sha256', keyObject(key)).update(text).digest('base64url');
}

/** SHA-256 in base64url, for values that are not secret. */
export function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}

/** An unguessable value of `bytes` random bytes in base64url; 32 bytes are 43 characters. */
export function randomToken(bytes = 32): string {
  if (bytes > pool.length) return randomBytes(bytes).toString('base64url');
  if (drawn + bytes > pool.length) {
    randomFillSync(pool);
    drawn = 0;
  }
  const token = pool.toString('base64url', drawn, drawn + bytes);
  // Nothing that was given out is to be found in memory here.
  pool.fill(0, drawn, drawn + bytes);
  drawn += bytes;
  return token;
}

// The system is asked for many at a time, since asking costs more than the bytes.
const pool = Buffer.alloc(4096);
let drawn = pool.length;

/** Compares without telling by its time where two strings differ. */
export function isSame(one: string, other: string): boolean {
  const a = createHash('sha256').update(one).digest();
  const b = createHash('sha256').update(other).digest();
  return timingSafeEqual(a, b);
}

/**
 * Seals `text` with AES-256-GCM; the result is `v1.<key id>.<nonce>.<ciphertext and tag>` in base64url.
 * `context` names table, column and row and is authenticated, so that a value copied to another row does not open.
 */
export function seal(key: Buffer, text: string, context: string): string {
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 });
  cipher.setAAD(Buffer.from(`gapura\0v1\0${context}`));
  const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
  return ['v1', keyId(key), nonce.toString('base64url'), body.toString('base64url')].join('.');
}

/**
 * Opens what `seal` made, with whichever of `keys` sealed it.
 * @throws Error when no key fits, the text was changed, or it stands in another place than it was sealed for
 */
export function open(keys: Buffer[], sealed: string, context: string): string {
  const [version, id, nonce, body] = sealed.split('.');
  const key = keys.find((candidate) => keyId(candidate) === id);
  if (version !== 'v1' || !key || !nonce || !body) throw new Error('sealed value is unreadable: no key fits');
  const bytes = Buffer.from(body, 'base64url');
  if (bytes.length < 16) throw new Error('sealed value is unreadable: too short');
  const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(nonce, 'base64url'), { authTagLength: 16 });
  decipher.setAAD(Buffer.from(`gapura\0v1\0${context}`));
  decipher.setAuthTag(bytes.subarray(-16));
  return Buffer.concat([decipher.update(bytes.subarray(0, -16)), decipher.final()]).toString('utf8');
}

/** A name for a key that opens nothing: which of several keys sealed a value. */
export function keyId(key: Buffer): string {
  return createHmac('sha256', key).update('gapura key id').digest('base64url').slice(0, 8);
}
