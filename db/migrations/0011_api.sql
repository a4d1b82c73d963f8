-- Answers of the interface for programs, kept for a day under the key of their request, so that a repeated request is done once.
CREATE TABLE api_answers (
  key_hash bytea PRIMARY KEY,
  asked_hash bytea NOT NULL,
  -- Sealed; null only inside the transaction that does the work.
  answer text,
  created_at timestamptz NOT NULL DEFAULT gapura_now()
);
CREATE INDEX api_answers_age ON api_answers (created_at);

-- To end what a client got for itself when it is switched off.
CREATE INDEX oidc_records_own ON oidc_records (client_id) WHERE model = 'ClientCredentials';
