#!/usr/bin/env bash
# Runs the control plane in one container: etcd, the API server, the controller manager and the scheduler. When one of
# them ends, so does the container. /cluster has the keys and the tokens.
set -euo pipefail

readonly SERVICES=10.96.0.0/16
readonly PODS=10.244.0.0/16

etcd --data-dir /var/lib/etcd --unsafe-no-fsync --log-level warn \
  --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
  --listen-peer-urls http://127.0.0.1:2380 &

kube-apiserver --etcd-servers http://127.0.0.1:2379 \
  --advertise-address "$(hostname -i)" --secure-port 6443 --service-cluster-ip-range "$SERVICES" \
  --tls-cert-file /cluster/server.crt --tls-private-key-file /cluster/server.key --client-ca-file /cluster/ca.crt \
  --token-auth-file /cluster/tokens.csv --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
  --service-account-issuer https://kubernetes.default.svc.cluster.local \
  --service-account-key-file /cluster/accounts.pub --service-account-signing-key-file /cluster/accounts.key \
  --kubelet-client-certificate /cluster/client.crt --kubelet-client-key /cluster/client.key \
  --kubelet-preferred-address-types InternalIP \
  --requestheader-client-ca-file /cluster/ca.crt --requestheader-allowed-names aggregator \
  --requestheader-username-headers X-Remote-User --requestheader-group-headers X-Remote-Group \
  --requestheader-extra-headers-prefix X-Remote-Extra- \
  --proxy-client-cert-file /cluster/aggregator.crt --proxy-client-key-file /cluster/aggregator.key \
  --enable-aggregator-routing --allow-privileged --event-ttl 6h &

kube-controller-manager --kubeconfig /cluster/controllers.conf --leader-elect=false \
  --cluster-cidr "$PODS" --allocate-node-cidrs=false --service-cluster-ip-range "$SERVICES" \
  --root-ca-file /cluster/ca.crt --service-account-private-key-file /cluster/accounts.key \
  --cluster-signing-cert-file /cluster/ca.crt --cluster-signing-key-file /cluster/ca.key \
  --use-service-account-credentials --node-monitor-grace-period 16s &

kube-scheduler --kubeconfig /cluster/scheduler.conf --leader-elect=false &

wait -n
