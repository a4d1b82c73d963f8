/** Filters that several resources have in common. */

import type { RawBuilder } from 'kysely';
import { z } from 'zod';
import { normaliseNpwp } from '../organisations/shapes.ts';
import type { Filter } from './resource.ts';

/** An id of a row, as it is kept and told. */
export const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** By a company's id or its NPWP in any of its forms. */
export function organisationFilter(where: {
  npwp: (npwp: string) => RawBuilder<boolean>;
  id: (id: string) => RawBuilder<boolean>;
}): Filter {
  return {
    schema: z
      .string()
      .trim()
      .max(60)
      .refine((typed) => uuid.test(typed) || normaliseNpwp(typed) !== undefined),
    where(value: string) {
      const npwp = normaliseNpwp(value);
      return npwp ? where.npwp(npwp) : where.id(value);
    },
  };
}
