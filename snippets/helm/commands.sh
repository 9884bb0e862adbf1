#!/usr/bin/env bash
# What is done with the chart. Each paragraph stands by itself.

# Look at what it makes
helm template assistant ./assistant --namespace assistant --values mine.yaml

# Install it
kubectl apply --server-side --filename ../kubernetes/base/namespace.yaml
helm install assistant ./assistant --namespace assistant --values mine.yaml --timeout 10m
kubectl --namespace assistant rollout status deployment api --timeout 180s

# See what a release would change
diff --unified <(helm get manifest assistant --namespace assistant) \
  <(helm template assistant ./assistant --namespace assistant --values mine.yaml \
    --set-string image.tag=1.1.0 --no-hooks) || (($? == 1))

# Release a version
helm upgrade assistant ./assistant --namespace assistant --values mine.yaml \
  --set-string image.tag=1.1.0 --rollback-on-failure --timeout 10m

# See what was released
helm history assistant --namespace assistant

# Roll back
helm rollback assistant --namespace assistant --wait --timeout 10m

# See what the migrations say
kubectl --namespace assistant logs job/migrations
