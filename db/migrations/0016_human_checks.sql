-- Human checks: each is asked of one browser and answered once. The letters of a picture stand nowhere; they follow from the
-- id, which only the page has, and a key, which only the server has.

CREATE TABLE human_checks (
  id_hash bytea PRIMARY KEY,
  browser_hash bytea NOT NULL,
  -- Zero bits that the work must show: as many as were asked for, whatever the policy says by now.
  work_bits integer NOT NULL CHECK (work_bits > 0),
  way text NOT NULL DEFAULT 'picture' CHECK (way IN ('picture', 'mail')),
  created_at timestamptz NOT NULL DEFAULT gapura_now(),
  expires_at timestamptz NOT NULL,
  answered_at timestamptz,
  was_right boolean,
  CHECK ((answered_at IS NULL) = (was_right IS NULL))
);
CREATE INDEX human_checks_expiry ON human_checks (expires_at);
