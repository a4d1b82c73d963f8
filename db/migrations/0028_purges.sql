-- Interactions are kept for days after their time, and the purge would walk over all of them in search of what it may take.
-- Two indexes that share the rows cost a new record what one did. The one they replace goes first: to drop it takes the
-- strongest lock, and whoever takes a weaker one before it may meet a request that waits the other way round.
DROP INDEX oidc_records_expiry;
CREATE INDEX oidc_records_over ON oidc_records (expires_at) WHERE model <> 'Interaction';
CREATE INDEX oidc_records_interactions ON oidc_records (expires_at) WHERE model = 'Interaction';

-- A person's sign-ins move it, once a day at most.
CREATE INDEX browsers_seen ON browsers (last_seen_at);
