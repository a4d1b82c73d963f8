-- The ids of clients that were removed. Nobody else gets one: what people allowed the first client, and what the audit tells of
-- it, would seem to be the second one's.
CREATE TABLE removed_clients (
  client_id text PRIMARY KEY,
  removed_at timestamptz NOT NULL DEFAULT gapura_now()
);
