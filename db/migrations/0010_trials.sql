-- Clients that an administrator tries: one row for one trial of one client, by one person in one browser session, used once.
CREATE TABLE trials (
  id uuid PRIMARY KEY,
  -- A keyed hash of the secret that the authorization carries as its state.
  secret_hash bytea NOT NULL UNIQUE,
  client_id text NOT NULL REFERENCES clients ON DELETE CASCADE,
  account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
  session_uid text NOT NULL,
  -- What was asked for, to be compared with what came.
  request jsonb NOT NULL,
  nonce text NOT NULL,
  -- The code verifier (RFC 7636), without which the code is worth nothing.
  sealed_verifier text NOT NULL,
  -- What the engine granted for this trial alone; it ends with it.
  grant_id text,
  begun_at timestamptz NOT NULL DEFAULT gapura_now(),
  expires_at timestamptz NOT NULL,
  spent_at timestamptz
);
CREATE INDEX trials_expiry ON trials (expires_at);
