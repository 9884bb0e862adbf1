#!/bin/sh
# Start of the Redis substitute, written from the documented contract of the official image
# (hub.docker.com/_/redis): options or a file of options are for redis-server; protected mode is
# off unless they say otherwise; as root the server gives /data to the user redis and continues as
# that user, as any other user it leaves owners alone. SKIP_FIX_PERMS and SKIP_DROP_PRIVS turn
# these two off.
set -eu

case "${1:-}" in
  -* | *.conf) set -- redis-server "$@" ;;
esac

if [ "${1:-}" = redis-server ]; then
  # Debian's binary has protected mode on. Only the first argument after the name can be a file.
  if [ ! -f "${2:-}" ] || ! grep -Eq '^[[:space:]]*protected-mode[[:space:]]' "$2"; then
    case " $* " in
      *" --protected-mode "*) ;;
      *) set -- "$@" --protected-mode no ;;
    esac
  fi
  # What it writes is for nobody else, unless somebody has set another mask.
  if [ "$(umask)" = 0022 ]; then
    umask 0077
  fi
  if [ "$(id -u)" = 0 ]; then
    if [ -z "${SKIP_FIX_PERMS:-}" ]; then
      find /data ! -user redis -exec chown redis:redis '{}' +
    fi
    if [ -z "${SKIP_DROP_PRIVS:-}" ]; then
      exec setpriv --reuid redis --regid redis --clear-groups --inh-caps=-all --bounding-set=-all -- "$@"
    fi
  fi
fi

exec "$@"
