#!/usr/bin/env bash
# Makes a fresh Debian 13 a machine for the assistant: packages, users, credentials, the database, Redis, nginx, units.
# What is there already is kept, and a second run changes nothing. One that was broken off is run again.
#
#   ./install.sh HOST          HOST is the name in nginx/nginx.conf
set -euo pipefail
umask 022

fail() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}

host=${1:-}
host=${host,,}
# The last part begins with a letter: a number there would make it an address.
label='[a-z0-9-]{0,61}[a-z0-9]'
[[ $# == 1 && $host =~ ^([a-z0-9]($label)?\.)*[a-z]($label)?$ ]] ||
  fail "'$host' is not a host name; run: ./install.sh HOST, with the name in nginx/nginx.conf"
((EUID == 0)) || fail "only root can do this; run it with sudo"
cd "$(dirname "${BASH_SOURCE[0]}")"
grep --quiet "server_name $host;" nginx/nginx.conf ||
  fail "nginx/nginx.conf has no 'server_name $host;'; write the name into it, or give the one that it has"
for beside in nginx redis backup provider service host; do
  [[ -d ../$beside ]] || fail "../$beside is missing; copy the whole stack, not this folder alone"
done
[[ $host == api.example.com ]] || ! grep --quiet 'api\.example\.com' nginx/nginx.conf ||
  fail "nginx/nginx.conf still has api.example.com; replace each: sed --in-place 's/api\.example\.com/$host/' nginx/nginx.conf"

# Which units read what has changed. A run that is broken off leaves it to the next one; a restart of the machine settles it.
marks=/run/assistant-install
mkdir --parents "$marks"
exec {lock}<"$marks"
flock --nonblock "$lock" || fail "another run is at work; wait for its end"

say() {
  printf '%s\n' "$*"
}

# put FILE TARGET MODE OWNER [MARK]: the file is there afterwards, and complete at any moment. MARK says who reads it; see
# `refresh`.
put() {
  if cmp --silent "$1" "$2" && [[ $(stat --format='%a %U:%G' "$2") == "$3 $4" ]]; then
    return
  fi
  [[ -z ${5:-} ]] || touch "$marks/$5"
  mkdir --parents "$(dirname "$2")"
  install --mode="$3" --owner="${4%:*}" --group="${4#*:}" "$1" "$2.new"
  mv --force --no-target-directory "$2.new" "$2"
  say "made  $2"
}

# refresh MARK COMMAND...: the command, if a file of that mark has changed since it was run last.
refresh() {
  if [[ -e $marks/$1 ]]; then
    "${@:2}"
    rm "$marks/$1"
  fi
}

# Packages
packages=(
  ca-certificates certbot curl logrotate nginx openssl postgresql postgresql-17-pgvector python3-pip python3-venv
  redis-server restic
)
missing=()
for package in "${packages[@]}"; do
  [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true) == installed ]] ||
    missing+=("$package")
