#!/usr/bin/env bash
# The firewall of a VM, by nftables or by ufw. Run it as root, paragraph by paragraph, in the folder of nftables.conf.
set -euo pipefail

# Install nftables
apt-get update
apt-get install --yes --no-install-recommends nftables

# Check the rules
nft --check --file nftables.conf

# Load the rules for two minutes
systemd-run --unit=firewall-undo --on-active=2min --timer-property=AccuracySec=1s nft destroy table inet firewall &&
  nft --file nftables.conf

# Keep the rules
systemctl stop firewall-undo.timer &&
  install --mode 644 nftables.conf /etc/nftables.conf &&
  systemctl enable --now nftables.service

# Look at the rules
nft list table inet firewall
systemctl is-enabled nftables.service

# Open one more port for two minutes
sed '/elements/s/443/443, 8443/' /etc/nftables.conf >/etc/nftables.conf.new
nft --check --file /etc/nftables.conf.new
systemd-run --unit=firewall-undo --on-active=2min --timer-property=AccuracySec=1s systemctl reload nftables.service &&
  nft --file /etc/nftables.conf.new

# Keep the port open
systemctl stop firewall-undo.timer &&
  mv /etc/nftables.conf.new /etc/nftables.conf

# Close the port again
sed --in-place '/elements/s/, 8443//' /etc/nftables.conf
nft --check --file /etc/nftables.conf
systemctl reload nftables.service

# Go without nftables
systemctl disable nftables.service
nft destroy table inet firewall

# Install ufw
apt-get update
apt-get install --yes --no-install-recommends ufw
ufw default deny incoming
ufw allow 22/tcp
ufw allow 80/tcp
ufw allow 443/tcp
ufw show added

# Enable ufw for two minutes
systemd-run --unit=firewall-undo --on-active=2min --timer-property=AccuracySec=1s ufw disable &&
  ufw --force enable

# Keep ufw
systemctl stop firewall-undo.timer

# Look at ufw
ufw status verbose
iptables --list ufw-user-input --numeric --verbose

# Open one more port in ufw
ufw allow 8443/tcp

# Close the port in ufw
ufw delete allow 8443/tcp

# Go without ufw
ufw disable
