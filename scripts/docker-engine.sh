#!/usr/bin/env bash
# Makes sure that a Docker engine with Compose answers on this machine (`make docker`), and that the
# programs are there which the walkthroughs call on the host.
#
# When one answers, this says so and changes nothing. As root on Debian or Ubuntu it installs
# the distribution's own packages and starts the engine. Anywhere else it prints what to run
# and ends with 1.
#
# Debian 12 has an engine too old for start_interval and Compose 1: there the packages come
# from Debian 13, from the archive that apt already uses, pinned so low that nothing else
# moves by itself. Their libraries come along (libc among them) and stay after an undo, and for
# some seconds programs that start, Python with TLS for one, can fail: run nothing beside it.
set -euo pipefail

readonly COMPOSE_AT_LEAST=2.26
readonly WAIT_SECONDS=60
readonly LOG=/var/log/dockerd.log
readonly PID_FILE=/var/run/docker.pid
readonly CONTAINERD_PID_FILE=/var/run/docker/containerd/containerd.pid
readonly SOCKET=/var/run/docker.sock
readonly TRIXIE_SOURCE=/etc/apt/sources.list.d/trixie.sources
readonly TRIXIE_PIN=/etc/apt/preferences.d/trixie

say() {
  printf 'docker-engine: %s\n' "$*" >&2
}

stop() {
  say "$*"
  exit 1
}

engine_version() {
  docker info --format '{{.ServerVersion}}' 2>/dev/null
}

compose_version() {
  local version
  version=$(docker compose version --short 2>/dev/null) || return 1
  printf '%s\n' "${version#v}"
}

at_least() {
  [[ $(printf '%s\n%s\n' "$2" "$1" | sort --version-sort | head -n 1) == "$2" ]]
}

client_is_there() {
  local compose
  compose=$(compose_version) && at_least "$compose" "$COMPOSE_AT_LEAST" && docker buildx version >/dev/null 2>&1
}

engine_answers() {
  local version
  version=$(engine_version) && [[ -n $version ]]
}

report() {
  say "engine $(engine_version), Compose $(compose_version), $(docker buildx version | cut -d ' ' -f 1,2)"
}

# Sets ID, ID_LIKE and VERSION_ID as far as the system names them.
read_distribution() {
  ID='' ID_LIKE='' VERSION_ID=''
  if [[ -r /etc/os-release ]]; then
    # shellcheck disable=SC1091 # a file of the system
    . /etc/os-release
  fi
}

has_packages() {
  [[ " $ID $ID_LIKE " == *' debian '* || " $ID $ID_LIKE " == *' ubuntu '* ]] && command -v apt-get >/dev/null
}

# Asks apt where it can: a half upgraded Debian 12 may call itself 13.
needs_trixie() {
  [[ $ID == debian ]] || return 1
  local candidate
  candidate=$(apt-cache policy docker-compose 2>/dev/null | sed -n 's/^ *Candidate: \([0-9].*\)/\1/p')
  if [[ -z $candidate ]]; then
    [[ -n $VERSION_ID ]] && ((${VERSION_ID%%.*} < 13))
  elif at_least "$candidate" "$COMPOSE_AT_LEAST"; then
    return 1
  fi
}

# Prints "address|keyring" of the Debian archive that apt uses, whichever way it is written down.
# apt leaves its variable as it is where no keyring is named.
debian_archive() {
  # shellcheck disable=SC2016 # apt's own variables
  apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)|$(SIGNED_BY)' 'Created-By: Packages' |
    sed -n 's/|\$(SIGNED_BY)$/|/; s/^Debian|Debian|main|//p' | head -n 1
}

knows_trixie() {
  # shellcheck disable=SC2016 # apt's own variables
  apt-get indextargets --format '$(CODENAME)|$(COMPONENT)' 'Created-By: Packages' | grep -qx 'trixie|main'
}

