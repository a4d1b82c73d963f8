-- Whether somebody has made a password, beside the person: the lists of who has not, and of who has, are read by it in order.
ALTER TABLE accounts ADD COLUMN has_password boolean NOT NULL DEFAULT false;

-- Kept by the table that it tells of, so that no release can forget it.
CREATE FUNCTION note_password() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE accounts SET has_password = (TG_OP = 'INSERT')
    WHERE id = CASE TG_OP WHEN 'INSERT' THEN NEW.account_id ELSE OLD.account_id END;
  RETURN NULL;
END $$;
CREATE TRIGGER passwords_noted AFTER INSERT OR DELETE ON passwords FOR EACH ROW EXECUTE FUNCTION note_password();
UPDATE accounts SET has_password = true WHERE id IN (SELECT account_id FROM passwords);

CREATE INDEX accounts_password_name ON accounts (has_password, lower(full_name), id);
CREATE INDEX accounts_password_created ON accounts (has_password, created_at, id);
-- The few whom one kind of lock closes, among many whom another does.
CREATE INDEX account_locks_kind ON account_locks (kind);
