-- What a client may ask of the protocol: codes without PKCE, and how its refresh tokens are replaced.

ALTER TABLE clients
  -- Off only for an old client that keeps a secret; what registers itself follows the policy clients.dynamic_pkce.
  ADD COLUMN pkce_required boolean NOT NULL DEFAULT true,
  -- Whether each use of a refresh token replaces it (RFC 9700 section 4.14).
  ADD COLUMN refresh_rotation text NOT NULL DEFAULT 'rotate' CHECK (refresh_rotation IN ('rotate', 'keep')),
  -- Seconds in which a token that was replaced still gets an answer, for a client whose answer was lost.
  ADD COLUMN refresh_grace integer NOT NULL DEFAULT 0 CHECK (refresh_grace BETWEEN 0 AND 60),
  ADD CONSTRAINT clients_dynamic_pkce CHECK (origin <> 'dynamic' OR pkce_required);
