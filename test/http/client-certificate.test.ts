/** The header of a client's certificate: read from a trusted proxy, gone from every request. */

import { describe, expect, test } from '@jest/globals';
import { certificateTaker } from '../../src/http/client-certificate.ts';

const names = {
  client_certificate_header: 'x-ssl-client-cert',
  client_certificate_verdict_header: 'x-ssl-client-verify',
};

const sent = () => ({ 'x-ssl-client-cert': 'PEM', 'x-ssl-client-verify': 'SUCCESS', accept: '*/*' });

describe('a certificate', () => {
  test('is what a trusted proxy tells, with its verdict', () => {
    const take = certificateTaker(names);
    expect(take(sent(), true)).toEqual({ pem: 'PEM', is_verified: true });
    for (const verdict of ['NONE', 'FAILED:expired', 'SUCCESS, SUCCESS', ''])
      expect(take({ ...sent(), 'x-ssl-client-verify': verdict }, true)).toMatchObject({ is_verified: false });
  });

  test('is nothing from anybody else, and where nothing was sent', () => {
    const take = certificateTaker(names);
    expect(take(sent(), false)).toBeUndefined();
    expect(take({ 'x-ssl-client-verify': 'SUCCESS' }, true)).toBeUndefined();
    expect(take({ 'x-ssl-client-cert': '' }, true)).toBeUndefined();
  });

  test('was never found by an authority where no header says so', () => {
    const take = certificateTaker({ ...names, client_certificate_verdict_header: '' });
    expect(take(sent(), true)).toEqual({ pem: 'PEM', is_verified: false });
  });

  test('is off without a header of that name', () => {
    const take = certificateTaker({ client_certificate_header: '', client_certificate_verdict_header: '' });
    expect(take(sent(), true)).toBeUndefined();
  });

  test.each([true, false])('leaves no header behind (from a proxy: %s)', (is_from_proxy) => {
    const headers = sent();
    certificateTaker(names)(headers, is_from_proxy);
    expect(headers).toEqual({ accept: '*/*' });
  });
});
