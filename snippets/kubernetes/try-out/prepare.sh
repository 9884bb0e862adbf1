#!/usr/bin/env bash
# Makes what no repository may hold: passwords and keys, in the folder secrets. What is there already is kept.
#
#   ./prepare.sh          release.sh makes Secrets of them
set -euo pipefail
umask 077

fail() {
  printf 'prepare.sh: %s\n' "$*" >&2
  exit 1
}

[[ $# == 0 ]] || fail "'$*' is not known; run: ./prepare.sh"
command -v openssl >/dev/null || fail "openssl is not installed; run: apt-get install openssl"

cd "$(dirname "${BASH_SOURCE[0]}")"
mkdir -p secrets
[[ -e secrets/.gitignore ]] || printf '*\n' >secrets/.gitignore
# Everything is made in here and moved when it is complete, so an interrupted run leaves nothing half done.
work=$(mktemp -d secrets/.new.XXXXXX)
trap 'rm -rf "$work"' EXIT

# is_there NAME [TEXT]: it is there, and TEXT in it.
is_there() {
  [[ -e secrets/$1 ]] || return
  [[ -s secrets/$1 ]] || fail "secrets/$1 is empty; put it there again, or remove it to have another one made"
  [[ -z ${2:-} ]] || grep --quiet --fixed-strings -e "$2" "secrets/$1" || return
  printf 'kept  secrets/%s\n' "$1"
}

publish() {
  mv -f "$work/$1" "secrets/$1"
  printf 'made  secrets/%s\n' "$1"
}

hash_of() {
  tr -d '\n' <"secrets/$1" | sha256sum | cut --delimiter=' ' --fields=1
}

# api_key is for whoever runs this. A real provider has given you a key: put it into provider_api_key.
for name in database_password postgres_password cache_password broker_password provider_api_key api_key; do
  if ! is_there "$name"; then
    openssl rand -base64 36 | tr '+/' '-_' >"$work/$name"
    publish "$name"
  fi
done

# Redis knows the hash of the password. Who has none may be the user probe, and do nothing but PING. Nobody is let in as
# default; but Redis reads its file as that user, and would lose what it may not do (redis/redis issue 14541).
for name in cache broker; do
  hash=$(hash_of "${name}_password")
  if ! is_there "$name.acl" "#$hash "; then
    printf 'user %s\n' "default off ~* &* +@all" "probe on nopass -@all +ping" \
      "assistant on #$hash ~* &* +@all -@admin -@dangerous" >"$work/$name.acl"
    publish "$name.acl"
  fi
done

# A line for each key; other clients' lines stay.
hash=$(hash_of api_key)
if ! is_there api_keys "operator:$hash"; then
  [[ ! -e secrets/api_keys ]] || sed '/^operator:/d' secrets/api_keys >"$work/api_keys"
  printf 'operator:%s\n' "$hash" >>"$work/api_keys"
  publish api_keys
fi
