/** Recovery by a code that is sent to a mail address which the person has proven before. */

import { sendMail } from '../../delivery/outbox.ts';
import { formatDateTime } from '../../i18n/dates.ts';
import { policy } from '../../policy/policy.ts';
import { maskAddress, masksOfNobody } from '../mask.ts';
import type { RecoveryMethod } from '../recovery.ts';
import { listProven, nobody, noteUse } from '../store.ts';

export const emailCode: RecoveryMethod = {
  name: 'email-code',
  place: 'recovery.email_code',

  async listTargets({ db, mask_key }, account_id, canonical) {
    const proven = await listProven(db, account_id ?? nobody);
    const masks = masksOfNobody(mask_key, canonical, policy('recovery.addresses'));
    if (proven.length === 0) return masks.map((shown) => ({ id: null, shown, address: nowhere, canonical }));
    return proven.map(({ id, address, canonical: own }) => ({
      id,
      shown: maskAddress(address),
      address,
      canonical: own,
    }));
  },

  async sendCode(tx, { jobs, mail_keys, support, zone }, { account, target, code, proof_id, expires_at }) {
    const { language, time_zone } = account ?? { language: 'id', time_zone: zone };
    await sendMail(tx, jobs, {
      account_id: account?.id ?? null,
      to: target.address,
      language,
      template: 'recovery_code',
      values: {
        name: account?.full_name ?? '-',
        username: account?.username ?? '-',
        time: formatDateTime(language, expires_at, time_zone),
        support,
      },
      secret: { text: `${code.slice(0, 4)} ${code.slice(4)}`, keys: mail_keys, proof_id },
      is_decoy: account === undefined,
    });
  },

  noteUse,
};

/** Where the mails to nobody go, which are never sent (RFC 2606). */
const nowhere = 'nobody@decoy.invalid';
