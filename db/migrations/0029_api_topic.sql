-- What a client may ask for at an API is kept under the same number as the client (0027): what decides it moves that too.
CREATE CONSTRAINT TRIGGER resource_servers_changed AFTER INSERT OR UPDATE OR DELETE ON resource_servers
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_change('clients');
CREATE CONSTRAINT TRIGGER resource_grants_changed AFTER INSERT OR UPDATE OR DELETE ON resource_grants
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_change('clients');
CREATE CONSTRAINT TRIGGER token_exchanges_changed AFTER INSERT OR UPDATE OR DELETE ON token_exchanges
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_change('clients');
