/** What people are told by mail about their links. */

import { findAccount } from '../accounts/store.ts';
import { now } from '../clock.ts';
import type { Transaction } from '../database.ts';
import { type MailValues, sendMail } from '../delivery/outbox.ts';
import { formatDateTime } from '../i18n/dates.ts';
import type { LinkStore } from './link.ts';

/** The letters there are; their words stand in the catalogues under `mail.<letter>`. */
export type LinkTemplate =
  | 'link_added'
  | 'link_removed'
  | 'link_renamed'
  | 'link_default_changed'
  | 'link_requested_holder'
  | 'link_requested_claimant'
  | 'link_transfer_granted'
  | 'link_transfer_refused'
  | 'link_transferred_away';

/** Tells a person by mail, at the address Gapura knows; without one there is nobody to tell. */
export async function tell(
  { jobs, support }: Pick<LinkStore, 'jobs' | 'support'>,
  tx: Transaction,
  account_id: string,
  template: LinkTemplate,
  application: string,
  username: string,
  more: MailValues = {},
): Promise<void> {
  const account = await findAccount(tx, account_id);
  if (!account?.email) return;
  const { email, full_name, language, time_zone } = account;
  const time = formatDateTime(language, now(), time_zone);
  await sendMail(tx, jobs, {
    account_id,
    to: email,
    language,
    template,
    values: { name: full_name, application, username, time, support, ...more },
  });
}
