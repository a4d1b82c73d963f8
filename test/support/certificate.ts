/** Self-signed certificates for servers of the tests on this machine, made with node:crypto alone (X.509, RFC 5280). */

import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';

/** One DER element: tag, length, content (ITU-T X.690, section 8.1). */
function der(tag: number, ...parts: (Buffer | string)[]): Buffer {
  const content = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'hex') : part)));
  const size = content.length;
  const length = size < 128 ? [size] : size < 256 ? [0x81, size] : [0x82, size >> 8, size & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}

const sequence = (...parts: (Buffer | string)[]) => der(0x30, ...parts);
const utcTime = (date: Date) =>
  der(0x17, Buffer.from(`${date.toISOString().replace(/[-:T]/g, '').slice(2, 14)}Z`, 'latin1'));

/** Whom a certificate names: `common` as its subject and as a host, within `organisation`, and an address. */
interface Names {
  common?: string;
  organisation?: string;
  uri?: string;
}

const part = (oid: string, value: string) => der(0x31, sequence(der(0x06, oid), der(0x0c, Buffer.from(value))));

/** A new key and a certificate for `localhost` (or another) and 127.0.0.1, good from yesterday until tomorrow, as PEM. */
export function makeCertificate({ common = 'localhost', organisation, uri }: Names = {}): {
  key: string;
  cert: string;
} {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const day = 86_400_000;
  // ecdsa-with-SHA256
  const algorithm = sequence(der(0x06, '2a8648ce3d040302'));
  // organizationName, commonName
  const name = sequence(...(organisation ? [part('55040a', organisation)] : []), part('550403', common));
  // dNSName, iPAddress 127.0.0.1, uniformResourceIdentifier
  const names = sequence(
    der(0x82, Buffer.from(common)),
    der(0x87, '7f000001'),
    ...(uri ? [der(0x86, Buffer.from(uri))] : []),
  );
  const body = sequence(
    der(0xa0, der(0x02, '02')),
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    algorithm,
    name,
    sequence(utcTime(new Date(Date.now() - day)), utcTime(new Date(Date.now() + day))),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(sequence(der(0x06, '551d11'), der(0x04, names)))),
  );
  const signature = der(0x03, Buffer.concat([Buffer.from([0]), sign('sha256', body, privateKey)]));
  const whole = sequence(body, algorithm, signature).toString('base64').replace(/.{64}/g, '$&\n').trimEnd();
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    cert: `-----BEGIN CERTIFICATE-----\n${whole}\n-----END CERTIFICATE-----\n`,
  };
}
