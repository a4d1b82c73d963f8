-- The whole schema, printed from the catalogue by `npm run gapura -- schema`. Changes go into db/migrations.

CREATE OR REPLACE FUNCTION public.gapura_now()
 RETURNS timestamp with time zone
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN statement_timestamp();

CREATE OR REPLACE FUNCTION public.refuse_change()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
  RAISE EXCEPTION 'rows of % are only added', TG_TABLE_NAME;
END $function$;

CREATE TABLE account_identifiers (
  canonical text NOT NULL,
  account_id uuid NOT NULL,
  kind text NOT NULL,
  value text NOT NULL,
  CONSTRAINT account_identifiers_pkey PRIMARY KEY (canonical),
  CONSTRAINT account_identifiers_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE,
  CONSTRAINT account_identifiers_kind_check CHECK ((kind = ANY (ARRAY['username'::text, 'email'::text, 'mobile'::text])))
);
CREATE INDEX account_identifiers_account ON public.account_identifiers USING btree (account_id);

CREATE TABLE account_locks (
  account_id uuid NOT NULL,
  kind text NOT NULL,
  because text NOT NULL,
  locked_by uuid,
  locked_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  CONSTRAINT account_locks_pkey PRIMARY KEY (account_id, kind),
  CONSTRAINT account_locks_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE,
  CONSTRAINT account_locks_locked_by_fkey FOREIGN KEY (locked_by) REFERENCES accounts(id),
  CONSTRAINT account_locks_kind_check CHECK ((kind = ANY (ARRAY['locked'::text, 'disabled'::text, 'frozen'::text, 'dormant'::text, 'revoked'::text])))
);

CREATE TABLE account_organisations (
  account_id uuid NOT NULL,
  organisation_id uuid NOT NULL,
  position text,
  created_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  CONSTRAINT account_organisations_pkey PRIMARY KEY (account_id, organisation_id),
  CONSTRAINT account_organisations_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE,
  CONSTRAINT account_organisations_organisation_id_fkey FOREIGN KEY (organisation_id) REFERENCES organisations(id)
);
CREATE INDEX account_organisations_organisation ON public.account_organisations USING btree (organisation_id);

CREATE TABLE accounts (
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  generation integer NOT NULL DEFAULT 1,
  full_name text NOT NULL,
  email text,
  email_verified boolean NOT NULL DEFAULT false,
  phone_number text,
  mobile_number text,
  mobile_number_verified boolean NOT NULL DEFAULT false,
  fax_number text,
  address text,
  city text,
  postal_code text,
  language text NOT NULL DEFAULT 'id'::text,
  time_zone text NOT NULL DEFAULT 'Asia/Jakarta'::text,
  expires_at timestamp with time zone,
  revoked_at timestamp with time zone,
  created_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  updated_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  CONSTRAINT accounts_pkey PRIMARY KEY (id),
  CONSTRAINT accounts_language_check CHECK ((language = ANY (ARRAY['id'::text, 'en'::text])))
);
CREATE INDEX accounts_expiry ON public.accounts USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX accounts_revoked ON public.accounts USING btree (revoked_at) WHERE (revoked_at IS NOT NULL);

CREATE TABLE agencies (
  code text NOT NULL,
  name text NOT NULL,
  name_en text NOT NULL,
  active boolean NOT NULL DEFAULT true,
  CONSTRAINT agencies_pkey PRIMARY KEY (code),
  CONSTRAINT agencies_code_check CHECK ((code ~ '^[A-Z0-9-]{2,20}$'::text))
);

CREATE TABLE applications (
  id text NOT NULL,
  agency_code text NOT NULL,
  name text NOT NULL,
  about text NOT NULL,
  about_en text NOT NULL,
  url text NOT NULL,
  client_id text,
  verifier text,
  verifier_settings jsonb NOT NULL DEFAULT '{}'::jsonb,
  sharing text NOT NULL DEFAULT 'one_person'::text,
  proof_lasts integer,
  active boolean NOT NULL DEFAULT true,
  CONSTRAINT applications_pkey PRIMARY KEY (id),
  CONSTRAINT applications_client_id_key UNIQUE (client_id),
  CONSTRAINT applications_agency_code_fkey FOREIGN KEY (agency_code) REFERENCES agencies(code),
  CONSTRAINT applications_client_id_fkey FOREIGN KEY (client_id) REFERENCES clients(id) ON DELETE SET NULL,
  CONSTRAINT applications_id_check CHECK ((id ~ '^[a-z0-9-]{2,40}$'::text)),
  CONSTRAINT applications_proof_lasts_check CHECK ((proof_lasts > 0)),
  CONSTRAINT applications_sharing_check CHECK ((sharing = ANY (ARRAY['one_person'::text, 'same_organisation'::text])))
);
CREATE INDEX applications_agency ON public.applications USING btree (agency_code);

