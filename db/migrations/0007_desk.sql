-- What the console and its interface need of the older tables: a version that says whether an entry is still the one somebody
-- saw, when it changed last, directorates in English, and indexes under lists that stay quick at a million rows.

ALTER TABLE agencies
  ADD COLUMN version integer NOT NULL DEFAULT 1,
  ADD COLUMN updated_at timestamptz NOT NULL DEFAULT gapura_now();
ALTER TABLE directorates
  ADD COLUMN name_en text,
  ADD COLUMN version integer NOT NULL DEFAULT 1,
  ADD COLUMN updated_at timestamptz NOT NULL DEFAULT gapura_now();
ALTER TABLE organisations ADD COLUMN version integer NOT NULL DEFAULT 1;
ALTER TABLE applications
  ADD COLUMN version integer NOT NULL DEFAULT 1,
  ADD COLUMN updated_at timestamptz NOT NULL DEFAULT gapura_now();
ALTER TABLE accounts ADD COLUMN version integer NOT NULL DEFAULT 1;

-- By the table itself, so that no statement can change an entry under the eyes of whoever has its form open.
CREATE FUNCTION bump_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.version := OLD.version + 1;
  NEW.updated_at := gapura_now();
  RETURN NEW;
END $$;
-- What is written again as it was, as a seed does, is no change.
CREATE TRIGGER agencies_version BEFORE UPDATE ON agencies
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION bump_version();
CREATE TRIGGER directorates_version BEFORE UPDATE ON directorates
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION bump_version();
CREATE TRIGGER organisations_version BEFORE UPDATE ON organisations
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION bump_version();
CREATE TRIGGER applications_version BEFORE UPDATE ON applications
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION bump_version();
-- Of accounts only what describes the person: a lock or a sign-in elsewhere spoils nobody's form.
CREATE TRIGGER accounts_version BEFORE UPDATE OF full_name, email, email_verified, phone_number, mobile_number,
  mobile_number_verified, fax_number, address, city, postal_code, language, time_zone, expires_at ON accounts
  FOR EACH ROW WHEN (
    (OLD.full_name, OLD.email, OLD.email_verified, OLD.phone_number, OLD.mobile_number, OLD.mobile_number_verified,
      OLD.fax_number, OLD.address, OLD.city, OLD.postal_code, OLD.language, OLD.time_zone, OLD.expires_at)
    IS DISTINCT FROM
    (NEW.full_name, NEW.email, NEW.email_verified, NEW.phone_number, NEW.mobile_number, NEW.mobile_number_verified,
      NEW.fax_number, NEW.address, NEW.city, NEW.postal_code, NEW.language, NEW.time_zone, NEW.expires_at))
  EXECUTE FUNCTION bump_version();

-- A page of a list begins where the last one ended; words of a name are found by how they begin. Companies are written
-- "PT.Contoh" as often as "PT Contoh", which the parser would take for the name of a host.
CREATE INDEX organisations_name ON organisations (lower(name), id);
CREATE INDEX organisations_words ON organisations
  USING gin (to_tsvector('simple', regexp_replace(name, '[^[:alnum:]]+', ' ', 'g')));
CREATE INDEX accounts_name ON accounts (lower(full_name), id);
CREATE INDEX accounts_words ON accounts USING gin (to_tsvector('simple', full_name));
CREATE INDEX account_identifiers_prefix ON account_identifiers (canonical text_pattern_ops);
-- A membership is addressed by both of its ids.
CREATE INDEX memberships_id ON memberships ((organisation_id::text || '.' || directorate_id::text));
CREATE INDEX memberships_directorate ON memberships (directorate_id, organisation_id);
-- What was done to an entry.
CREATE INDEX audit_events_entry ON audit_events ((detail->>'resource'), (detail->>'id'), id) WHERE detail ? 'resource';
