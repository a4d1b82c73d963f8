-- The whole schema, printed from the catalogue by `npm run gapura -- schema`. Changes go into db/migrations.

CREATE OR REPLACE FUNCTION public.bump_version()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
  NEW.version := OLD.version + 1;
  NEW.updated_at := gapura_now();
  RETURN NEW;
END $function$;

CREATE OR REPLACE FUNCTION public.free_link_name()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
  -- The row is locked first, and only the next statement looks: a link that somebody who shares the name is just making, or
  -- removing, is seen as it ends.
  PERFORM 1 FROM link_holders h WHERE h.application_id = OLD.application_id AND h.subject = OLD.subject FOR UPDATE;
  DELETE FROM link_holders h WHERE h.application_id = OLD.application_id AND h.subject = OLD.subject
    AND NOT EXISTS (SELECT FROM links l WHERE l.application_id = h.application_id AND l.subject = h.subject);
  RETURN NULL;
END $function$;

CREATE OR REPLACE FUNCTION public.gapura_now()
 RETURNS timestamp with time zone
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN statement_timestamp();

CREATE OR REPLACE FUNCTION public.note_change()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
  INSERT INTO topics AS t (name, version) VALUES (TG_ARGV[0], 1)
    ON CONFLICT (name) DO UPDATE SET version = t.version + 1;
  PERFORM pg_notify('gapura_changes', TG_ARGV[0]);
  RETURN NULL;
END
$function$;

CREATE OR REPLACE FUNCTION public.note_password()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
  UPDATE accounts SET has_password = (TG_OP = 'INSERT')
    WHERE id = CASE TG_OP WHEN 'INSERT' THEN NEW.account_id ELSE OLD.account_id END;
  RETURN NULL;
END $function$;

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
CREATE INDEX account_identifiers_prefix ON public.account_identifiers USING btree (canonical text_pattern_ops);

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
CREATE INDEX account_locks_kind ON public.account_locks USING btree (kind);

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
  version integer NOT NULL DEFAULT 1,
  has_password boolean NOT NULL DEFAULT false,
  CONSTRAINT accounts_pkey PRIMARY KEY (id),
  CONSTRAINT accounts_language_check CHECK ((language = ANY (ARRAY['id'::text, 'en'::text])))
);
CREATE INDEX accounts_created ON public.accounts USING btree (created_at, id);
CREATE INDEX accounts_email ON public.accounts USING btree (lower(email) text_pattern_ops) WHERE (email IS NOT NULL);
CREATE INDEX accounts_expiry ON public.accounts USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX accounts_name ON public.accounts USING btree (lower(full_name), id);
CREATE INDEX accounts_password_created ON public.accounts USING btree (has_password, created_at, id);
CREATE INDEX accounts_password_name ON public.accounts USING btree (has_password, lower(full_name), id);
CREATE INDEX accounts_revoked ON public.accounts USING btree (revoked_at) WHERE (revoked_at IS NOT NULL);
CREATE INDEX accounts_words ON public.accounts USING gin (to_tsvector('simple'::regconfig, full_name));
CREATE TRIGGER accounts_version BEFORE UPDATE OF full_name, email, email_verified, phone_number, mobile_number, mobile_number_verified, fax_number, address, city, postal_code, language, time_zone, expires_at ON accounts FOR EACH ROW WHEN (old.full_name IS DISTINCT FROM new.full_name OR old.email IS DISTINCT FROM new.email OR old.email_verified IS DISTINCT FROM new.email_verified OR old.phone_number IS DISTINCT FROM new.phone_number OR old.mobile_number IS DISTINCT FROM new.mobile_number OR old.mobile_number_verified IS DISTINCT FROM new.mobile_number_verified OR old.fax_number IS DISTINCT FROM new.fax_number OR old.address IS DISTINCT FROM new.address OR old.city IS DISTINCT FROM new.city OR old.postal_code IS DISTINCT FROM new.postal_code OR old.language IS DISTINCT FROM new.language OR old.time_zone IS DISTINCT FROM new.time_zone OR old.expires_at IS DISTINCT FROM new.expires_at) EXECUTE FUNCTION bump_version();

