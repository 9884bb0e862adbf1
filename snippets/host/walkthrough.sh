#!/usr/bin/env bash
# Makes a fresh Debian 13 a host for the stack. Run it as root, step by step, in the folder of these files.
set -euo pipefail

# Put the settings in place
install -D --mode 644 daemon.json /etc/docker/daemon.json

# Install the engine
apt-get update
apt-get install --yes --no-install-recommends ca-certificates docker-buildx docker-cli docker-compose docker.io

# Look at the engine
dockerd --validate --config-file /etc/docker/daemon.json
docker version --format 'engine {{.Server.Version}}'
docker compose version --short
docker info --format 'logs: {{.LoggingDriver}}, live restore: {{.LiveRestoreEnabled}}'

# Set up the kernel
install --mode 644 sysctl.d/60-redis.conf /etc/sysctl.d/
sysctl --load /etc/sysctl.d/60-redis.conf

# Make a user who deploys
useradd --create-home --shell /bin/bash --groups docker deploy
install --directory --owner deploy --group deploy --mode 750 /srv/assistant

# Close the host
apt-get install --yes --no-install-recommends ufw
ufw default deny incoming
ufw allow 22/tcp
ufw allow 80/tcp
ufw allow 443/tcp
ufw --force enable

# Close what containers publish
install --mode 644 docker-user.rules /etc/docker/
install --mode 644 docker-user.service /etc/systemd/system/
systemctl daemon-reload
systemctl enable --now docker-user.service
iptables --list-rules DOCKER-USER

# Keep it current and on time
apt-get install --yes --no-install-recommends systemd-timesyncd unattended-upgrades
apt-config dump APT::Periodic::Unattended-Upgrade
systemctl is-enabled systemd-timesyncd
timedatectl show --property NTPSynchronized

# Run a container
docker run --detach --name hello --restart unless-stopped --publish 80:80 nginx:1.30.6
curl --fail --silent --show-error --retry 5 --retry-all-errors --output /dev/null http://127.0.0.1/
docker logs --tail 1 hello

# Upgrade the engine
apt-get update
apt-get install --yes --no-install-recommends --only-upgrade \
  containerd docker-buildx docker-cli docker-compose docker.io runc
systemctl restart docker
docker ps --format '{{.Names}} {{.Status}}'
