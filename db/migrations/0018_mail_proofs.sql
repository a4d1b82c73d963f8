-- A mail whose code or link is over before it is sent tells its reader nothing but a disappointment; it is left out.

-- What the secret of the mail opens. No reference: proofs are purged before mails, and a proof that is gone is over.
ALTER TABLE mails ADD COLUMN proof_id uuid;
