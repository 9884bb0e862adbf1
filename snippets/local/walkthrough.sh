#!/usr/bin/env bash
# The service without a container of its own, in the folder `service`.

# Make the environment
python3 -m venv .venv
.venv/bin/pip install --quiet --require-hashes --requirement requirements-development.txt

# Start what it needs
../compose/development/prepare.sh
(cd ../compose/development && docker compose up --detach --wait --wait-timeout 120 postgres cache broker provider)

# Say where the secrets are
export SECRETS_DIR=../compose/development/secrets
export LOG_FORMAT=text

# Make the tables
.venv/bin/alembic upgrade head

# Run it
.venv/bin/python -m assistant --reload >service.log 2>&1 &
service=$!
curl --fail --silent --show-error --retry 9 --retry-connrefused http://127.0.0.1:8000/health/ready

# Run the worker
.venv/bin/celery --quiet --app=assistant.tasks worker --concurrency=2 --beat >worker.log 2>&1 &
worker=$!

# Check it
api() {
  curl --fail-with-body --silent --show-error \
    --config <(printf 'header = "Authorization: Bearer %s"\n' "$(<"$SECRETS_DIR/api_key")") "$@"
  echo
}
api http://127.0.0.1:8000/v1/documents --json '{"text": "An edit is served at once."}'
api --no-buffer http://127.0.0.1:8000/v1/answers --json '{"question": "When is an edit served?"}'

# Import documents in the background
job=$(api http://127.0.0.1:8000/v1/jobs --json '{"texts": ["A breakpoint stops it."]}' \
  --output /dev/null --write-out '%header{location}')
for _ in {1..30}; do
  state=$(api "http://127.0.0.1:8000$job")
  [[ $state == *'"state":"queued"'* || $state == *'"state":"running"'* ]] || break
  sleep 0.5
done
echo "$state"

# Run the tests
.venv/bin/pytest --quiet tests/test_health.py

# Run it as production does
kill "$service"
wait "$service" || true
.venv/bin/gunicorn >service.log 2>&1 &
service=$!
curl --fail --silent --show-error --retry 9 --retry-connrefused http://127.0.0.1:8000/health/ready

# Stop it
kill "$service" "$worker"
wait

# Stop what it needed
(cd ../compose/development && docker compose down)
