#!/usr/bin/env bash
# What is done to a running stack. Each paragraph stands by itself.

# Release a version
./release.sh 1.1.0

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
docker compose exec -T backup restore.sh latest
docker compose up --detach --wait --wait-timeout 120
