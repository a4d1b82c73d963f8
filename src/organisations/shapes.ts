/** What the numbers and names of organisations must look like (domain 2.1 to 2.8), and what of them can be wrong all the same. */

import { z } from 'zod';
import { now } from '../clock.ts';
import { plain_text } from '../text.ts';

/** People write these numbers with the blanks, dots and dashes of their masks; only the digits are kept and compared. */
function stripMask(typed: string): string {
  return typed.replace(/[\s.-]/g, '');
}

/**
 * An NPWP in its 16-digit form: 15 digits (old, in any mask) get a leading zero, 16 stay (domain 2.1, 2.2).
 * @returns undefined when it has another number of digits
 */
export function normaliseNpwp(typed: string): string | undefined {
  const digits = stripMask(typed);
  if (/^\d{15}$/.test(digits)) return `0${digits}`;
  return /^\d{16}$/.test(digits) ? digits : undefined;
}

/** Whether the check digit of a company's NPWP holds: Luhn over the first eight digits after the leading zero (domain 2.1). */
export function hasValidCheckDigit(npwp: string): boolean {
  if (!npwp.startsWith('0')) return true;
  const sum = [...npwp.slice(1, 9)]
    .map(Number)
    .map((digit, place) => (place % 2 === 0 ? digit : digit * 2))
    .reduce((total, product) => total + (product > 9 ? product - 9 : product), 0);
  return (10 - (sum % 10)) % 10 === Number(npwp[9]);
}

/** Whether an NPWP is the placeholder of document D, zeros up to the tax office: its check digit holds, and it is nobody's. */
export function isPlaceholder(npwp: string): boolean {
  return /^0{10}/.test(npwp);
}

/**
 * Whether sixteen digits can be a NIK: a day that there was (women's plus 40) in this century or the last, and a serial
 * number (domain 2.4). Regions are not looked at: they come and go, the number stays.
 */
export function isNik(digits: string): boolean {
  const parts = /^\d{6}(\d\d)(\d\d)(\d\d)(\d{4})$/.exec(digits);
  if (!parts || parts[4] === '0000') return false;
  const [day = 0, month = 0, year = 0] = parts.slice(1, 4).map(Number);
  const date = day > 40 ? day - 40 : day;
  return [1900, 2000].some((century) => {
    const birth = new Date(Date.UTC(century + year, month - 1, date));
    return birth.getUTCMonth() === month - 1 && birth.getUTCDate() === date && birth <= now();
  });
}

/** One line of text. */
export function line(longest: number) {
  return z.string().trim().max(longest, 'errors.too_long').regex(plain_text, 'errors.field.unreadable');
}

/** One line that must be there. */
export function words(longest: number) {
  return line(longest).min(1, { error: 'errors.field.required', abort: true }).min(2, 'errors.too_short');
}

/** One line that need not be there; an empty one is none. */
export function optionalLine(longest: number) {
  return line(longest)
    .transform((text) => text || null)
    .nullish();
}

/** A code in capitals, however it was typed. */
export function code(shape: RegExp, message: string) {
  return z.string().trim().max(100, 'errors.too_long').toUpperCase().regex(shape, message);
}

/** A number or code that need not be there, brought into its stored form first. */
function optionalNumber(normalise: (typed: string) => string, shape: RegExp, message: string) {
  return z
    .string()
    .max(100, 'errors.too_long')
    .transform((typed, check) => {
      const number = normalise(typed);
      if (number !== '' && !shape.test(number)) check.addIssue({ code: 'custom', message });
      return number || null;
    })
    .nullish();
}

/** An NPWP in any mask; one that does not begin with zero is a person's NIK (domain 2.2). */
export const npwpShape = z
  .string()
  .max(100, 'errors.too_long')
  .transform((typed, check) => {
    const npwp = normaliseNpwp(typed);
    if (npwp === undefined) check.addIssue({ code: 'custom', message: 'errors.npwp' });
    else if (!npwp.startsWith('0') && !isNik(npwp))
      check.addIssue({ code: 'custom', message: 'errors.organisation.npwp_nik' });
    return npwp ?? '';
  });

/** The NPWP and a running number; whether it is this organisation's NPWP is seen where both are known (domain 2.3). */
export const nitkuShape = optionalNumber(stripMask, /^\d{22}$/, 'errors.organisation.nitku');

export const nibShape = optionalNumber(stripMask, /^\d{13}$/, 'errors.organisation.nib');

export const postalCodeShape = optionalNumber(stripMask, /^\d{5}$/, 'errors.organisation.postal_code');

const capitals = (typed: string) => typed.trim().toUpperCase();

/** A mailbox at PT EDI Indonesia; EDIFACT allows a party 35 characters (domain 2.8). */
export const ediNumberShape = optionalNumber(capitals, /^[A-Z0-9._-]{1,35}$/, 'errors.organisation.edi_number');

/** Old certificates have shapes that nobody wrote down, so this is as wide as it can be (domain 2.7). */
export const srpShape = optionalNumber(capitals, /^[0-9A-Z./-]{1,30}$/, 'errors.organisation.srp');

/** Indonesia's three times, and Pontianak, which keeps the first of them. */
export const time_zones = ['Asia/Jakarta', 'Asia/Pontianak', 'Asia/Makassar', 'Asia/Jayapura'] as const;
