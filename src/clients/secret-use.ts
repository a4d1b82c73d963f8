/** What a client does with a secret: shows it, signs with it, or has none. */

/** Whether a client shows a secret, or signs with it, to say who it is. */
export function usesSecret(metadata: Record<string, unknown>): boolean {
  const method = metadata.token_endpoint_auth_method ?? 'client_secret_basic';
  return typeof method === 'string' && method.startsWith('client_secret_');
}

/** Whether its secret is a key for signatures, so that it must be there in clear when the engine needs it. */
export function signsWithSecret(metadata: Record<string, unknown>): boolean {
  return (
    metadata.token_endpoint_auth_method === 'client_secret_jwt' ||
    Object.entries(metadata).some(
      ([key, value]) => /_(signed_response|signing)_alg$/.test(key) && /^HS/.test(String(value)),
    )
  );
}
