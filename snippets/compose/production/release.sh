#!/usr/bin/env bash
# Puts another version into service while the old one serves on.
#
#   ./release.sh VERSION      saves the database, builds the image if it is missing, migrates, replaces the containers;
#                             with the version that runs, it only replaces them: for changed settings and secrets
#   ./release.sh --rollback   takes the version before again; the database stays as the migrations have left it
#
# When something fails, what is new is removed, the old containers serve on, and it ends with 1. What is interrupted, by
# Ctrl-C or by a connection that is lost, is taken back the same way, and it ends with 130.
set -euo pipefail

say() {
  printf 'release.sh: %s\n' "$*"
}

fail() {
  say "$*" >&2
  exit 1
}

# Ctrl-C reaches this script and not the command, which ends before anything is taken back.
whole() {
  setsid --wait "$@"
}

# Docker has exit codes of its own, 130 among them.
code=1
begun=
end() {
  # Whoever read the output may be gone by now: that must not stop this half way.
  trap '' INT TERM HUP PIPE
  set +e
  [[ -z $begun ]] || undo
  exit "$code"
}
trap end EXIT
trap 'code=130; exit' INT TERM HUP

[[ $# == 1 && $1 =~ ^(--rollback|[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})$ ]] ||
  fail "run: ./release.sh VERSION, such as 1.1.0, or: ./release.sh --rollback"
cd "$(dirname "${BASH_SOURCE[0]}")"
exec {lock}<compose.yaml
flock --nonblock "$lock" || fail "another release is running; wait for its end"

# What runs
ids=$(docker compose ps --quiet service)
read -r -d '' -a old <<<"$ids" || true
((${#old[@]})) || fail "no replica runs; start the stack with: docker compose up --detach --wait"
image=$(docker inspect --format '{{.Config.Image}}' "${old[0]}")
current=${image##*:}
project=$(docker inspect --format '{{index .Config.Labels "com.docker.compose.project"}}' "${old[0]}")
[[ $(docker inspect --format '{{.Config.Image}}' "${old[@]}" | sort --unique | wc --lines) == 1 ]] ||
  fail "replicas of several versions run, as a release leaves them that was killed; run: docker compose up --detach --wait"
# nginx is in it: a replica gets requests by it.
network=$(docker network ls --quiet \
  --filter "label=com.docker.compose.project=$project" --filter label=com.docker.compose.network=app)

# What is to run: for Compose, the environment comes before .env.
VERSION=$1
if [[ $1 == --rollback ]]; then
  VERSION=$(sed -n 's/^PREVIOUS_VERSION=//p' .env 2>/dev/null) || true
  [[ -n $VERSION ]] || fail "no version before $current is known: .env does not name one"
  docker image inspect "${image%:*}:$VERSION" >/dev/null 2>&1 || fail "the image of $VERSION is no longer here"
fi
export VERSION
replicas=$(docker compose config service |
  awk '/^  [^ ]/ { service = $1 } service == "service:" && $1 == "replicas:" { print $2 }')
# What was added by hand stays.
((${replicas:-1} >= ${#old[@]})) || replicas=${#old[@]}
workers=$(docker compose ps --quiet worker | wc --lines)

built=
workers_replaced=
undo() {
  local id added=()
  say "taking $VERSION away again" || exec >/dev/null 2>&1
  for id in $(docker compose ps --all --quiet service); do
    [[ " ${old[*]} " == *" $id "* ]] || added+=("$id")
  done
  # They may have got requests already, and end them.
  ((${#added[@]} == 0)) || {
    whole docker stop "${added[@]}"
    whole docker rm --force "${added[@]}"
  } >/dev/null
  [[ -z $workers_replaced ]] || VERSION=$current whole docker compose up --detach --wait \
    --scale "worker=$((workers ? workers : 1))" worker beat
  # The next try builds it again.
  [[ -z $built ]] || whole docker image rm "${image%:*}:$VERSION" >/dev/null 2>&1
  say "$current serves on; mend what is said above and run this again"
} >&2
begun=yes

if [[ $1 != --rollback && $VERSION != "$current" ]]; then
  say "saving the database"
  docker compose exec -T backup backup.sh || fail "without a backup nothing is changed"
  if ! docker image inspect "${image%:*}:$VERSION" >/dev/null 2>&1; then
    say "building $VERSION"
    built=yes
    docker compose build service || fail "the image was not built"
  fi
  say "migrating the database"
  # Elsewhere a database that is ahead is left alone. Here it means that this version lacks a migration.
  whole docker compose run --rm --no-deps -T migrations alembic -x ahead=refuse upgrade head ||
    fail "the migrations failed"
fi

say "starting $VERSION beside $current"
whole docker compose rm --force service
# Not with --no-deps: Compose would count that as another configuration, and the next `up` make the replicas anew.
whole docker compose up --no-start --no-recreate --scale "service=$((${#old[@]} + ${replicas:-1}))" service
new=()
for id in $(docker compose ps --all --quiet service); do
  [[ " ${old[*]} " == *" $id "* ]] || new+=("$id")
done
# In this network it would get requests at once, before it is healthy.
for id in "${new[@]}"; do
  whole docker network disconnect "$network" "$id"
done
whole docker start "${new[@]}" >/dev/null
deadline=$((SECONDS + 120))
for id in "${new[@]}"; do
  state=
  until [[ $state == "running healthy 0" ]]; do
    state=$(docker inspect --format '{{.State.Status}} {{.State.Health.Status}} {{.RestartCount}}' "$id")
    if [[ $state != "running "@(starting|healthy)" 0" ]] || ((SECONDS > deadline)); then
      docker logs --tail 20 "$id" >&2
      fail "a replica of $VERSION is $state (state, health, restarts); its log stands above"
    fi
    sleep 0.2
  done
done

say "replacing worker and beat when they have ended their jobs"
workers_replaced=yes
# Of the same version, Compose would leave them as they are.
[[ $VERSION != "$current" ]] || whole docker compose restart worker beat
if ! whole docker compose up --detach --wait --wait-timeout 120 --scale "worker=$((workers ? workers : 1))" worker beat; then
  docker compose logs --tail 20 worker beat >&2
  fail "worker and beat of $VERSION are not both healthy; their log stands above"
fi

for id in "${new[@]}"; do
  whole docker network connect --alias service "$network" "$id"
done
say "both versions serve"
# nginx asks for the addresses every second (resolver in nginx.conf).
sleep 3

# From here on only --rollback leads back.
trap '' INT TERM HUP PIPE
begun=
if [[ $VERSION != "$current" ]]; then
  touch .env
  cp --preserve .env .env.new
  {
    grep --invert-match --extended-regexp '^(PREVIOUS_)?VERSION=' .env || true
    printf 'VERSION=%s\nPREVIOUS_VERSION=%s\n' "$VERSION" "$current"
  } >.env.new
  mv .env.new .env
fi
say "$VERSION serves; the replicas of $current end when their last request and stream have ended" ||
  exec >/dev/null 2>&1
whole docker stop "${old[@]}" >/dev/null
whole docker rm "${old[@]}" >/dev/null
code=0
say "done"