CREATE TABLE agencies (
  code text NOT NULL,
  name text NOT NULL,
  name_en text NOT NULL,
  active boolean NOT NULL DEFAULT true,
  version integer NOT NULL DEFAULT 1,
  updated_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  mail_domains text[] NOT NULL DEFAULT '{}'::text[],
  CONSTRAINT agencies_pkey PRIMARY KEY (code),
  CONSTRAINT agencies_code_check CHECK ((code ~ '^[A-Z0-9-]{2,20}$'::text)),
  CONSTRAINT agencies_mail_domains_check CHECK ((cardinality(mail_domains) <= 20))
);
CREATE CONSTRAINT TRIGGER agencies_changed AFTER UPDATE ON agencies DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_change('clients');
CREATE TRIGGER agencies_version BEFORE UPDATE ON agencies FOR EACH ROW WHEN (old.* IS DISTINCT FROM new.*) EXECUTE FUNCTION bump_version();

CREATE TABLE api_answers (
  key_hash bytea NOT NULL,
  asked_hash bytea NOT NULL,
  answer text,
  created_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  CONSTRAINT api_answers_pkey PRIMARY KEY (key_hash)
);
CREATE INDEX api_answers_age ON public.api_answers USING btree (created_at);

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
  version integer NOT NULL DEFAULT 1,
  updated_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  CONSTRAINT applications_pkey PRIMARY KEY (id),
  CONSTRAINT applications_client_id_key UNIQUE (client_id),
  CONSTRAINT applications_agency_code_fkey FOREIGN KEY (agency_code) REFERENCES agencies(code),
  CONSTRAINT applications_client_id_fkey FOREIGN KEY (client_id) REFERENCES clients(id) ON DELETE SET NULL,
  CONSTRAINT applications_id_check CHECK ((id ~ '^[a-z0-9-]{2,40}$'::text)),
  CONSTRAINT applications_proof_lasts_check CHECK ((proof_lasts > 0)),
  CONSTRAINT applications_sharing_check CHECK ((sharing = ANY (ARRAY['one_person'::text, 'same_organisation'::text])))
);
CREATE INDEX applications_agency ON public.applications USING btree (agency_code);
CREATE INDEX applications_name ON public.applications USING btree (lower(name), id);
CREATE TRIGGER applications_version BEFORE UPDATE ON applications FOR EACH ROW WHEN (old.* IS DISTINCT FROM new.*) EXECUTE FUNCTION bump_version();

CREATE TABLE approvals (
  id uuid NOT NULL,
  resource text NOT NULL,
  entry_id text,
  entry_version integer,
  operation text NOT NULL,
  fields text[] NOT NULL,
  input text,
  asked_by uuid NOT NULL,
  asked_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  because text NOT NULL,
  expires_at timestamp with time zone NOT NULL,
  decision text,
  decided_by uuid,
  decided_at timestamp with time zone,
  decision_because text,
  CONSTRAINT approvals_pkey PRIMARY KEY (id),
  CONSTRAINT approvals_asked_by_fkey FOREIGN KEY (asked_by) REFERENCES accounts(id),
  CONSTRAINT approvals_decided_by_fkey FOREIGN KEY (decided_by) REFERENCES accounts(id),
  CONSTRAINT approvals_check CHECK ((((decision IS NULL) = (decided_by IS NULL)) AND ((decision IS NULL) = (decided_at IS NULL)))),
  CONSTRAINT approvals_check1 CHECK (((decision = 'withdrawn'::text) = (decided_by = asked_by))),
  CONSTRAINT approvals_decision_check CHECK ((decision = ANY (ARRAY['approved'::text, 'refused'::text, 'withdrawn'::text])))
);
CREATE INDEX approvals_asked ON public.approvals USING btree (asked_at, id);
CREATE INDEX approvals_kept ON public.approvals USING btree (expires_at) WHERE (input IS NOT NULL);

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
CREATE INDEX audit_events_entry ON public.audit_events USING btree (((detail ->> 'resource'::text)), ((detail ->> 'id'::text)), id) WHERE (detail ? 'resource'::text);
CREATE INDEX audit_events_order ON public.audit_events USING btree (xid, id);
CREATE TRIGGER audit_events_only_added BEFORE DELETE OR UPDATE OR TRUNCATE ON audit_events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

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
CREATE TRIGGER audit_seals_only_added BEFORE DELETE OR UPDATE OR TRUNCATE ON audit_seals FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE browsers (
  account_id uuid NOT NULL,
  browser_hash bytea NOT NULL,
  first_seen_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  last_seen_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  CONSTRAINT browsers_pkey PRIMARY KEY (account_id, browser_hash),
  CONSTRAINT browsers_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE
);
CREATE INDEX browsers_seen ON public.browsers USING btree (last_seen_at);

