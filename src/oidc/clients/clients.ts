/** A client of the engine as the pages describe it: its name, where its forms may lead, and a way back to it. */

import type { ClientMetadata, Provider } from 'oidc-provider';
import type { AskingClient } from '../../prompts/prompt.ts';

/** The engine's client. */
export type Client = NonNullable<Awaited<ReturnType<Provider['Client']['find']>>>;

/**
 * Describes a client in a language; names follow `client_name#id` and `client_name#en` where the metadata has them
 * (OpenID Connect Dynamic Registration 2.1).
 */
export function describeClient(client: Client, language: string): AskingClient {
  const metadata = client.metadata() as ClientMetadata & Record<string, unknown>;
  const word = (name: string) => {
    const value = metadata[`${name}#${language}`] ?? metadata[name];
    return typeof value === 'string' && value !== '' ? { [name]: value } : {};
  };
  const way_back = client.initiateLoginUri ?? client.clientUri;
  const asked = [
    ...(client.redirectUris ?? []),
    ...((metadata.post_logout_redirect_uris as string[] | undefined) ?? []),
  ];
  const own = Array.isArray(client.form_action_origins) ? (client.form_action_origins as string[]) : [];
  return {
    asking: {
      id: client.clientId,
      name: String(metadata[`client_name#${language}`] ?? client.clientName ?? client.clientId),
      ...agencyName(language === 'en' ? metadata.agency_name_en : metadata.agency_name),
      // The picture that is kept here, if there is one: pages show no other.
      ...(typeof metadata.logo === 'string' ? { logo_uri: metadata.logo } : word('logo_uri')),
      ...word('client_uri'),
      ...word('policy_uri'),
      ...word('tos_uri'),
    },
    agency_code: typeof client.agency === 'string' ? client.agency : undefined,
    directorate_required: client.directorate_required === true,
    is_unchecked: client.origin === 'dynamic',
    form_origins: [...new Set([...asked.flatMap(sourceOf), ...own])],
    way_back,
  };
}

function agencyName(name: unknown): { agency?: string } {
  return typeof name === 'string' ? { agency: name } : {};
}

/** What form-action must name so that a browser follows the redirect: the origin, or the scheme of a native application. */
export function sourceOf(uri: unknown): string[] {
  const url = typeof uri === 'string' ? URL.parse(uri) : null;
  if (!url) return [];
  // Browsers know no source with an IPv6 address (CSP 3, section 2.3.1): the scheme is the least that lets the answer through.
  return [url.origin === 'null' || url.hostname.startsWith('[') ? url.protocol : url.origin];
}
