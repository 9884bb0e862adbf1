#!/usr/bin/env bash
# Makes .venv/ from the locked requirements: the engine of the handbook, its tools and the service's own needs.
# The package index is whatever pip and npm are configured for; no address stands in the locks.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"

if ! command -v "$python" >/dev/null; then
  echo "venv: $python is not installed; run: apt-get install python3 python3-venv" >&2
  exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "venv: $("$python" --version) is too old, 3.11 or newer is needed; name another one: make PYTHON=python3.13" >&2
  exit 1
fi
# Debian and Ubuntu ship python3 without ensurepip, and then venv stops half-way.
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  package="$("$python" -c 'import sys; print(f"python3.{sys.version_info[1]}-venv")')"
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "venv: $python can't make environments; run: sudo apt-get install $package" >&2
    exit 1
  fi
  echo "venv: installing $package"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$package" >/dev/null
fi

if ! .venv/bin/python -c '' 2>/dev/null; then
  "$python" -m venv --clear .venv
fi
quiet=()
if [ -n "${CI:-}" ]; then quiet=(--progress-bar off); fi
echo "venv: installing the locked requirements into .venv/"
.venv/bin/python -m pip install --quiet --disable-pip-version-check "${quiet[@]}" \
  --require-hashes -r requirements/handbook.txt
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
.venv/bin/python -m handbook npm-ci
touch .venv/.ready
