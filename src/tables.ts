/** One interface per table, grouped under the file that writes it; names are those of db/migrations. */

import type { ColumnType, Generated, GeneratedAlways } from 'kysely';

type Timestamp = ColumnType<Date, Date | undefined, Date>;
type Json<T> = ColumnType<T, string, string>;

export interface Tables {
  schema_migrations: SchemaMigrations;
  topics: Topics;
  agencies: Agencies;
  directorates: Directorates;
  organisations: Organisations;
  memberships: Memberships;
  account_organisations: AccountOrganisations;
  accounts: Accounts;
  account_identifiers: AccountIdentifiers;
  account_locks: AccountLocks;
  passwords: Passwords;
  password_history: PasswordHistory;
  role_assignments: RoleAssignments;
  clients: Clients;
  removed_clients: RemovedClients;
  client_secrets: ClientSecrets;
  trials: Trials;
  client_logos: ClientLogos;
  client_submissions: ClientSubmissions;
  oidc_records: OidcRecords;
  oidc_sessions: OidcSessions;
  pairwise_subjects: PairwiseSubjects;
  initial_access_tokens: InitialAccessTokens;
  signing_keys: SigningKeys;
  root_secrets: RootSecrets;
  consents: Consents;
  resource_servers: ResourceServers;
  removed_resource_servers: RemovedResourceServers;
  resource_grants: ResourceGrants;
  token_exchanges: TokenExchanges;
  applications: Applications;
  links: Links;
  link_holders: LinkHolders;
  link_requests: LinkRequests;
  link_notices: LinkNotices;
  proofs: Proofs;
  human_checks: HumanChecks;
  recovery_addresses: RecoveryAddresses;
  recoveries: Recoveries;
  recovery_mask: RecoveryMask;
  mails: Mails;
  sign_ins: SignIns;
  browsers: Browsers;
  audit_events: AuditEvents;
  audit_personal: AuditPersonal;
  audit_seals: AuditSeals;
  limits: Limits;
  api_answers: ApiAnswers;
  policy_values: PolicyValues;
  approvals: Approvals;
}

// database.ts

export interface SchemaMigrations {
  name: string;
  applied_at: Timestamp;
}

// changes.ts reads it; the triggers of the tables it names write it

export interface Topics {
  name: string;
  version: Generated<string>;
}

// organisations/agency.ts

export interface Agencies {
  code: string;
  name: string;
  name_en: string;
  mail_domains: Generated<string[]>;
  active: Generated<boolean>;
  version: Generated<number>;
  updated_at: Timestamp;
}

// organisations/directorate.ts

export interface Directorates {
  id: Generated<string>;
  agency_code: string;
  code: string;
  name: string;
  name_en: string | null;
  active: Generated<boolean>;
  version: Generated<number>;
  updated_at: Timestamp;
}

export interface Memberships {
  organisation_id: string;
  directorate_id: string;
  created_at: Timestamp;
}

// organisations/organisation.ts

export interface Organisations {
  id: Generated<string>;
  name: string;
  npwp: string;
  nitku: string | null;
  nib: string | null;
  edi_number: string | null;
  srp: string | null;
  address: string | null;
  city: string | null;
  postal_code: string | null;
  phone_number: string | null;
  fax_number: string | null;
  department: string | null;
  mail_domains: Generated<string[]>;
  time_zone: Generated<string>;
  active: Generated<boolean>;
  version: Generated<number>;
  created_at: Timestamp;
  updated_at: Timestamp;
}

export interface AccountOrganisations {
  account_id: string;
  organisation_id: string;
  position: string | null;
  created_at: Timestamp;
}

// accounts/store.ts

export interface Accounts {
  id: Generated<string>;
  generation: Generated<number>;
  full_name: string;
  email: string | null;
  email_verified: Generated<boolean>;
  phone_number: string | null;
  mobile_number: string | null;
  mobile_number_verified: Generated<boolean>;
  fax_number: string | null;
  address: string | null;
  city: string | null;
  postal_code: string | null;
  language: Generated<'id' | 'en'>;
  time_zone: Generated<string>;
  expires_at: Date | null;
  revoked_at: Date | null;
  /** Kept by a trigger of `passwords`. */
  has_password: ColumnType<boolean, never, never>;
  version: Generated<number>;
  created_at: Timestamp;
  updated_at: Timestamp;
}

