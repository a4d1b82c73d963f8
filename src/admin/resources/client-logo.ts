/** The picture of a client, taken from a file and shown on the pages that speak of it. */

import { z } from 'zod';
import { largest_logo, saveLogo } from '../../clients/logos.ts';
import type { Operation } from '../resource.ts';
import { isInHand } from './client-registration.ts';

export const logo: Operation = {
  name: 'logo',
  kind: 'act',
  permission: 'clients:write',
  input: z.object({
    picture: z
      .base64('errors.client.logo_type')
      .max(Math.ceil(largest_logo / 3) * 4, 'errors.client.logo_large')
      .meta({ file: true }),
  }),
  applies: isInHand,
  async run(tx, _desk, { picture }, entry) {
    const id = String(entry?.id);
    const kept = await saveLogo(tx, id, Buffer.from(String(picture), 'base64'));
    return kept.state === 'kept' ? { state: 'done', id } : { state: 'refused', errors: { picture: kept.because } };
  },
};
