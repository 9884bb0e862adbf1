#!/usr/bin/env bash
# From nothing to a running service in a cluster of its own and back, in the folder try-out.

# Make a cluster
kind create cluster --config kind.yaml

# Let it measure what pods use
kubectl apply --filename \
  https://github.com/kubernetes-sigs/metrics-server/releases/download/v0.9.0/components.yaml
# kind's nodes have certificates that nobody vouches for.
kubectl --namespace kube-system patch deployment metrics-server --type json \
  --patch '[{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--kubelet-insecure-tls"}]'

# Prepare
./prepare.sh

# Build the images
docker build --tag assistant:1.0.0 ../../service
docker build --tag assistant-provider:1.0.0 ../../provider

# Load the images
kind load docker-image --name assistant assistant:1.0.0 assistant-provider:1.0.0

# Start it
kubectl apply --server-side --kustomize ../policy
./release.sh 1.0.0

# Check it
# The key comes by a file: what stands in a command is shown to everybody on the host by `ps`.
api() {
  curl --fail-with-body --silent --show-error \
    --config <(printf 'header = "Authorization: Bearer %s"\n' "$(<secrets/api_key)") "$@" &&
    echo
}
api http://127.0.0.1:30080/health/ready
api http://127.0.0.1:30080/version

# Store and find a document
api http://127.0.0.1:30080/v1/documents \
  --json '{"text": "Backups are made every night and tried out every week."}'
api --get http://127.0.0.1:30080/v1/search --data-urlencode "q=when are backups made"

# Ask a question
api --no-buffer http://127.0.0.1:30080/v1/answers --json '{"question": "When are backups made?"}'

# Import documents in the background
job=$(api http://127.0.0.1:30080/v1/jobs \
  --json '{"texts": ["Restores are tried out on Mondays.", "Certificates are renewed once a year."]}' \
  --output /dev/null --write-out '%header{location}')
for _ in {1..30}; do
  state=$(api "http://127.0.0.1:30080$job")
  [[ $state == *'"state":"queued"'* || $state == *'"state":"running"'* ]] || break
  sleep 0.5
done
echo "$state"

# Look inside
kubectl --namespace assistant get pods --output wide
kubectl --namespace assistant get horizontalpodautoscaler api
kubectl --namespace assistant exec deployment/api -- python -c \
  "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:8000/health/deep').read().decode())"
kubectl --namespace assistant logs deployment/api --tail 5

# Release a version
docker build --tag assistant:1.1.0 ../../service
kind load docker-image --name assistant assistant:1.1.0
./release.sh 1.1.0

# Go back to the version before
./release.sh 1.0.0

# Remove it with all its data
kubectl delete namespace assistant
kubectl delete --kustomize ../policy

# Remove the cluster
kind delete cluster --name assistant
