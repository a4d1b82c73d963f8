/** All rules about a client, ours first; what the engine refuses is found in its sentence and said beside the field. */

import { randomToken } from '../crypto.ts';
import type { Database } from '../database.ts';
import type { Refusals } from './addresses.ts';
import type { ClientRegistration } from './client.ts';
import { checkRegistration } from './rules.ts';
import { signsWithSecret, usesSecret } from './secret-use.ts';

/**
 * The engine's own check of a client's metadata.
 * @throws an OAuth error whose description names the field
 */
export type Validate = (metadata: Record<string, unknown>) => Promise<void>;

/**
 * Holds a registration against our rules and what the database knows, then against the engine's, which come last since
 * they may fetch a document.
 * @returns what is refused, undefined when nothing is
 */
export async function findRefusals(
  db: Database,
  registration: ClientRegistration,
  validate: Validate,
): Promise<Refusals | undefined> {
  const refusals = checkRegistration(registration);
  const { agency_code } = registration;
  if (agency_code && !refusals.agency_code) {
    const agency = await db.selectFrom('agencies').select('code').where('code', '=', agency_code).executeTakeFirst();
    if (!agency) refusals.agency_code = 'errors.client.agency';
  }
  if (Object.keys(refusals).length > 0) return refusals;
  try {
    await validate(asValidated(registration));
    return undefined;
  } catch (error) {
    if (isMetadataError(error)) return explainEngine(error);
    throw error;
  }
}

/** As the engine checks it: with a secret where it wants one, since the real ones are made later and kept as hashes. */
export function asValidated({ id, metadata }: ClientRegistration): Record<string, unknown> {
  const stand_in = usesSecret(metadata) || signsWithSecret(metadata) ? { client_secret: randomToken() } : {};
  return { ...metadata, client_id: id, ...stand_in };
}

/** An OAuth error about metadata (RFC 7591 section 3.2.2). */
interface MetadataError {
  error: 'invalid_client_metadata' | 'invalid_redirect_uri';
  error_description: string;
}

/** Whether an error is the engine's word on a client's metadata; anything else is a fault of ours or a lost dependency. */
export function isMetadataError(error: unknown): error is MetadataError {
  const { error: word, error_description } = (error ?? {}) as Partial<Record<keyof MetadataError, unknown>>;
  return (
    (word === 'invalid_client_metadata' || word === 'invalid_redirect_uri') && typeof error_description === 'string'
  );
}

/** Sentences that name their field first; the first that fits counts. */
const about_field: [RegExp, string][] = [
  [/ is mandatory property when /, 'errors.client.goes_together'],
  [/ is mandatory property$/, 'errors.field.required'],
  [/ must contain members$/, 'errors.field.required'],
  // Ours, at the engine's place (oidc/clients/registration.ts).
  [/ must not lead to this service$/, 'errors.client.address_ours'],
  [/ must not contain fragments$/, 'errors.client.address_fragment'],
  [/ must only contain valid uris$/, 'errors.client.address_invalid'],
  [/ must not use the \S+ URI scheme$/, 'errors.client.address_forbidden'],
  [/ can only use loopback addresses as hostnames$/, 'errors.client.address_https'],
  [/ using claimed HTTPS URIs must not be using /, 'errors.client.address_claimed'],
  [/ for web clients using implicit flow /i, 'errors.client.address_hybrid'],
  [/ must (?:only contain|be an?) https uris?$/, 'errors.client.address_secure'],
  [/ must (?:only contain|be an?) web uris?$/, 'errors.client.address_web'],
  [/ can only contain email addresses$/, 'errors.client.contact'],
  [/ supported scope values$/, 'errors.client.choice'],
  [/ must be a non-negative integer$/, 'errors.field.invalid'],
  [/ must be (?:a boolean|an array)$/, 'errors.field.invalid'],
  [/ must only contain strings$/, 'errors.field.invalid'],
  [/ must be a non-empty string if provided$/, 'errors.field.invalid'],
  [/ \(no values are allowed\)$/, 'errors.client.not_here'],
  [/ (?:must be|can only contain) /, 'errors.client.choice'],
  [/ (?:includes no supported values|has no values supported |must include the value of )/, 'errors.client.choice'],
];

/** Sentences that name it elsewhere, or not at all. */
const about_whole: [RegExp, string, string][] = [
  [/^invalid (client_id|client_secret) value$/, 'client_id', 'errors.client.id'],
  [/^jwks or jwks_uri is mandatory/, 'jwks', 'errors.client.needs_keys'],
  [/^jwks and jwks_uri must not be used/, 'jwks_uri', 'errors.client.keys_twice'],
  [/^client JSON Web Key Set failed to be refreshed/, 'jwks_uri', 'errors.client.keys_unread'],
  [/^client JSON Web Key Set is invalid/, 'jwks', 'errors.client.jwks_shape'],
  [/sector.identifier/, 'sector_identifier_uri', 'errors.client.sector'],
  [/^only one proof of possession mechanism/, 'dpop_bound_access_tokens', 'errors.client.choice'],
  [/^response_types must not include/, 'response_types', 'errors.client.choice'],
  [/^pairwise .* clients must utilize/, 'token_endpoint_auth_method', 'errors.client.choice'],
  [/tls_client_auth/, 'token_endpoint_auth_method', 'errors.client.choice'],
];

/** By field the key of a message, or under `form` where the sentence is not known. */
export function explainEngine({ error_description: sentence }: MetadataError): Refusals {
  // The sector's document is fetched, so its errors are many; whatever is said about it stands at its field.
  const whole = about_whole.find(([pattern]) => pattern.test(sentence));
  if (whole && !/^sector_identifier_uri (?:is mandatory|must be)/.test(sentence)) return { [whole[1]]: whole[2] };
  const field = /^([a-z_]+) /.exec(sentence)?.[1];
  const found = about_field.find(([pattern]) => pattern.test(sentence));
  return field && found ? { [field]: found[1] } : { form: 'errors.client.refused' };
}
