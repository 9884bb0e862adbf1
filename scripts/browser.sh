#!/usr/bin/env bash
# Makes sure that there is a Chromium (or Chrome) for the tests that read the site (`make browser`).
#
# When one is there, or CHROMIUM names one, this says so and changes nothing. As root on Debian it installs the
# distribution's package. Anywhere else it prints what to do and ends with 1.
set -euo pipefail

say() {
  printf 'browser: %s\n' "$*" >&2
}

browser="${CHROMIUM:-$(command -v google-chrome || command -v chromium || true)}"
if [[ -n $browser ]]; then
  if ! version=$("$browser" --version 2>/dev/null); then
    say "$browser does not start; name another one: CHROMIUM=..."
    exit 1
  fi
  say "$version"
  exit 0
fi

ID=''
if [[ -r /etc/os-release ]]; then
  # shellcheck disable=SC1091 # a file of the system
  . /etc/os-release
fi
# Ubuntu's package of this name only points to a snap.
if [[ $ID != debian ]] || ! command -v apt-get >/dev/null; then
  say 'chromium is not installed; install Chromium or Chrome, and name it: CHROMIUM=/path/to/it'
  exit 1
fi
if ((EUID)); then
  say 'chromium is not installed; run: sudo apt-get install chromium'
  exit 1
fi
say 'installing chromium'
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
say "$(chromium --version)"
