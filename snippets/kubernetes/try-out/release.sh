#!/usr/bin/env bash
# Puts a version into service while the old one serves on.
#
#   ./release.sh VERSION           applies settings, secrets and data stores, migrates, and replaces the pods; with the
#                                  version that runs, only pods whose settings or secrets have changed
#   ./release.sh VERSION FOLDER    the same with another overlay, such as ../production
#
# VERSION is a tag of the image, or its digest: sha256:... The version before goes into service the same way: migrations
# leave what it needs, and it leaves the database as it is.
# When something fails, the pods become what they were, and it ends with 1; with 130 when it is interrupted.
set -euo pipefail

say() {
  printf 'release.sh: %s\n' "$*"
}

fail() {
  say "$*" >&2
  exit 1
}

# Ctrl-C reaches this script and not the command, which ends what it does.
whole() {
  setsid --wait "$@"
}

# kubectl has exit codes of its own, 130 among them.
code=1
work=
migrating=
begun=
end() {
  # Whoever read the output may be gone by now: that must not stop this half way.
  trap '' INT TERM HUP PIPE
  set +e
  # It is not to begin after this said that it failed. What has ended stays, with its log.
  [[ -z $migrating ]] || "${in_it[@]}" patch job migrations --patch '{"spec": {"suspend": true}}' &>/dev/null
  [[ -z $begun ]] || undo
  [[ -z $work ]] || rm -rf "$work"
  exit "$code"
}
trap end EXIT
trap 'code=130; exit' INT TERM HUP