trixie_source() {
  local archive=$1
  printf 'Types: deb\nURIs: %s\nSuites: trixie\nComponents: main\n' "${archive%%|*}"
  if [[ -n ${archive#*|} ]]; then
    printf 'Signed-By: %s\n' "${archive#*|}"
  fi
}

trixie_pin() {
  printf 'Package: *\nPin: release n=trixie\nPin-Priority: 100\n'
}

is_known() {
  apt-cache show --no-all-versions "$1" >/dev/null 2>&1
}

# Newer packages have the client on its own; Ubuntu calls Compose 2 docker-compose-v2.
packages() {
  local compose=docker-compose
  if is_known docker-compose-v2; then
    compose=docker-compose-v2
  fi
  printf '%s\n' docker.io "$compose" docker-buildx
  if needs_trixie || is_known docker-cli; then
    echo docker-cli
  fi
}

apt() {
  local -a quiet=(-q)
  if [[ ${CI:-} == true ]]; then
    quiet=(-qq -o Dpkg::Use-Pty=0)
  fi
  # needrestart only lists: the services of this machine are not restarted behind anyone's back.
  DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l apt-get "${quiet[@]}" "$@"
}

install_packages() {
  local -a names target=()
  local undo=''
  apt update
  if needs_trixie; then
    if ! knows_trixie; then
      local archive
      archive=$(debian_archive)
      [[ -n $archive ]] || stop "apt knows no Debian archive (see /etc/apt); add one and try again"
      say "adding $TRIXIE_SOURCE, with ${archive%%|*} as apt already uses it"
      trixie_source "$archive" >"$TRIXIE_SOURCE"
      trixie_pin >"$TRIXIE_PIN"
      apt update || {
        rm -f "$TRIXIE_SOURCE" "$TRIXIE_PIN"
        stop "the archive at ${archive%%|*} does not serve trixie; what was added is removed again"
      }
    fi
    target=(-t trixie)
    undo=" && rm $TRIXIE_SOURCE $TRIXIE_PIN"
  fi
  mapfile -t names < <(packages)
  say "installing ${names[*]}"
  apt install --yes --no-install-recommends "${target[@]}" "${names[@]}"
  say "undo with: apt-get purge ${names[*]}$undo"
  hash -r
}

# The packets of containers must fit through the interface that leads outside. Docker takes
# 1500 for its own bridge and for every network of Compose unless it is told.
outside_mtu() {
  local interface
  interface=$(awk '$2 == "00000000" { print $1; exit }' /proc/net/route)
  if [[ -n $interface && -r /sys/class/net/$interface/mtu ]]; then
    cat "/sys/class/net/$interface/mtu"
  else
    echo 1500
  fi
}

# stands_for FILE PROGRAM: true while the process that a pid file names is that program.
stands_for() {
  local pid
  [[ -s $1 ]] && pid=$(<"$1") && [[ $(cat "/proc/$pid/comm" 2>/dev/null) == "$2" ]] &&
    ! grep -q '^State:.*zombie' "/proc/$pid/status"
}

# After a hard kill the pid files stay, and a new daemon refuses to start, or waits in vain,
# for a process that is gone. Its number may belong to another program by now.
remove_stale_pid_files() {
  stands_for "$PID_FILE" dockerd || rm -f "$PID_FILE"
  stands_for "$CONTAINERD_PID_FILE" containerd || rm -f "$CONTAINERD_PID_FILE"
}

start_by_hand() {
  local mtu second daemon=''
  mtu=$(outside_mtu)
  for ((second = 0; second < WAIT_SECONDS; second++)); do
    if engine_answers; then
      return
    fi
    if [[ -n $daemon ]]; then
      kill -0 "$daemon" 2>/dev/null || break
    elif ! stands_for "$PID_FILE" dockerd; then
      remove_stale_pid_files
      say "starting dockerd with an MTU of $mtu, log in $LOG"
      setsid dockerd --mtu "$mtu" --default-network-opt "bridge=com.docker.network.driver.mtu=$mtu" \
        >>"$LOG" 2>&1 </dev/null &
      daemon=$!
    fi
    sleep 1
  done
  engine_answers || {
    tail -n 20 "$LOG" >&2 || true
    stop "dockerd does not answer; the end of $LOG is above"
  }
  say "stop it with: kill \$(cat $PID_FILE)"
}

start() {
  if [[ $(</proc/1/comm) == systemd ]]; then
    say "starting it: systemctl enable --now docker"
    systemctl enable --now docker
    local second
    for ((second = 0; second < WAIT_SECONDS; second++)); do
      engine_answers && return
      sleep 1
    done
    stop "the engine does not answer; see: journalctl -u docker"
  fi
  start_by_hand
}

print_commands() {
  if client_is_there && [[ -S $SOCKET && ! -w $SOCKET ]]; then
    say "$SOCKET is there, but $(id -un) may not use it. Run as root, then log in again:"
    echo "  usermod -aG docker $(id -un)" >&2
    return
  fi
  local -a names
  mapfile -t names < <(packages)
  say "run as root: make docker"
  say "or by hand:"
  {
    if ! client_is_there; then
      if needs_trixie; then
        local archive
        archive=$(debian_archive)
        echo "  cat >$TRIXIE_SOURCE <<'END'"
        trixie_source "${archive:-ADDRESS-OF-YOUR-DEBIAN-ARCHIVE|}"
        echo END
        echo "  cat >$TRIXIE_PIN <<'END'"
        trixie_pin
        echo END
        echo "  apt-get update && apt-get install -t trixie ${names[*]}"
      else
        echo "  apt-get update && apt-get install ${names[*]}"
      fi
    fi
    if [[ $(</proc/1/comm) == systemd ]]; then
      echo "  systemctl enable --now docker"
    else
      echo "  setsid dockerd --mtu $(outside_mtu) >>$LOG 2>&1 </dev/null &"
    fi
    echo "  usermod -aG docker $(id -un)    # then log in again"
  } >&2
}

install_host_programs() {
  local -a missing=()
  local program
  for program in curl openssl; do
    command -v "$program" >/dev/null || missing+=("$program")
  done
  ((${#missing[@]} > 0)) || return 0
  if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    stop "the walkthroughs need ${missing[*]}; run as root: apt-get install ${missing[*]}"
  fi
  say "installing ${missing[*]}, which the walkthroughs call"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
}

main() {
  install_host_programs
  if client_is_there && engine_answers; then
    report
    return
  fi

  if [[ -n ${DOCKER_HOST:-} ]] && client_is_there; then
    stop "DOCKER_HOST=$DOCKER_HOST does not answer; start the engine there, or unset DOCKER_HOST"
  fi
  read_distribution
  if ! has_packages; then
    stop "no Docker engine with Compose >= $COMPOSE_AT_LEAST answers. On this system install Docker Engine with" \
      "its compose and buildx plugins as docs.docker.com/engine/install says, start it, and check: docker info"
  fi
  if ((EUID != 0)); then
    say "no Docker engine with Compose >= $COMPOSE_AT_LEAST answers, and only root can install or start one"
    print_commands
    exit 1
  fi

  if ! client_is_there || ! { engine_answers || command -v dockerd >/dev/null; }; then
    say "no Docker engine with Compose >= $COMPOSE_AT_LEAST here: installing it from the distribution's packages"
    install_packages
  fi
  client_is_there || stop "Compose is $(compose_version || echo missing), needed is >= $COMPOSE_AT_LEAST with buildx"
  engine_answers || start
  report
}

main "$@"
