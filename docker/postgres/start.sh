#!/bin/sh
# Starts one of the two PostgreSQL servers: the one that PRIMARY names, or a standby of it. SELF is the name of this one.
set -eu
umask 077
run=/var/run/postgresql
# PostgreSQL takes a key only from a file that nobody else can read.
cat /run/secrets/postgres_key > "$run/server.key"
printf '*:*:*:replicator:%s\n' "$(cat /run/secrets/replicator_password)" > "$run/passwords"

if [ "$SELF" != "$PRIMARY" ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  primary="host=$PRIMARY user=replicator application_name=$SELF passfile=$run/passwords sslmode=verify-full sslrootcert=/run/secrets/authority"
  # A copy that was cut short is begun anew.
  until rm -rf "$PGDATA" && pg_basebackup --dbname "$primary" --pgdata "$PGDATA" --wal-method stream --checkpoint fast --write-recovery-conf; do
    sleep 2
  done
fi

exec docker-entrypoint.sh postgres \
  -c hba_file=/etc/gapura/pg_hba.conf \
  -c ssl=on -c ssl_cert_file=/run/secrets/postgres_certificate -c ssl_key_file="$run/server.key" \
  -c max_connections=200 -c shared_buffers=256MB -c wal_keep_size=1GB -c timezone=UTC \
  -c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3 -c wal_sender_timeout=10s
