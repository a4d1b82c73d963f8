-- Clients that register themselves: the tokens that bring them, and whether anybody ever let one in.

-- What an administrator gives to whoever may register clients: a keyed hash of it, and for how many it is still good.
CREATE TABLE initial_access_tokens (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  token_hash bytea NOT NULL UNIQUE,
  -- Null for a program that acts for itself.
  issued_by uuid REFERENCES accounts,
  issued_at timestamptz NOT NULL DEFAULT gapura_now(),
  expires_at timestamptz NOT NULL,
  clients_left integer NOT NULL CHECK (clients_left >= 0)
);

-- When a person first allowed a dynamic client something; those that nobody lets in are removed.
ALTER TABLE clients ADD COLUMN authorized_at timestamptz;
CREATE INDEX clients_unused ON clients (created_at) WHERE origin = 'dynamic' AND authorized_at IS NULL;

-- A client that goes takes the tokens with it that could change it.
CREATE INDEX oidc_records_registration ON oidc_records (client_id) WHERE model = 'RegistrationAccessToken';