CREATE TABLE audit_events (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  kind text NOT NULL,
  account_id uuid,
  actor_id uuid,
  client_id text,
  detail jsonb NOT NULL DEFAULT '{}'::jsonb,
  personal_digest text,
  CONSTRAINT audit_events_pkey PRIMARY KEY (id)
);
CREATE INDEX audit_events_account ON public.audit_events USING btree (account_id, id) WHERE (account_id IS NOT NULL);
CREATE INDEX audit_events_order ON public.audit_events USING btree (xid, id);
CREATE TRIGGER audit_events_only_added BEFORE DELETE OR UPDATE ON audit_events EXECUTE FUNCTION refuse_change();

CREATE TABLE audit_personal (
  event_id bigint NOT NULL,
  salt text NOT NULL,
  address text,
  user_agent text,
  request_id text,
  CONSTRAINT audit_personal_pkey PRIMARY KEY (event_id),
  CONSTRAINT audit_personal_event_id_fkey FOREIGN KEY (event_id) REFERENCES audit_events(id)
);

CREATE TABLE audit_seals (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  first_xid xid8 NOT NULL,
  last_xid xid8 NOT NULL,
  last_event_id bigint NOT NULL,
  events integer NOT NULL,
  hash text NOT NULL,
  sealed_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  CONSTRAINT audit_seals_pkey PRIMARY KEY (id)
);
CREATE TRIGGER audit_seals_only_added BEFORE DELETE OR UPDATE ON audit_seals EXECUTE FUNCTION refuse_change();

CREATE TABLE browsers (
  account_id uuid NOT NULL,
  browser_hash bytea NOT NULL,
  first_seen_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  last_seen_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  CONSTRAINT browsers_pkey PRIMARY KEY (account_id, browser_hash),
  CONSTRAINT browsers_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE
);

CREATE TABLE client_secrets (
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  client_id text NOT NULL,
  hash text NOT NULL,
  sealed text,
  created_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  expires_at timestamp with time zone,
  last_used_at timestamp with time zone,
  CONSTRAINT client_secrets_pkey PRIMARY KEY (id),
  CONSTRAINT client_secrets_client_id_fkey FOREIGN KEY (client_id) REFERENCES clients(id) ON DELETE CASCADE
);
CREATE INDEX client_secrets_client ON public.client_secrets USING btree (client_id);

CREATE TABLE clients (
  id text NOT NULL,
  metadata jsonb NOT NULL,
  agency_code text,
  first_party boolean NOT NULL DEFAULT false,
  directorate_required boolean NOT NULL DEFAULT false,
  link_required boolean NOT NULL DEFAULT false,
  form_action_origins text[] NOT NULL DEFAULT '{}'::text[],
  active boolean NOT NULL DEFAULT true,
  version integer NOT NULL DEFAULT 1,
  created_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  updated_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  CONSTRAINT clients_pkey PRIMARY KEY (id),
  CONSTRAINT clients_agency_code_fkey FOREIGN KEY (agency_code) REFERENCES agencies(code)
);

CREATE TABLE directorates (
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  agency_code text NOT NULL,
  code text NOT NULL,
  name text NOT NULL,
  active boolean NOT NULL DEFAULT true,
  CONSTRAINT directorates_pkey PRIMARY KEY (id),
  CONSTRAINT directorates_agency_code_code_key UNIQUE (agency_code, code),
  CONSTRAINT directorates_agency_code_fkey FOREIGN KEY (agency_code) REFERENCES agencies(code)
);

CREATE TABLE limits (
  name text NOT NULL,
  key_hash bytea NOT NULL,
  count integer NOT NULL,
  free_at timestamp with time zone NOT NULL,
  expires_at timestamp with time zone NOT NULL,
  CONSTRAINT limits_pkey PRIMARY KEY (name, key_hash)
);
CREATE INDEX limits_expiry ON public.limits USING btree (expires_at);

CREATE TABLE link_holders (
  application_id text NOT NULL,
  subject text NOT NULL,
  holder_id uuid NOT NULL,
  CONSTRAINT link_holders_pkey PRIMARY KEY (application_id, subject),
  CONSTRAINT link_holders_application_id_fkey FOREIGN KEY (application_id) REFERENCES applications(id) ON DELETE CASCADE
);

