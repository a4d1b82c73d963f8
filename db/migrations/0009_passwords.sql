-- Passwords: until when one may be used, whether its owner must replace it, and the hashes of those before it.

-- After `expires_at` a password still says who somebody is, and opens nothing but the page for a new one. With `must_change`
-- it was given by somebody else: it opens that page only, and after `expires_at` nothing at all.
ALTER TABLE passwords
  ADD COLUMN expires_at timestamptz,
  ADD COLUMN must_change boolean NOT NULL DEFAULT false;

-- The hashes that were replaced, as many as a new password is compared with.
CREATE TABLE password_history (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
  hash text NOT NULL
);
CREATE INDEX password_history_account ON password_history (account_id, id);
