/** Devices and networks as people know them, from what a browser calls itself and from where it came. */

import type { Translate } from './messages.ts';

const browsers: [RegExp, string][] = [
  [/\bEdgA?\//, 'Edge'],
  [/\b(?:OPR|Opera)\b/, 'Opera'],
  [/\bSamsungBrowser\//, 'Samsung Internet'],
  [/\b(?:Firefox|FxiOS)\//, 'Firefox'],
  [/\b(?:Headless)?(?:Chrome|CriOS)\//, 'Chrome'],
  [/\bSafari\//, 'Safari'],
];
const systems: [RegExp, string][] = [
  [/\bAndroid\b/, 'Android'],
  [/\b(?:iPhone|iPad)\b/, 'iOS'],
  [/\bWindows\b/, 'Windows'],
  [/\bMac OS X\b/, 'macOS'],
  [/\bLinux\b/, 'Linux'],
];

/** A device as a person knows it. Of a list: what a stranger's program calls itself is no text of ours. */
export function nameDevice(t: Translate, user_agent = ''): string {
  const find = (list: [RegExp, string][]) => list.find(([sign]) => sign.test(user_agent))?.[1];
  const [browser, system] = [find(browsers), find(systems)];
  if (browser && system) return t('words.device', { browser, system });
  return browser ?? system ?? t('words.device_unknown');
}

/** The network of an address; the last part would name a household. */
export function networkOf(address: string): string {
  if (address.includes(':')) {
    const [before = '', after] = address.split('::');
    const groups = before.split(':').filter(Boolean);
    const whole = after === undefined ? groups : [...groups, '0', '0', '0'];
    return `${whole.slice(0, 3).join(':')}::/48`;
  }
  return `${address.split('.').slice(0, 3).join('.')}.0/24`;
}
