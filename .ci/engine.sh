#!/usr/bin/env bash
# Docker engine, Compose v2 and buildx for a bare Debian machine (root and apt; no service manager needed).
#
#   .ci/engine.sh install   what is missing of the three; starts nothing
#   .ci/engine.sh start     install, then start an engine unless one answers; returns when it answers
#   .ci/engine.sh stop      end the engine that `start` started, and no other; nothing to end is success
#   .ci/engine.sh status    succeeds when an engine answers, and prints its version
#
# $FLEET_CI_STATE (default /run/fleet-ci) holds the engine's process id and log; images stay in the engine's own store.
set -euo pipefail
# shellcheck source=.ci/debian.sh
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

state=${FLEET_CI_STATE:-/run/fleet-ci}
pid_file=$state/dockerd.pid
log_file=$state/dockerd.log
plugin_dir=/usr/local/lib/docker/cli-plugins
plugin_suite=trixie # the first Debian whose own packages are Compose v2 and buildx
start_deadline_s=60
stop_deadline_s=60

say() { printf 'engine: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# `docker --version` speaks of the client alone; only the Server part proves an engine.
engine_version() { docker version --format '{{.Server.Version}}' 2>/dev/null; }
engine_answers() { engine_version >/dev/null; }

# True while the process lives; a zombie that its parent has not collected yet has ended.
runs() { [[ $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) == [!ZX]* ]]; }
ended() { ! runs "$1"; }

# Waits until the command succeeds; fails when the deadline ($1, seconds) passes first.
wait_for() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.2
  done
}

install_engine() {
  engine_answers || command -v dockerd >/dev/null || apt_install docker.io iproute2 iptables
  command -v docker >/dev/null || die 'an engine without a docker client: install the client package'
}

# Takes the CLI plugins out of $plugin_suite's packages through a temporary copy of the machine's own apt sources, so
# that its mirror, keys and proxy hold and its package database stays as it is.
install_plugins() {
  local missing=() name dir codename file apt
  for name in compose buildx; do
    docker "$name" version >/dev/null 2>&1 || missing+=("docker-$name")
  done
  ((${#missing[@]})) || return 0
  say "takes ${missing[*]} from $plugin_suite"
  dir=$(mktemp -d)
  mkdir -p "$dir"/{sources,lists/partial,cache/archives/partial,debs}
  codename=$(debian_codename)
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources}; do
    # Only archives that name their suites after Debian's releases have a suite of the other release.
    if [[ -f $file ]] && grep -qE "(^|[[:space:]])$codename([[:space:]]|\$)" "$file"; then
      sed -E "s/(^|[[:space:]])$codename\b/\1$plugin_suite/g" "$file" >"$dir/sources/${file##*/}"
    fi
  done
  apt=(apt-get -qq -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$dir/sources"
    -o Dir::State::Lists="$dir/lists" -o Dir::Cache="$dir/cache" -o APT::Sandbox::User=root)
  "${apt[@]}" update >&2 || say "not every apt source has $plugin_suite"
  (cd "$dir/debs" && "${apt[@]}" download "${missing[@]}" >&2) || die "apt has no ${missing[*]} of $plugin_suite"
  install -d "$plugin_dir"
  for name in "${missing[@]}"; do
    dpkg -x "$dir/debs/${name}"_*.deb "$dir/root"
    install -m 755 "$dir/root/usr/libexec/docker/cli-plugins/$name" "$plugin_dir/$name"
    docker "${name#docker-}" version >/dev/null || die "the plugin $name does not run on this machine"
  done
  rm -rf "$dir"
}

install_all() {
  install_engine
  install_plugins
}

start_engine() {
  install_all
  if engine_answers; then
    say "version $(engine_version) answers already and is left as it is"
    return
  fi
  if ! grep -q ' /sys/fs/cgroup' /proc/mounts; then
    apt_install cgroupfs-mount
    cgroupfs-mount
  fi
  forget_killed /var/run/docker.pid dockerd
  forget_killed /var/run/docker/containerd/containerd.pid containerd
  mkdir -p "$state"
  [[ -e /sys/class/net/docker0 ]] || touch "$state/made-docker0"
  # A session of its own: Ctrl-C at the caller's terminal must reach the tests, not the engine they use.
  setsid dockerd >"$log_file" 2>&1 </dev/null &
  local pid=$!
  echo "$pid" >"$pid_file"
  wait_for "$start_deadline_s" answers_or_ended "$pid" || true
  if ! engine_answers || ended "$pid"; then
    say "dockerd does not answer after $start_deadline_s s at most; the end of its log:"
    tail -n 40 "$log_file" >&2
    stop_engine
    exit 1
  fi
  say "version $(engine_version) started, pid $pid, log $log_file"
}

answers_or_ended() { engine_answers || ended "$1"; }

# Removes the pid file $1 unless a live $2 wrote it. One that was killed leaves its file, and dockerd takes any process
# of that number, also a stranger or a zombie, for the old one: it refuses to start, or waits for a containerd in vain.
forget_killed() {
  [[ $(readlink "/proc/$(cat "$1" 2>/dev/null)/exe") == */"$2" ]] || rm -f "$1"
}

# Ends one process by id: asks, waits, then insists.
end_process() {
  ended "$1" && return
  kill -TERM "$1" && wait_for "$stop_deadline_s" ended "$1" && return
  say "pid $1 still runs $stop_deadline_s s after TERM"
  kill -KILL "$1"
  wait_for 10 ended "$1"
}

stop_engine() {
  [[ -s $pid_file ]] || return 0
  local pid child children
  pid=$(<"$pid_file")
  # A number from a file may have been reused by a stranger since.
  if runs "$pid" && [[ $(readlink "/proc/$pid/exe") == */dockerd ]]; then
    # dockerd ends its own containerd with itself, except where it is killed.
    children=$(cat /proc/"$pid"/task/*/children 2>/dev/null || true)
    end_process "$pid"
    for child in $children; do
      end_process "$child"
    done
    [[ ! -e $state/made-docker0 ]] || ip link delete docker0 2>/dev/null || true
    say 'stopped'
  fi
  rm -f "$pid_file" "$state/made-docker0"
}

case ${1:-} in
  install) install_all ;;
  start) start_engine ;;
  stop) stop_engine ;;
  status) engine_version || die 'no engine answers' ;;
  *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2 ;;
esac
