#!/usr/bin/env bash
# Makes the file system that every substitute image stands on, as a tar file.
#
# usage: build.sh SUITE MIRROR OUTPUT.tar
#
# The image's apt is told what the host's apt is told about proxies and about the age of
# archives, and it trusts the certificate authorities that were added to the host. That
# makes the image a thing of this machine: it must not be published.
set -euo pipefail

suite=$1
mirror=$2
output=$3

options=(
  --variant=minbase
  --include=ca-certificates
  --components=main
  --aptopt='Acquire::Languages "none"'
  --aptopt='APT::Install-Recommends "false"'
  --dpkgopt='path-exclude=/usr/share/man/*'
  --dpkgopt='path-exclude=/usr/share/info/*'
  --dpkgopt='path-exclude=/usr/share/locale/*'
  --dpkgopt='path-exclude=/usr/share/doc/*'
  --dpkgopt='path-include=/usr/share/doc/*/copyright'
)

for name in Acquire::Check-Valid-Until Acquire::Check-Date Acquire::http::Proxy Acquire::https::Proxy; do
  value=''
  eval "$(apt-config shell value "$name")"
  if [[ -n $value ]]; then
    options+=(--aptopt="$name \"$value\"")
  fi
done

if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
  # shellcheck disable=SC2016 # mmdebstrap expands it
  options+=(
    --customize-hook='copy-in /usr/local/share/ca-certificates /usr/local/share'
    --customize-hook='chroot "$1" update-ca-certificates'
  )
fi

mmdebstrap "${options[@]}" "$suite" "$output" "$mirror"
