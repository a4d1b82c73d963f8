/** Claims as Gapura gives them, read with care: an application must not fall over a claim that is missing or misshapen. */

type Claims = Record<string, unknown>;

/** The object at `name`, empty when there is none. */
export function readObject(claims: Claims, name: string): Claims {
  const value = claims[name];
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Claims) : {};
}

/** The text at `name`, undefined when it is missing, empty or no text. */
export function readText(claims: Claims, name: string): string | undefined {
  const value = claims[name];
  return typeof value === 'string' && value.trim() !== '' ? value : undefined;
}

/** The names of the roles in the claim `role`. */
export function listRoles(claims: Claims): string[] {
  const roles: unknown[] = Array.isArray(claims.role) ? claims.role : [];
  return roles.flatMap((role) => readText({ ...(role as object) }, 'name') ?? []);
}

/** An NPWP as people write it: 00.000.101.6-000.000 for those that had 15 digits, groups of four for the others. */
export function maskNpwp(npwp: string): string {
  const old = /^0(\d{2})(\d{3})(\d{3})(\d)(\d{3})(\d{3})$/.exec(npwp);
  if (old) return `${old[1]}.${old[2]}.${old[3]}.${old[4]}-${old[5]}.${old[6]}`;
  return /^\d{16}$/.test(npwp) ? npwp.replace(/\d{4}(?=\d)/g, '$& ') : npwp;
}
