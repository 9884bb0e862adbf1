#!/usr/bin/env bash
# Makes what the stack needs and no repository may hold: passwords, a private CA, and a certificate
# for the host name. What is there already is kept.
#
#   ./prepare.sh HOST     HOST is the name in nginx.conf
set -euo pipefail
umask 077

host=${1:-}
host=${host,,}

fail() {
  printf 'prepare.sh: %s\n' "$*" >&2
  exit 1
}

# The last part begins with a letter: a number there would make it an address.
label='[a-z0-9-]{0,61}[a-z0-9]'
[[ $host =~ ^([a-z0-9]($label)?\.)*[a-z]($label)?$ ]] ||
  fail "'$host' is not a host name; run: ./prepare.sh HOST, with the name in nginx.conf"
command -v openssl >/dev/null || fail "openssl is not installed; run: apt-get install openssl"
if ((EUID == 0)); then
  as_root=()
elif command -v sudo >/dev/null; then
  as_root=(sudo)
else
  fail "only root can give a file to a container's user; run this as root or install sudo"
fi

cd "$(dirname "${BASH_SOURCE[0]}")"
mkdir -p secrets
[[ -e secrets/.gitignore ]] || printf '*\n' >secrets/.gitignore
# The users of the containers read these files, whatever umask they were copied under.
"${as_root[@]}" chmod -R go+rX nginx.conf ../../nginx ../../postgres
# Everything is made in here and moved when it is complete, so an interrupted run leaves nothing half done.
work=$(mktemp -d secrets/.new.XXXXXX)
trap 'rm -rf "$work"' EXIT

# give OWNER MODE FILE: Compose mounts secret files with the owner and mode they have here,
# and the containers run as numeric users without any capability.
give() {
  "${as_root[@]}" chown "$1" "$3"
  "${as_root[@]}" chmod "$2" "$3"
}

is_there() {
  [[ -e secrets/$1 ]] && printf 'kept  secrets/%s\n' "$1"
}

publish() {
  mv "$work/$1" "secrets/$1"
  printf 'made  secrets/%s\n' "$1"
}

# is_right FOLDER: the certificate in it has its key, is for the host, is valid today, and the CA vouches for it.
is_right() {
  [[ -s $1/tls.key ]] &&
    openssl verify -CAfile secrets/ca/ca.crt -verify_hostname "$host" "$1/tls.crt" >/dev/null 2>&1
}

password() {
  openssl rand -base64 36 | tr '+/' '-_' >"$work/$1"
}

if ! is_there database_password; then
  password database_password
  # The service (10001) reads it, and once Postgres (999), which makes the role.
  give 10001:999 0440 "$work/database_password"
  publish database_password
fi

if ! is_there postgres_password; then
  password postgres_password
  give 999:999 0400 "$work/postgres_password"
  publish postgres_password
fi

if ! is_there ca; then
  mkdir "$work/ca"
  # Whoever trusts this CA trusts it for this name and those below it; for no other, and for no address.
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -sha256 -days 3650 \
    -subj "/CN=Private CA of the assistant" \
    -addext "basicConstraints=critical,CA:TRUE,pathlen:0" \
    -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -addext "nameConstraints=critical,permitted;DNS:$host,excluded;IP:0.0.0.0/0.0.0.0,excluded;IP:::/::" \
    -keyout "$work/ca/ca.key" -out "$work/ca/ca.crt" 2>"$work/log" || fail "$(<"$work/log")"
  chmod 0444 "$work/ca/ca.crt"
  publish ca
fi

# To renew it: remove secrets/tls, run `./prepare.sh HOST`, then `docker compose up --detach --force-recreate nginx`.
if is_there tls; then
  is_right secrets/tls ||
    fail "secrets/tls lacks a file, has expired, or is not for $host; remove secrets/tls and run this again"
else
  mkdir "$work/tls"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -sha256 -days 365 \
    -subj "/CN=assistant" \
    -CA secrets/ca/ca.crt -CAkey secrets/ca/ca.key \
    -addext "basicConstraints=critical,CA:FALSE" \
    -addext "keyUsage=critical,digitalSignature" \
    -addext "extendedKeyUsage=serverAuth" \
    -addext "subjectAltName=DNS:$host" \
    -keyout "$work/tls/tls.key" -out "$work/tls/tls.crt" 2>"$work/log" || fail "$(<"$work/log")"
  is_right "$work/tls" ||
    fail "secrets/ca is not for $host; remove secrets/ca and run this again, then clients have to trust the new CA"
  chmod 0444 "$work/tls/tls.crt"
  give 101:101 0400 "$work/tls/tls.key"
  publish tls
fi
