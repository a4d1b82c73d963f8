/** The settings of an application's verifier as they are kept: checked by its schema, their secrets sealed and shown to nobody. */

import type { z } from 'zod';
import { type LinkStore, verifiers } from './link.ts';

type Settings = Record<string, unknown>;

/** The kinds of verifiers there are. */
export const verifier_kinds: readonly string[] = [...verifiers.password, ...verifiers.redirect].map(({ kind }) => kind);

/** What the settings of a kind must look like as they are typed; undefined for one that this release does not know. */
export function findSettingsSchema(kind: unknown): z.ZodObject | undefined {
  return [...verifiers.password, ...verifiers.redirect].find((one) => one.kind === kind)?.settings;
}

function secretsOf(kind: unknown): string[] {
  const shape = findSettingsSchema(kind)?.shape ?? {};
  return Object.keys(shape).filter((name) => (shape[name] as z.ZodType).meta()?.secret === true);
}

/** What of stored settings may be shown. */
export function showSettings(kind: unknown, stored: Settings): Settings {
  const secrets = secretsOf(kind);
  return Object.fromEntries(Object.entries(stored).filter(([name]) => !secrets.includes(name)));
}

/** The settings to be stored: a secret that was typed is sealed, one that was left empty stays as it is. */
export function sealSettings(
  { seal }: Pick<LinkStore, 'seal'>,
  kind: unknown,
  typed: Settings,
  stored: Settings,
): Settings {
  const secrets = secretsOf(kind).flatMap((name) => {
    const value = typed[name] ? seal(String(typed[name])) : stored[name];
    return value === undefined ? [] : [[name, value]];
  });
  return { ...showSettings(kind, typed), ...Object.fromEntries(secrets) };
}

/** The hosts of private networks that stand in new settings and not in the old: only an administrator confirms those. */
export function listNewPrivateHosts(typed: Settings, stored: Settings): string[] {
  const hostsOf = ({ private_hosts }: Settings) => (Array.isArray(private_hosts) ? private_hosts.map(String) : []);
  const known = hostsOf(stored);
  return hostsOf(typed).filter((host) => !known.includes(host));
}
