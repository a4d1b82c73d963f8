-- The forgotten password: addresses that open a recovery, and each recovery as it goes on.

-- An address beside those a person signs in with, to which a code can be sent when the password is forgotten.
CREATE TABLE recovery_addresses (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
  address text NOT NULL,
  canonical text NOT NULL,
  added_at timestamptz NOT NULL DEFAULT gapura_now(),
  -- Of codes that are to prove it.
  sends integer NOT NULL DEFAULT 1,
  sent_at timestamptz NOT NULL DEFAULT gapura_now(),
  verified_at timestamptz,
  used_at timestamptz,
  UNIQUE (account_id, canonical)
);
-- Once it is proven it is one person's: whoever reads mail there opens one account by it.
CREATE UNIQUE INDEX recovery_addresses_proven ON recovery_addresses (canonical) WHERE verified_at IS NOT NULL;

CREATE TABLE recoveries (
  id uuid PRIMARY KEY,
  method text NOT NULL,
  state text NOT NULL DEFAULT 'begun'
    CHECK (state IN ('begun', 'code_sent', 'verified', 'signing_in', 'done', 'used_up')),
  -- Whose account; null where no code can be right: an unknown name, one without an address, a closed account.
  subject uuid REFERENCES accounts ON DELETE CASCADE,
  -- Of the account when it began: whatever ends the account's sessions ends this too.
  generation integer,
  -- Of what the browser holds; another one from the moment the code was right.
  flow_hash bytea NOT NULL UNIQUE,
  -- The name as typed, and the application and sign-in page that it began from; sealed.
  visit text NOT NULL,
  begun_at timestamptz NOT NULL DEFAULT gapura_now(),
  sent_at timestamptz,
  expires_at timestamptz NOT NULL
);
CREATE INDEX recoveries_subject ON recoveries (subject) WHERE subject IS NOT NULL;
CREATE INDEX recoveries_expiry ON recoveries (expires_at);

-- What the masks of addresses that nobody has are made from. Never another: a mask that changed would tell itself.
CREATE TABLE recovery_mask (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  key bytea NOT NULL
);
INSERT INTO recovery_mask (key) VALUES (sha256((gen_random_uuid()::text || gen_random_uuid()::text)::bytea));
