/** Dates and times as people read them, in their language and in a zone that is named. */

import type { Language } from './messages.ts';

const locales = { id: 'id-ID', en: 'en-GB' } as const;

/** The zones of Indonesia by the names people use, in English too, where Intl would say GMT+7 (domain 5.5). */
const zone_names: Record<string, string> = {
  'Asia/Jakarta': 'WIB',
  'Asia/Pontianak': 'WIB',
  'Asia/Makassar': 'WITA',
  'Asia/Ujung_Pandang': 'WITA',
  'Asia/Jayapura': 'WIT',
};

// Making a formatter costs far more than using it.
const formatters = new Map<string, Intl.DateTimeFormat>();

/** A day: "2 September 2026". */
export function formatDate(language: Language, value: Date, zone: string): string {
  return formatter(language, zone, { dateStyle: 'long' }).format(value);
}

/** A day with its weekday, the time and the zone: "Sabtu, 21 November 2026 pukul 06.05 WIB". */
export function formatDateTime(language: Language, value: Date, zone: string): string {
  const text = formatter(language, zone, { dateStyle: 'full', timeStyle: 'short' }).format(value);
  return `${text} ${nameZone(language, value, zone)}`;
}

/** The same where there is little room: "21 Nov 2026, 06.05 WIB". */
export function formatMoment(language: Language, value: Date, zone: string): string {
  const text = formatter(language, zone, { dateStyle: 'medium', timeStyle: 'short' }).format(value);
  return `${text} ${nameZone(language, value, zone)}`;
}

function nameZone(language: Language, value: Date, zone: string): string {
  const parts = () => formatter(language, zone, { timeZoneName: 'short' }).formatToParts(value);
  return zone_names[zone] ?? parts().find((part) => part.type === 'timeZoneName')?.value ?? zone;
}

function formatter(language: Language, zone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = [language, zone, ...Object.entries(options).flat()].join(' ');
  const known = formatters.get(key);
  if (known) return known;
  const made = new Intl.DateTimeFormat(locales[language], { ...options, timeZone: zone });
  formatters.set(key, made);
  return made;
}
