/** What a person may type to say who they are, and the one form in which it is compared. */

/**
 * The canonical form of a typed identifier: an e-mail address in lower case, an Indonesian mobile number as +62…, or a
 * user name in lower case (domain 1C, 2.9). Compatibility forms fold (NFKC), so look-alike letters of full width do not
 * name a second account.
 */
export function canonicalise(typed: string): string {
  const text = typed.normalize('NFKC').trim().toLowerCase();
  return mobileNumber(text) ?? text;
}

/** `text` as +62…, when it is written like an Indonesian mobile number: 08…, 628…, +628…, 00628… with blanks, dots or dashes. */
function mobileNumber(text: string): string | undefined {
  const digits = text.replace(/[\s().-]/g, '');
  const match = /^(?:(?:\+|00)?62|0)(8\d{8,11})$/.exec(digits);
  return match ? `+62${match[1]}` : undefined;
}
