-- The table of applications, and the proven links between people and the user names that applications gave them.

-- What a person sees and opens. An application may have a client of the engine, or none yet.
CREATE TABLE applications (
  id text PRIMARY KEY CHECK (id ~ '^[a-z0-9-]{2,40}$'),
  agency_code text NOT NULL REFERENCES agencies,
  name text NOT NULL,
  about text NOT NULL,
  about_en text NOT NULL,
  url text NOT NULL,
  client_id text UNIQUE REFERENCES clients ON DELETE SET NULL,
  -- The kind of verifier (links/verifiers) and its settings; null: links are not supported.
  verifier text,
  verifier_settings jsonb NOT NULL DEFAULT '{}',
  -- Whether one person alone may hold a user name, or several people of one organisation together.
  sharing text NOT NULL DEFAULT 'one_person' CHECK (sharing IN ('one_person', 'same_organisation')),
  -- After how many days a link must be proven again; null: never.
  proof_lasts integer CHECK (proof_lasts > 0),
  active boolean NOT NULL DEFAULT true
);
CREATE INDEX applications_agency ON applications (agency_code);

-- Who may use a user name of an application: an account, or an organisation where its people share. `subject` is the
-- application's own name for the user. One row per name, so that of two people who prove it at once one comes first.
CREATE TABLE link_holders (
  application_id text NOT NULL REFERENCES applications ON DELETE CASCADE,
  subject text NOT NULL,
  holder_id uuid NOT NULL,
  PRIMARY KEY (application_id, subject)
);

CREATE TABLE links (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  application_id text NOT NULL REFERENCES applications ON DELETE CASCADE,
  account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
  subject text NOT NULL,
  username text NOT NULL,
  display_name text,
  -- The code of the agency's directorate that the user name belongs to; null: any.
  directorate text,
  -- What the person calls it.
  label text,
  is_default boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT gapura_now(),
  verified_at timestamptz NOT NULL DEFAULT gapura_now(),
  -- Since when the application says that its password or account changed.
  stale_at timestamptz,
  UNIQUE (account_id, application_id, subject)
);
CREATE INDEX links_subject ON links (application_id, subject);
CREATE UNIQUE INDEX links_default ON links (account_id, application_id) WHERE is_default;

-- Somebody proved a user name that another holds. An officer of the agency decides; nothing passes by waiting.
CREATE TABLE link_requests (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  application_id text NOT NULL REFERENCES applications ON DELETE CASCADE,
  account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
  subject text NOT NULL,
  username text NOT NULL,
  proved_at timestamptz NOT NULL DEFAULT gapura_now(),
  decision text CHECK (decision IN ('granted', 'refused')),
  decided_by uuid REFERENCES accounts,
  decided_at timestamptz
);
CREATE UNIQUE INDEX link_requests_waiting ON link_requests (application_id, subject, account_id) WHERE decision IS NULL;

-- Notices of applications that were taken, so that none is taken twice.
CREATE TABLE link_notices (
  application_id text NOT NULL REFERENCES applications ON DELETE CASCADE,
  jti text NOT NULL,
  received_at timestamptz NOT NULL DEFAULT gapura_now(),
  PRIMARY KEY (application_id, jti)
);
CREATE INDEX link_notices_age ON link_notices (received_at);