export interface AccountIdentifiers {
  canonical: string;
  account_id: string;
  kind: 'username' | 'email' | 'mobile';
  value: string;
}

export interface AccountLocks {
  account_id: string;
  kind: 'locked' | 'disabled' | 'frozen' | 'dormant' | 'revoked';
  because: string;
  locked_by: string | null;
  locked_at: Timestamp;
}

// accounts/browsers.ts

export interface Browsers {
  account_id: string;
  browser_hash: Buffer;
  first_seen_at: Timestamp;
  last_seen_at: Timestamp;
}

// accounts/password-store.ts

export interface Passwords {
  account_id: string;
  hash: string;
  changed_at: Timestamp;
  expires_at: Date | null;
  must_change: Generated<boolean>;
}

export interface PasswordHistory {
  id: GeneratedAlways<string>;
  account_id: string;
  hash: string;
}

// permissions.ts

export interface RoleAssignments {
  id: Generated<string>;
  account_id: string;
  role: string;
  agency_code: string | null;
  organisation_id: string | null;
  level: Generated<number>;
  granted_by: string | null;
  granted_at: Timestamp;
}

// clients/client.ts

export interface Clients {
  id: string;
  metadata: Json<Record<string, unknown>>;
  agency_code: string | null;
  first_party: Generated<boolean>;
  directorate_required: Generated<boolean>;
  link_required: Generated<boolean>;
  form_action_origins: Generated<string[]>;
  active: Generated<boolean>;
  version: Generated<number>;
  created_at: Timestamp;
  updated_at: Timestamp;
  origin: Generated<'own' | 'console' | 'dynamic' | 'submission'>;
  api_role: 'administrator' | 'agency_officer' | null;
  fapi: Generated<boolean>;
  pkce_required: Generated<boolean>;
  refresh_rotation: Generated<'rotate' | 'keep'>;
  refresh_grace: Generated<number>;
  claim_shape: Generated<'standard' | 'insw'>;
  private_hosts: Generated<string[]>;
  disabled_at: Date | null;
  disabled_by: string | null;
  disabled_because: string | null;
  authorized_at: Date | null;
}

// clients/removed.ts

export interface RemovedClients {
  client_id: string;
  removed_at: Timestamp;
}

// clients/secrets.ts

export interface ClientSecrets {
  id: Generated<string>;
  client_id: string;
  hash: string;
  sealed: string | null;
  created_at: Timestamp;
  expires_at: Date | null;
  last_used_at: Date | null;
  issued_by: string | null;
  warned_at: Date | null;
}

// clients/logos.ts

export interface ClientLogos {
  client_id: string;
  type: 'image/png' | 'image/jpeg' | 'image/webp';
  bytes: Buffer;
  digest: string;
  created_at: Timestamp;
}

// clients/submissions.ts

export interface ClientSubmissions {
  id: Generated<string>;
  agency_code: string;
  submitted_by: string;
  submitted_at: Timestamp;
  preset: string;
  name: string;
  wishes: Json<Record<string, unknown>>;
  note: string;
  decision: 'approved' | 'refused' | null;
  decided_by: string | null;
  decided_at: Date | null;
  because: string | null;
  client_id: string | null;
  secret_made_at: Date | null;
}

// consents.ts

export interface Consents {
  id: Generated<string>;
  account_id: string;
  client_id: string;
  scopes: string[];
  claims: string[];
  api_access: Generated<string[]>;
  version: Generated<number>;
  given_at: Timestamp;
  updated_at: Timestamp;
}

// resource-servers/resource-server.ts

/** What may be allowed at an API, in words for the people who allow it. */
export interface ApiScope {
  name: string;
  text_id: string;
  text_en: string;
}

export interface ResourceServers {
  id: Generated<string>;
  identifier: string;
  name: string;
  name_en: string | null;
  agency_code: string;
  scopes: ColumnType<ApiScope[], string | undefined, string>;
  token_format: 'jwt' | 'opaque';
  /** Seconds. */
  token_lifetime: number;
  signing_alg: 'ES256' | 'PS256' | 'EdDSA' | 'RS256';
  client_id: string | null;
  active: Generated<boolean>;
  version: Generated<number>;
  updated_at: Timestamp;
}

