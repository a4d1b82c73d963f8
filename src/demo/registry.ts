/** The demonstration's population registry: the invented people whom the identity route of recovery can ask about. */

import type { SiteGround } from './site.ts';

export interface RegistryPerson {
  /** 16 digits, province 99, which no real person has. */
  nik: string;
  full_name: string;
  mother_name: string;
  mobile_number: string;
  email: string;
  /** The sign-in name at Gapura. */
  identifier: string;
}

/** Adds /registry. */
export function registryRoutes({ router, page }: SiteGround, people: RegistryPerson[]): void {
  router.get('/registry', (ctx) => {
    page(ctx, 'demo/registry/people', { title: ctx.state.t('demo.registry.people.title'), people });
  });
}
