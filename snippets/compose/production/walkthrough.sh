#!/usr/bin/env bash
# From nothing to a running stack and back, in the folder of compose.yaml.

# Prepare
./prepare.sh api.example.com

# Build the images
docker compose build

# Start it
docker compose up --detach --wait --wait-timeout 120

# Check it
# The key comes by a file: what stands in a command is shown to everybody on the host by `ps`.
api() {
  curl --fail-with-body --silent --show-error --cacert secrets/ca/ca.crt \
    --resolve api.example.com:443:127.0.0.1 \
    --config <(printf 'header = "Authorization: Bearer %s"\n' "$(<secrets/api_key)") "$@" &&
    echo
}
api https://api.example.com/health/ready
api https://api.example.com/version

# Store and find a document
api https://api.example.com/v1/documents \
  --json '{"text": "Backups are made every night and tried out every week."}'
api --get https://api.example.com/v1/search --data-urlencode "q=when are backups made"

# Ask a question
api --no-buffer https://api.example.com/v1/answers --json '{"question": "When are backups made?"}'

# Import documents in the background
job=$(api https://api.example.com/v1/jobs \
  --json '{"texts": ["Restores are tried out on Mondays.", "Certificates are renewed once a year."]}' \
  --output /dev/null --write-out '%header{location}')
for _ in {1..30}; do
  state=$(api "https://api.example.com$job")
  [[ $state == *'"state":"queued"'* || $state == *'"state":"running"'* ]] || break
  sleep 0.5
done
echo "$state"

# Look inside
docker compose ps
docker compose exec -T service python -c \
  "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:8000/health/deep').read().decode())"
docker compose logs --no-log-prefix --tail 5 service

# Renew the certificate
./prepare.sh api.example.com renew
docker compose exec -T nginx nginx -s reload

# Stop it and start it again
docker compose down
docker compose up --detach --wait --wait-timeout 120
api --get https://api.example.com/v1/search --data-urlencode "q=when are backups made"

# Remove it with all its data
docker compose down --volumes
