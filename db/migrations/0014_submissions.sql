-- Clients that the developers of an agency propose: what each is to be, who decided, and what came of it.
CREATE TABLE client_submissions (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  agency_code text NOT NULL REFERENCES agencies,
  submitted_by uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
  submitted_at timestamptz NOT NULL DEFAULT gapura_now(),
  -- The kind of application, which fills most of the registration.
  preset text NOT NULL,
  name text NOT NULL,
  -- What was asked for beside that, in the words of OpenID Connect Dynamic Registration.
  wishes jsonb NOT NULL,
  note text NOT NULL,
  decision text CHECK (decision IN ('approved', 'refused')),
  decided_by uuid REFERENCES accounts,
  decided_at timestamptz,
  because text,
  client_id text REFERENCES clients ON DELETE SET NULL,
  -- When its developer made the first secret, which happens once.
  secret_made_at timestamptz,
  CHECK ((decision IS NULL) = (decided_at IS NULL)),
  CHECK (decision = 'approved' OR (client_id IS NULL AND secret_made_at IS NULL))
);
-- Those of an agency, the latest first; and those that wait.
CREATE INDEX client_submissions_agency ON client_submissions (agency_code, submitted_at DESC);
CREATE INDEX client_submissions_submitted ON client_submissions (submitted_at, id);
CREATE INDEX client_submissions_waiting ON client_submissions (submitted_at) WHERE decision IS NULL;