CREATE TABLE link_notices (
  application_id text NOT NULL,
  jti text NOT NULL,
  received_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  CONSTRAINT link_notices_pkey PRIMARY KEY (application_id, jti),
  CONSTRAINT link_notices_application_id_fkey FOREIGN KEY (application_id) REFERENCES applications(id) ON DELETE CASCADE
);
CREATE INDEX link_notices_age ON public.link_notices USING btree (received_at);

CREATE TABLE link_requests (
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  application_id text NOT NULL,
  account_id uuid NOT NULL,
  subject text NOT NULL,
  username text NOT NULL,
  proved_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  decision text,
  decided_by uuid,
  decided_at timestamp with time zone,
  CONSTRAINT link_requests_pkey PRIMARY KEY (id),
  CONSTRAINT link_requests_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE,
  CONSTRAINT link_requests_application_id_fkey FOREIGN KEY (application_id) REFERENCES applications(id) ON DELETE CASCADE,
  CONSTRAINT link_requests_decided_by_fkey FOREIGN KEY (decided_by) REFERENCES accounts(id),
  CONSTRAINT link_requests_decision_check CHECK ((decision = ANY (ARRAY['granted'::text, 'refused'::text])))
);
CREATE UNIQUE INDEX link_requests_waiting ON public.link_requests USING btree (application_id, subject, account_id) WHERE (decision IS NULL);

CREATE TABLE links (
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  application_id text NOT NULL,
  account_id uuid NOT NULL,
  subject text NOT NULL,
  username text NOT NULL,
  display_name text,
  directorate text,
  label text,
  is_default boolean NOT NULL DEFAULT false,
  created_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  verified_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  stale_at timestamp with time zone,
  CONSTRAINT links_pkey PRIMARY KEY (id),
  CONSTRAINT links_account_id_application_id_subject_key UNIQUE (account_id, application_id, subject),
  CONSTRAINT links_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE,
  CONSTRAINT links_application_id_fkey FOREIGN KEY (application_id) REFERENCES applications(id) ON DELETE CASCADE
);
CREATE INDEX links_subject ON public.links USING btree (application_id, subject);
CREATE UNIQUE INDEX links_default ON public.links USING btree (account_id, application_id) WHERE is_default;

CREATE TABLE mails (
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  account_id uuid,
  to_address text NOT NULL,
  language text NOT NULL,
  template text NOT NULL,
  values jsonb NOT NULL DEFAULT '{}'::jsonb,
  secret text,
  created_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  tries integer NOT NULL DEFAULT 0,
  taken_until timestamp with time zone,
  because text,
  sent_at timestamp with time zone,
  given_up_at timestamp with time zone,
  CONSTRAINT mails_pkey PRIMARY KEY (id),
  CONSTRAINT mails_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE,
  CONSTRAINT mails_language_check CHECK ((language = ANY (ARRAY['id'::text, 'en'::text])))
);
CREATE INDEX mails_account ON public.mails USING btree (account_id) WHERE (account_id IS NOT NULL);
CREATE INDEX mails_age ON public.mails USING btree (created_at);

CREATE TABLE memberships (
  organisation_id uuid NOT NULL,
  directorate_id uuid NOT NULL,
  created_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  CONSTRAINT memberships_pkey PRIMARY KEY (organisation_id, directorate_id),
  CONSTRAINT memberships_directorate_id_fkey FOREIGN KEY (directorate_id) REFERENCES directorates(id),
  CONSTRAINT memberships_organisation_id_fkey FOREIGN KEY (organisation_id) REFERENCES organisations(id)
);

CREATE TABLE oidc_records (
  id_hash bytea NOT NULL,
  model text NOT NULL,
  account_id uuid,
  client_id text,
  grant_id text,
  user_code_hash bytea,
  generation integer,
  payload jsonb NOT NULL,
  expires_at timestamp with time zone NOT NULL,
  consumed_at timestamp with time zone,
  CONSTRAINT oidc_records_pkey PRIMARY KEY (id_hash)
);
CREATE INDEX oidc_records_account ON public.oidc_records USING btree (account_id) WHERE (model = 'Grant'::text);
CREATE INDEX oidc_records_expiry ON public.oidc_records USING btree (expires_at);
CREATE INDEX oidc_records_grant ON public.oidc_records USING btree (grant_id) WHERE (grant_id IS NOT NULL);
CREATE INDEX oidc_records_user_code ON public.oidc_records USING btree (user_code_hash) WHERE (user_code_hash IS NOT NULL);

