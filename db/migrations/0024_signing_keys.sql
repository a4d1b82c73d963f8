-- Signing keys that are replaced while everything runs, and secrets that outlive GAPURA_SECRETS.

CREATE UNIQUE INDEX signing_keys_next ON signing_keys (alg) WHERE state = 'next';
CREATE TRIGGER signing_keys_changed AFTER INSERT OR UPDATE OR DELETE ON signing_keys
  FOR EACH STATEMENT EXECUTE FUNCTION note_change('signing_keys');
INSERT INTO topics (name) VALUES ('signing_keys');

-- The installation's own secrets, from which its keys are derived: the same text once for each secret of GAPURA_SECRETS,
-- sealed with it. `sealed_with` names that secret's key and opens nothing.
CREATE TABLE root_secrets (
  sealed_with text PRIMARY KEY,
  sealed text NOT NULL,
  sealed_at timestamptz NOT NULL DEFAULT gapura_now()
);
