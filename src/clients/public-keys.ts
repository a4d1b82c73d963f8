/** A client's public keys as they are pasted: only public ones, of sizes that hold, and one for every use they are needed for. */

/** A key as JSON (RFC 7517), before anybody has looked at it. */
type Key = Record<string, unknown>;

const most_keys = 20;
const longest_set = 32 * 1024;

// RFC 7518 section 6.2.2, 6.3.2 and 6.4.1; `priv` as in the key type AKP.
const private_members = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'];

/** What makes a key of each type, and which curves are known. */
const key_types: Record<string, { members: string[]; curves?: string[] }> = {
  RSA: { members: ['n', 'e'] },
  EC: { members: ['crv', 'x', 'y'], curves: ['P-256', 'P-384', 'P-521'] },
  OKP: { members: ['crv', 'x'], curves: ['Ed25519', 'X25519'] },
};

/**
 * Checks a pasted set of keys (RFC 7517 section 5).
 * @returns the key of what is wrong, undefined when nothing is
 */
export function checkPublicKeys(set: unknown): string | undefined {
  const keys = keysOf(set);
  if (!keys || JSON.stringify(set).length > longest_set) return 'errors.client.jwks_shape';
  if (keys.length === 0 || keys.length > most_keys) return 'errors.client.jwks_count';
  // Before anything else: whoever pastes the private half must hear that, and make a new pair.
  if (keys.some((key) => private_members.some((member) => key[member] !== undefined)))
    return 'errors.client.jwks_private';
  const kids = keys.flatMap(({ kid }) => (kid === undefined ? [] : [kid]));
  if (new Set(kids).size < kids.length) return 'errors.client.jwks_kid';
  for (const key of keys) {
    const type = Object.hasOwn(key_types, String(key.kty)) ? key_types[String(key.kty)] : undefined;
    if (!type || (type.curves && !type.curves.includes(String(key.crv)))) return 'errors.client.jwks_type';
    const is_whole = type.members.every((member) => typeof key[member] === 'string' && /^[\w-]+$/.test(key[member]));
    if (!is_whole) return 'errors.client.jwks_shape';
    if (key.kty === 'RSA' && bitsOf(key.n as string) < 2048) return 'errors.client.jwks_small';
  }
  return undefined;
}

/** Whether a set holds a key that fits an algorithm, to verify a signature (JWS) or to encrypt to (JWE). */
export function hasKeyFor(set: unknown, algorithm: string): boolean {
  const use = /^(RSA-OAEP|ECDH)/.test(algorithm) ? 'enc' : 'sig';
  return (keysOf(set) ?? []).some(
    (key) =>
      fits(key, algorithm) &&
      (key.use === undefined || key.use === use) &&
      (key.alg === undefined || key.alg === algorithm || (isEdwards(key.alg) && isEdwards(algorithm))),
  );
}

/** The elliptic curve (or its absence) decides which algorithms a key can serve (RFC 7518 section 3.1 and 4.1, RFC 8037). */
function fits({ kty, crv }: Key, algorithm: string): boolean {
  if (/^(RS|PS|RSA)/.test(algorithm)) return kty === 'RSA';
  if (isEdwards(algorithm)) return kty === 'OKP' && crv === 'Ed25519';
  if (algorithm.startsWith('ECDH')) return kty === 'EC' || (kty === 'OKP' && crv === 'X25519');
  return kty === 'EC' && crv === { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }[algorithm];
}

const isEdwards = (algorithm: unknown) => algorithm === 'EdDSA' || algorithm === 'Ed25519';

function keysOf(set: unknown): Key[] | undefined {
  const keys = (set as { keys?: unknown } | null | undefined)?.keys;
  const is_list =
    Array.isArray(keys) && keys.every((key) => typeof key === 'object' && key !== null && !Array.isArray(key));
  return is_list ? (keys as Key[]) : undefined;
}

function bitsOf(modulus: string): number {
  const bytes = Buffer.from(modulus, 'base64url');
  const first = bytes.findIndex((byte) => byte !== 0);
  return first < 0 ? 0 : (bytes.length - first) * 8 - (Math.clz32(bytes[first] as number) - 24);
}
