-- Codes, links and pending changes, each spent once. Of what people and browsers hold only keyed hashes stand here.

CREATE TABLE proofs (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  -- What it is good for (src/proofs.ts); part of what is hashed, so a code for one thing opens no other.
  purpose text NOT NULL,
  -- Whose account; null where nobody has the name that was typed: then no secret fits.
  subject uuid REFERENCES accounts ON DELETE CASCADE,
  -- What is proven or changed: an address, an application.
  target text NOT NULL,
  flow_hash bytea NOT NULL,
  secret_hash bytea NOT NULL,
  -- The browser that must bring it; null: any.
  browser_hash bytea,
  client_id text,
  detail jsonb NOT NULL DEFAULT '{}',
  attempts integer NOT NULL DEFAULT 0,
  attempts_allowed integer NOT NULL CHECK (attempts_allowed > 0),
  created_at timestamptz NOT NULL DEFAULT gapura_now(),
  expires_at timestamptz NOT NULL,
  spent_at timestamptz,
  voided_at timestamptz
);
CREATE INDEX proofs_flow ON proofs (flow_hash);
-- One open proof to a flow: more of them would be more tries.
CREATE UNIQUE INDEX proofs_open ON proofs (purpose, flow_hash) WHERE spent_at IS NULL AND voided_at IS NULL;
CREATE INDEX proofs_subject ON proofs (subject) WHERE subject IS NOT NULL;
CREATE INDEX proofs_expiry ON proofs (expires_at);
