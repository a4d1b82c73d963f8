/** Addresses that a client may register: a table of what was tried elsewhere to lead people astray. */

import { describe, expect, test } from '@jest/globals';
import {
  checkAddresses,
  checkOrigin,
  checkRedirectAddress,
  checkWebAddress,
  longest_address,
  most_addresses,
} from '../../src/clients/addresses.ts';

const fine = 'fine';

/** [address, of a web application, of a native one]; without the third both are told the same. */
const redirects: [string, string, string?][] = [
  ['https://aplikasi.contoh.example/callback', fine],
  ['https://aplikasi.contoh.example', fine],
  ['https://aplikasi.contoh.example:8443/a/b?tenant=1&x=%2F', fine],
  ['https://aplikasi.contoh.example/@kembali', fine],
  ['https://xn--aplikasi-9ib.contoh.example/', fine],
  ['http://localhost:4000/callback', fine],
  ['http://127.0.0.1/callback', fine],
  ['http://[::1]:4000/callback', fine],
  ['http://app.localhost:4000/', fine],
  ['http://aplikasi.contoh.example/callback', 'address_https'],
  ['http://10.0.0.8/callback', 'address_https'],
  ['http://localhost.contoh.example/', 'address_https'],
  ['http://127.0.0.1.contoh.example/', 'address_https'],
  ['http://2130706433/', 'address_spelling'],
  ['http://0x7f.1/', 'address_spelling'],
  ['https://aplikasi.contoh.example/callback#', 'address_fragment'],
  ['https://aplikasi.contoh.example/#/callback', 'address_fragment'],
  ['https://*.contoh.example/callback', 'address_wildcard'],
  ['https://aplikasi.contoh.example/*', 'address_wildcard'],
  ['https://gapura@lain.example/', 'address_user'],
  ['https://@lain.example/', 'address_user'],
  ['https://gapura.example:443@lain.example/', 'address_user'],
  ['https://a@b@lain.example/', 'address_user'],
  ['https://aplikasi.contoh.example\\@lain.example/', 'address_characters'],
  ['https://aplikasi.contoh.example/call\tback', 'address_characters'],
  ['https://aplikasi.contoh.example/call\r\nback', 'address_characters'],
  [' https://aplikasi.contoh.example/', 'address_characters'],
  ['https://аplikasi.contoh.example/', 'address_characters'],
  ['https://aplikasi.contoh.example/"onload=', 'address_characters'],
  ['https://aplikasi.contoh.example/\0', 'address_characters'],
  ['https://APLIKASI.contoh.example/', 'address_spelling'],
  ['HTTPS://aplikasi.contoh.example/', 'address_spelling'],
  ['https://aplikasi.contoh.example:443/', 'address_spelling'],
  ['https://aplikasi.contoh.example./', 'address_spelling'],
  ['https://aplikasi.contoh.example/a/../b', 'address_spelling'],
  ['https://aplikasi.contoh.example?x=1', 'address_spelling'],
  ['https:/aplikasi.contoh.example/', 'address_spelling'],
  ['https:///aplikasi.contoh.example/', 'address_spelling'],
  ['https://aplikasi.contoh.example/%2e%2e/b', 'address_spelling'],
  ['https://aplikasi.contoh.example/..;/b', 'address_encoded'],
  ['https://aplikasi.contoh.example/a%2fb', 'address_encoded'],
  ['https://aplikasi.contoh.example/a%5Cb', 'address_encoded'],
  ['https://aplikasi.contoh.example/a%0d%0ab', 'address_encoded'],
  ['https://aplikasi.contoh.example/100%', 'address_encoded'],
  ['https://aplikasi.contoh.example/?code=1', 'address_parameter'],
  ['https://aplikasi.contoh.example/?a=1&state=x', 'address_parameter'],
  ['//aplikasi.contoh.example/', 'address_invalid'],
  ['/callback', 'address_invalid'],
  ['aplikasi.contoh.example', 'address_invalid'],
  ['https://', 'address_invalid'],
  ['', 'address_invalid'],
  ['javascript:alert(1)', 'address_forbidden'],
  ['JavaScript:alert(1)', 'address_forbidden'],
  ['data:text/html,x', 'address_forbidden'],
  ['vbscript:x', 'address_forbidden'],
  ['file:///etc/passwd', 'address_forbidden'],
  ['blob:https://aplikasi.contoh.example/1', 'address_forbidden'],
  ['intent://x', 'address_forbidden'],
  ['id.go.contoh.aplikasi:/kembali', 'address_scheme', fine],
  ['id.go.contoh.aplikasi://kembali', 'address_scheme', fine],
  ['aplikasi://kembali', 'address_scheme', 'address_private_scheme'],
  ['myapp:/x', 'address_scheme', 'address_private_scheme'],
];

