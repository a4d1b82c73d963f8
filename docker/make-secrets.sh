#!/bin/sh
# Makes what docker/compose.yaml reads as secrets, in docker/secrets or the folder named as argument. What is there stays as it is.
set -eu
umask 077
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:-$here/secrets}"
cd "${1:-$here/secrets}"

# Keeps what a command prints, unless there is something already. Compose mounts each file as it is, for users of other
# numbers: so the files can be read, and the folder cannot be entered.
keep() {
  file=$1
  shift
  [ -s "$file" ] && return
  "$@" > "$file.new"
  chmod 0444 "$file.new"
  mv "$file.new" "$file"
}

for name in gapura_secret postgres_password gapura_password demo_password replicator_password demo_client_secret; do
  keep "$name" openssl rand -hex 32
done
tls='sslmode=verify-full'
keep database_url echo "postgres://gapura:$(cat gapura_password)@database:5432/gapura?$tls"
keep demo_database_url echo "postgres://demo:$(cat demo_password)@database:5432/demo?$tls"

# An authority of its own, which the containers trust and you may let your browser trust. Use your real certificate for HAProxy.
if [ ! -s authority ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj '/CN=Gapura in containers' \
    -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign' \
    -keyout authority_key -out authority 2>/dev/null
  chmod 0444 authority
fi

certify() {
  name=$1
  names=$2
  [ -s "${name}_certificate" ] && return
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" \
    -keyout "$name.key.new" -out "$name.request" 2>/dev/null
  printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\nkeyUsage=digitalSignature\n' "$names" > "$name.extensions"
  openssl x509 -req -in "$name.request" -CA authority -CAkey authority_key -CAcreateserial -days 825 -sha256 \
    -extfile "$name.extensions" -out "$name.certificate.new" 2>/dev/null
  keep "${name}_key" cat "$name.key.new"
  keep "${name}_certificate" cat "$name.certificate.new"
  rm "$name.key.new" "$name.request" "$name.extensions" "$name.certificate.new"
}

certify postgres DNS:database,DNS:postgres-a,DNS:postgres-b
certify mailpit DNS:mailpit
certify https DNS:gapura.localhost,DNS:e-bpom.localhost,DNS:cargolink.localhost,DNS:portal-insw.localhost
keep haproxy_certificate cat https_certificate https_key
