/** The mail domains at which anybody can have an address, so that they tell nothing of the person and belong to no office. */

const public_domains = [
  'gmail.com',
  'googlemail.com',
  'yahoo.com',
  'yahoo.co.id',
  'ymail.com',
  'rocketmail.com',
  'outlook.com',
  'outlook.co.id',
  'hotmail.com',
  'live.com',
  'msn.com',
  'icloud.com',
  'me.com',
  'proton.me',
  'protonmail.com',
  'zoho.com',
  'gmx.com',
  'mail.com',
  'aol.com',
];

export function isPublicDomain(domain: string): boolean {
  return public_domains.includes(domain.toLowerCase());
}
