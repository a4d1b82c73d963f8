/** What people are told of what officers did to their account: by mail, in their own language and zone; and of roles, what is kept. */

import { findAccount } from '../../accounts/store.ts';
import { record } from '../../audit/audit.ts';
import { now } from '../../clock.ts';
import type { Transaction } from '../../database.ts';
import { sendMail } from '../../delivery/outbox.ts';
import { formatDate, formatDateTime } from '../../i18n/dates.ts';
import { translator } from '../../i18n/messages.ts';
import { findAgency } from '../../organisations/agency.ts';
import { findOrganisation } from '../../organisations/organisation.ts';
import type { RoleAssignment } from '../../permissions.ts';
import type { Desk } from '../resource.ts';

type Reader = NonNullable<Awaited<ReturnType<typeof findAccount>>>;

type Letter =
  | { template: 'account_locked' | 'account_unlocked' | 'account_email_changed' }
  | { template: 'account_expiry_changed'; expires_at: Date | null }
  | {
      template: 'role_given' | 'role_taken';
      assignment: Pick<RoleAssignment, 'role' | 'agency_code' | 'organisation_id'>;
    };

/** Tells a person, at the address Gapura knows or at `to`, where they no longer read the other; without one nobody is told. */
export async function tellPerson(
  tx: Transaction,
  { jobs, config }: Pick<Desk, 'jobs' | 'config'>,
  account_id: string,
  letter: Letter,
  to?: string,
): Promise<void> {
  const reader = await findAccount(tx, account_id);
  const address = to ?? reader?.email;
  if (!reader || !address) return;
  const { language, time_zone } = reader;
  await sendMail(tx, jobs, {
    account_id,
    to: address,
    language,
    template: letter.template,
    values: {
      name: reader.full_name,
      time: formatDateTime(language, now(), time_zone),
      support: `${config.support_name}, ${config.support_email}`,
      ...(await describe(tx, letter, reader)),
    },
  });
}

async function describe(tx: Transaction, letter: Letter, { language, time_zone }: Reader) {
  const t = translator(language);
  if (letter.template === 'account_expiry_changed') {
    const { expires_at } = letter;
    return { until: expires_at ? formatDate(language, expires_at, time_zone) : t('words.without_end') };
  }
  if (letter.template !== 'role_given' && letter.template !== 'role_taken') return {};
  const { role, agency_code, organisation_id } = letter.assignment;
  const agency = agency_code === null ? undefined : await findAgency(tx, agency_code);
  const organisation = organisation_id === null ? undefined : await findOrganisation(tx, organisation_id);
  const place = agency && (language === 'en' ? agency.name_en : agency.name);
  return { role: t(`words.role_${role}`), place: place ?? organisation?.name ?? t('words.everywhere') };
}

/** Notes that a role was given or taken, with the person whom it concerns. */
export async function noteRole(
  tx: Transaction,
  { actor, request }: Pick<Desk, 'actor' | 'request'>,
  kind: 'role_given' | 'role_taken',
  {
    account_id,
    role,
    agency_code,
    organisation_id,
  }: Pick<RoleAssignment, 'account_id' | 'role' | 'agency_code' | 'organisation_id'>,
): Promise<void> {
  const { account_id: actor_id, client_id } = actor;
  await record(tx, { kind, account_id, actor_id, client_id, detail: { role, agency_code, organisation_id }, request });
}