CREATE TABLE client_logos (
  client_id text NOT NULL,
  type text NOT NULL,
  bytes bytea NOT NULL,
  digest text NOT NULL,
  created_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  CONSTRAINT client_logos_pkey PRIMARY KEY (client_id),
  CONSTRAINT client_logos_client_id_fkey FOREIGN KEY (client_id) REFERENCES clients(id) ON DELETE CASCADE,
  CONSTRAINT client_logos_bytes_check CHECK (((octet_length(bytes) >= 1) AND (octet_length(bytes) <= 102400))),
  CONSTRAINT client_logos_type_check CHECK ((type = ANY (ARRAY['image/png'::text, 'image/jpeg'::text, 'image/webp'::text])))
);
CREATE CONSTRAINT TRIGGER client_logos_changed AFTER INSERT OR DELETE OR UPDATE ON client_logos DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_change('clients');

CREATE TABLE client_secrets (
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  client_id text NOT NULL,
  hash text NOT NULL,
  sealed text,
  created_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  expires_at timestamp with time zone,
  last_used_at timestamp with time zone,
  issued_by uuid,
  warned_at timestamp with time zone,
  CONSTRAINT client_secrets_pkey PRIMARY KEY (id),
  CONSTRAINT client_secrets_client_id_fkey FOREIGN KEY (client_id) REFERENCES clients(id) ON DELETE CASCADE,
  CONSTRAINT client_secrets_issued_by_fkey FOREIGN KEY (issued_by) REFERENCES accounts(id)
);
CREATE CONSTRAINT TRIGGER client_secrets_changed AFTER INSERT OR DELETE OR UPDATE OF hash, sealed, expires_at ON client_secrets DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_change('clients');
CREATE INDEX client_secrets_client ON public.client_secrets USING btree (client_id);
CREATE INDEX client_secrets_expiry ON public.client_secrets USING btree (expires_at) WHERE ((expires_at IS NOT NULL) AND (warned_at IS NULL));