done
if ((${#missing[@]})); then
  # A new machine may be upgrading itself: wait for that.
  wait=(--option=DPkg::Lock::Timeout=300)
  apt-get "${wait[@]}" --quiet update
  DEBIAN_FRONTEND=noninteractive apt-get "${wait[@]}" --quiet --yes --no-install-recommends install "${missing[@]}"
fi

# Users and folders
put sysusers.d/assistant.conf /etc/sysusers.d/assistant.conf 644 root:root
systemd-sysusers /etc/sysusers.d/assistant.conf
put tmpfiles.d/assistant.conf /etc/tmpfiles.d/assistant.conf 644 root:root
systemd-tmpfiles --create /etc/tmpfiles.d/assistant.conf
put ../host/sysctl.d/60-redis.conf /etc/sysctl.d/60-redis.conf 644 root:root
sysctl --quiet --load=/etc/sysctl.d/60-redis.conf
put journald.conf.d/assistant.conf /etc/systemd/journald.conf.d/assistant.conf 644 root:root systemd-journald.service
put logrotate.d/assistant /etc/logrotate.d/assistant 644 root:root
mkdir --parents /opt/assistant/releases

# Credentials. A real provider has given you a key: put it into provider_api_key. alert_url may hold the address that
# gets a message when a unit fails. Whoever loses backup_password has no backups any more: keep a copy elsewhere.
install --directory --mode=700 /etc/assistant/credentials
make_secret() {
  local file=/etc/assistant/credentials/$1
  [[ ! -e $file ]] || return 0
  (
    umask 377
    "${@:2}" >"$file.new"
  )
  # After a power cut, what has this name has to be whole.
  sync "$file.new"
  mv --no-target-directory "$file.new" "$file"
  say "made  $file"
}
rm --force /etc/assistant/credentials/*.new
for name in database_password cache_password broker_password provider_api_key backup_password; do
  make_secret "$name" openssl rand -hex 24
done
make_secret alert_url true
hash_of() {
  tr --delete '\n' <"/etc/assistant/credentials/$1" | sha256sum | cut --delimiter=' ' --fields=1
}
# The service knows the hash. The key itself may be kept elsewhere, and is then not made again.
if [[ ! -e /etc/assistant/credentials/api_keys ]]; then
  make_secret api_key openssl rand -hex 24
  make_secret api_keys printf 'operator:%s\n' "$(hash_of api_key)"
fi

# The database
put postgres/pg_hba.conf /etc/assistant/postgres/pg_hba.conf 640 root:postgres postgresql@17-main.service
put postgres/assistant.conf /etc/postgresql/17/main/conf.d/assistant.conf 644 root:root postgresql@17-main.service
refresh postgresql@17-main.service systemctl restart postgresql@17-main.service
as_postgres() {
  runuser --user=postgres -- psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 "$@"
}
PGPASSWORD=$(</etc/assistant/credentials/database_password)
export PGPASSWORD
as_postgres --dbname=postgres <<'SQL'
SELECT 'CREATE ROLE assistant LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'assistant') \gexec
-- The owner may make tables in it. From PostgreSQL 15 on nobody else may, whatever was granted on the database.
SELECT 'CREATE DATABASE assistant OWNER assistant'
  WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'assistant') \gexec
SQL
if ! psql --no-psqlrc --host=127.0.0.1 --username=assistant --dbname=assistant --command='' &>/dev/null; then
  as_postgres --dbname=postgres <<'SQL'
\getenv password PGPASSWORD
-- The statement holds the password. It is not to be logged, not even where all are, or the slow or wrong ones.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = panic;
ALTER ROLE assistant PASSWORD :'password';
SQL
  say "set   the password of the role assistant"
fi
unset PGPASSWORD
# An extension that only a superuser may install is made here.
as_postgres --dbname=assistant <<'SQL'
SET client_min_messages = warning;
REVOKE ALL ON DATABASE assistant FROM PUBLIC;
CREATE EXTENSION IF NOT EXISTS vector;
SQL

# Redis: cache and broker instead of the one that Debian starts
for name in cache broker; do
  put "../redis/$name.conf" "/etc/redis-shared/$name.conf" 644 root:root "redis-server@$name.service"
  put "redis/$name.conf" "/etc/redis/redis-$name.conf" 640 redis:redis "redis-server@$name.service"
  # Without a password a client may do nothing but PING, as the user probe. Nobody is let in as default; but Redis reads
  # its file as that user, and would lose what it may not do (redis/redis issue 14541).
  (
    umask 077
    printf 'user %s\n' "default off ~* &* +@all" "probe on nopass -@all +ping" \
      "assistant on #$(hash_of "${name}_password") ~* &* +@all -@admin -@dangerous" >"$marks/acl"
  )
  put "$marks/acl" "/etc/redis/$name.acl" 640 redis:redis "redis-server@$name.service"
  rm "$marks/acl"
done
! systemctl --quiet is-enabled redis-server.service || systemctl --quiet disable --now redis-server.service

# A certificate of a CA of this machine, until one that others know takes its place
mkdir --parents /etc/assistant/ca
if [[ ! -e /etc/assistant/ca/ca.crt ]]; then
  # Whoever trusts this CA trusts it for this name and those below it; for no other, and for no address.
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -sha256 -days 3650 \
    -subj "/CN=Private CA of the assistant" \
    -addext "basicConstraints=critical,CA:TRUE,pathlen:0" \
    -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -addext "nameConstraints=critical,permitted;DNS:$host,excluded;IP:0.0.0.0/0.0.0.0,excluded;IP:::/::" \
    -keyout /etc/assistant/ca/ca.key -out /etc/assistant/ca/ca.crt.new 2>/dev/null
  mv /etc/assistant/ca/ca.crt.new /etc/assistant/ca/ca.crt
  say "made  /etc/assistant/ca"
fi
mkdir --parents /etc/assistant/tls
if [[ ! -e /etc/assistant/tls/tls.crt ]]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -sha256 -days 365 \
    -subj "/CN=assistant" -CA /etc/assistant/ca/ca.crt -CAkey /etc/assistant/ca/ca.key \
    -addext "basicConstraints=critical,CA:FALSE" \
    -addext "keyUsage=critical,digitalSignature" \
    -addext "extendedKeyUsage=serverAuth" \
    -addext "subjectAltName=DNS:$host" \
    -keyout /etc/assistant/tls/tls.key -out /etc/assistant/tls/tls.crt.new 2>/dev/null
  mv /etc/assistant/tls/tls.crt.new /etc/assistant/tls/tls.crt
  touch "$marks/nginx.service"
  say "made  /etc/assistant/tls"
fi
openssl x509 -in /etc/assistant/tls/tls.crt -noout -checkhost "$host" | grep --quiet 'does match' ||
  say "the certificate is not for $host: obtain one, or remove /etc/assistant/ca and /etc/assistant/tls and run this again"

# What the units run
put ../backup/backup.sh /usr/local/lib/assistant/backup.sh 755 root:root
put ../backup/restore.sh /usr/local/lib/assistant/restore.sh 755 root:root
put ../provider/provider.py /usr/local/lib/assistant/provider.py 644 root:root assistant-provider.service
put certificate/deploy.sh /usr/local/lib/assistant/certificate-deploy.sh 755 root:root
put certificate/expires.sh /usr/local/lib/assistant/certificate-expires.sh 755 root:root
put failed.sh /usr/local/lib/assistant/failed.sh 755 root:root

# Settings and units
put service.env /etc/assistant/service.env 644 root:root settings
# Where a key for the repository may stand.
put backup.env /etc/assistant/backup.env 600 root:root
# With PostgreSQL and Redis on other machines: database-elsewhere.conf.
put database-here.conf /etc/systemd/system/assistant-.service.d/database.conf 644 root:root systemd
while read -r unit; do
  put "units/$unit" "/etc/systemd/system/$unit" 644 root:root systemd
done < <(cd units && find . -type f -printf '%P\n' | sort)
[[ ! -e $marks/systemd ]] || touch "$marks/settings"
refresh systemd systemctl daemon-reload

# nginx: Debian's own file is kept aside, and upgrades of the package leave this one alone
for file in ../nginx/*.conf; do
  put "$file" "/etc/nginx-shared/${file##*/}" 644 root:root nginx.service
done
if [[ $(dpkg-divert --truename /etc/nginx/nginx.conf) != *.distrib ]]; then
  # After a reload alone its errors would still go where Debian's file has sent them.
  touch "$marks/nginx"
  dpkg-divert --quiet --local --rename --divert /etc/nginx/nginx.conf.distrib --add /etc/nginx/nginx.conf
fi
put nginx/nginx.conf /etc/nginx/nginx.conf 644 root:root nginx.service
nginx -q -t || fail "nginx does not take its configuration; the running one goes on"

# Start what is new, and restart what reads other files than before
for unit in systemd-journald.service redis-server@cache.service redis-server@broker.service assistant-provider.service; do
  refresh "$unit" systemctl restart "$unit"
done
refresh nginx systemctl restart nginx.service
refresh nginx.service systemctl reload-or-restart nginx.service
for unit in redis-server@cache.service redis-server@broker.service assistant-provider.service \
  assistant-certificate.timer; do
  systemctl --quiet is-enabled "$unit" || systemctl --quiet enable "$unit"
done
systemctl start nginx.service redis-server@cache.service redis-server@broker.service assistant-provider.service
if [[ ! -e /opt/assistant/current ]]; then
  rm --force "$marks/settings"
  say "put the service on it with: ./release.sh 1.0.0"
else
  refresh settings say "run ./release.sh --restart, so that what runs takes what has changed"
fi
