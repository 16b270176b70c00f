-- Which CA issued a certificate: during a rollover those of the old one have to be renewed.

ALTER TABLE certificates ADD COLUMN ca_sha256 BLOB; -- SHA-256 of the CA's certificate; none: from before, or others issued it

PRAGMA user_version = 6;
