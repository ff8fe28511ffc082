#!/usr/bin/env bash
# Builds the image, and runs docker-compose.yml as it is, from an empty machine to the death of each container (tests/compose), alone and with two of each service,
# and leaves nothing behind. Where no Docker engine answers it starts one of its own (Debian: docker.io), with its data in a directory that is removed; where no
# registry answers it makes stand-ins of the images of others (tools/images-offline.sh).
# It needs root, and ip and busybox, which play another machine (Debian: iproute2 busybox).
# Never beside another engine whose containers it can't see: two of them take each other's networks away. What an engine has left that was killed is taken away first,
# once it is sure that none lives.
#
#   tools/compose-proof.sh [--base] [FLAG...]      flags of go test, for example -run Image
#
# --base proves what the compose file starts without a profile, and makes no other image than that needs: CI does it.
# FOUNTAIN_STANDINS names the directory of what the stand-ins are made of (default: bin/standins).
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "compose-proof: $*" >&2; exit 1; }
profiles=postgres,redis,typesense,scale
base=
if [ "${1:-}" = --base ]; then
  shift
  base=yes profiles=
  set -- -run '^TestCompose_fromNothingThroughTheDeathOfEachContainer$' "$@"
fi
export DOCKER=/usr/bin/docker
[ -x "$DOCKER" ] || DOCKER=$(command -v docker) || fail 'there is no docker (Debian: docker.io)'
[ "$(id -u)" -eq 0 ] || fail 'it needs root'
exec 9>/run/fountain-compose-proof.lock
flock -n 9 || fail 'another one runs on this machine, whose networks would be in the way'
own=
FOUNTAIN_COMPOSE_RUN=$(od -An -N4 -tx1 /dev/urandom | tr -d ' ') # in the name of every project of this run
export FOUNTAIN_COMPOSE_RUN
places=${TMPDIR:-/tmp}/fountain-compose-proof # each engine of this script has a directory of this name, with an ending

# left takes away what tests left that were ended before they could: of this run's projects alone.
left() {
  local format='{{.Label "com.docker.compose.project"}}' project of
  for project in $({ "$DOCKER" ps -a --format "$format"; "$DOCKER" network ls --format "$format"; "$DOCKER" volume ls --format "$format"; } | grep "^fountainproof$FOUNTAIN_COMPOSE_RUN" | sort -u); do
    echo "compose-proof: taking away what is left of $project" >&2
    of=label=com.docker.compose.project=$project
    "$DOCKER" ps -aq --filter "$of" | xargs -r "$DOCKER" rm -f -v
    "$DOCKER" network ls -q --filter "$of" | xargs -r "$DOCKER" network rm
    "$DOCKER" volume ls -q --filter "$of" | xargs -r "$DOCKER" volume rm
    ip netns del "fp${project: -8}" 2>/dev/null || true
  done >/dev/null
}

# here tells whether a process is in this network namespace: what another one's engine does is no concern of ours.
here() { [ "$(readlink "/proc/$1/ns/net" 2>/dev/null)" = "$(readlink /proc/self/ns/net)" ]; }

# engines prints the Docker engines of this network namespace: their processes, and, as the processes may be another container's, the sockets that they listen on.
engines() {
  local dir name
  for dir in /proc/[0-9]*; do
    IFS= read -r -d '' name 2>/dev/null <"$dir/cmdline" || continue
    if [ "${name##*/}" = dockerd ] && here "${dir##*/}"; then echo "process ${dir##*/}"; fi
  done
  awk '$4 == "00010000" && ($8 ~ /\/docker[^\/]*\.sock$/ || $8 ~ /\/libnetwork\/.*\.sock$/) {print "socket " $8}' /proc/net/unix # that someone listens on
}

# containers prints what runs containers of a Docker engine, alive or not, as "PID COMMAND LINE".
containers() {
  local dir line
  for dir in /proc/[0-9]*; do
    line=$({ tr '\0' ' ' <"$dir/cmdline"; } 2>/dev/null) || continue
    [[ ${line%% *} == *containerd-shim* && $line == *" -namespace moby "* ]] && here "${dir##*/}" && echo "${dir##*/} $line"
  done
  return 0
}

# bury ends what an engine of this script has left in its directory, and removes it. The engine itself is gone.
bury() {
  local dir=$1 one id pids=()
  for one in "$dir"/data/containers/*; do # their processes, by the control group that each container has
    id=${one##*/}
    [ "${#id}" -ne 64 ] || for one in $(grep -lsE "/docker[/-]$id" /proc/[0-9]*/cgroup | cut -d/ -f3); do pids+=("$one"); done
  done
  for one in $(containers | grep -F " -address $dir/" | cut -d' ' -f1); do pids+=("$one"); done
  for one in "${pids[@]}"; do kill -9 "$one" 2>/dev/null || true; done
  for one in $(awk -v at="$dir/" 'index($2, at) == 1 {print $2}' /proc/mounts | sort -r); do umount -l "$one" || true; done
  rm -rf "$dir"
}

# bridges removes the bridges of engines that are gone. One that has a port still is a container's.
bridges() {
  local one
  for one in $(ip -o link show type bridge | awk -F': ' '$2 ~ /^(docker0|br-[0-9a-f]+)$/ {print $2}'); do
    for _ in $(seq 20); do # those of what has just ended go a little later
      [ -n "$(ip -o link show master "$one")" ] || break
      sleep 0.2
    done
    [ -z "$(ip -o link show master "$one")" ] || { echo "compose-proof: $one has ports" >&2; return 1; }
    ip link del "$one"
  done
}