CREATE TABLE client_submissions (
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  agency_code text NOT NULL,
  submitted_by uuid NOT NULL,
  submitted_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  preset text NOT NULL,
  name text NOT NULL,
  wishes jsonb NOT NULL,
  note text NOT NULL,
  decision text,
  decided_by uuid,
  decided_at timestamp with time zone,
  because text,
  client_id text,
  secret_made_at timestamp with time zone,
  CONSTRAINT client_submissions_pkey PRIMARY KEY (id),
  CONSTRAINT client_submissions_agency_code_fkey FOREIGN KEY (agency_code) REFERENCES agencies(code),
  CONSTRAINT client_submissions_client_id_fkey FOREIGN KEY (client_id) REFERENCES clients(id) ON DELETE SET NULL,
  CONSTRAINT client_submissions_decided_by_fkey FOREIGN KEY (decided_by) REFERENCES accounts(id),
  CONSTRAINT client_submissions_submitted_by_fkey FOREIGN KEY (submitted_by) REFERENCES accounts(id) ON DELETE CASCADE,
  CONSTRAINT client_submissions_check CHECK (((decision IS NULL) = (decided_at IS NULL))),
  CONSTRAINT client_submissions_check1 CHECK (((decision = 'approved'::text) OR ((client_id IS NULL) AND (secret_made_at IS NULL)))),
  CONSTRAINT client_submissions_decision_check CHECK ((decision = ANY (ARRAY['approved'::text, 'refused'::text])))
);
CREATE INDEX client_submissions_agency ON public.client_submissions USING btree (agency_code, submitted_at DESC);
CREATE INDEX client_submissions_submitted ON public.client_submissions USING btree (submitted_at, id);
CREATE INDEX client_submissions_waiting ON public.client_submissions USING btree (submitted_at) WHERE (decision IS NULL);

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
  origin text NOT NULL DEFAULT 'console'::text,
  api_role text,
  fapi boolean NOT NULL DEFAULT false,
  disabled_at timestamp with time zone,
  disabled_by uuid,
  disabled_because text,
  authorized_at timestamp with time zone,
  pkce_required boolean NOT NULL DEFAULT true,
  refresh_rotation text NOT NULL DEFAULT 'rotate'::text,
  refresh_grace integer NOT NULL DEFAULT 0,
  claim_shape text NOT NULL DEFAULT 'standard'::text,
  private_hosts text[] NOT NULL DEFAULT '{}'::text[],
  CONSTRAINT clients_pkey PRIMARY KEY (id),
  CONSTRAINT clients_agency_code_fkey FOREIGN KEY (agency_code) REFERENCES agencies(code),
  CONSTRAINT clients_disabled_by_fkey FOREIGN KEY (disabled_by) REFERENCES accounts(id),
  CONSTRAINT clients_api_role_check CHECK ((api_role = ANY (ARRAY['administrator'::text, 'agency_officer'::text]))),
  CONSTRAINT clients_claim_shape_check CHECK ((claim_shape = ANY (ARRAY['standard'::text, 'insw'::text]))),
  CONSTRAINT clients_disabled CHECK (((disabled_at IS NULL) OR (NOT active))),
  CONSTRAINT clients_dynamic_hosts CHECK (((origin <> 'dynamic'::text) OR (private_hosts = '{}'::text[]))),
  CONSTRAINT clients_dynamic_pkce CHECK (((origin <> 'dynamic'::text) OR pkce_required)),
  CONSTRAINT clients_origin_check CHECK ((origin = ANY (ARRAY['own'::text, 'console'::text, 'dynamic'::text, 'submission'::text]))),
  CONSTRAINT clients_refresh_grace_check CHECK (((refresh_grace >= 0) AND (refresh_grace <= 60))),
  CONSTRAINT clients_refresh_rotation_check CHECK ((refresh_rotation = ANY (ARRAY['rotate'::text, 'keep'::text]))),
  CONSTRAINT clients_untrusted CHECK (((origin <> 'dynamic'::text) OR ((NOT first_party) AND (api_role IS NULL))))
);
CREATE CONSTRAINT TRIGGER clients_changed AFTER INSERT OR DELETE OR UPDATE ON clients DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_change('clients');
CREATE INDEX clients_agency ON public.clients USING btree (agency_code) WHERE (agency_code IS NOT NULL);
CREATE INDEX clients_name ON public.clients USING btree (lower(COALESCE((metadata ->> 'client_name'::text), id)), id);
CREATE INDEX clients_unused ON public.clients USING btree (created_at) WHERE ((origin = 'dynamic'::text) AND (authorized_at IS NULL));

CREATE TABLE consents (
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  account_id uuid NOT NULL,
  client_id text NOT NULL,
  scopes text[] NOT NULL,
  claims text[] NOT NULL,
  version integer NOT NULL DEFAULT 1,
  given_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  updated_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  api_access text[] NOT NULL DEFAULT '{}'::text[],
  CONSTRAINT consents_pkey PRIMARY KEY (id),
  CONSTRAINT consents_account_id_client_id_key UNIQUE (account_id, client_id),
  CONSTRAINT consents_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE,
  CONSTRAINT consents_client_id_fkey FOREIGN KEY (client_id) REFERENCES clients(id) ON DELETE CASCADE
);
CREATE INDEX consents_client ON public.consents USING btree (client_id);

CREATE TABLE directorates (
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  agency_code text NOT NULL,
  code text NOT NULL,
  name text NOT NULL,
  active boolean NOT NULL DEFAULT true,
  name_en text,
  version integer NOT NULL DEFAULT 1,
  updated_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  CONSTRAINT directorates_pkey PRIMARY KEY (id),
  CONSTRAINT directorates_agency_code_code_key UNIQUE (agency_code, code),
  CONSTRAINT directorates_agency_code_fkey FOREIGN KEY (agency_code) REFERENCES agencies(code)
);
CREATE TRIGGER directorates_version BEFORE UPDATE ON directorates FOR EACH ROW WHEN (old.* IS DISTINCT FROM new.*) EXECUTE FUNCTION bump_version();

