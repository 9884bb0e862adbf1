#!/usr/bin/env bash
# What is done with the chart. Each paragraph stands by itself.

# Look at what it makes
helm template assistant ./assistant --namespace assistant --values mine.yaml

# Install it
kubectl apply --server-side --filename ../kubernetes/base/namespace.yaml
helm install assistant ./assistant --namespace assistant --values mine.yaml --timeout 10m
kubectl --namespace assistant rollout status deployment api --timeout 180s

# See what a release would change
# Helm ends what it shows of a release with more empty lines.
serves=$(helm get manifest assistant --namespace assistant) &&
  comes=$(helm template assistant ./assistant --namespace assistant --values mine.yaml \
    --set-string image.tag=1.1.0 --no-hooks) && {
  diff --unified --ignore-blank-lines <(printf '%s\n' "$serves") <(printf '%s\n' "$comes") || (($? == 1))
}

# Release a version
helm upgrade assistant ./assistant --namespace assistant --values mine.yaml \
  --set-string image.tag=1.1.0 --description "release 1.1.0" --rollback-on-failure --timeout 10m

# See what was released
helm history assistant --namespace assistant

# Roll back
# The number is one of the history. Without one Helm takes the last but one, also when that has failed.
helm rollback assistant 1 --namespace assistant --wait --timeout 10m

# See what the migrations say
kubectl --namespace assistant logs job/migrations

# See why a pod does not start
kubectl --namespace assistant get events --field-selector type=Warning --sort-by .lastTimestamp

# Remove it
helm uninstall assistant --namespace assistant
# Helm leaves what was a hook.
kubectl --namespace assistant delete job migrations --ignore-not-found