finish() {
  status=$?
  trap '' HUP INT TERM
  if [ -z "$own" ] || [ -n "${engine:-}" ]; then if answers; then left || true; fi; fi
  if [ -n "$own" ]; then
    [ -z "${engine:-}" ] || { kill "$engine" 2>/dev/null && wait "$engine" || true; }
    bury "$own"
    [ -z "${engine:-}" ] || bridges || true
  fi
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

answers() { timeout 20 "$DOCKER" info >/dev/null 2>&1; }

# alone makes sure that no engine is in this network, and takes away what one has left that was killed.
alone() {
  local one found
  for _ in $(seq 120); do # apt may have started one, which does not answer yet
    [ -n "$(engines)" ] || break
    ! answers || return 0
    sleep 0.5
  done
  found=$(engines)
  [ -z "$found" ] || fail "another Docker engine is here, which does not answer at ${DOCKER_HOST:-its usual place}: $(tr '\n' ',' <<<"$found") and a second one would take its networks"
  for one in "$places".*; do
    [ ! -d "$one" ] || { echo "compose-proof: taking away what an engine left in $one" >&2; bury "$one"; }
  done
  found=$(containers)
  [ -z "$found" ] || fail "containers of a Docker engine run here, which is away itself: $(cut -c1-160 <<<"$found")"
  bridges || fail 'a bridge of a Docker engine is in use here'
}

# start brings up an engine of our own.
start() {
  local began=$SECONDS
  command -v dockerd >/dev/null || fail 'there is no Docker engine (Debian: docker.io)'
  [ -e /sys/fs/cgroup/cgroup.controllers ] || [ -d /sys/fs/cgroup/memory ] || fail 'no control groups are mounted in /sys/fs/cgroup, without which no Docker engine starts'
  own=$(mktemp -d "$places.XXXXXX")
  mkdir "$own/bin"
  # Where the kernel does not have what the usual iptables speaks, the older one may do.
  if ! iptables -w -t nat -S >/dev/null 2>&1 && iptables-legacy -w -t nat -S >/dev/null 2>&1; then
    for one in iptables ip6tables; do ln -s "$(command -v $one-legacy)" "$own/bin/$one"; done
  fi
  export DOCKER_HOST=unix://$own/docker.sock DOCKER_CONFIG=$own/config
  PATH=$own/bin:$PATH dockerd --data-root "$own/data" --exec-root "$own/exec" --pidfile "$own/pid" -H "$DOCKER_HOST" >"$own/log" 2>&1 9>&- &
  engine=$!
  until answers; do
    if ! kill -0 "$engine" 2>/dev/null || [ $((SECONDS - began)) -gt 120 ]; then
      tail -20 "$own/log" >&2
      fail 'the Docker engine does not start here'
    fi
    sleep 0.2
  done
  echo "compose-proof: an engine of its own answers after $((SECONDS - began)) s"
}

# pull brings an image, and gives up soon where no registry answers: before the first word of it.
pull() {
  local said pid
  said=$(mktemp)
  timeout 600 "$DOCKER" pull "$1" >"$said" 2>&1 9>&- &
  pid=$!
  for _ in $(seq 75); do
    ! grep -q 'Pulling from' "$said" || break
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.2
  done
  grep -q 'Pulling from' "$said" || kill "$pid" 2>/dev/null || true
  wait "$pid" || { tail -n 1 "$said"; rm -f "$said"; return 1; }
  rm -f "$said"
}

answers || alone
answers || start
export COMPOSE=$PWD/bin/docker-compose
images=$(sed -nE 's|^FROM ([^ ]*:[^ ]*).*|\1|p' Dockerfile; COMPOSE_PROFILES=$profiles "$COMPOSE" config --images | grep -v "^fountainai/"; [ -n "$base" ] || "$COMPOSE" config --images prometheus | grep "^prom/")
images=$(sort -u <<<"$images")
began=$SECONDS
registry=yes
standins=()
for image in $images; do
  if label=$("$DOCKER" image inspect -f '{{index .Config.Labels "fountain.standin"}}' "$image" 2>/dev/null); then
    [ -n "$label" ] || continue
  elif [ -n "$registry" ] && pull "$image"; then
    continue
  else
    registry=
  fi
  name=${image%%:*}
  standins+=("${name##*/}")
done
echo "compose-proof: images of others were looked for in $((SECONDS - began)) s"
if [ ${#standins[@]} -gt 0 ]; then
  began=$SECONDS
  tools/images-offline.sh ${base:+--once} "${FOUNTAIN_STANDINS:-bin/standins}" "${standins[@]}" 9>&-
  echo "compose-proof: stand-ins for ${standins[*]} are there after $((SECONDS - began)) s"
fi
# Compose builds through buildx where that is installed, else by the engine's classic builder, which is not asked for by default any more.
"$DOCKER" buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0
began=$SECONDS
"$COMPOSE" build gateway 9>&-
echo "compose-proof: the image was built after $((SECONDS - began)) s"
began=$SECONDS
# make check vets it; here that would read all packages that it is made of once more.
CGO_ENABLED=0 go test -vet=off -count=1 -timeout 90m -v -tags compose "$@" ./tests/compose 9>&-
echo "compose-proof: the tests took $((SECONDS - began)) s, all of it $SECONDS s"
