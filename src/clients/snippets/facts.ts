/** What of a client its application must be told, and how text is quoted in the languages of the settings. */

/** A client as it is kept. */
export interface Known {
  client_id: string;
  metadata: Record<string, unknown>;
}

/** What the settings are made of. */
export interface Facts {
  id: string;
  issuer: string;
  method: string;
  is_service: boolean;
  /** Its requests must be pushed, its tokens bound to a key: few libraries can. */
  is_pushed: boolean;
  is_bound: boolean;
  /** Where people come back to, and the parts of that. */
  returns: string;
  origin: string;
  path: string;
  signed_out: string | undefined;
  scope: string;
  algorithm: string;
  hears_of_logout: boolean;
}

/** Reads from a client what its application must be told. */
export function factsOf({ client_id, metadata }: Known, issuer: string): Facts {
  const first = (field: string) => ((metadata[field] ?? []) as string[])[0];
  const returns = first('redirect_uris') ?? 'https://aplikasi.example.go.id/callback';
  const url = URL.parse(returns);
  const method = String(metadata.token_endpoint_auth_method ?? 'client_secret_basic');
  return {
    id: client_id,
    issuer,
    method,
    is_pushed: metadata.require_pushed_authorization_requests === true,
    is_bound: metadata.dpop_bound_access_tokens === true,
    is_service: !((metadata.grant_types ?? ['authorization_code']) as string[]).includes('authorization_code'),
    returns,
    origin: url && url.origin !== 'null' ? url.origin : 'https://aplikasi.example.go.id',
    path: url?.pathname ?? '/callback',
    signed_out: first('post_logout_redirect_uris'),
    scope: String(metadata.scope ?? 'openid'),
    algorithm: String(metadata.id_token_signed_response_alg ?? 'RS256'),
    hears_of_logout: metadata.backchannel_logout_uri !== undefined,
  };
}

/** Text in double quotes with JSON's escapes: the same in JavaScript, Java, YAML and TOML. */
export const quote = (text: string) => JSON.stringify(text);
/** As PHP reads it, without anything filled in. */
export const singleQuote = (text: string) => `'${text.replace(/[\\']/g, '\\$&')}'`;
/** As Apache reads it. */
export const apacheQuote = (text: string) => `"${text.replace(/[\\"]/g, '\\$&')}"`;
