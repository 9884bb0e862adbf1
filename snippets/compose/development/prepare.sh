#!/usr/bin/env bash
# Makes the passwords and keys of the development stack. What is there already is kept. They are good for this
# machine only: production has its own.
set -euo pipefail
umask 077

if ! command -v openssl >/dev/null; then
  echo "prepare.sh: openssl is not installed; run: apt-get install openssl" >&2
  exit 1
fi

cd "$(dirname "${BASH_SOURCE[0]}")"
mkdir -p secrets
[[ -e secrets/.gitignore ]] || printf '*\n' >secrets/.gitignore
# The users of the containers read these files, whatever umask they were copied under.
chmod -R go+rX ../../service ../../postgres ../../redis
# Everything is made in here and moved when it is complete, so an interrupted run leaves nothing half done.
work=$(mktemp -d secrets/.new.XXXXXX)
trap 'rm -rf "$work"' EXIT

# is_there NAME [SOURCE]: it is there, and not older than what it is made from.
is_there() {
  [[ -e secrets/$1 && ! (-n ${2:-} && secrets/$2 -nt secrets/$1) ]] && printf 'kept  secrets/%s\n' "$1"
}

publish() {
  mv "$work/$1" "secrets/$1"
  printf 'made  secrets/%s\n' "$1"
}

hash_of() {
  tr -d '\n' <"secrets/$1" | openssl dgst -sha256 -r | cut -d ' ' -f 1
}

# The containers' users read the files, and only you can enter their folder.
for name in database_password postgres_password cache_password broker_password provider_api_key api_key; do
  is_there "$name" && continue
  openssl rand -base64 36 | tr '+/' '-_' >"$work/$name"
  chmod 0444 "$work/$name"
  publish "$name"
done

# Nobody is let in as default; but Redis reads its file as that user, and would lose what it may not do
# (redis/redis issue 14541).
for name in cache broker; do
  is_there "$name.acl" "${name}_password" && continue
  printf 'user %s\n' "default off ~* &* +@all" "probe on nopass -@all +ping" \
    "assistant on #$(hash_of "${name}_password") ~* &* +@all -@admin -@dangerous +info" >"$work/$name.acl"
  chmod 0444 "$work/$name.acl"
  publish "$name.acl"
done

if ! is_there api_keys api_key; then
  printf 'developer:%s\n' "$(hash_of api_key)" >"$work/api_keys"
  chmod 0444 "$work/api_keys"
  publish api_keys
fi