CREATE TABLE oidc_sessions (
  uid text NOT NULL,
  id_hash bytea NOT NULL,
  account_id uuid,
  generation integer,
  payload jsonb NOT NULL,
  authorizations jsonb NOT NULL DEFAULT '{}'::jsonb,
  created_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  expires_at timestamp with time zone NOT NULL,
  CONSTRAINT oidc_sessions_pkey PRIMARY KEY (uid),
  CONSTRAINT oidc_sessions_id_hash_key UNIQUE (id_hash)
);
CREATE INDEX oidc_sessions_account ON public.oidc_sessions USING btree (account_id) WHERE (account_id IS NOT NULL);
CREATE INDEX oidc_sessions_expiry ON public.oidc_sessions USING btree (expires_at);

CREATE TABLE organisations (
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  name text NOT NULL,
  npwp text NOT NULL,
  nitku text,
  nib text,
  edi_number text,
  srp text,
  address text,
  city text,
  postal_code text,
  phone_number text,
  fax_number text,
  department text,
  time_zone text NOT NULL DEFAULT 'Asia/Jakarta'::text,
  active boolean NOT NULL DEFAULT true,
  created_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  updated_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  CONSTRAINT organisations_pkey PRIMARY KEY (id),
  CONSTRAINT organisations_npwp_key UNIQUE (npwp),
  CONSTRAINT organisations_nib_check CHECK ((nib ~ '^[0-9]{13}$'::text)),
  CONSTRAINT organisations_nitku_check CHECK ((nitku ~ '^[0-9]{22}$'::text)),
  CONSTRAINT organisations_npwp_check CHECK ((npwp ~ '^[0-9]{16}$'::text))
);

CREATE TABLE passwords (
  account_id uuid NOT NULL,
  hash text NOT NULL,
  changed_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  CONSTRAINT passwords_pkey PRIMARY KEY (account_id),
  CONSTRAINT passwords_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE
);

CREATE TABLE role_assignments (
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  account_id uuid NOT NULL,
  role text NOT NULL,
  agency_code text,
  organisation_id uuid,
  level integer NOT NULL DEFAULT 1,
  granted_by uuid,
  granted_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  CONSTRAINT role_assignments_pkey PRIMARY KEY (id),
  CONSTRAINT role_assignments_account_id_role_agency_code_organisation_i_key UNIQUE NULLS NOT DISTINCT (account_id, role, agency_code, organisation_id),
  CONSTRAINT role_assignments_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE,
  CONSTRAINT role_assignments_agency_code_fkey FOREIGN KEY (agency_code) REFERENCES agencies(code),
  CONSTRAINT role_assignments_granted_by_fkey FOREIGN KEY (granted_by) REFERENCES accounts(id),
  CONSTRAINT role_assignments_organisation_id_fkey FOREIGN KEY (organisation_id) REFERENCES organisations(id)
);

CREATE TABLE schema_migrations (
  name text NOT NULL,
  applied_at timestamp with time zone NOT NULL DEFAULT now(),
  CONSTRAINT schema_migrations_pkey PRIMARY KEY (name)
);

CREATE TABLE sign_ins (
  interaction_hash bytea NOT NULL,
  client_id text NOT NULL,
  state text NOT NULL DEFAULT 'begun'::text,
  account_id uuid,
  generation integer,
  amr text[],
  begun_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  done_at timestamp with time zone,
  expires_at timestamp with time zone NOT NULL,
  CONSTRAINT sign_ins_pkey PRIMARY KEY (interaction_hash),
  CONSTRAINT sign_ins_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE,
  CONSTRAINT sign_ins_state_check CHECK ((state = ANY (ARRAY['begun'::text, 'done'::text])))
);
CREATE INDEX sign_ins_expiry ON public.sign_ins USING btree (expires_at);

CREATE TABLE signing_keys (
  kid text NOT NULL,
  alg text NOT NULL,
  state text NOT NULL,
  public_jwk jsonb NOT NULL,
  sealed_jwk text NOT NULL,
  created_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  current_at timestamp with time zone,
  retired_at timestamp with time zone,
  CONSTRAINT signing_keys_pkey PRIMARY KEY (kid),
  CONSTRAINT signing_keys_state_check CHECK ((state = ANY (ARRAY['next'::text, 'current'::text, 'retired'::text])))
);
CREATE UNIQUE INDEX signing_keys_current ON public.signing_keys USING btree (alg) WHERE (state = 'current'::text);
