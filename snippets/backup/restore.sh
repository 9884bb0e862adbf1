#!/usr/bin/env bash
# Restores a backup into the empty database of a stack in which nothing but Postgres runs.
#
#   restore.sh             lists the backups
#   restore.sh BACKUP      restores one of them, or `latest`
set -euo pipefail

fail() {
  printf 'restore.sh: %s\n' "$*" >&2
  exit 1
}

(($# <= 1)) || fail "which one? run: restore.sh BACKUP, or restore.sh to see them"
if (($# == 0)); then
  exec restic snapshots --compact
fi

PGPASSFILE=$(mktemp)
trap 'rm "$PGPASSFILE"' EXIT
sed 's/[\\:]/\\&/g; s/^/*:*:*:*:/' "$SECRETS_DIR/database_password" >"$PGPASSFILE"
export PGPASSFILE
psql=(psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1)

tables=$("${psql[@]}" --command="SELECT count(*) FROM pg_stat_user_tables") || fail "Postgres does not answer"
((tables == 0)) || fail "the database has tables already; a backup goes into an empty one"

restic dump --host=assistant "$1" assistant.dump |
  pg_restore --exit-on-error --single-transaction --no-owner --dbname="$PGDATABASE" ||
  fail "nothing was restored"
# What the planner knows about the rows is not in a backup.
"${psql[@]}" --command="SET client_min_messages = error; ANALYZE"
