#!/usr/bin/env bash
# Docker Engine and Compose from Docker's own repository, for Debian 13. Run it as root, step by step.
set -euo pipefail

# Fetch the key
apt-get update
apt-get install --yes --no-install-recommends ca-certificates curl gpg
install --directory --mode 755 /etc/apt/keyrings
curl --fail --silent --show-error --location \
  --output /etc/apt/keyrings/docker.asc https://download.docker.com/linux/debian/gpg
chmod 644 /etc/apt/keyrings/docker.asc

# Compare its fingerprint
fingerprint=$(gpg --show-keys --with-colons /etc/apt/keyrings/docker.asc | awk -F : \
  '$1 == "pub" { primary = 1 } $1 == "fpr" && primary { print $10; primary = 0 }')
if [[ $fingerprint != 9DC858229FC7DD38854AE2D88D81803C0EBFCD88 ]]; then
  echo "not Docker's key: $fingerprint" >&2
  rm /etc/apt/keyrings/docker.asc
  exit 1
fi

# Add the repository
install --mode 644 docker-debian.sources /etc/apt/sources.list.d/docker.sources
apt-get update

# Install one version
version='5:29.7.2-*'
apt-get install --yes --no-install-recommends --allow-change-held-packages \
  "docker-ce=$version" "docker-ce-cli=$version" containerd.io docker-buildx-plugin docker-compose-plugin

# Hold it
apt-mark hold docker-ce docker-ce-cli containerd.io docker-buildx-plugin docker-compose-plugin
