-- The mail domains of an organisation or an agency: an address there closes together with the account, so that it is nobody's
-- way back in.
ALTER TABLE organisations ADD COLUMN mail_domains text[] NOT NULL DEFAULT '{}' CHECK (cardinality(mail_domains) <= 20);
ALTER TABLE agencies ADD COLUMN mail_domains text[] NOT NULL DEFAULT '{}' CHECK (cardinality(mail_domains) <= 20);
