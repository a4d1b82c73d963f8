-- What a client is told in, and where we may reach it.

ALTER TABLE clients
  -- The claims of today's gateway have a shape of their own, which old applications read.
  ADD COLUMN claim_shape text NOT NULL DEFAULT 'standard' CHECK (claim_shape IN ('standard', 'insw')),
  -- Hosts (host or host:port) on private networks to which its notices of a sign-out may go; an administrator names them.
  ADD COLUMN private_hosts text[] NOT NULL DEFAULT '{}',
  ADD CONSTRAINT clients_dynamic_hosts CHECK (origin <> 'dynamic' OR private_hosts = '{}');
