-- People, organisations, clients, the engine's records, sign-ins, audit, limits.

-- The only clock of SQL. Tests replace this function in their own databases to move time.
CREATE FUNCTION gapura_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE RETURN statement_timestamp();

-- Government agencies and their directorates.
CREATE TABLE agencies (
  code text PRIMARY KEY CHECK (code ~ '^[A-Z0-9-]{2,20}$'),
  name text NOT NULL,
  name_en text NOT NULL,
  active boolean NOT NULL DEFAULT true
);

CREATE TABLE directorates (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  agency_code text NOT NULL REFERENCES agencies,
  code text NOT NULL,
  name text NOT NULL,
  active boolean NOT NULL DEFAULT true,
  UNIQUE (agency_code, code)
);

-- Companies and public bodies, one row per NPWP in its 16-digit form.
CREATE TABLE organisations (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  name text NOT NULL,
  npwp text NOT NULL UNIQUE CHECK (npwp ~ '^[0-9]{16}$'),
  nitku text CHECK (nitku ~ '^[0-9]{22}$'),
  nib text CHECK (nib ~ '^[0-9]{13}$'),
  edi_number text,
  srp text,
  address text,
  city text,
  postal_code text,
  phone_number text,
  fax_number text,
  department text,
  time_zone text NOT NULL DEFAULT 'Asia/Jakarta',
  active boolean NOT NULL DEFAULT true,
  created_at timestamptz NOT NULL DEFAULT gapura_now(),
  updated_at timestamptz NOT NULL DEFAULT gapura_now()
);

-- "This NPWP has a user in this directorate" (document D, screen D5).
CREATE TABLE memberships (
  organisation_id uuid NOT NULL REFERENCES organisations,
  directorate_id uuid NOT NULL REFERENCES directorates,
  created_at timestamptz NOT NULL DEFAULT gapura_now(),
  PRIMARY KEY (organisation_id, directorate_id)
);

