-- Mail on its way: what is said and to whom. A job carries the id alone, so that nothing personal stands in a queue.

CREATE TABLE mails (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  account_id uuid REFERENCES accounts ON DELETE CASCADE,
  to_address text NOT NULL,
  language text NOT NULL CHECK (language IN ('id', 'en')),
  -- Which mail it is, and what fills its blanks: the sentences themselves stand in the catalogues.
  template text NOT NULL,
  values jsonb NOT NULL DEFAULT '{}',
  -- A code, sealed; gone once the mail is.
  secret text,
  created_at timestamptz NOT NULL DEFAULT gapura_now(),
  tries integer NOT NULL DEFAULT 0,
  -- Until then one worker alone is at it.
  taken_until timestamptz,
  -- Why the last try failed.
  because text,
  sent_at timestamptz,
  given_up_at timestamptz
);
CREATE INDEX mails_account ON mails (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX mails_age ON mails (created_at);
