-- Every request of the engine reads, along with what it came for, the number of this topic, and keeps the clients it made under
-- that number: what a client is told by must move it, in the same transaction. At its end, so that two which change several
-- clients do not wait for each other in a ring.
INSERT INTO topics (name, version) VALUES ('clients', 1) ON CONFLICT DO NOTHING;
CREATE CONSTRAINT TRIGGER clients_changed AFTER INSERT OR UPDATE OR DELETE ON clients
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_change('clients');
-- Not its last use, which is noted every hour and changes nothing.
CREATE CONSTRAINT TRIGGER client_secrets_changed AFTER INSERT OR UPDATE OF hash, sealed, expires_at OR DELETE ON client_secrets
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_change('clients');
CREATE CONSTRAINT TRIGGER client_logos_changed AFTER INSERT OR UPDATE OR DELETE ON client_logos
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_change('clients');
CREATE CONSTRAINT TRIGGER agencies_changed AFTER UPDATE ON agencies
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_change('clients');

-- A grant is read together with its tokens' records, by the id that they share.
CREATE INDEX oidc_records_grants ON oidc_records (grant_id) WHERE model = 'Grant';
