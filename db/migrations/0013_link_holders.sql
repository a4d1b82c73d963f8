-- User names that are given free however their last link goes, and what an officer needs to pass one on.

-- By the table itself, so that no way of deleting a link (its person, the account, an officer's decision) leaves a name that is
-- held by nobody and can be linked by nobody.
CREATE FUNCTION free_link_name() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- The row is locked first, and only the next statement looks: a link that somebody who shares the name is just making, or
  -- removing, is seen as it ends.
  PERFORM 1 FROM link_holders h WHERE h.application_id = OLD.application_id AND h.subject = OLD.subject FOR UPDATE;
  DELETE FROM link_holders h WHERE h.application_id = OLD.application_id AND h.subject = OLD.subject
    AND NOT EXISTS (SELECT FROM links l WHERE l.application_id = h.application_id AND l.subject = h.subject);
  RETURN NULL;
END $$;
CREATE TRIGGER links_free_name AFTER DELETE ON links FOR EACH ROW EXECUTE FUNCTION free_link_name();
DELETE FROM link_holders h
  WHERE NOT EXISTS (SELECT FROM links l WHERE l.application_id = h.application_id AND l.subject = h.subject);

-- What the application said with the proof goes into the link if the request is granted, and the officer says why.
ALTER TABLE link_requests
  ADD COLUMN display_name text,
  ADD COLUMN directorate text,
  ADD COLUMN because text;
UPDATE link_requests q SET display_name = l.display_name, directorate = l.directorate
  FROM links l WHERE l.application_id = q.application_id AND l.subject = q.subject;

-- For the lists of the console, and for what a person is told of their own.
CREATE INDEX applications_name ON applications (lower(name), id);
CREATE INDEX link_requests_proved ON link_requests (proved_at, id);
CREATE INDEX link_requests_account ON link_requests (account_id, application_id);