CREATE TABLE human_checks (
  id_hash bytea NOT NULL,
  browser_hash bytea NOT NULL,
  work_bits integer NOT NULL,
  way text NOT NULL DEFAULT 'picture'::text,
  created_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  expires_at timestamp with time zone NOT NULL,
  answered_at timestamp with time zone,
  was_right boolean,
  CONSTRAINT human_checks_pkey PRIMARY KEY (id_hash),
  CONSTRAINT human_checks_check CHECK (((answered_at IS NULL) = (was_right IS NULL))),
  CONSTRAINT human_checks_way_check CHECK ((way = ANY (ARRAY['picture'::text, 'mail'::text]))),
  CONSTRAINT human_checks_work_bits_check CHECK ((work_bits > 0))
);
CREATE INDEX human_checks_expiry ON public.human_checks USING btree (expires_at);

CREATE TABLE initial_access_tokens (
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  token_hash bytea NOT NULL,
  issued_by uuid,
  issued_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  expires_at timestamp with time zone NOT NULL,
  clients_left integer NOT NULL,
  CONSTRAINT initial_access_tokens_pkey PRIMARY KEY (id),
  CONSTRAINT initial_access_tokens_token_hash_key UNIQUE (token_hash),
  CONSTRAINT initial_access_tokens_issued_by_fkey FOREIGN KEY (issued_by) REFERENCES accounts(id),
  CONSTRAINT initial_access_tokens_clients_left_check CHECK ((clients_left >= 0))
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
  display_name text,
  directorate text,
  because text,
  CONSTRAINT link_requests_pkey PRIMARY KEY (id),
  CONSTRAINT link_requests_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE,
  CONSTRAINT link_requests_application_id_fkey FOREIGN KEY (application_id) REFERENCES applications(id) ON DELETE CASCADE,
  CONSTRAINT link_requests_decided_by_fkey FOREIGN KEY (decided_by) REFERENCES accounts(id),
  CONSTRAINT link_requests_decision_check CHECK ((decision = ANY (ARRAY['granted'::text, 'refused'::text])))
);
CREATE INDEX link_requests_account ON public.link_requests USING btree (account_id, application_id);
CREATE INDEX link_requests_proved ON public.link_requests USING btree (proved_at, id);
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
CREATE TRIGGER links_free_name AFTER DELETE ON links FOR EACH ROW EXECUTE FUNCTION free_link_name();
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
  proof_id uuid,
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
CREATE INDEX memberships_directorate ON public.memberships USING btree (directorate_id, organisation_id);
CREATE INDEX memberships_id ON public.memberships USING btree (((((organisation_id)::text || '.'::text) || (directorate_id)::text)));

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
CREATE INDEX oidc_records_client ON public.oidc_records USING btree (client_id) WHERE (model = 'Grant'::text);
CREATE INDEX oidc_records_grant ON public.oidc_records USING btree (grant_id) WHERE (grant_id IS NOT NULL);
CREATE INDEX oidc_records_grants ON public.oidc_records USING btree (grant_id) WHERE (model = 'Grant'::text);
CREATE INDEX oidc_records_interactions ON public.oidc_records USING btree (expires_at) WHERE (model = 'Interaction'::text);
CREATE INDEX oidc_records_over ON public.oidc_records USING btree (expires_at) WHERE (model <> 'Interaction'::text);
CREATE INDEX oidc_records_own ON public.oidc_records USING btree (client_id) WHERE (model = 'ClientCredentials'::text);
CREATE INDEX oidc_records_registration ON public.oidc_records USING btree (client_id) WHERE (model = 'RegistrationAccessToken'::text);
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
  remembered boolean NOT NULL DEFAULT false,
  user_agent text,
  network text,
  seen_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  CONSTRAINT oidc_sessions_pkey PRIMARY KEY (uid),
  CONSTRAINT oidc_sessions_id_hash_key UNIQUE (id_hash),
  CONSTRAINT oidc_sessions_network_check CHECK ((length(network) <= 60)),
  CONSTRAINT oidc_sessions_user_agent_check CHECK ((length(user_agent) <= 300))
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
  version integer NOT NULL DEFAULT 1,
  mail_domains text[] NOT NULL DEFAULT '{}'::text[],
  CONSTRAINT organisations_pkey PRIMARY KEY (id),
  CONSTRAINT organisations_npwp_key UNIQUE (npwp),
  CONSTRAINT organisations_mail_domains_check CHECK ((cardinality(mail_domains) <= 20)),
  CONSTRAINT organisations_nib_check CHECK ((nib ~ '^[0-9]{13}$'::text)),
  CONSTRAINT organisations_nitku_check CHECK ((nitku ~ '^[0-9]{22}$'::text)),
  CONSTRAINT organisations_npwp_check CHECK ((npwp ~ '^[0-9]{16}$'::text))
);
CREATE INDEX organisations_name ON public.organisations USING btree (lower(name), id);
CREATE INDEX organisations_words ON public.organisations USING gin (to_tsvector('simple'::regconfig, regexp_replace(name, '[^[:alnum:]]+'::text, ' '::text, 'g'::text)));
CREATE TRIGGER organisations_version BEFORE UPDATE ON organisations FOR EACH ROW WHEN (old.* IS DISTINCT FROM new.*) EXECUTE FUNCTION bump_version();