-- People. `generation` rises with every reset, lock and revocation; what carries an older one is dead (DESIGN: accounts).
CREATE TABLE accounts (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
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
  language text NOT NULL DEFAULT 'id' CHECK (language IN ('id', 'en')),
  time_zone text NOT NULL DEFAULT 'Asia/Jakarta',
  expires_at timestamptz,
  revoked_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT gapura_now(),
  updated_at timestamptz NOT NULL DEFAULT gapura_now()
);
-- For the sweep: whose generation rose, and whose time ran out, of late.
CREATE INDEX accounts_revoked ON accounts (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX accounts_expiry ON accounts (expires_at) WHERE expires_at IS NOT NULL;

-- The names a person may type to sign in; `canonical` is what is compared.
CREATE TABLE account_identifiers (
  canonical text PRIMARY KEY,
  account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
  kind text NOT NULL CHECK (kind IN ('username', 'email', 'mobile')),
  value text NOT NULL
);
CREATE INDEX account_identifiers_account ON account_identifiers (account_id);

-- Why an account is closed for now, with who and when; no row means open.
CREATE TABLE account_locks (
  account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
  kind text NOT NULL CHECK (kind IN ('locked', 'disabled', 'frozen', 'dormant', 'revoked')),
  because text NOT NULL,
  locked_by uuid REFERENCES accounts,
  locked_at timestamptz NOT NULL DEFAULT gapura_now(),
  PRIMARY KEY (account_id, kind)
);

CREATE TABLE passwords (
  account_id uuid PRIMARY KEY REFERENCES accounts ON DELETE CASCADE,
  hash text NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT gapura_now()
);

CREATE TABLE account_organisations (
  account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
  organisation_id uuid NOT NULL REFERENCES organisations,
  position text,
  created_at timestamptz NOT NULL DEFAULT gapura_now(),
  PRIMARY KEY (account_id, organisation_id)
);
CREATE INDEX account_organisations_organisation ON account_organisations (organisation_id);

CREATE TABLE role_assignments (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
  role text NOT NULL,
  agency_code text REFERENCES agencies,
  organisation_id uuid REFERENCES organisations,
  level integer NOT NULL DEFAULT 1,
  granted_by uuid REFERENCES accounts,
  granted_at timestamptz NOT NULL DEFAULT gapura_now(),
  UNIQUE NULLS NOT DISTINCT (account_id, role, agency_code, organisation_id)
);

-- Relying applications of the engine. `metadata` is theirs in the words of OpenID Connect Registration; the columns are ours.
CREATE TABLE clients (
  id text PRIMARY KEY,
  metadata jsonb NOT NULL,
  agency_code text REFERENCES agencies,
  first_party boolean NOT NULL DEFAULT false,
  directorate_required boolean NOT NULL DEFAULT false,
  link_required boolean NOT NULL DEFAULT false,
  form_action_origins text[] NOT NULL DEFAULT '{}',
  active boolean NOT NULL DEFAULT true,
  version integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT gapura_now(),
  updated_at timestamptz NOT NULL DEFAULT gapura_now()
);

-- A client's secrets: only a keyed hash, or the secret sealed where the client signs with it.
CREATE TABLE client_secrets (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  client_id text NOT NULL REFERENCES clients ON DELETE CASCADE,
  hash text NOT NULL,
  sealed text,
  created_at timestamptz NOT NULL DEFAULT gapura_now(),
  expires_at timestamptz,
  last_used_at timestamptz
);
CREATE INDEX client_secrets_client ON client_secrets (client_id);

-- Everything the engine stores but sessions. `id_hash` is a keyed hash of model and id: the raw code or token is in no column.
CREATE TABLE oidc_records (
  id_hash bytea PRIMARY KEY,
  model text NOT NULL,
  account_id uuid,
  client_id text,
  grant_id text,
  user_code_hash bytea,
  generation integer,
  payload jsonb NOT NULL,
  expires_at timestamptz NOT NULL,
  consumed_at timestamptz
) WITH (fillfactor = 90);
CREATE INDEX oidc_records_grant ON oidc_records (grant_id) WHERE grant_id IS NOT NULL;
-- For the sweep: grants lead to their tokens, so tokens need no index by person.
CREATE INDEX oidc_records_account ON oidc_records (account_id) WHERE model = 'Grant';
CREATE INDEX oidc_records_user_code ON oidc_records (user_code_hash) WHERE user_code_hash IS NOT NULL;
CREATE INDEX oidc_records_expiry ON oidc_records (expires_at);

-- Single sign-on sessions, keyed by the uid that does not change; the cookie's id is a keyed hash that may be replaced.
-- `authorizations` holds an entry per opened client and is merged entry by entry.
CREATE TABLE oidc_sessions (
  uid text PRIMARY KEY,
  id_hash bytea NOT NULL UNIQUE,
  account_id uuid,
  generation integer,
  payload jsonb NOT NULL,
  authorizations jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT gapura_now(),
  expires_at timestamptz NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX oidc_sessions_account ON oidc_sessions (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX oidc_sessions_expiry ON oidc_sessions (expires_at);

CREATE TABLE signing_keys (
  kid text PRIMARY KEY,
  alg text NOT NULL,
  state text NOT NULL CHECK (state IN ('next', 'current', 'retired')),
  public_jwk jsonb NOT NULL,
  sealed_jwk text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT gapura_now(),
  current_at timestamptz,
  retired_at timestamptz
);
CREATE UNIQUE INDEX signing_keys_current ON signing_keys (alg) WHERE state = 'current';

-- A sign-in as a row: which interaction and client it serves, how far it came, and whose it is.
CREATE TABLE sign_ins (
  interaction_hash bytea PRIMARY KEY,
  client_id text NOT NULL,
  state text NOT NULL DEFAULT 'begun' CHECK (state IN ('begun', 'done')),
  account_id uuid REFERENCES accounts ON DELETE CASCADE,
  generation integer,
  amr text[],
  begun_at timestamptz NOT NULL DEFAULT gapura_now(),
  done_at timestamptz,
  expires_at timestamptz NOT NULL
);
CREATE INDEX sign_ins_expiry ON sign_ins (expires_at);

-- Browsers in which a person completed a sign-in; they try passwords in a lane of their own.
CREATE TABLE browsers (
  account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
  browser_hash bytea NOT NULL,
  first_seen_at timestamptz NOT NULL DEFAULT gapura_now(),
  last_seen_at timestamptz NOT NULL DEFAULT gapura_now(),
  PRIMARY KEY (account_id, browser_hash)
);

-- What happened. Rows are only added; a worker chains them in the order of their transactions (audit_seals).
CREATE TABLE audit_events (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  at timestamptz NOT NULL DEFAULT gapura_now(),
  kind text NOT NULL,
  account_id uuid,
  actor_id uuid,
  client_id text,
  detail jsonb NOT NULL DEFAULT '{}',
  personal_digest text
);
CREATE INDEX audit_events_account ON audit_events (account_id, id) WHERE account_id IS NOT NULL;
CREATE INDEX audit_events_order ON audit_events (xid, id);

-- The personal side of an event. Erasing a row leaves the chain whole: the event holds only its salted digest.
CREATE TABLE audit_personal (
  event_id bigint PRIMARY KEY REFERENCES audit_events,
  salt text NOT NULL,
  address text,
  user_agent text,
  request_id text
);

CREATE TABLE audit_seals (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  first_xid xid8 NOT NULL,
  last_xid xid8 NOT NULL,
  last_event_id bigint NOT NULL,
  events integer NOT NULL,
  hash text NOT NULL,
  sealed_at timestamptz NOT NULL DEFAULT gapura_now()
);

-- Against a slip or an injection in the service itself; who owns the tables can lift it, and then the chain tells.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of % are only added', TG_TABLE_NAME;
END $$;
CREATE TRIGGER audit_events_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_seals_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_seals EXECUTE FUNCTION refuse_change();

-- Failures counted per named limit and key; see src/limits.ts for the one statement that spends.
CREATE TABLE limits (
  name text NOT NULL,
  key_hash bytea NOT NULL,
  count integer NOT NULL,
  free_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (name, key_hash)
) WITH (fillfactor = 70);
CREATE INDEX limits_expiry ON limits (expires_at);
