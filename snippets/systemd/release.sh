#!/usr/bin/env bash
# Puts another version into service while the old one serves on.
#
#   ./release.sh VERSION      builds it from ../service if it is not here, saves the database, migrates, tries the version
#                             out, makes it the current one and restarts one instance after the other
#   ./release.sh --rollback   makes the version before the current one again; the database stays as the migrations left it
#   ./release.sh --restart    tries changed settings and credentials out, and starts all that runs anew, one after the other
#
# When something fails, or is interrupted, the old version is or becomes the current one again, and it ends with 1, or
# with 130; Ctrl-C takes effect when the step that runs has ended. After a run that was killed, the same command goes on.
set -euo pipefail
umask 022

home=/opt/assistant
# The longest that an instance may take to its first answer, in seconds.
patience=${PATIENCE:-60}

say() {
  printf 'release.sh: %s\n' "$*"
}

fail() {
  say "$*" >&2
  exit 1
}

# Ctrl-C reaches this script and not the command, which ends before anything is taken back.
whole() {
  setsid --wait "$@"
}

code=1
begun=
end() {
  # Whoever read the output may be gone by now: that must not stop this half way.
  trap '' INT TERM HUP PIPE
  set +e
  [[ -z $begun ]] || undo
  exit "$code"
}
trap end EXIT
trap 'code=130; exit' INT TERM HUP

