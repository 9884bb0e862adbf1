#!/usr/bin/env bash
# Runs every level (`make test-snippets`), in two processes side by side: boots mostly wait, for something to start or
# to stop. While one of them measures, no test of the other one runs (scripts/handbook/quiet.py).
#
# What runs beside the rest is told when all has ended: whole when something failed, else from its levels on. Each
# writes what it saw in build/junit/, too.
set -euo pipefail
cd "$(dirname "$0")/.."

# What needs nothing but Python, and what needs a machine of its own: together they take about half of the time.
beside=(tests/engine tests/static snippets/service/tests tests/boot/test_host.py tests/boot/test_systemd*.py)

# `wait` alone would not hear a signal that comes just before it.
ended() {
  ! kill -0 "$1" 2>/dev/null
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "beside the rest run ${beside[*]}"
first="" second=""
# Both take down what they have booted, and this script goes when they have. A Ctrl-C is for what they run, too; of a
# terminal that is closed they would not hear.
trap 'kill -INT -- "-$first" "-$second" 2>/dev/null || true' INT
trap 'kill -TERM "$first" "$second" 2>/dev/null || true' TERM HUP
# With job control each is a group of its own. Without it they would not hear a Ctrl-C: what a shell starts in the
# background ignores it.
set -m
.venv/bin/python -m pytest -o cache_dir=.cache/pytest-beside --junitxml=build/junit/beside.xml "${beside[@]}" </dev/null >"$log" 2>&1 &
second=$!
.venv/bin/python -m pytest --junitxml=build/junit/rest.xml tests "${beside[@]/#/--ignore=}" </dev/null &
first=$!
# Whatever else is started hears a Ctrl-C with this script.
set +m

code=0 code_beside=0
# The code of each is taken as soon as it has ended. Later its number may be that of another process: were it a `sleep`
# of this script, bash would have forgotten the code.
while [ -n "$first$second" ]; do
  if [ -n "$first" ] && ended "$first"; then
    wait "$first" || code=$?
    first=""
  fi
  if [ -n "$second" ] && ended "$second"; then
    wait "$second" || code_beside=$?
    second=""
  fi
  sleep 0.5 || true
done
# 5: a selection (`-k`) has left nothing for one of them.
if [ "$code$code_beside" != 55 ]; then
  code=${code/#5/0} code_beside=${code_beside/#5/0}
fi
if [ "$code_beside" = 0 ]; then
  sed -n '/^=* levels =*$/,$p' "$log"
else
  cat "$log"
fi
if [ "$code" != 0 ] || [ "$code_beside" != 0 ]; then
  echo "pytest ended with $code, and beside it with $code_beside; what failed stands above"
fi
exit "$((code ? code : code_beside))"
