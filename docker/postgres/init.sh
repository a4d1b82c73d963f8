#!/bin/sh
# Run once, by the image of PostgreSQL, when the first primary makes its data folder.
set -eu
psql --username postgres --set ON_ERROR_STOP=1 <<'SQL'
\set gapura `cat /run/secrets/gapura_password`
\set demo `cat /run/secrets/demo_password`
\set replicator `cat /run/secrets/replicator_password`
CREATE ROLE gapura LOGIN PASSWORD :'gapura';
CREATE ROLE demo LOGIN PASSWORD :'demo';
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'replicator';
CREATE ROLE probe LOGIN CONNECTION LIMIT 10;
CREATE DATABASE gapura OWNER gapura;
CREATE DATABASE demo OWNER demo;
REVOKE CONNECT, TEMPORARY ON DATABASE gapura, demo FROM PUBLIC;
-- Counts from the next start, so that making all this waits for no standby. The copies take it over.
ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 ("postgres-a", "postgres-b")';
SQL
