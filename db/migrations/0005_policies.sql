-- What differs from the release's own policies, and changes that wait for a second pair of eyes.

-- What every node keeps in memory, and how often it was changed: a node that missed a notice is told by the number.
CREATE TABLE topics (
  name text PRIMARY KEY,
  version bigint NOT NULL DEFAULT 0
);
INSERT INTO topics (name) VALUES ('policies');

-- On a table whose trigger names its topic, each statement counts as a change, and the nodes hear of it at the commit.
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO topics AS t (name, version) VALUES (TG_ARGV[0], 1)
    ON CONFLICT (name) DO UPDATE SET version = t.version + 1;
  PERFORM pg_notify('gapura_changes', TG_ARGV[0]);
  RETURN NULL;
END
$$;

-- The values that officers have set, each for one place; where there is no row, the next wider place decides, last the release.
CREATE TABLE policy_values (
  key text NOT NULL,
  scope_kind text NOT NULL CHECK (scope_kind IN ('system', 'role', 'organisation', 'agency', 'application')),
  -- The role's name or the id; empty for the whole system.
  scope_id text NOT NULL CHECK ((scope_id = '') = (scope_kind = 'system')),
  value jsonb NOT NULL,
  -- Never the same twice, even for a value that was cleared and set again: a form that was opened before finds itself too late.
  version integer NOT NULL GENERATED ALWAYS AS IDENTITY,
  changed_by uuid REFERENCES accounts,
  changed_at timestamptz NOT NULL DEFAULT gapura_now(),
  because text NOT NULL,
  PRIMARY KEY (key, scope_kind, scope_id)
);
CREATE TRIGGER policy_values_changed AFTER INSERT OR UPDATE OR DELETE ON policy_values
  FOR EACH STATEMENT EXECUTE FUNCTION note_change('policies');

-- A change that one person asked for and another decides.
CREATE TABLE approvals (
  id uuid PRIMARY KEY,
  resource text NOT NULL,
  -- What it would change, and the version that was looked at; null where it would make something new.
  entry_id text,
  entry_version integer,
  operation text NOT NULL,
  -- The names of the fields that were filled, and what was typed into them: sealed, for it may hold secrets, and null once
  -- nothing can come of it any more.
  fields text[] NOT NULL,
  input text,
  asked_by uuid NOT NULL REFERENCES accounts,
  asked_at timestamptz NOT NULL DEFAULT gapura_now(),
  because text NOT NULL,
  expires_at timestamptz NOT NULL,
  decision text CHECK (decision IN ('approved', 'refused', 'withdrawn')),
  decided_by uuid REFERENCES accounts,
  decided_at timestamptz,
  decision_because text,
  CHECK ((decision IS NULL) = (decided_by IS NULL) AND (decision IS NULL) = (decided_at IS NULL)),
  -- The rule itself: whoever asked may take it back, and only somebody else decides it.
  CHECK ((decision = 'withdrawn') = (decided_by = asked_by))
);
CREATE INDEX approvals_asked ON approvals (asked_at, id);
CREATE INDEX approvals_kept ON approvals (expires_at) WHERE input IS NOT NULL;
