#!/usr/bin/env bash
# Makes what the stack needs and no repository may hold: passwords, keys, a private CA, and a certificate
# for the host name. What is there already is kept.
#
#   ./prepare.sh HOST          HOST is the name in proxy/nginx.conf
#   ./prepare.sh HOST renew    makes a new certificate; `docker compose exec nginx nginx -s reload` takes it
set -euo pipefail
umask 077

host=${1:-}
host=${host,,}
task=${2:-}

fail() {
  printf 'prepare.sh: %s\n' "$*" >&2
  exit 1
}

# The last part begins with a letter: a number there would make it an address.
label='[a-z0-9-]{0,61}[a-z0-9]'
[[ $host =~ ^([a-z0-9]($label)?\.)*[a-z]($label)?$ ]] ||
  fail "'$host' is not a host name; run: ./prepare.sh HOST, with the name in proxy/nginx.conf"
[[ $task =~ ^(renew)?$ ]] || fail "'$task' is not known; run: ./prepare.sh $host, or: ./prepare.sh $host renew"
command -v openssl >/dev/null || fail "openssl is not installed; run: apt-get install openssl"
if ((EUID == 0)); then
  as_root=()
elif command -v sudo >/dev/null; then
  as_root=(sudo)
else
  fail "only root can give a file to a container's user; run this as root or install sudo"
fi

cd "$(dirname "${BASH_SOURCE[0]}")"
# What release.sh keeps, and the backups that operate.sh brings here.
[[ -e .gitignore ]] || printf '/%s\n' .gitignore .env .env.new 'backups.tar*' >.gitignore
mkdir -p secrets
[[ -e secrets/.gitignore ]] || printf '*\n' >secrets/.gitignore
# The users of the containers read these files, whatever umask they were copied under.
"${as_root[@]}" chmod -R go+rX proxy ../../nginx ../../postgres ../../redis
# Everything is made in here and moved when it is complete, so an interrupted run leaves nothing half done.
work=$(mktemp -d secrets/.new.XXXXXX)
trap 'rm -rf "$work"' EXIT

# give OWNER MODE FILE: Compose mounts secret files with the owner and mode they have here,
# and the containers run as numeric users without any capability.
give() {
  "${as_root[@]}" chown "$1" "$3"
  "${as_root[@]}" chmod "$2" "$3"
}

# is_there NAME [TEXT]: it is there, and TEXT in it.
is_there() {
  [[ -e secrets/$1 ]] || return
  [[ -z ${2:-} ]] || "${as_root[@]}" grep --quiet --fixed-strings -e "$2" "secrets/$1" || return
  printf 'kept  secrets/%s\n' "$1"
}

publish() {
  mv -f "$work/$1" "secrets/$1"
  printf 'made  secrets/%s\n' "$1"
}

hash_of() {
  "${as_root[@]}" cat "secrets/$1" | tr -d '\n' | sha256sum | cut --delimiter=' ' --fields=1
}

# is_right FOLDER: the certificate in it has its key, is for the host, is valid today, and someone vouches for it: the
# private CA or, perhaps by others that stand in the file after it, one that this system knows.
is_right() {
  local question=(-purpose sslserver -verify_hostname "$host" -untrusted "$work/chain" "$work/chain")
  "${as_root[@]}" cat "$1/tls.crt" >"$work/chain" &&
    openssl x509 -in "$work/chain" -noout -pubkey >"$work/of_crt" &&
    "${as_root[@]}" cat "$1/tls.key" | openssl pkey -pubout >"$work/of_key" &&
    cmp "$work/of_crt" "$work/of_key" &&
    { openssl verify -no-CApath -CAfile secrets/ca/ca.crt "${question[@]}" || openssl verify "${question[@]}"; }
} &>/dev/null

# Before anything is made: who gives a wrong name has then changed nothing.
if [[ $task != renew && -e secrets/tls ]]; then
  is_right secrets/tls ||
    fail "secrets/tls lacks a file, has expired, has another's key, is not for $host, or nobody known here vouches for" \
      "it; if the name is right, put another one there, or let the private CA make one: ./prepare.sh $host renew"
fi

# The containers' users: 10001 service, worker and beat; 999 Postgres, the backup, and Redis. The key of the API is for
# whoever runs this. A real provider has given you a key: put it into the file.
# Whoever loses backup_password has no backups any more: keep a copy elsewhere.
while read -r name owner mode; do
  if is_there "$name"; then
    # One that was brought back from elsewhere may belong to whoever did it.
    give "$owner" "$mode" "secrets/$name"
    continue
  fi
  openssl rand -base64 36 | tr '+/' '-_' >"$work/$name"
  give "$owner" "$mode" "$work/$name"
  publish "$name"
done <<USERS
database_password 10001:999 0440
postgres_password 999:999 0400
cache_password 10001:10001 0400
broker_password 10001:10001 0400
provider_api_key 10001:10001 0400
backup_password 999:999 0400
api_key $EUID 0600
USERS

# Redis knows the hash of the password. Who has none may be the user probe, and do nothing but PING. Nobody is let in as
# default; but Redis reads its file as that user, and would lose what it may not do (redis/redis issue 14541).
for name in cache broker; do
  hash=$(hash_of "${name}_password")
  if is_there "$name.acl" "#$hash "; then
    give 999:999 0400 "secrets/$name.acl"
    continue
  fi
  printf 'user %s\n' "default off ~* &* +@all" "probe on nopass -@all +ping" \
    "assistant on #$hash ~* &* +@all -@admin -@dangerous" >"$work/$name.acl"
  give 999:999 0400 "$work/$name.acl"
  publish "$name.acl"
done

# A line for each key; other clients' lines stay.
hash=$(hash_of api_key)
if is_there api_keys "operator:$hash"; then
  give 10001:10001 0400 secrets/api_keys
else
  [[ ! -e secrets/api_keys ]] || "${as_root[@]}" sed '/^operator:/d' secrets/api_keys >"$work/api_keys"
  printf 'operator:%s\n' "$hash" >>"$work/api_keys"
  give 10001:10001 0400 "$work/api_keys"
  publish api_keys
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

if [[ $task != renew ]] && is_there tls; then
  # One that was put there by hand may still be closed to nginx.
  give 101:101 0400 secrets/tls/tls.key
  "${as_root[@]}" chmod go+rX secrets/tls secrets/tls/tls.crt
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
    fail "secrets/ca is not for $host; if the name is right, remove secrets/ca and run this again, then clients have to" \
      "trust the new CA"
  give 101:101 0400 "$work/tls/tls.key"
  chmod 0444 "$work/tls/tls.crt"
  # nginx looks into this folder: it has to stay the same one, and the files in it change.
  mkdir -p secrets/tls
  chmod 0755 secrets/tls
  mv -f "$work"/tls/* secrets/tls
  printf 'made  secrets/tls\n'
fi
