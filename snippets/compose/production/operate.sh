#!/usr/bin/env bash
# What is done to a running stack. Each paragraph stands by itself.

# Release a version
./release.sh 1.1.0

# Release the version that runs
./release.sh "$(docker compose ps --format '{{.Image}}' service | sed -n '1s/.*://p')"

# Roll back
./release.sh --rollback

# Add an API key
as_root=()
((EUID == 0)) || as_root=(sudo)
(
  umask 077
  openssl rand -base64 36 | tr '+/' '-_' >secrets/api_key_of_another
)
printf 'another:%s\n' "$(tr -d '\n' <secrets/api_key_of_another | sha256sum | cut -d ' ' -f 1)" |
  "${as_root[@]}" tee --append secrets/api_keys >/dev/null

# Revoke an API key
as_root=()
((EUID == 0)) || as_root=(sudo)
"${as_root[@]}" grep --quiet '^another:' secrets/api_keys &&
  "${as_root[@]}" sed --in-place '/^another:/d' secrets/api_keys &&
  ./release.sh "$(docker compose ps --format '{{.Image}}' service | sed -n '1s/.*://p')"

# Change the password of the database
as_root=()
((EUID == 0)) || as_root=(sudo)
mv --force secrets/database_password secrets/database_password.old &&
  ./prepare.sh api.example.com &&
  password=$("${as_root[@]}" cat secrets/database_password) &&
  docker compose exec -T postgres psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username=postgres <<SQL &&
-- The statement holds the password: it is not to be logged, be it slow or wrong.
SET log_min_duration_statement = -1;
SET log_min_error_statement = panic;
ALTER ROLE assistant PASSWORD '$password';
SQL
  ./release.sh "$(docker compose ps --format '{{.Image}}' service | sed -n '1s/.*://p')" &&
  docker compose up --detach --force-recreate --wait --wait-timeout 120 backup

# Change the passwords of cache and broker
mv --force secrets/cache_password secrets/cache_password.old &&
  mv --force secrets/broker_password secrets/broker_password.old &&
  ./prepare.sh api.example.com &&
  docker compose up --detach --force-recreate --wait --wait-timeout 120 cache broker &&
  ./release.sh "$(docker compose ps --format '{{.Image}}' service | sed -n '1s/.*://p')"

# Add a replica
docker compose up --detach --no-recreate --wait --wait-timeout 120 --scale service=3 service

# Add a worker
docker compose up --detach --no-recreate --wait --wait-timeout 120 --scale worker=2 worker

# Restart the replicas one after another
replicas=$(docker compose ps --quiet service)
for replica in $replicas; do
  docker restart "$replica"
  docker compose up --detach --no-recreate --wait --wait-timeout 120 \
    --scale service="$(wc --words <<<"$replicas")" service
done

# Use a changed nginx.conf
docker compose exec -T nginx nginx -t &&
  docker compose exec -T nginx nginx -s reload

# See what it uses
docker compose ps --quiet | xargs docker stats --no-stream --format '{{.Name}} {{.CPUPerc}} {{.MemUsage}}'

# See what the health checks say
docker compose ps --all --quiet | xargs docker inspect \
  --format '{{.Name}} {{with .State.Health}}{{.Status}} {{range .Log}}{{.Output}}{{end}}{{end}}'

# See until when the certificate is valid
openssl x509 -in secrets/tls/tls.crt -noout -enddate

# See its metrics
docker compose exec -T service python -c \
  "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:8000/metrics').read().decode())"

# See who keeps others waiting
docker compose exec -T postgres psql --username=postgres --dbname=assistant --command="
  SELECT holder.pid, holder.application_name, holder.state, holder.xact_start, left(holder.query, 60) AS query,
    count(*) AS waiting
  FROM pg_stat_activity AS other
  JOIN pg_stat_activity AS holder ON holder.pid = ANY (pg_blocking_pids(other.pid))
  GROUP BY holder.pid, 2, 3, 4, 5"

# See what takes the disk
df -h "$(docker info --format '{{.DockerRootDir}}')"
docker system df
docker compose exec -T postgres df -h /var/lib/postgresql

# Make a backup now
docker compose exec -T backup backup.sh

# See the backups
docker compose exec -T backup restic snapshots --compact

# Copy the backups
docker compose exec -T backup flock /backups/busy tar --create --directory /backups repository >backups.tar.new &&
  mv backups.tar.new backups.tar

# Bring the backups into an empty stack
docker compose up --detach --wait --wait-timeout 120 backup
docker compose exec -T backup tar --extract --directory /backups <backups.tar

# Restore into an empty stack
docker compose up --detach --wait --wait-timeout 120 backup
docker compose exec -T backup restore.sh "${BACKUP:-latest}" </dev/null
docker compose up --detach --wait --wait-timeout 120

# Restore a backup into a database aside
docker compose exec -T postgres psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username=postgres <<'SQL' &&
CREATE DATABASE assistant_aside OWNER assistant;
REVOKE ALL ON DATABASE assistant_aside FROM PUBLIC;
\connect assistant_aside
CREATE EXTENSION vector;
SQL
  docker compose exec -T --env PGDATABASE=assistant_aside backup flock /backups/busy restore.sh "${BACKUP:-latest}"

# Compare the two databases
for database in assistant assistant_aside; do
  docker compose exec -T postgres psql --no-psqlrc --username=postgres --dbname="$database" \
    --command="SELECT current_database(), count(*) AS documents, max(created_at) AS newest FROM documents"
done

# Let the two databases change places
docker compose stop service worker beat
docker compose exec -T postgres psql --no-psqlrc --set=ON_ERROR_STOP=1 --username=postgres --single-transaction \
  --command="ALTER DATABASE assistant RENAME TO assistant_between" \
  --command="ALTER DATABASE assistant_aside RENAME TO assistant" \
  --command="ALTER DATABASE assistant_between RENAME TO assistant_aside" </dev/null
# It would go on to answer from the other one.
docker compose restart cache
docker compose up --detach --wait --wait-timeout 120

# Drop the database aside
docker compose exec -T postgres dropdb --username=postgres assistant_aside

# Use changed images
docker compose pull --ignore-buildable --policy missing
docker compose build backup
# Together with the rest, all that depends on these would be stopped and made anew, too.
docker compose up --detach --wait --wait-timeout 120 postgres cache broker
docker compose up --detach --wait --wait-timeout 120

# Update pgvector in the database
docker compose exec -T postgres psql --no-psqlrc --username=postgres --dbname=assistant \
  --command="ALTER EXTENSION vector UPDATE"

# Save the database and remove it
docker compose stop service worker beat
docker compose exec -T backup backup.sh &&
  volume=$(docker inspect --format '{{range .Mounts}}{{if eq .Type "volume"}}{{.Name}}{{end}}{{end}}' \
    "$(docker compose ps --quiet postgres)") &&
  docker compose rm --stop --force backup postgres &&
  docker volume rm "$volume"
