-- What a person is shown of a session of theirs: the device and the network in which it was begun, when it was last used, and
-- whether the browser was to be remembered. Personal, and gone with the row.
ALTER TABLE oidc_sessions
  ADD COLUMN remembered boolean NOT NULL DEFAULT false,
  ADD COLUMN user_agent text CHECK (length(user_agent) <= 300),
  ADD COLUMN network text CHECK (length(network) <= 60),
  ADD COLUMN seen_at timestamptz NOT NULL DEFAULT gapura_now();
