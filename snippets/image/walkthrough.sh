#!/usr/bin/env bash
# The image of the service by itself, without a stack around it. Run it in the folder that holds the folder service.

# Build it
docker build --tag assistant:1.0.0 service

# See what is in it
docker image inspect --format 'user {{.Config.User}}, command {{.Config.Cmd}}, stopped by {{.Config.StopSignal}}' \
  assistant:1.0.0
docker run --rm assistant:1.0.0 ls -A
docker run --rm assistant:1.0.0 sh -c 'for tool in pip curl wget gcc; do ! command -v "$tool" || exit 1; done'
docker history --format '{{.Size}} {{.CreatedBy}}' assistant:1.0.0

# Make its secrets
mkdir --mode=700 private
mkdir private/secrets
for name in database_password cache_password broker_password provider_api_key api_key; do
  openssl rand -hex 32 >"private/secrets/$name"
done
printf 'me:%s\n' "$(tr -d '\n' <private/secrets/api_key | sha256sum | cut -d ' ' -f 1)" >private/secrets/api_keys
mv private/secrets/api_key private/
chmod -R a+rX private/secrets

# Run it
docker run --detach --name assistant-alone \
  --read-only --tmpfs /tmp:size=64m --cap-drop ALL --security-opt no-new-privileges \
  --memory 512m --cpus 1 --pids-limit 128 --stop-timeout 75 \
  --mount type=bind,source="$PWD/private/secrets",target=/run/secrets,readonly \
  --publish 127.0.0.1::8000 \
  assistant:1.0.0

# Ask it
curl --fail-with-body --silent --show-error --retry 20 --retry-all-errors --retry-delay 1 \
  "http://$(docker port assistant-alone 8000)/health/ready"
docker inspect --format '{{.State.Health.Status}}' assistant-alone
docker logs assistant-alone

# Stop it
docker stop assistant-alone
docker inspect --format 'ended with {{.State.ExitCode}}' assistant-alone

# Remove it
docker rm assistant-alone
rm -r private
