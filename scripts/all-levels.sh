#!/usr/bin/env bash
# Runs every level (`make test-snippets`), in two processes side by side: boots mostly wait, for something to start or
# to stop. While one of them measures, no test of the other one runs (scripts/handbook/quiet.py).
#
# What runs beside the rest is told when all has ended: whole when something failed, else from its levels on. Each
# writes what it saw in build/junit/, too.
set -euo pipefail
cd "$(dirname "$0")/.."

# What needs nothing but Python, and the machines of the VM: together they take about half of the time.
beside=(tests/engine tests/static snippets/service/tests tests/boot/test_systemd*.py)

# The exit code of a process, also when a signal comes while it is waited for.
code_of() {
  local code
  while true; do
    code=0
    wait "$1" || code=$?
    kill -0 "$1" 2>/dev/null || return "$code"
  done
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "beside the rest run ${beside[*]}"
# With job control each is a group of its own. Without it they would not hear a Ctrl-C: what a shell starts in the
# background ignores it.
set -m
.venv/bin/python -m pytest --junitxml=build/junit/beside.xml "${beside[@]}" </dev/null >"$log" 2>&1 &
second=$!
.venv/bin/python -m pytest --junitxml=build/junit/rest.xml tests "${beside[@]/#/--ignore=}" </dev/null &
first=$!
# Both take down what they have booted, and this script goes when they have. A Ctrl-C is for what they run, too.
trap 'kill -INT -- "-$first" "-$second" 2>/dev/null || true' INT
trap 'kill -TERM "$first" "$second" 2>/dev/null || true' TERM

code=0 code_beside=0
code_of "$first" || code=$?
code_of "$second" || code_beside=$?
if [ "$code_beside" = 0 ]; then
  sed -n '/^=* levels =*$/,$p' "$log"
else
  cat "$log"
fi
exit "$((code ? code : code_beside))"