[[ ($# == 1 || $# == 2) && $1 =~ ^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}|sha256:[0-9a-f]{64})$ && $1 != latest ]] ||
  fail "run: ./release.sh VERSION, such as 1.1.0; VERSION is a tag other than latest, or a digest"
version=$1
cd "$(dirname "${BASH_SOURCE[0]}")"
folder=${2:-.}
[[ -f $folder/kustomization.yaml ]] ||
  fail "$folder has no kustomization.yaml; FOLDER is an overlay, such as ../production"
overlay=$(basename "$(realpath "$folder")")
[[ $overlay != try-out || -e secrets ]] || fail "there are no secrets; run: ./prepare.sh"
exec {lock}<"$folder/kustomization.yaml"
flock --nonblock "$lock" || fail "another release is running; wait for its end"
kubectl get --raw /readyz >/dev/null || fail "the cluster does not answer; look at: kubectl config current-context"

in_it=(kubectl --namespace assistant)
# The same name each time: a field that an object no longer has is removed; an object that is no longer here stays. By
# force: what somebody changed since is taken back.
apply=("${in_it[@]}" apply --server-side --force-conflicts --field-manager release.sh)
component=app.kubernetes.io/component
first="$component!=api,$component!=worker,$component!=beat,$component!=migrations"
second="$component=migrations"
last="$component in (api,worker,beat)"

# kustomize takes no version as an argument, so it becomes a kustomization of its own; beside the overlays, because none
# may lie in the folder that it is made of.
work=$(mktemp -d ../.release.XXXXXX)
printf '*\n' >"$work/.gitignore"
kind=newTag
[[ $version != sha256:* ]] || kind=digest
image=$("${in_it[@]}" create --dry-run=client --kustomize "$folder" --selector "$second" \
  --output 'jsonpath={.spec.template.spec.containers[0].image}')
name=${image%@*}
[[ ${name##*/} != *:* ]] || name=${name%:*}
cat >"$work/kustomization.yaml" <<YAML
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - $(realpath --relative-to="$work" "$folder")
images:
  - name: $name
    $kind: "$version"
YAML
pods=$("${in_it[@]}" create --dry-run=client --kustomize "$work" --selector "$last" --output yaml)

wait_for() {
  local one
  for one in "$@"; do
    "${in_it[@]}" rollout status --timeout 180s "$one" || return
  done
}

# What runs is kept in the cluster: with the names of its settings and secrets, which are still there.
current=$("${in_it[@]}" get configmap release --ignore-not-found --output 'jsonpath={.data.version}')
pods_before=$("${in_it[@]}" get configmap release --ignore-not-found --output 'jsonpath={.data.pods}')
before=$("${in_it[@]}" get configmap release --ignore-not-found --output 'jsonpath={.data.overlay}')
# Another one has other settings and another database.
[[ -z $before || $before == "$overlay" ]] ||
  fail "this namespace was released from the overlay $before; run: ./release.sh $version ../$before; to change it for" \
    "good: kubectl --namespace assistant patch configmap release --patch '{\"data\": {\"overlay\": \"$overlay\"}}'"
undo() {
  if [[ -z $current ]]; then
    say "there is no version to go back to; mend what is said above and run this again"
    return
  fi
  say "taking $version away again" || exec >/dev/null 2>&1
  if whole "${apply[@]}" --filename - <<<"$pods_before" >/dev/null &&
    wait_for deployment/api deployment/worker deployment/beat >/dev/null; then
    say "$current serves; mend what is said above and run this again"
  else
    say "$current is not ready, or could not be applied; look at: kubectl --namespace assistant get pods"
  fi
} >&2

say "applying settings, secrets and data stores"
"${apply[@]}" --kustomize "$work" --selector "$first"
read -r -d '' -a stores < <("${in_it[@]}" get deployments,statefulsets --selector "$first" --output name) || true
if ! wait_for "${stores[@]}"; then
  "${in_it[@]}" get pods --selector "$first" >&2 || true
  "${in_it[@]}" get events --field-selector type=Warning --sort-by .lastTimestamp >&2 || true
  fail "a data store does not become ready; what is said about it stands above"
fi

say "migrating the database"
# A Job can't be changed. With its pods: what they waited for is not what the new ones wait for.
"${in_it[@]}" delete job migrations --ignore-not-found --cascade=foreground >/dev/null
migrating=yes
"${apply[@]}" --kustomize "$work" --selector "$second"
deadline=$((SECONDS + 330))
until [[ ${state:-} == *Complete* ]]; do
  state=$("${in_it[@]}" get job migrations --output 'jsonpath={.status.conditions[?(@.status=="True")].type}')
  waits=$("${in_it[@]}" get pods --selector "$second" \
    --output 'jsonpath={.items[*].status.containerStatuses[*].state.waiting.reason}')
  # No second try makes an image that is not there, or another limit of the namespace.
  if [[ $state == *Failed* || $waits =~ ImagePullBackOff|ErrImageNeverPull|InvalidImageName|ConfigError ]] ||
    ((SECONDS > deadline)); then
    "${in_it[@]}" logs --selector "$second" --tail 20 --prefix --ignore-errors >&2 || true
    fail "the migrations of $version failed (${waits:-${state:-no end}}); ${current:-nothing} serves on"
  fi
  sleep 0.5
done
migrating=

say "replacing the pods"
begun=yes
"${apply[@]}" --filename - <<<"$pods"
if ! wait_for deployment/worker deployment/beat deployment/api; then
  "${in_it[@]}" get pods --selector "$last" >&2 || true
  "${in_it[@]}" logs --selector "$last" --tail 10 --prefix --ignore-errors >&2 || true
  fail "the pods of $version do not become ready; what they say stands above"
fi

# They serve: what follows only writes it down.
trap '' INT TERM HUP
"${in_it[@]}" create configmap release --from-literal version="$version" --from-literal overlay="$overlay" \
  --from-literal pods="$pods" \
  --dry-run=client --output yaml | "${apply[@]}" --filename - >/dev/null
begun=
code=0
if [[ -z $current || $current == "$version" ]]; then
  say "$version serves"
else
  say "$version serves; back to the version before: ./release.sh $current${2:+ $2}"
fi