export interface RemovedResourceServers {
  identifier: string;
  removed_at: Timestamp;
}

// resource-servers/grants.ts

export interface ResourceGrants {
  resource_server_id: string;
  client_id: string;
  scopes: string[];
  for_itself: boolean;
  for_people: boolean;
}

// resource-servers/exchanges.ts

export interface TokenExchanges {
  source_id: string;
  target_id: string;
  scopes: string[];
}

// trials.ts

export interface Trials {
  id: string;
  secret_hash: Buffer;
  client_id: string;
  account_id: string;
  session_uid: string;
  request: Json<Record<string, unknown>>;
  nonce: string;
  sealed_verifier: string;
  grant_id: string | null;
  begun_at: Timestamp;
  expires_at: Date;
  spent_at: Date | null;
}

// applications/application.ts

export interface Applications {
  id: string;
  agency_code: string;
  name: string;
  about: string;
  about_en: string;
  url: string;
  client_id: string | null;
  verifier: string | null;
  verifier_settings: ColumnType<Record<string, unknown>, string | undefined, string>;
  sharing: Generated<'one_person' | 'same_organisation'>;
  proof_lasts: number | null;
  active: Generated<boolean>;
  version: Generated<number>;
  updated_at: Timestamp;
}

// links/store.ts

export interface Links {
  id: Generated<string>;
  application_id: string;
  account_id: string;
  subject: string;
  username: string;
  display_name: string | null;
  directorate: string | null;
  label: string | null;
  is_default: Generated<boolean>;
  created_at: Timestamp;
  verified_at: Timestamp;
  stale_at: Date | null;
}

// links/holders.ts

export interface LinkHolders {
  application_id: string;
  subject: string;
  holder_id: string;
}

// links/requests.ts

export interface LinkRequests {
  id: Generated<string>;
  application_id: string;
  account_id: string;
  subject: string;
  username: string;
  proved_at: Timestamp;
  decision: 'granted' | 'refused' | null;
  decided_by: string | null;
  decided_at: Date | null;
  display_name: string | null;
  directorate: string | null;
  because: string | null;
}

// links/notices.ts

export interface LinkNotices {
  application_id: string;
  jti: string;
  received_at: Timestamp;
}

// oidc/records/store.ts

export interface OidcRecords {
  id_hash: Buffer;
  model: string;
  account_id: string | null;
  client_id: string | null;
  grant_id: string | null;
  user_code_hash: Buffer | null;
  generation: number | null;
  payload: Json<Record<string, unknown>>;
  expires_at: Date;
  consumed_at: Date | null;
}

// oidc/sessions/session-store.ts

export interface OidcSessions {
  uid: string;
  id_hash: Buffer;
  account_id: string | null;
  generation: number | null;
  payload: Json<Record<string, unknown>>;
  authorizations: Json<Record<string, Authorization>>;
  created_at: Timestamp;
  expires_at: Date;
  remembered: Generated<boolean>;
  user_agent: string | null;
  network: string | null;
  seen_at: Timestamp;
}

/** What a session knows of one opened client; `accepted_at` (seconds) is set once every prompt was answered. */
export interface Authorization {
  sid?: string;
  grantId?: string;
  persistsLogout?: boolean;
  accepted_at?: number;
}

// oidc/claims/pairwise.ts

export interface PairwiseSubjects {
  sector: string;
  account_id: string;
  subject: string;
}

// oidc/clients/initial-tokens.ts

export interface InitialAccessTokens {
  id: Generated<string>;
  token_hash: Buffer;
  issued_by: string | null;
  issued_at: Timestamp;
  expires_at: Date;
  clients_left: number;
}

// oidc/keys/signing-keys.ts

export interface SigningKeys {
  kid: string;
  alg: string;
  state: 'next' | 'current' | 'retired';
  public_jwk: Json<Record<string, unknown>>;
  sealed_jwk: string;
  created_at: Timestamp;
  current_at: Date | null;
  retired_at: Date | null;
}

// root-secrets.ts

