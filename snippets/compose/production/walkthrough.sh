#!/usr/bin/env bash
# From nothing to a running stack and back, in the folder of compose.yaml.

# Prepare
./prepare.sh api.example.com

# Build the image
docker compose build

# Start it
docker compose up --detach --wait --wait-timeout 120

# Check it
api() {
  curl --fail-with-body --silent --show-error --cacert secrets/ca/ca.crt \
    --resolve api.example.com:443:127.0.0.1 "$@"
  echo
}
api https://api.example.com/health/ready
api https://api.example.com/version

# Store and find a document
api https://api.example.com/v1/documents \
  --json '{"text": "Backups are made every night and tried out every week."}'
api --get https://api.example.com/v1/search --data-urlencode "q=when are backups made"

# Look inside
docker compose ps
docker compose exec -T service python -c \
  "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:8000/health/deep').read().decode())"
docker compose logs --no-log-prefix --tail 5 service

# Stop it and start it again
docker compose down
docker compose up --detach --wait --wait-timeout 120
api --get https://api.example.com/v1/search --data-urlencode "q=when are backups made"

# Remove it with all its data
docker compose down --volumes
