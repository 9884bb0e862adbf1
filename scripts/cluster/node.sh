#!/usr/bin/env bash
# Runs a node in a container: containerd, the kubelet, kube-proxy and what enforces NetworkPolicies. When one of them
# ends, so does the container. NODE is its name, PODS the range of its pods. /cluster has its key.
set -euo pipefail

mount --make-rshared /
# What a container sets here is the whole machine's: it is read only, and what it has is good enough.
sysctl --quiet --write net.ipv4.ip_forward=1 || true

cat >/etc/cni/net.d/10-pods.conflist <<CONF
{
  "cniVersion": "0.4.0",
  "name": "pods",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "cni0",
      "isGateway": true,
      "hairpinMode": true,
      "mtu": $(</sys/class/net/eth0/mtu),
      "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "$PODS"}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}},
    {"type": "loopback"}
  ]
}
CONF
# What leaves the pods' network has the node's address.
iptables --table nat --append POSTROUTING --source 10.244.0.0/16 ! --destination 10.244.0.0/16 --jump MASQUERADE

containerd --config /scripts/containerd.toml --log-level warn &
until [[ -S /run/containerd/containerd.sock ]]; do sleep 0.1; done
kubelet --config /scripts/kubelet.yaml --kubeconfig "/cluster/$NODE.conf" --hostname-override "$NODE" \
  --node-ip "$(hostname -i)" --cert-dir /var/lib/kubelet/pki &
kube-proxy --kubeconfig /cluster/proxy.conf --hostname-override "$NODE" --proxy-mode iptables \
  --cluster-cidr 10.244.0.0/16 --conntrack-max-per-core 0 --conntrack-tcp-timeout-established 0 \
  --conntrack-tcp-timeout-close-wait 0 &
# It looks for its node once, and for the range of its pods.
(
  until [[ -e /run/registered ]]; do sleep 0.2; done
  exec kube-router --kubeconfig /cluster/policies.conf --hostname-override "$NODE" \
    --run-firewall --run-router=false --run-service-proxy=false --run-loadbalancer=false \
    --service-cluster-ip-range 10.96.0.0/16
) &

wait -n
