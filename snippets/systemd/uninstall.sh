#!/usr/bin/env bash
# Takes the assistant off this machine. The packages of Debian stay.
#
#   ./uninstall.sh               keeps the data: the database, the backups, and what opens them
#   ./uninstall.sh --with-data   removes that, too
set -euo pipefail

fail() {
  printf 'uninstall.sh: %s\n' "$*" >&2
  exit 1
}

warn() {
  printf 'uninstall.sh: %s\n' "$*" >&2
}

[[ $# == 0 || ($# == 1 && $1 == --with-data) ]] || fail "run: ./uninstall.sh, or: ./uninstall.sh --with-data"
((EUID == 0)) || fail "only root can do this; run it with sudo"
cd "$(dirname "${BASH_SOURCE[0]}")"

# Units
for unit in assistant.target assistant-backup.timer assistant-certificate.timer assistant-provider.service \
  redis-server@cache.service redis-server@broker.service; do
  systemctl --quiet disable --now "$unit" 2>/dev/null || true
done
systemctl stop 'assistant-*.service' 'assistant-*.timer'
while read -r unit; do
  rm --force "/etc/systemd/system/$unit"
done < <(cd units && find . -type f -printf '%P\n')
rm --force /etc/systemd/system/assistant-.service.d/database.conf
for folder in units/*.d; do
  [[ ! -d /etc/systemd/system/${folder#units/} ]] ||
    rmdir --ignore-fail-on-non-empty "/etc/systemd/system/${folder#units/}"
done
systemctl daemon-reload
systemctl reset-failed 'assistant*' 2>/dev/null || true

# nginx: Debian's own file again
if [[ $(dpkg-divert --truename /etc/nginx/nginx.conf) == *.distrib ]]; then
  rm --force /etc/nginx/nginx.conf
  dpkg-divert --quiet --local --rename --remove /etc/nginx/nginx.conf
fi
systemctl restart nginx.service || warn "nginx does not start; see: journalctl --unit=nginx.service"

# Redis: the one that Debian starts again
rm --force /etc/redis/redis-{cache,broker}.conf /etc/redis/{cache,broker}.acl
systemctl --quiet enable --now redis-server.service ||
  warn "Redis does not start; see: journalctl --unit=redis-server.service"

# Certificates that renew themselves by a program that is about to go
[[ ! -e /etc/letsencrypt/renewal/assistant.conf ]] ||
  certbot delete --quiet --non-interactive --cert-name assistant

# Code and settings
rm --recursive --force /opt/assistant /usr/local/lib/assistant /etc/nginx-shared /etc/redis-shared /var/log/assistant \
  /run/assistant /run/assistant-install /var/lib/assistant-acme /var/cache/assistant-backup /dev/shm/assistant-metrics-* \
  /etc/assistant/{tls,ca,service.env}
rm --force /etc/{tmpfiles.d,logrotate.d}/assistant{.conf,} /etc/sysctl.d/60-redis.conf \
  /etc/systemd/journald.conf.d/assistant.conf
rmdir --ignore-fail-on-non-empty /etc/systemd/journald.conf.d
systemctl restart systemd-journald.service
# With them a later installation would believe that it has missed a backup.
rm --force /var/lib/systemd/timers/stamp-assistant-*.timer
for user in assistant assistant-backup; do
  [[ $user == assistant-backup && ${1:-} != --with-data ]] || ! id "$user" &>/dev/null || userdel "$user"
done

if [[ ${1:-} != --with-data ]]; then
  printf 'uninstall.sh: kept the database, /var/lib/assistant-backup, /var/lib/redis/broker and /etc/assistant\n'
  exit
fi
as_postgres() {
  runuser --user=postgres -- psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 "$@"
}
as_postgres --command='SET client_min_messages = warning' --command='DROP DATABASE IF EXISTS assistant WITH (FORCE)' \
  --command='DROP DATABASE IF EXISTS assistant_before WITH (FORCE)' --command='DROP ROLE IF EXISTS assistant'
rm --force /etc/postgresql/17/main/conf.d/assistant.conf
rm --recursive --force /etc/assistant /var/lib/assistant-backup /var/lib/redis/broker /etc/sysusers.d/assistant.conf
rmdir --ignore-fail-on-non-empty /etc/sysusers.d
systemctl restart postgresql@17-main.service
