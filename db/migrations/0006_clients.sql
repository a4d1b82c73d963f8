-- Clients as officers keep them: where each came from, what it may do, whether it is switched off; secrets that end; logos.

ALTER TABLE clients
  -- Our own ones are written by the release alone; a dynamic one registered itself, a submitted one was proposed by its agency.
  ADD COLUMN origin text NOT NULL DEFAULT 'console' CHECK (origin IN ('own', 'console', 'dynamic', 'submission')),
  -- What it may do for itself at the interface for programs; null: nothing.
  ADD COLUMN api_role text CHECK (api_role IN ('administrator', 'agency_officer')),
  -- Held to the FAPI 2.0 Security Profile.
  ADD COLUMN fapi boolean NOT NULL DEFAULT false,
  ADD COLUMN disabled_at timestamptz,
  ADD COLUMN disabled_by uuid REFERENCES accounts,
  ADD COLUMN disabled_because text,
  ADD CONSTRAINT clients_disabled CHECK (disabled_at IS NULL OR NOT active),
  -- Whoever registers without being asked who they are is trusted with nothing.
  ADD CONSTRAINT clients_untrusted CHECK (origin <> 'dynamic' OR (NOT first_party AND api_role IS NULL));
-- For lists in the order of their names.
CREATE INDEX clients_name ON clients (lower(coalesce(metadata ->> 'client_name', id)), id);
CREATE INDEX clients_agency ON clients (agency_code) WHERE agency_code IS NOT NULL;

ALTER TABLE client_secrets
  ADD COLUMN issued_by uuid REFERENCES accounts,
  -- Since when its end has been announced.
  ADD COLUMN warned_at timestamptz;
CREATE INDEX client_secrets_expiry ON client_secrets (expires_at) WHERE expires_at IS NOT NULL AND warned_at IS NULL;

-- A client's picture, kept here: one from its own server would tell that server who is about to sign in.
CREATE TABLE client_logos (
  client_id text PRIMARY KEY REFERENCES clients ON DELETE CASCADE,
  type text NOT NULL CHECK (type IN ('image/png', 'image/jpeg', 'image/webp')),
  bytes bytea NOT NULL CHECK (octet_length(bytes) BETWEEN 1 AND 102400),
  -- Of the bytes; part of the picture's address, so that it may be kept for ever.
  digest text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT gapura_now()
);

-- What a person is called at the clients of one sector (OpenID Connect Core 8.1): drawn by chance and kept, so that no key
-- has to stay the same for ever, and nobody can compute one name from another.
CREATE TABLE pairwise_subjects (
  sector text NOT NULL,
  account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
  subject text NOT NULL UNIQUE,
  PRIMARY KEY (sector, account_id)
);
CREATE INDEX pairwise_subjects_account ON pairwise_subjects (account_id);

-- A client that is switched off ends all its grants, which lead to their tokens; only grants are found by their client.
CREATE INDEX oidc_records_client ON oidc_records (client_id) WHERE model = 'Grant';