export interface RootSecrets {
  sealed_with: string;
  sealed: string;
  sealed_at: Timestamp;
}

// proofs.ts

export interface Proofs {
  id: Generated<string>;
  purpose: string;
  subject: string | null;
  target: string;
  flow_hash: Buffer;
  secret_hash: Buffer;
  browser_hash: Buffer | null;
  client_id: string | null;
  detail: Json<Record<string, unknown>>;
  attempts: Generated<number>;
  attempts_allowed: number;
  created_at: Timestamp;
  expires_at: Date;
  spent_at: Date | null;
  voided_at: Date | null;
}

// recovery/store.ts

export interface RecoveryAddresses {
  id: Generated<string>;
  account_id: string;
  address: string;
  canonical: string;
  added_at: Timestamp;
  sends: Generated<number>;
  sent_at: Timestamp;
  verified_at: Date | null;
  used_at: Date | null;
}

export interface Recoveries {
  id: string;
  method: string;
  state: Generated<'begun' | 'code_sent' | 'verified' | 'signing_in' | 'done' | 'used_up'>;
  subject: string | null;
  generation: number | null;
  flow_hash: Buffer;
  visit: string;
  begun_at: Timestamp;
  sent_at: Date | null;
  expires_at: Date;
}

/** Nobody writes it: its one row comes with the migration. */
export interface RecoveryMask {
  key: Buffer;
}

// human-check/store.ts

export interface HumanChecks {
  id_hash: Buffer;
  browser_hash: Buffer;
  work_bits: number;
  way: Generated<'picture' | 'mail'>;
  created_at: Timestamp;
  expires_at: Date;
  answered_at: Date | null;
  was_right: boolean | null;
}

// delivery/outbox.ts

export interface Mails {
  id: Generated<string>;
  account_id: string | null;
  to_address: string;
  language: 'id' | 'en';
  template: string;
  values: Json<Record<string, string | number>>;
  secret: string | null;
  proof_id: string | null;
  created_at: Timestamp;
  tries: Generated<number>;
  taken_until: Date | null;
  because: string | null;
  sent_at: Date | null;
  given_up_at: Date | null;
}

// sign-in.ts

export interface SignIns {
  interaction_hash: Buffer;
  client_id: string;
  state: Generated<'begun' | 'done'>;
  account_id: string | null;
  generation: number | null;
  amr: string[] | null;
  begun_at: Timestamp;
  done_at: Date | null;
  expires_at: Date;
}

// audit.ts

export interface AuditEvents {
  id: GeneratedAlways<string>;
  xid: Generated<string>;
  at: Timestamp;
  kind: string;
  account_id: string | null;
  actor_id: string | null;
  client_id: string | null;
  detail: Json<Record<string, unknown>>;
  personal_digest: string | null;
}

export interface AuditPersonal {
  event_id: string;
  salt: string;
  address: string | null;
  user_agent: string | null;
  request_id: string | null;
}

export interface AuditSeals {
  id: GeneratedAlways<string>;
  first_xid: string;
  last_xid: string;
  last_event_id: string;
  events: number;
  hash: string;
  sealed_at: Timestamp;
}

// limits/statements.ts

export interface Limits {
  name: string;
  key_hash: Buffer;
  count: number;
  free_at: Date;
  expires_at: Date;
}

// policy/store.ts

export interface PolicyValues {
  key: string;
  scope_kind: 'system' | 'role' | 'organisation' | 'agency' | 'application';
  scope_id: string;
  value: Json<number | boolean | string>;
  version: Generated<number>;
  changed_by: string | null;
  changed_at: Timestamp;
  because: string;
}

// approvals.ts

export interface Approvals {
  id: string;
  resource: string;
  entry_id: string | null;
  entry_version: number | null;
  operation: string;
  fields: string[];
  input: string | null;
  asked_by: string;
  asked_at: Timestamp;
  because: string;
  expires_at: Date;
  decision: 'approved' | 'refused' | 'withdrawn' | null;
  decided_by: string | null;
  decided_at: Date | null;
  decision_because: string | null;
}

// admin/idempotency.ts

export interface ApiAnswers {
  key_hash: Buffer;
  asked_hash: Buffer;
  answer: string | null;
  created_at: Timestamp;
}
