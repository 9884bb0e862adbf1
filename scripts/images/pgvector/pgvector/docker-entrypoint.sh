#!/usr/bin/env bash
# Start of the Postgres substitute, written from the documented contract of the official
# image (hub.docker.com/_/postgres): on an empty PGDATA a cluster is made from POSTGRES_*,
# /docker-entrypoint-initdb.d is worked through against a server that only listens on its
# socket, and then the command starts. As root it gives the directories to the user
# postgres and continues as that user; as any other user it leaves owners alone.
set -euo pipefail

stop() {
  printf 'Error: %s\n' "$*" >&2
  exit 1
}

say() {
  printf 'docker-entrypoint: %s\n' "$*"
}

# from_file NAME [DEFAULT]: NAME, or what the file named by NAME_FILE holds, or the default.
from_file() {
  local name=$1 default=${2:-} file_name=${1}_FILE
  if [[ -n ${!name:-} && -n ${!file_name:-} ]]; then
    stop "both $name and $file_name are set; set one of them"
  fi
  if [[ -n ${!file_name:-} ]]; then
    [[ -r ${!file_name} ]] || stop "$file_name=${!file_name} cannot be read by uid $(id -u)"
    printf -v "$name" '%s' "$(<"${!file_name}")"
  elif [[ -z ${!name:-} ]]; then
    printf -v "$name" '%s' "$default"
  fi
  export "${name?}"
  unset "$file_name"
}

# Images of version 18 and later keep their data in /var/lib/postgresql/<major>/docker. A
# volume mounted where older images kept it would stay empty, and the data would end in an
# anonymous volume: that is refused.
refuse_old_mount() {
  local old=/var/lib/postgresql/data
  [[ $PGDATA == "$old" || $PGDATA == "$old"/* ]] && return
  if [[ -s $old/PG_VERSION ]]; then
    stop "$old holds a cluster of Postgres $(<"$old/PG_VERSION") in the place used before version 18." \
      "This image keeps its data in $PGDATA: upgrade with pg_upgrade, or dump and restore," \
      "and mount the volume at /var/lib/postgresql."
  fi
  if grep -q " $old " /proc/self/mountinfo; then
    stop "something is mounted at $old, the place used before version 18." \
      "This image keeps its data in $PGDATA: mount the volume at /var/lib/postgresql instead."
  fi
}

make_directories() {
  mkdir -p "$PGDATA" 2>/dev/null || [[ -d $PGDATA ]] || stop "$PGDATA cannot be made by uid $(id -u)"
  chmod 00700 "$PGDATA" 2>/dev/null || true
  mkdir -p /run/postgresql 2>/dev/null || true
  chmod 03775 /run/postgresql 2>/dev/null || true
  if [[ -n ${POSTGRES_INITDB_WALDIR:-} ]]; then
    mkdir -p "$POSTGRES_INITDB_WALDIR"
    chmod 700 "$POSTGRES_INITDB_WALDIR"
  fi
  if ((EUID == 0)); then
    local directory
    for directory in "$PGDATA" /run/postgresql ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"}; do
      find "$directory" \! -user postgres -exec chown postgres '{}' +
    done
  fi
}

check_settings() {
  local method=${POSTGRES_HOST_AUTH_METHOD:-}
  if [[ -z $POSTGRES_PASSWORD && $method != trust ]]; then
    stop "the database is not initialised and POSTGRES_PASSWORD is empty. Set POSTGRES_PASSWORD or" \
      "POSTGRES_PASSWORD_FILE for the superuser (POSTGRES_HOST_AUTH_METHOD=trust lets anyone in; not advised)."
  fi
  if [[ $method == trust ]]; then
    say "POSTGRES_HOST_AUTH_METHOD=trust: everyone who reaches the port may connect without a password" >&2
  fi
}

make_cluster() {
  local -a options=(--username="$POSTGRES_USER")
  if [[ -n ${POSTGRES_INITDB_WALDIR:-} ]]; then
    options+=(--waldir "$POSTGRES_INITDB_WALDIR")
  fi
  # POSTGRES_INITDB_ARGS is one string of several arguments, read as a shell would.
  local -a more=()
  eval "more=(${POSTGRES_INITDB_ARGS:-})"
  initdb "${options[@]}" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") "${more[@]}"

  local method=${POSTGRES_HOST_AUTH_METHOD:-}
  if [[ -z $method ]]; then
    method=$(postgres -C password_encryption "${@:2}")
  fi
  printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
}

sql() {
  PGHOST='' PGHOSTADDR='' psql -v ON_ERROR_STOP=1 --no-password --no-psqlrc --username "$POSTGRES_USER" "$@"
}

make_database() {
  local found
  found=$(sql --dbname postgres --tuples-only --set name="$POSTGRES_DB" \
    <<<"SELECT 1 FROM pg_database WHERE datname = :'name';")
  if [[ -z $found ]]; then
    sql --dbname postgres --set name="$POSTGRES_DB" <<<'CREATE DATABASE :"name";'
  fi
}

run_scripts() {
  local file
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh)
        say "running $file"
        if [[ -x $file ]]; then
          "$file"
        else
          # shellcheck disable=SC1090 # the files are the user's
          . "$file"
        fi
        ;;
      *.sql) say "running $file" && sql --dbname "$POSTGRES_DB" -f "$file" ;;
      *.sql.gz) say "running $file" && gunzip -c "$file" | sql --dbname "$POSTGRES_DB" ;;
      *.sql.xz) say "running $file" && xzcat "$file" | sql --dbname "$POSTGRES_DB" ;;
      *.sql.zst) say "running $file" && zstd -dc "$file" | sql --dbname "$POSTGRES_DB" ;;
      */\*) ;;
      *) say "ignoring $file" ;;
    esac
  done
}

initialise() {
  check_settings
  make_cluster "$@"

  # "$@" starts with "postgres"; its options hold for the server used here as well.
  local options
  printf -v options '%q ' "${@:2}" -c listen_addresses= -p "${PGPORT:-5432}"
  export PGPASSWORD=${PGPASSWORD:-$POSTGRES_PASSWORD}
  NOTIFY_SOCKET='' pg_ctl -D "$PGDATA" -o "$options" -w start
  make_database
  run_scripts
  pg_ctl -D "$PGDATA" -m fast -w stop
  unset PGPASSWORD
  say "the database is initialised; ready for start up"
}

main() {
  if [[ ${1:-} == -* ]]; then
    set -- postgres "$@"
  fi
  if [[ ${1:-} != postgres ]]; then
    exec "$@"
  fi
  local argument
  for argument in "$@"; do
    case $argument in
      -'?' | --help | --describe-config | -V | --version) exec "$@" ;;
    esac
  done

  refuse_old_mount
  make_directories
  if ((EUID == 0)); then
    exec setpriv --reuid postgres --regid postgres --init-groups "${BASH_SOURCE[0]}" "$@"
  fi

  if [[ -s $PGDATA/PG_VERSION ]]; then
    say "$PGDATA holds a database; initialisation is skipped"
  else
    from_file POSTGRES_PASSWORD
    from_file POSTGRES_USER postgres
    from_file POSTGRES_DB "$POSTGRES_USER"
    from_file POSTGRES_INITDB_ARGS
    initialise "$@"
  fi
  exec "$@"
}

main "$@"
