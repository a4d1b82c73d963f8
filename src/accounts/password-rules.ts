/** What a new password must be: two sets of rules, chosen by the person's roles, told before they are broken. */

import type { Database } from '../database.ts';
import { policy } from '../policy/policy.ts';
import { common_passwords } from './common-passwords.ts';
import { verifyPassword } from './password.ts';
import { listPasswordHashes } from './password-store.ts';
import { judgePassword } from './password-strength.ts';
import { findAccount } from './store.ts';

/** Whose password it is to be, and what was typed. */
export interface NewPassword {
  /** Null while there is no account: nothing was used before then. */
  account_id: string | null;
  username: string;
  full_name: string;
  roles: readonly string[];
  password: string;
}

/** A rule as a page lists it: `parts.password-rules.<rule>` with its numbers, and the pattern that a script can tick it by. */
export interface DescribedRule {
  rule: string;
  key: string;
  values: Record<string, number>;
  pattern: string | undefined;
}

interface Profile {
  least: number;
  has_classes: boolean;
  days: number;
}

const officer_roles: readonly string[] = ['agency_officer', 'service_desk', 'administrator', 'auditor', 'developer'];

/** Names of the house; a password that carries one of them is the first that anybody tries. */
const product_names = ['gapura'];

/** The classes of document C (domain 1C), with the signs as it lists them. */
const classes = {
  lower: '\\p{Ll}',
  upper: '\\p{Lu}',
  digit: '\\p{Nd}',
  symbol: '[!@#$%^&*]',
} as const;

/** One who is an officer besides being anything else is held to an officer's rules. */
function profileOf(roles: readonly string[]): Profile {
  // No classes there: they make people write "Password1!", and length does what they were meant to do (NIST SP 800-63B-4
  // 3.1.1.2).
  return roles.some((role) => officer_roles.includes(role))
    ? {
        least: policy('password.officer_length'),
        has_classes: policy('password.officer_classes'),
        days: policy('password.officer_days'),
      }
    : {
        least: policy('password.trader_length'),
        has_classes: policy('password.trader_classes'),
        days: policy('password.trader_days'),
      };
}

/** For how many days a password is good that somebody with these roles sets; 0 is for ever. */
export function daysOf(roles: readonly string[]): number {
  return profileOf(roles).days;
}

/** The rules that hold for somebody with these roles, in the order in which a page lists them. */
export function describeRules(roles: readonly string[]): DescribedRule[] {
  const { least, has_classes } = profileOf(roles);
  const longest = policy('password.longest');
  const describe = (rule: string, values: Record<string, number> = {}, pattern?: string): DescribedRule => ({
    rule,
    key: `parts.password-rules.${rule}`,
    values,
    pattern,
  });
  return [
    describe('length', { least, longest }, `^[^]{${least},${longest}}$`),
    ...(has_classes ? Object.entries(classes).map(([rule, pattern]) => describe(rule, {}, pattern)) : []),
    describe('name'),
    describe('common'),
    describe('used', { count: policy('password.history') }),
  ];
}

/**
 * Checks a new password against every rule of this person; what costs most last: its strength, then the earlier passwords, a hash each.
 * @returns the message keys of the broken rules (`errors.password.<rule>`), none when it is good
 * @throws QueueFull when too many passwords are being hashed
 */
export async function checkNewPassword(db: Database, asked: NewPassword): Promise<string[]> {
  const password = asked.password.normalize('NFC');
  const { least, has_classes } = profileOf(asked.roles);
  const length = [...password].length;
  if (length > policy('password.longest')) return ['errors.password.too_long'];
  const account = asked.account_id === null ? undefined : await findAccount(db, asked.account_id);
  const names = [asked.username, asked.full_name, localPart(account?.email), ...product_names];
  const broken = [
    ...(length < least ? ['length'] : []),
    ...(has_classes ? Object.entries(classes).flatMap(([rule, letter]) => (has(password, letter) ? [] : [rule])) : []),
    ...(isName(password, names) ? ['name'] : []),
    ...(isCommon(password) ? ['common'] : []),
  ];
  if (broken.length === 0 && (await judgePassword(password, names)) < policy('password.strength'))
    broken.push('common');
  if (broken.length === 0 && asked.account_id !== null && (await wasUsed(db, asked.account_id, password)))
    broken.push('used');
  return broken.map((rule) => `errors.password.${rule}`);
}

async function wasUsed(db: Database, account_id: string, password: string): Promise<boolean> {
  for (const hash of await listPasswordHashes(db, account_id)) {
    if ((await verifyPassword(hash, password)).fits) return true;
  }
  return false;
}

function has(password: string, letter: string): boolean {
  return new RegExp(letter, 'u').test(password);
}

function localPart(email: string | null | undefined): string {
  return email?.split('@')[0] ?? '';
}

const look_alikes: Record<string, string> = {
  '0': 'o',
  '1': 'i',
  '3': 'e',
  '4': 'a',
  '5': 's',
  '7': 't',
  '8': 'b',
  '9': 'g',
  '@': 'a',
  $: 's',
  '!': 'i',
};

/** The form in which words are compared: small letters without accents, digits and signs read as the letters they stand for. */
function fold(text: string): string {
  return unaccent(text).replace(/[0-9@$!]/g, (sign) => look_alikes[sign] ?? sign);
}

function unaccent(text: string): string {
  return text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
}

/** What is left without the digits and signs at both ends, which people add because they must. */
function coreOf(text: string): string {
  return unaccent(text).replace(/^[^\p{L}]+|[^\p{L}]+$/gu, '');
}

/** A part of a name of four letters and more is looked for anywhere; a shorter one stands in many honest words. */
function isName(password: string, names: readonly string[]): boolean {
  const [whole, core] = [fold(password), fold(coreOf(password))];
  const parts = names.flatMap((name) => [name, ...name.split(/[^\p{L}\p{N}]+/u)]).map(fold);
  return parts.some((part) => (part.length >= 4 ? whole.includes(part) : part !== '' && part === core));
}

const rows = ['abcdefghijklmnopqrstuvwxyz', '0123456789', 'qwertyuiopasdfghjklzxcvbnm', '1qaz2wsx3edc4rfv5tgb'];
const walks = rows.flatMap((row) => [row.repeat(3), [...row].reverse().join('').repeat(3)]);

/** Whether it is a word of the list, once or over and over, one key or few, or a walk along the keyboard or the alphabet. */
function isCommon(password: string): boolean {
  const small = unaccent(password);
  if (new Set(small).size < 5) return true;
  const forms = [small, coreOf(password)].flatMap((form) => [form, fold(form), fold(form).replace(/[^\p{L}]/gu, '')]);
  return forms.flatMap((form) => [form, unrepeat(form)]).some((form) => common_passwords.has(form) || isWalk(form));
}

function unrepeat(text: string): string {
  return /^(.{1,64}?)\1+$/u.exec(text)?.[1] ?? text;
}

function isWalk(text: string): boolean {
  return text.length >= 4 && walks.some((row) => row.includes(text));
}
