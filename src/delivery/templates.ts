/** The mails there are, and what each of them carries. */

/** The mails by name; each has `mail.<name>.subject`, `.greeting` and `.text_1` onwards in the catalogues. */
export const mail_templates = [
  'account_email_changed',
  'account_expiry_changed',
  'account_frozen',
  'account_locked',
  'account_unlocked',
  'client_secret_expiring',
  'client_submission_approved',
  'client_submission_refused',
  'client_submitted',
  'human_check',
  'invitation',
  'link_added',
  'link_default_changed',
  'link_removed',
  'link_renamed',
  'link_requested_claimant',
  'link_requested_holder',
  'link_transfer_granted',
  'link_transfer_refused',
  'link_transferred_away',
  'new_browser',
  'password_changed',
  'password_reset',
  'recovery_address_added',
  'recovery_address_code',
  'recovery_address_removed',
  'recovery_address_taken',
  'recovery_code',
  'recovery_used',
  'role_given',
  'role_taken',
] as const;

export type MailTemplate = (typeof mail_templates)[number];

/** What the secret of a mail is: a code to type, or the address of a link to open. Mails that are not named carry none. */
export const mail_secrets: Partial<Record<MailTemplate, 'code' | 'link'>> = {
  human_check: 'code',
  invitation: 'link',
  new_browser: 'link',
  password_changed: 'link',
  password_reset: 'link',
  recovery_address_added: 'link',
  recovery_address_code: 'code',
  recovery_address_removed: 'link',
  recovery_code: 'code',
  recovery_used: 'link',
};