[[ $# == 1 && $1 =~ ^(--rollback|--restart|[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63})$ ]] ||
  fail "run: ./release.sh VERSION, such as 1.1.0, or: ./release.sh --rollback, or: ./release.sh --restart"
((EUID == 0)) || fail "only root can do this; run it with sudo"
cd "$(dirname "${BASH_SOURCE[0]}")"
[[ -d $home/releases ]] || fail "there is no $home/releases; run ./install.sh first"
exec {lock}<"$home/releases"
flock --nonblock "$lock" || fail "another release is running; wait for its end"

release_of() {
  [[ ! -L $home/$1 ]] || basename "$(readlink "$home/$1")"
}

# point LINK VERSION: at no moment there is no link, or half of one.
point() {
  ln --symbolic --force --no-dereference "releases/$2" "$home/.$1.new"
  mv --force --no-target-directory "$home/.$1.new" "$home/$1"
}

is_complete() {
  [[ -e $home/releases/$1/.complete ]]
}

# Which release the main process of a unit runs: its folder, which a link that points elsewhere since does not change.
running() {
  local pid
  pid=$(systemctl show --property=MainPID --value "$1")
  ((pid == 0)) || basename "$(readlink "/proc/$pid/cwd" || true)"
}

current=$(release_of current)
previous=$(release_of previous)
version=$1
if [[ $1 == --rollback && -n $(release_of rollback) ]]; then
  # A run that was killed was on its way there; `previous` may already be the one that it came from.
  version=$(release_of rollback)
  is_complete "$version" || fail "the release $version is no longer complete in $home/releases"
  [[ $version == "$current" ]] || previous=$version
elif [[ $1 == --rollback ]]; then
  [[ -n $previous ]] || fail "no version before ${current:-the first} is known: there is no $home/previous"
  is_complete "$previous" || fail "the release $previous is no longer complete in $home/releases"
  version=$previous
elif [[ $1 == --restart ]]; then
  [[ -n $current ]] || fail "nothing was released yet; run: ./release.sh 1.0.0"
  version=$current
fi

# Build a release
build() {
  local target=$home/releases/$version
  # What a run that was killed has left is of no use.
  rm --recursive --force "$target"
  mkdir "$target"
  cp --recursive ../service/alembic.ini ../service/gunicorn.conf.py ../service/requirements.txt \
    ../service/assistant ../service/migrations "$target"
  find "$target" -name __pycache__ -prune -exec rm --recursive {} +
  chmod --recursive u=rwX,go=rX "$target"
  [[ $(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$target/assistant/__init__.py") == "$version" ]] ||
    fail "../service is not $version; write the version into ../service/assistant/__init__.py"
  # By its full name: the scripts in it hold on to it, so what runs never finds itself in another release.
  whole python3 -m venv --without-pip "$target/venv"
  whole python3 -m pip --python "$target/venv/bin/python" install --quiet --root-user-action=ignore \
    --require-hashes --only-binary=:all: --requirement "$target/requirements.txt" ||
    fail "the packages were not installed"
  # The service may not write here.
  whole "$target/venv/bin/python" -m compileall -q "$target/assistant" "$target/migrations"
  # After a power cut, what is called complete has to be.
  sync --file-system "$target"
  touch "$target/.complete"
}

ask() {
  curl --fail --silent --max-time 5 --unix-socket "/run/assistant/api-$1.sock" "http://localhost$2"
}

# serves INSTANCE: it is ready, and of the right version. What a server says when it starts is no proof: gunicorn says that
# it is ready before the application is loaded.
serves() {
  ask "$1" /health/ready >/dev/null && [[ $(ask "$1" /version) == *"\"version\":\"$2\""* ]]
}

# await WHAT UNIT COMMAND...: until the command succeeds.
await() {
  local deadline=$((SECONDS + patience))
  until "${@:3}"; do
    if ! systemctl --quiet is-active "$2" || ((SECONDS > deadline)); then
      journalctl --unit="$2" --lines=20 --no-pager --output=cat >&2
      say "$1 is not ready: $2 is $(systemctl is-active "$2"); its log stands above" >&2
      return 1
    fi
    sleep 0.1
  done
}

# start UNIT: anew. How often it was started before does not count: releases may come in quick succession.
# What systemd was told to do it does, also when this script is killed: so the next one need not wait for it.
start() {
  systemctl reset-failed "$1" 2>/dev/null || true
  whole systemctl restart "$1" {lock}>&-
}

# settle VERSION: whatever runs another release than this one, or all of it, is restarted, one after the other.
anew=
[[ $1 != --restart ]] || anew=yes
restarts=
settle() {
  local unit instance
  restarts=yes
  for unit in worker beat; do
    if [[ -n $anew || $(running "assistant-$unit.service") != "$1" ]]; then
      start "assistant-$unit.service"
      await "the $unit of $1" "assistant-$unit.service" test -e "/run/assistant-$unit/$unit" || return
    fi
  done
  for instance in 1 2; do
    unit=assistant-api@$instance.service
    if [[ -n $anew || $(running "$unit") != "$1" ]] || ! systemctl --quiet is-active "$unit"; then
      say "instance $instance: $1 in the place of $(running "$unit")"
      start "$unit"
      await "instance $instance of $1" "$unit" serves "$instance" "$1" || return
    fi
  done
}

# Take a release away again
built=
undo() {
  whole systemctl stop assistant-api@next.service assistant-migrations@next.service
  rm --force "$home/next"
  if [[ $version == "$current" && -n $restarts ]]; then
    say "$version is the current one, and not all of it runs: see systemctl --failed, mend it and run this again"
    return
  fi
  rm --force "$home/rollback"
  if [[ -n $previous ]]; then point previous "$previous"; else rm --force "$home/previous"; fi
  if [[ $version != "$current" && $(release_of current) == "$version" ]]; then
    say "taking $version away again" || exec >/dev/null 2>&1
    if [[ -n $current ]]; then
      point current "$current"
      settle "$current" || {
        say "not all of $current runs: see systemctl --failed, mend it, and run: ./release.sh $current"
        return
      }
    else
      whole systemctl stop assistant.target 'assistant-api@*.service' assistant-worker.service assistant-beat.service
      rm --force "$home/current"
    fi
  fi
  # The next try builds it again.
  [[ -z $built ]] || rm --recursive --force "$home/releases/$version"
  if [[ -n $current ]]; then
    say "$current serves on; mend what is said above and run this again"
  else
    say "nothing serves yet; mend what is said above and run this again"
  fi
} >&2
begun=yes
# Whoever goes anywhere else has given that way back up.
[[ $1 == --rollback ]] || rm --force "$home/rollback"

# Go from one version to the next
if [[ $version != "$current" || -n $anew ]]; then
  if [[ -z $anew ]] && ! is_complete "$version"; then
    say "building $version"
    built=yes
    build
  fi
  point next "$version"
  if [[ $1 == --rollback ]]; then
    point rollback "$version"
  elif [[ -z $anew ]]; then
    if [[ -n $current ]]; then
      say "saving the database"
      start assistant-backup.service || {
        journalctl --unit=assistant-backup.service --lines=5 --no-pager --output=cat >&2
        fail "without a backup nothing is changed"
      }
    fi
    say "migrating the database"
    start assistant-migrations@next.service || {
      journalctl --unit=assistant-migrations@next.service --lines=20 --no-pager --output=cat >&2
      fail "the migrations failed"
    }
  fi
  say "trying $version out"
  start assistant-api@next.service ||
    {
      journalctl --unit=assistant-api@next.service --lines=20 --no-pager --output=cat >&2
      fail "$version does not start; its log stands above"
    }
  await "$version" assistant-api@next.service serves next "$version" || fail "$version was tried out, and does not serve"
  whole systemctl stop assistant-api@next.service
fi
if [[ $version != "$current" ]]; then
  [[ -z $current ]] || point previous "$current"
  point current "$version"
fi

# Restart the instances, and clean up
settle "$version" || fail "$version does not serve"
# From here on only --rollback leads back.
trap '' INT TERM HUP PIPE
begun=
rm --force "$home/next" "$home/rollback"
systemctl --quiet enable assistant.target assistant-backup.timer
whole systemctl start assistant.target
for folder in "$home"/releases/*; do
  [[ ${folder##*/} =~ ^("$version"|"$(release_of previous)")$ ]] || rm --recursive --force "$folder"
done
code=0
say "$version serves"
