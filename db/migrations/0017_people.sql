-- Indexes under the console's lists of people and roles, which stay quick at a million rows: the people and roles of one
-- place, the latest first, and an address that nobody has proven yet.
CREATE INDEX accounts_created ON accounts (created_at, id);
CREATE INDEX accounts_email ON accounts (lower(email) text_pattern_ops) WHERE email IS NOT NULL;
CREATE INDEX role_assignments_granted ON role_assignments (granted_at, id);
CREATE INDEX role_assignments_agency ON role_assignments (agency_code) WHERE agency_code IS NOT NULL;
CREATE INDEX role_assignments_organisation ON role_assignments (organisation_id) WHERE organisation_id IS NOT NULL;
CREATE INDEX role_assignments_staff ON role_assignments (role) WHERE role NOT IN ('trader', 'company_administrator');
