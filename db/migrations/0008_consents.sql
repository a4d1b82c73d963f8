-- What people allowed applications of others to know of them.

-- One row per person and client: the union of what was allowed, until it is withdrawn. `version` rises with each change, so
-- that a grant that was written by an older reading is noticed.
CREATE TABLE consents (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
  client_id text NOT NULL REFERENCES clients ON DELETE CASCADE,
  scopes text[] NOT NULL,
  -- Claims asked for by name that belong to none of the scopes (OpenID Connect Core 5.5).
  claims text[] NOT NULL,
  version integer NOT NULL DEFAULT 1,
  given_at timestamptz NOT NULL DEFAULT gapura_now(),
  updated_at timestamptz NOT NULL DEFAULT gapura_now(),
  UNIQUE (account_id, client_id)
);
CREATE INDEX consents_client ON consents (client_id);
