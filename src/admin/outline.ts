/** The interface as a page to read: each resource with its addresses and what they take. */

import type { Config } from '../config.ts';
import { type Language, translator } from '../i18n/messages.ts';
import { resources } from './resource.ts';

/** One address of the interface, for the page. */
export interface OutlineLine {
  method: string;
  path: string;
  permission: string;
  what: string;
}

/** The interface as the page shows it: each resource with its addresses and what they take. */
export function outlineApi(
  { url }: Pick<Config, 'url'>,
  language: Language,
): { url: string; resources: { title: string; lead: string; lines: OutlineLine[] }[] } {
  const t = translator(language);
  const methods = { create: 'POST', change: 'PATCH', remove: 'DELETE', act: 'POST' } as const;
  return {
    url: `${url}/api/v1`,
    resources: resources.map(({ name, operations, sections = [], permission }) => ({
      title: t(`admin.${name}.title`),
      lead: t(`admin.${name}.lead`),
      lines: [
        { method: 'GET', path: `/${name}`, permission, what: t('admin.api.list') },
        { method: 'GET', path: `/${name}/{id}`, permission, what: t('admin.api.find') },
        ...sections
          .filter(({ is_page_only }) => !is_page_only)
          .map((section) => ({
            method: 'GET',
            path: `/${name}/{id}/${section.name}`,
            permission: section.permission,
            what: t(`admin.${name}.section_${section.name}`),
          })),
        { method: 'GET', path: `/${name}/{id}/history`, permission, what: t('admin.entry.history') },
        ...operations
          .filter(({ is_console_only }) => !is_console_only)
          .map((operation) => ({
            method: methods[operation.kind],
            path:
              operation.kind === 'create'
                ? `/${name}`
                : operation.kind === 'act'
                  ? `/${name}/{id}/${operation.name}`
                  : `/${name}/{id}`,
            permission: operation.permission,
            what: t(`admin.${name}.op_${operation.name}`),
          })),
      ],
    })),
  };
}
