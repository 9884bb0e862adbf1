#!/usr/bin/env bash
# Makes sure that there is a Chromium for the tests that read the site (`make browser`).
#
# When CHROMIUM names one, or the one without windows is there, which is the fastest, this says so and changes nothing.
# As root on Debian it installs that. Anywhere else any Chromium or Chrome will do; where there is none, it prints what
# to do and ends with 1.
set -euo pipefail

say() {
  printf 'browser: %s\n' "$*" >&2
}

# Ends this script when the browser starts.
use() {
  local version
  if ! version=$("$1" --version 2>/dev/null); then
    say "$1 does not start; name another one: CHROMIUM=..."
    exit 1
  fi
  say "$version"
  exit 0
}

readonly PACKAGE=chromium-headless-shell

ID=''
if [[ -r /etc/os-release ]]; then
  # shellcheck disable=SC1091 # a file of the system
  . /etc/os-release
fi

browser="${CHROMIUM:-$(command -v $PACKAGE || true)}"
if [[ -n $browser ]]; then
  use "$browser"
fi
if [[ $ID == debian ]] && command -v apt-get >/dev/null && ((EUID == 0)); then
  say "installing $PACKAGE"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $PACKAGE >/dev/null
  use $PACKAGE
fi
browser=$(command -v google-chrome || command -v chromium || true)
if [[ -n $browser ]]; then
  use "$browser"
fi
if [[ $ID == debian ]]; then
  say "there is no Chromium; run: sudo apt-get install $PACKAGE"
else
  say 'there is no Chromium; install Chromium or Chrome, or name one: CHROMIUM=/path/to/it'
fi
exit 1
