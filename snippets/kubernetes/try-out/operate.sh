#!/usr/bin/env bash
# What is done to a running service. Each paragraph stands by itself.

# Release a version
./release.sh 1.1.0

# Use changed settings and secrets
./release.sh "$(kubectl --namespace assistant get configmap release --output 'jsonpath={.data.version}')"

# Roll back
./release.sh 1.0.0

# See what the migrations say
kubectl --namespace assistant logs job/migrations

# See which migration the database has
kubectl --namespace assistant exec postgres-0 -- psql --username=postgres --dbname=assistant \
  --tuples-only --no-align --command="SELECT version_num FROM alembic_version"

# See what a release would change
# With the version of the file. Without the Job, which is never changed but made anew.
kubectl diff --server-side --field-manager release.sh --force-conflicts --kustomize . \
  --selector app.kubernetes.io/component!=migrations || (($? == 1))

# Look at the logs
kubectl --namespace assistant logs --selector app.kubernetes.io/component=api --prefix --tail 20

# Look at the logs of a container that was restarted
kubectl --namespace assistant logs "${POD:?the name of a pod}" --previous --tail 20

# See what goes wrong
kubectl --namespace assistant get pods --output wide
kubectl --namespace assistant get events --field-selector type=Warning --sort-by .lastTimestamp

# See what it uses
kubectl --namespace assistant top pods
kubectl --namespace assistant get horizontalpodautoscalers

# See its metrics
kubectl --namespace assistant exec deployment/api -- python -c \
  "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:8000/metrics').read().decode())"

# Ask the database
kubectl --namespace assistant exec postgres-0 -- psql --username=postgres --dbname=assistant \
  --command="SELECT state, count(*) FROM pg_stat_activity WHERE datname = 'assistant' GROUP BY state"

# Add an API key
(
  umask 077
  openssl rand -base64 36 | tr '+/' '-_' >secrets/api_key_of_another
)
printf 'another:%s\n' "$(tr -d '\n' <secrets/api_key_of_another | sha256sum | cut -d ' ' -f 1)" >>secrets/api_keys
./release.sh "$(kubectl --namespace assistant get configmap release --output 'jsonpath={.data.version}')"

# Revoke an API key
grep --quiet '^another:' secrets/api_keys &&
  sed --in-place '/^another:/d' secrets/api_keys &&
  ./release.sh "$(kubectl --namespace assistant get configmap release --output 'jsonpath={.data.version}')"

# Change the password of the database
mv --force secrets/database_password secrets/database_password.old &&
  ./prepare.sh &&
  kubectl --namespace assistant exec --stdin postgres-0 -- \
    psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username=postgres <<SQL &&
-- The statement holds the password: it is not to be logged, be it slow or wrong.
SET log_min_duration_statement = -1;
SET log_min_error_statement = panic;
ALTER ROLE assistant PASSWORD '$(<secrets/database_password)';
SQL
  ./release.sh "$(kubectl --namespace assistant get configmap release --output 'jsonpath={.data.version}')"

# Change the passwords of cache and broker
mv --force secrets/cache_password secrets/cache_password.old &&
  mv --force secrets/broker_password secrets/broker_password.old &&
  ./prepare.sh &&
  ./release.sh "$(kubectl --namespace assistant get configmap release --output 'jsonpath={.data.version}')"

# Have at least three pods
# Until the next release: to keep it, change minReplicas in api.yaml.
kubectl --namespace assistant patch horizontalpodautoscaler api --patch '{"spec": {"minReplicas": 3}}'
for _ in {1..60}; do
  number=$(kubectl --namespace assistant get deployment api --output 'jsonpath={.spec.replicas}')
  ((number < 3)) || break
  sleep 2
done
kubectl --namespace assistant rollout status deployment api --timeout 120s

# Resize a pod in place
pod=${POD:?the name of a pod}
memory=768Mi
kubectl --namespace assistant patch pod "$pod" --subresource resize --patch "$(
  cat <<YAML
spec:
  containers:
    - name: api
      resources:
        requests: {memory: $memory}
        limits: {memory: $memory}
YAML
)"
kubectl --namespace assistant wait pod "$pod" --timeout 60s \
  --for "jsonpath={.status.containerStatuses[0].resources.limits.memory}=$memory"

# Add a worker
kubectl --namespace assistant scale deployment worker --replicas 2
kubectl --namespace assistant rollout status deployment worker --timeout 120s

# Restart the pods one after another
kubectl --namespace assistant rollout restart deployment api
kubectl --namespace assistant rollout status deployment api --timeout 180s

# Drain a node
# Not the one of the database: its volume stays where it is.
database=$(kubectl --namespace assistant get pod postgres-0 --output 'jsonpath={.spec.nodeName}')
node=$(kubectl --namespace assistant get pods --selector app.kubernetes.io/component=api \
  --field-selector "spec.nodeName!=$database" --output 'jsonpath={.items[0].spec.nodeName}')
kubectl drain "$node" --ignore-daemonsets --delete-emptydir-data --timeout 300s
kubectl get pods --all-namespaces --field-selector "spec.nodeName=$node"

# Let a drained node take pods again
kubectl get nodes --output 'jsonpath={.items[?(@.spec.unschedulable==true)].metadata.name}' |
  xargs --no-run-if-empty kubectl uncordon

# Have the pods of a lost node elsewhere
# First see that it is off: a database that still runs there would write beside the new one.
kubectl taint node "${NODE:?the name of the node}" node.kubernetes.io/out-of-service=nodeshutdown:NoExecute
for one in statefulset/{postgres,broker} deployment/{cache,provider,api,worker,beat}; do
  kubectl --namespace assistant rollout status "$one" --timeout 180s
done
