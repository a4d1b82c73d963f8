-- The APIs of agencies that take our access tokens (RFC 8707), who may ask for tokens for them, and where they pass requests on.

CREATE TABLE resource_servers (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  -- What a client asks with and a token is addressed to. It never changes, and nobody else gets it.
  identifier text NOT NULL UNIQUE,
  name text NOT NULL,
  name_en text,
  agency_code text NOT NULL REFERENCES agencies,
  -- [{name, text_id, text_en}]: what may be allowed there, in words for the people who allow it.
  scopes jsonb NOT NULL DEFAULT '[]',
  token_format text NOT NULL CHECK (token_format IN ('jwt', 'opaque')),
  token_lifetime integer NOT NULL,
  signing_alg text NOT NULL CHECK (signing_alg IN ('ES256', 'PS256', 'EdDSA', 'RS256')),
  -- The client as which it asks what a token says, and exchanges those that were sent to it.
  client_id text REFERENCES clients ON DELETE SET NULL,
  active boolean NOT NULL DEFAULT true,
  version integer NOT NULL DEFAULT 1,
  updated_at timestamptz NOT NULL DEFAULT gapura_now(),
  -- A token that nobody can take back is short.
  CHECK (token_lifetime BETWEEN 30 AND CASE token_format WHEN 'jwt' THEN 300 ELSE 3600 END)
);
CREATE INDEX resource_servers_client ON resource_servers (client_id);
CREATE INDEX resource_servers_name ON resource_servers (lower(name), id);
CREATE TRIGGER resource_servers_version BEFORE UPDATE ON resource_servers
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION bump_version();

-- What people allowed for an API holds for its identifier, so that of a removed one is never given again.
CREATE TABLE removed_resource_servers (
  identifier text PRIMARY KEY,
  removed_at timestamptz NOT NULL DEFAULT gapura_now()
);

CREATE TABLE resource_grants (
  resource_server_id uuid NOT NULL REFERENCES resource_servers ON DELETE CASCADE,
  client_id text NOT NULL REFERENCES clients ON DELETE CASCADE,
  scopes text[] NOT NULL,
  -- With the client's own credentials (RFC 6749 section 4.4), and in the name of people.
  for_itself boolean NOT NULL,
  for_people boolean NOT NULL,
  PRIMARY KEY (resource_server_id, client_id),
  CHECK (for_itself OR for_people)
);
CREATE INDEX resource_grants_client ON resource_grants (client_id);

-- Which API may change a token that was sent to it for one of another API (RFC 8693).
CREATE TABLE token_exchanges (
  source_id uuid NOT NULL REFERENCES resource_servers ON DELETE CASCADE,
  target_id uuid NOT NULL REFERENCES resource_servers ON DELETE CASCADE,
  scopes text[] NOT NULL,
  PRIMARY KEY (source_id, target_id),
  CHECK (source_id <> target_id)
);
CREATE INDEX token_exchanges_target ON token_exchanges (target_id);

-- What applications may do at APIs in a person's name: an API by its identifier, and each scope as `<identifier> <scope>`.
ALTER TABLE consents ADD COLUMN api_access text[] NOT NULL DEFAULT '{}';