CREATE TABLE pairwise_subjects (
  sector text NOT NULL,
  account_id uuid NOT NULL,
  subject text NOT NULL,
  CONSTRAINT pairwise_subjects_pkey PRIMARY KEY (sector, account_id),
  CONSTRAINT pairwise_subjects_subject_key UNIQUE (subject),
  CONSTRAINT pairwise_subjects_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE
);
CREATE INDEX pairwise_subjects_account ON public.pairwise_subjects USING btree (account_id);

CREATE TABLE password_history (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  account_id uuid NOT NULL,
  hash text NOT NULL,
  CONSTRAINT password_history_pkey PRIMARY KEY (id),
  CONSTRAINT password_history_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE
);
CREATE INDEX password_history_account ON public.password_history USING btree (account_id, id);

CREATE TABLE passwords (
  account_id uuid NOT NULL,
  hash text NOT NULL,
  changed_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  expires_at timestamp with time zone,
  must_change boolean NOT NULL DEFAULT false,
  CONSTRAINT passwords_pkey PRIMARY KEY (account_id),
  CONSTRAINT passwords_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE
);
CREATE TRIGGER passwords_noted AFTER INSERT OR DELETE ON passwords FOR EACH ROW EXECUTE FUNCTION note_password();

CREATE TABLE policy_values (
  key text NOT NULL,
  scope_kind text NOT NULL,
  scope_id text NOT NULL,
  value jsonb NOT NULL,
  version integer NOT NULL GENERATED ALWAYS AS IDENTITY,
  changed_by uuid,
  changed_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  because text NOT NULL,
  CONSTRAINT policy_values_pkey PRIMARY KEY (key, scope_kind, scope_id),
  CONSTRAINT policy_values_changed_by_fkey FOREIGN KEY (changed_by) REFERENCES accounts(id),
  CONSTRAINT policy_values_check CHECK (((scope_id = ''::text) = (scope_kind = 'system'::text))),
  CONSTRAINT policy_values_scope_kind_check CHECK ((scope_kind = ANY (ARRAY['system'::text, 'role'::text, 'organisation'::text, 'agency'::text, 'application'::text])))
);
CREATE TRIGGER policy_values_changed AFTER INSERT OR DELETE OR UPDATE ON policy_values FOR EACH STATEMENT EXECUTE FUNCTION note_change('policies');

CREATE TABLE proofs (
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  purpose text NOT NULL,
  subject uuid,
  target text NOT NULL,
  flow_hash bytea NOT NULL,
  secret_hash bytea NOT NULL,
  browser_hash bytea,
  client_id text,
  detail jsonb NOT NULL DEFAULT '{}'::jsonb,
  attempts integer NOT NULL DEFAULT 0,
  attempts_allowed integer NOT NULL,
  created_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  expires_at timestamp with time zone NOT NULL,
  spent_at timestamp with time zone,
  voided_at timestamp with time zone,
  CONSTRAINT proofs_pkey PRIMARY KEY (id),
  CONSTRAINT proofs_subject_fkey FOREIGN KEY (subject) REFERENCES accounts(id) ON DELETE CASCADE,
  CONSTRAINT proofs_attempts_allowed_check CHECK ((attempts_allowed > 0))
);
CREATE INDEX proofs_expiry ON public.proofs USING btree (expires_at);
CREATE INDEX proofs_flow ON public.proofs USING btree (flow_hash);
CREATE INDEX proofs_subject ON public.proofs USING btree (subject) WHERE (subject IS NOT NULL);
CREATE UNIQUE INDEX proofs_open ON public.proofs USING btree (purpose, flow_hash) WHERE ((spent_at IS NULL) AND (voided_at IS NULL));