const short = (key: string | undefined) => (key === undefined ? fine : key.replace('errors.client.', ''));

describe('an address to return to', () => {
  test.each(redirects)('%j of a web application is %s', (address, expected) => {
    expect(short(checkRedirectAddress(address, false))).toBe(expected);
  });

  test.each(redirects)('%j of a native application', (address, of_web, of_native = of_web) => {
    expect(short(checkRedirectAddress(address, true))).toBe(of_native);
  });

  test('is a text of at most 2000 characters', () => {
    const long = `https://aplikasi.contoh.example/${'a'.repeat(longest_address)}`;
    expect(short(checkRedirectAddress(long, false))).toBe('address_long');
    for (const odd of [undefined, null, 7, {}, ['https://a.example/']])
      expect(short(checkRedirectAddress(odd, false))).toBe('address_invalid');
  });
});

test('what is called or shown is https, or this very machine', () => {
  expect(checkWebAddress('https://aplikasi.contoh.example/logo.png?v=1&state=2')).toBeUndefined();
  expect(checkWebAddress('http://localhost:4000/jwks')).toBeUndefined();
  expect(short(checkWebAddress('id.go.contoh.aplikasi:/x'))).toBe('address_web');
  expect(short(checkWebAddress('http://192.168.1.4/jwks'))).toBe('address_https');
  expect(short(checkWebAddress('javascript:alert(1)'))).toBe('address_forbidden');
});

test('an origin is nothing but that', () => {
  expect(checkOrigin('https://lain.contoh.example')).toBeUndefined();
  expect(checkOrigin('https://lain.contoh.example:8443')).toBeUndefined();
  for (const odd of ['https://lain.contoh.example/', 'https://lain.contoh.example/x'])
    expect(short(checkOrigin(odd))).toBe('address_origin');
  expect(short(checkOrigin("'unsafe-inline'"))).not.toBe(fine);
  expect(short(checkOrigin('*'))).toBe('address_wildcard');
});

describe('a client’s addresses', () => {
  const address = (at: number) => `https://aplikasi.contoh.example/${at}`;

  test('are told by their field, in whatever field they stand', () => {
    expect(
      checkAddresses({
        redirect_uris: [address(1), 'http://aplikasi.contoh.example/'],
        post_logout_redirect_uris: ['javascript:alert(1)'],
        backchannel_logout_uri: 'https://user:pass@aplikasi.contoh.example/',
        jwks_uri: 'data:application/json,1',
        client_uri: 7,
        logo_uri: null,
      }),
    ).toEqual({
      redirect_uris: 'errors.client.address_https',
      post_logout_redirect_uris: 'errors.client.address_forbidden',
      backchannel_logout_uri: 'errors.client.address_user',
      jwks_uri: 'errors.client.address_forbidden',
      client_uri: 'errors.client.address_invalid',
    });
  });

  test('are at most twenty, each once', () => {
    const many = Array.from({ length: most_addresses }, (_, at) => address(at));
    expect(checkAddresses({ redirect_uris: many })).toEqual({});
    expect(checkAddresses({ redirect_uris: [...many, address(99)] })).toEqual({
      redirect_uris: 'errors.client.too_many_addresses',
    });
    expect(checkAddresses({ redirect_uris: [address(1), address(1)] })).toEqual({
      redirect_uris: 'errors.client.address_twice',
    });
  });

  test('with a scheme of their own are for what is installed', () => {
    const metadata = { redirect_uris: ['id.go.contoh.aplikasi:/kembali'] };
    expect(checkAddresses({ ...metadata, application_type: 'native' })).toEqual({});
    expect(checkAddresses(metadata)).toEqual({ redirect_uris: 'errors.client.address_scheme' });
  });
});
