/** How a mail address is shown to somebody who has not proven to be its owner, and what is shown where there is none. */

import { isPublicDomain } from '../accounts/public-domains.ts';
import { keyedDigest } from '../crypto.ts';

const stars = '********';

/**
 * Three first characters and a fixed number of stars; the domain only where everybody may have an address. Of a short name
 * at least one character stays hidden.
 */
export function maskAddress(address: string): string {
  const at = address.lastIndexOf('@');
  const letters = [...address.slice(0, at)];
  const domain = address.slice(at + 1).toLowerCase();
  return join(letters.slice(0, Math.min(3, letters.length - 1)).join(''), isPublicDomain(domain) ? domain : stars);
}

const join = (shown: string, domain: string) => `${shown}${stars}@${domain}`;

// As often as people have them, more or less; the stars stand for the domains of offices and companies.
const decoy_domains = [
  ...Array<string>(9).fill('gmail.com'),
  ...['yahoo.com', 'yahoo.com', 'yahoo.co.id', 'outlook.com', 'hotmail.com', 'icloud.com', stars],
];

// How Indonesian names begin.
const decoy_letters =
  'adi agu ahm and ang ani ari ayu bam ban bay bud cah cit dan ded den dew dia dik din dwi edi eka end eri fai faj fit gal gun had han har hen her ind ira irf iwa jok kar kur lil lin luk mad may meg mul nan nin nov nur pra put rah rat ren res ria rin riz rob rud san sar set sit sri sug sul sur tau teg tik tri udi uta vin wah wid wul yan yog yud yul zul'.split(
    ' ',
  );

/**
 * The masks where there is no address: of one name always the same, made as those of real ones are. Now and then two, as
 * people have two: or whoever is shown two would know that somebody is there.
 */
export function masksOfNobody(key: Buffer, canonical: string, most: number): string[] {
  const bytes = keyedDigest(key, `mask\0${canonical}`);
  const first = drawMask(bytes, canonical);
  const second = drawMask(bytes.subarray(8), canonical);
  return bytes.readUInt8(16) < 64 && most > 1 && second !== first ? [first, second] : [first];
}

function drawMask(bytes: Buffer, canonical: string): string {
  const own = canonical.replace(/[^a-z0-9]/g, '').slice(0, 3);
  const drawn = decoy_letters[bytes.readUInt16BE(0) % decoy_letters.length] ?? '';
  const shown = own.length === 3 && bytes.readUInt8(2) < 154 ? own : drawn;
  return join(shown, decoy_domains[bytes.readUInt8(3) % decoy_domains.length] ?? stars);
}
