/** What a client is trusted with beyond signing people in: whether it reaches the interface for programs. */

import { api_scopes } from '../permissions.ts';

/**
 * Whether a client may use the interface for programs, for itself or in a person's name. Whoever holds its secret, or leads
 * its codes elsewhere, can do there what it can.
 */
export function reachesInterface(client: { api_role: unknown; metadata: Record<string, unknown> }): boolean {
  const { scope } = client.metadata;
  // The engine lets a client without a list ask for everything.
  if (client.api_role || typeof scope !== 'string') return true;
  return scope.split(' ').some((one) => api_scopes.includes(one));
}
