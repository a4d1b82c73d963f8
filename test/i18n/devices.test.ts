/** Devices and networks in words: the few that people know, nothing of a stranger's own, and never a whole address. */

import { expect, test } from '@jest/globals';
import { nameDevice, networkOf } from '../../src/i18n/devices.ts';
import { translator } from '../../src/i18n/messages.ts';

const t = translator('id');

test.each([
  [
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0 Safari/537.36 Edg/142.0',
    'Edge di Windows',
  ],
  ['Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) Version/26.0 Mobile/15E148 Safari/604.1', 'Safari di iOS'],
  ['Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0', 'Firefox di Linux'],
  ['Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)', 'macOS'],
  ['Menang hadiah! https://jahat.example', 'perangkat yang tidak dikenal'],
  [undefined, 'perangkat yang tidak dikenal'],
])('%s is %s', (user_agent, words) => expect(nameDevice(t, user_agent)).toBe(words));

test.each([
  ['203.0.113.77', '203.0.113.0/24'],
  ['2001:db8:1234:5678::9', '2001:db8:1234::/48'],
  ['2001:db8::9', '2001:db8:0::/48'],
  ['::1', '0:0:0::/48'],
])('%s is in %s', (address, network) => expect(networkOf(address)).toBe(network));
