#!/usr/bin/env bash
# Saves the database, restores what was saved into a scratch server, compares the rows, and forgets what is too old.
# It ends with 0 only when all of that worked.
set -euo pipefail

fail() {
  printf 'backup.sh: %s\n' "$*" >&2
  exit 1
}

exec {busy}>"$BACKUP_DIR/busy"
flock --timeout 3600 "$busy" || fail "another backup has been running for an hour"

work=$(mktemp -d)
# Its socket is in there as well: nobody else reaches it.
scratch=$TMPDIR/scratch
clean_up() {
  [[ ! -e $scratch/postmaster.pid ]] || pg_ctl stop --silent --mode=immediate --pgdata="$scratch"
  rm -rf "$work" "$scratch"
}
trap clean_up EXIT
rm -rf "$scratch"

# In a file: what is in the environment, every program that this starts has, too.
(umask 077 && sed 's/[\\:]/\\&/g; s/^/*:*:*:*:/' "$SECRETS_DIR/database_password" >"$work/pgpass")
export PGPASSFILE=$work/pgpass
psql=(psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1)

# One line a table: its name and how many rows it has.
count_rows="SELECT format('SELECT %L, count(*) FROM %I.%I', relid::regclass, schemaname, relname)
  FROM pg_stat_user_tables ORDER BY schemaname, relname \\gexec"

# Open the repository
opened=0
said=$(restic cat config 2>&1 >/dev/null) || opened=$?
case $opened in
  0) ;;
  10) restic init --quiet ;;
  12) fail "$RESTIC_REPOSITORY was made with another password than the one in backup_password" ;;
  *) fail "$RESTIC_REPOSITORY cannot be opened: $said" ;;
esac

# Nobody else writes there while this runs, so a lock is what a killed run has left behind.
restic unlock --quiet --remove-all

# Save: a transaction counts the rows, and the dump sees what the transaction saw.
coproc session { exec "${psql[@]}"; }
exec {to_session}>&"${session[1]}" {from_session}<&"${session[0]}"
cat >&"$to_session" <<SQL
SET idle_in_transaction_session_timeout = 0;
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
\o $work/extensions.sql
SELECT format('CREATE EXTENSION IF NOT EXISTS %I CASCADE;', extname) FROM pg_extension WHERE extname <> 'plpgsql';
\o $work/rows
$count_rows
\o
SELECT pg_export_snapshot();
SQL
read -r snapshot <&"$from_session" || fail "Postgres does not answer"
# What is about to be restored into would otherwise become the newest backup.
[[ -s $work/rows ]] || fail "the database has no tables; there is nothing to save"
# Uncompressed: restic compresses, and stores what is the same every day only once.
# Without the extensions: only a superuser may make them, and the stack's first start has done it.
restic backup --quiet --force --host=assistant --stdin-filename=assistant.dump --stdin-from-command -- \
  pg_dump --format=custom --compress=none --exclude-extension='*' --snapshot="$snapshot" ||
  fail "the database was not saved"
exec {to_session}>&- {from_session}<&-

# Try it out
need=$("${psql[@]}" --command="SELECT 2 * pg_database_size(current_database())")
room=$(df --output=avail --block-size=1 "$TMPDIR" | tail -n 1)
((room > need)) || fail "the trial needs $need bytes in $TMPDIR, and there are $room"
initdb --pgdata="$scratch" --username="$PGUSER" --auth=trust --no-sync >"$work/log"
pg_ctl start --silent --pgdata="$scratch" --log="$work/log" \
  --options="-c listen_addresses= -c unix_socket_directories=$scratch -c fsync=off -c jit=off -c max_connections=5" \
  {busy}>&- || fail "$(<"$work/log")"
there=(--host="$scratch" --dbname="$PGDATABASE")
createdb --host="$scratch" "$PGDATABASE"
"${psql[@]}" "${there[@]}" --file="$work/extensions.sql"
restic dump --host=assistant latest assistant.dump | pg_restore --exit-on-error --no-owner "${there[@]}" ||
  fail "the newest backup cannot be restored"
"${psql[@]}" "${there[@]}" <<<"$count_rows" >"$work/restored"
diff "$work/rows" "$work/restored" >&2 || fail "the newest backup does not have the rows (<) that the database has"

# What is stored is read again, too: all of it up to a gigabyte, and of more a random gigabyte.
restic check --quiet --read-data-subset=1G || fail "$RESTIC_REPOSITORY is damaged"
restic forget --quiet --host=assistant --group-by='' --prune \
  --keep-within="$KEEP_WITHIN" --keep-daily="$KEEP_DAILY" --keep-weekly="$KEEP_WEEKLY" --keep-monthly="$KEEP_MONTHLY"

touch "$BACKUP_DIR/verified"
printf 'backup.sh: saved and restored %s\n' "$(paste --serial --delimiters=, "$work/rows")"