CREATE TABLE recoveries (
  id uuid NOT NULL,
  method text NOT NULL,
  state text NOT NULL DEFAULT 'begun'::text,
  subject uuid,
  generation integer,
  flow_hash bytea NOT NULL,
  visit text NOT NULL,
  begun_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  sent_at timestamp with time zone,
  expires_at timestamp with time zone NOT NULL,
  CONSTRAINT recoveries_pkey PRIMARY KEY (id),
  CONSTRAINT recoveries_flow_hash_key UNIQUE (flow_hash),
  CONSTRAINT recoveries_subject_fkey FOREIGN KEY (subject) REFERENCES accounts(id) ON DELETE CASCADE,
  CONSTRAINT recoveries_state_check CHECK ((state = ANY (ARRAY['begun'::text, 'code_sent'::text, 'verified'::text, 'signing_in'::text, 'done'::text, 'used_up'::text])))
);
CREATE INDEX recoveries_expiry ON public.recoveries USING btree (expires_at);
CREATE INDEX recoveries_subject ON public.recoveries USING btree (subject) WHERE (subject IS NOT NULL);

CREATE TABLE recovery_addresses (
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  account_id uuid NOT NULL,
  address text NOT NULL,
  canonical text NOT NULL,
  added_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  sends integer NOT NULL DEFAULT 1,
  sent_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  verified_at timestamp with time zone,
  used_at timestamp with time zone,
  CONSTRAINT recovery_addresses_pkey PRIMARY KEY (id),
  CONSTRAINT recovery_addresses_account_id_canonical_key UNIQUE (account_id, canonical),
  CONSTRAINT recovery_addresses_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX recovery_addresses_proven ON public.recovery_addresses USING btree (canonical) WHERE (verified_at IS NOT NULL);

CREATE TABLE recovery_mask (
  only_one boolean NOT NULL DEFAULT true,
  key bytea NOT NULL,
  CONSTRAINT recovery_mask_pkey PRIMARY KEY (only_one),
  CONSTRAINT recovery_mask_only_one_check CHECK (only_one)
);

CREATE TABLE removed_clients (
  client_id text NOT NULL,
  removed_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  CONSTRAINT removed_clients_pkey PRIMARY KEY (client_id)
);

CREATE TABLE removed_resource_servers (
  identifier text NOT NULL,
  removed_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  CONSTRAINT removed_resource_servers_pkey PRIMARY KEY (identifier)
);

CREATE TABLE resource_grants (
  resource_server_id uuid NOT NULL,
  client_id text NOT NULL,
  scopes text[] NOT NULL,
  for_itself boolean NOT NULL,
  for_people boolean NOT NULL,
  CONSTRAINT resource_grants_pkey PRIMARY KEY (resource_server_id, client_id),
  CONSTRAINT resource_grants_client_id_fkey FOREIGN KEY (client_id) REFERENCES clients(id) ON DELETE CASCADE,
  CONSTRAINT resource_grants_resource_server_id_fkey FOREIGN KEY (resource_server_id) REFERENCES resource_servers(id) ON DELETE CASCADE,
  CONSTRAINT resource_grants_check CHECK ((for_itself OR for_people))
);
CREATE CONSTRAINT TRIGGER resource_grants_changed AFTER INSERT OR DELETE OR UPDATE ON resource_grants DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_change('clients');
CREATE INDEX resource_grants_client ON public.resource_grants USING btree (client_id);

CREATE TABLE resource_servers (
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  identifier text NOT NULL,
  name text NOT NULL,
  name_en text,
  agency_code text NOT NULL,
  scopes jsonb NOT NULL DEFAULT '[]'::jsonb,
  token_format text NOT NULL,
  token_lifetime integer NOT NULL,
  signing_alg text NOT NULL,
  client_id text,
  active boolean NOT NULL DEFAULT true,
  version integer NOT NULL DEFAULT 1,
  updated_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  CONSTRAINT resource_servers_pkey PRIMARY KEY (id),
  CONSTRAINT resource_servers_identifier_key UNIQUE (identifier),
  CONSTRAINT resource_servers_agency_code_fkey FOREIGN KEY (agency_code) REFERENCES agencies(code),
  CONSTRAINT resource_servers_client_id_fkey FOREIGN KEY (client_id) REFERENCES clients(id) ON DELETE SET NULL,
  CONSTRAINT resource_servers_check CHECK (((token_lifetime >= 30) AND (token_lifetime <=
CASE token_format
    WHEN 'jwt'::text THEN 300
    ELSE 3600
END))),
  CONSTRAINT resource_servers_signing_alg_check CHECK ((signing_alg = ANY (ARRAY['ES256'::text, 'PS256'::text, 'EdDSA'::text, 'RS256'::text]))),
  CONSTRAINT resource_servers_token_format_check CHECK ((token_format = ANY (ARRAY['jwt'::text, 'opaque'::text])))
);
CREATE CONSTRAINT TRIGGER resource_servers_changed AFTER INSERT OR DELETE OR UPDATE ON resource_servers DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_change('clients');
CREATE INDEX resource_servers_client ON public.resource_servers USING btree (client_id);
CREATE INDEX resource_servers_name ON public.resource_servers USING btree (lower(name), id);
CREATE TRIGGER resource_servers_version BEFORE UPDATE ON resource_servers FOR EACH ROW WHEN (old.* IS DISTINCT FROM new.*) EXECUTE FUNCTION bump_version();

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
CREATE INDEX role_assignments_agency ON public.role_assignments USING btree (agency_code) WHERE (agency_code IS NOT NULL);
CREATE INDEX role_assignments_granted ON public.role_assignments USING btree (granted_at, id);
CREATE INDEX role_assignments_organisation ON public.role_assignments USING btree (organisation_id) WHERE (organisation_id IS NOT NULL);
CREATE INDEX role_assignments_staff ON public.role_assignments USING btree (role) WHERE (role <> ALL (ARRAY['trader'::text, 'company_administrator'::text]));

CREATE TABLE root_secrets (
  sealed_with text NOT NULL,
  sealed text NOT NULL,
  sealed_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  CONSTRAINT root_secrets_pkey PRIMARY KEY (sealed_with)
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
CREATE TRIGGER signing_keys_changed AFTER INSERT OR DELETE OR UPDATE ON signing_keys FOR EACH STATEMENT EXECUTE FUNCTION note_change('signing_keys');
CREATE UNIQUE INDEX signing_keys_current ON public.signing_keys USING btree (alg) WHERE (state = 'current'::text);
CREATE UNIQUE INDEX signing_keys_next ON public.signing_keys USING btree (alg) WHERE (state = 'next'::text);

CREATE TABLE token_exchanges (
  source_id uuid NOT NULL,
  target_id uuid NOT NULL,
  scopes text[] NOT NULL,
  CONSTRAINT token_exchanges_pkey PRIMARY KEY (source_id, target_id),
  CONSTRAINT token_exchanges_source_id_fkey FOREIGN KEY (source_id) REFERENCES resource_servers(id) ON DELETE CASCADE,
  CONSTRAINT token_exchanges_target_id_fkey FOREIGN KEY (target_id) REFERENCES resource_servers(id) ON DELETE CASCADE,
  CONSTRAINT token_exchanges_check CHECK ((source_id <> target_id))
);
CREATE CONSTRAINT TRIGGER token_exchanges_changed AFTER INSERT OR DELETE OR UPDATE ON token_exchanges DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_change('clients');
CREATE INDEX token_exchanges_target ON public.token_exchanges USING btree (target_id);

CREATE TABLE topics (
  name text NOT NULL,
  version bigint NOT NULL DEFAULT 0,
  CONSTRAINT topics_pkey PRIMARY KEY (name)
);

CREATE TABLE trials (
  id uuid NOT NULL,
  secret_hash bytea NOT NULL,
  client_id text NOT NULL,
  account_id uuid NOT NULL,
  session_uid text NOT NULL,
  request jsonb NOT NULL,
  nonce text NOT NULL,
  sealed_verifier text NOT NULL,
  grant_id text,
  begun_at timestamp with time zone NOT NULL DEFAULT gapura_now(),
  expires_at timestamp with time zone NOT NULL,
  spent_at timestamp with time zone,
  CONSTRAINT trials_pkey PRIMARY KEY (id),
  CONSTRAINT trials_secret_hash_key UNIQUE (secret_hash),
  CONSTRAINT trials_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE,
  CONSTRAINT trials_client_id_fkey FOREIGN KEY (client_id) REFERENCES clients(id) ON DELETE CASCADE
);
CREATE INDEX trials_expiry ON public.trials USING btree (expires_at);
