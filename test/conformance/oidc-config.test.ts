/** The certification plan "Config": the metadata document, over https, and that the checks of it can fail. */

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { makeCertificate } from '../support/certificate.ts';
import { discovery_checks, type Fetched, fetchDiscovery, findDiscoveryFaults } from './discovery.ts';
import { openSuite, type Suite } from './suite.ts';

let suite: Suite;
let fetched: Fetched;
const tls = makeCertificate();

beforeAll(async () => {
  suite = await openSuite({ tls });
  fetched = await fetchDiscovery(suite.issuer, tls.cert);
});

afterAll(() => suite?.stop());

test('oidcc-discovery-endpoint-verification', async () => {
  expect(discovery_checks).toBe(27);
  expect(findDiscoveryFaults(fetched)).toEqual([]);
  // The same from whichever process it comes.
  expect(await fetchDiscovery(suite.issuer, tls.cert)).toEqual(fetched);
  expect(Math.min(...suite.proxy.sent)).toBeGreaterThan(0);
});

test('each of the checks fails over a document that deserves it', () => {
  const found = findDiscoveryFaults({
    ...fetched,
    status: 404,
    type: 'text/html',
    document: {
      issuer: 'http://lain.example/?a=b',
      registration_endpoint: 'http://lain.example/register',
      claims_parameter_supported: 'true',
      claim_types_supported: ['aggregated'],
      subject_types_supported: ['public', 'public'],
      token_endpoint_auth_methods_supported: ['lain'],
    },
    keys: [{ kty: 'EC', kid: 'a', d: 'x' }],
  });
  expect(found).toHaveLength(discovery_checks);
});
