#!/usr/bin/env bash
# A stack to develop with, from nothing and back, in the folder of compose.yaml.

# Prepare
./prepare.sh

# Start it
docker compose up --build --detach --wait --wait-timeout 120

# Check it
api() {
  curl --fail-with-body --silent --show-error \
    --config <(printf 'header = "Authorization: Bearer %s"\n' "$(<secrets/api_key)") "$@"
  echo
}
api http://127.0.0.1:8000/version
api http://127.0.0.1:8000/v1/documents --json '{"text": "An edit is served at once."}'
api --get http://127.0.0.1:8000/v1/search --data-urlencode "q=when is an edit served"

# Edit and see
sed -i.before 's/1\.0\.0/1.0.1/' ../../service/assistant/__init__.py
for _ in {1..50}; do
  [[ $(api http://127.0.0.1:8000/version) != *1.0.1* ]] || break
  sleep 0.2
done
api http://127.0.0.1:8000/version
mv ../../service/assistant/__init__.py.before ../../service/assistant/__init__.py

# Look inside
docker compose logs --no-log-prefix --tail 5 service
docker compose exec -T postgres psql --username=postgres --dbname=assistant --command='SELECT text FROM documents'

# Run the tests of the service
docker compose exec -T service pytest --quiet -p no:cacheprovider tests/test_health.py

# Stop it and start it again
docker compose down
docker compose up --detach --wait --wait-timeout 120
api --get http://127.0.0.1:8000/v1/search --data-urlencode "q=when is an edit served"

# Remove it with all its data
docker compose down --volumes
