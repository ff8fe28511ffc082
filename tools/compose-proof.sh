#!/usr/bin/env bash
# Builds the image, and runs docker-compose.yml as it is, from an empty machine to the death of each container (tests/compose), alone and with two of each service,
# and leaves nothing behind. Where no Docker engine answers it starts one of its own (Debian: docker.io), with its data in a directory that is removed; where no
# registry answers it makes stand-ins of the images of others (tools/images-offline.sh).
# It needs root, and ip and busybox, which play another machine (Debian: iproute2 busybox).
# It starts no engine beside another one: two of them take each other's networks away. First it removes what an earlier run left that was killed, and nothing else: each
# engine of this script keeps all that it has in one directory of root's, by which its processes, mounts and bridges are found.
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
command -v ip >/dev/null || fail 'there is no ip (Debian: iproute2)'
exec 9>/run/fountain-compose-proof.lock
flock -n 9 || fail 'another one runs on this machine, whose networks would be in the way'
places='' # each engine of this script has a directory of this name, with an ending
own=''    # that of the engine of this run, if it has one
engine='' # the process of that engine
FOUNTAIN_COMPOSE_RUN=$(od -An -N4 -tx1 /dev/urandom | tr -d ' ') # in the name of every project of this run
export FOUNTAIN_COMPOSE_RUN

answers() { timeout -s KILL 20 "$DOCKER" info >/dev/null 2>&1; }

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

# here tells whether a process is in this network namespace. An engine in another one is not in our way, nor we in its.
here() { [ "$(readlink "/proc/$1/ns/net" 2>/dev/null)" = "$(readlink /proc/self/ns/net)" ]; }

# engines prints the Docker engines of this network namespace: their processes, and the sockets that they listen on, since the processes may be hidden in a container.
engines() {
  local dir name
  for dir in /proc/[0-9]*; do
    IFS= read -r -d '' name 2>/dev/null <"$dir/cmdline" || continue
    if [ "${name##*/}" = dockerd ] && here "${dir##*/}"; then echo "process ${dir##*/}"; fi
  done
  awk '$4 == "00010000" && ($8 ~ /\/docker[^\/]*\.sock$/ || $8 ~ /\/libnetwork\/.*\.sock$/) {print "socket " $8}' /proc/net/unix # 00010000: it listens
}

# shims prints the processes that keep containers of Docker engines in this network namespace, as "PID COMMAND LINE". They outlive their engine.
shims() {
  local dir line
  for dir in /proc/[0-9]*; do
    line=$({ tr '\0' ' ' <"$dir/cmdline"; } 2>/dev/null) || continue
    [[ ${line%% *} == *containerd-shim* && $line == *" -namespace moby "* ]] && here "${dir##*/}" && echo "${dir##*/} $line "
  done
  return 0
}

# bridges prints the bridges with names that Docker engines give.
bridges() { ip -o link show type bridge | sed -nE 's/^[0-9]+: (docker0|br-[0-9a-f]{12})[:@].*/\1/p'; }

# used tells whether a bridge has a port, which is a container's.
used() { [ -n "$(ip -o link show master "$1" 2>/dev/null)" ]; }

# mark prints where an engine lives: in this network namespace, since this start of the machine.
mark() { echo "$(cat /proc/sys/kernel/random/boot_id) $(readlink /proc/self/ns/net)"; }

# ours tells whether a directory is that of an engine that this script started here. Root must have made it: /tmp is open to all, and who plants a directory or a
# link there must not choose what is killed or removed.
ours() { [ "$(stat -c '%u %F' "$1" 2>/dev/null)" = '0 directory' ] && [ "$(head -n 1 "$1/mark" 2>/dev/null)" = "$(mark)" ]; }

# bury ends what an engine of this script has left, and removes its directory. The engine itself is gone. It fails where something stays.
bury() {
  local dir=$1 id pid at bridge
  local of=(-e " -address $dir/")
  # The processes of its containers are in control groups with the identifiers of these, 256 random bits.
  for id in "$dir"/data/containers/*; do
    id=${id##*/}
    [[ $id =~ ^[0-9a-f]{64}$ ]] || continue
    of+=(-e " -id $id ")
    for pid in $(grep -lsE "/docker[/-]$id" /proc/[0-9]*/cgroup | cut -d/ -f3); do kill -9 "$pid" 2>/dev/null || true; done
  done
  for pid in $(shims | grep -F "${of[@]}" | cut -d' ' -f1); do kill -9 "$pid" 2>/dev/null || true; done
  # Other machines that tests of its projects played: walls_test.go names them by the project's end.
  for at in $(grep -ohsE '"com.docker.compose.project":"fountainproof[0-9a-z]{16}"' "$dir"/data/containers/*/config.v2.json | grep -oE '[0-9a-z]{8}"$' | tr -d '"' | sort -u); do
    [ -e "/run/netns/fp$at" ] || continue
    for pid in $(ip netns pids "fp$at"); do kill -9 "$pid" 2>/dev/null || true; done
    ip netns del "fp$at" || true
  done
  for at in $(awk -v at="$dir/" 'index($2, at) == 1 {print $2}' /proc/mounts | sort -r); do umount -l "$at" || true; done
  ! grep -qF " $dir/" /proc/mounts || { echo "compose-proof: something is still mounted in $dir" >&2; return 1; }
  # Its bridges were not there before it, and are in its database of networks.
  for bridge in $(bridges); do
    [ -f "$dir/mark" ] && ! grep -qxF "$bridge" "$dir/mark" && grep -qsaF "\"$bridge\"" "$dir/data/network/files/local-kv.db" || continue
    for _ in $(seq 20); do # ports of what has just ended go a little later
      used "$bridge" || break
      sleep 0.2
    done
    ! used "$bridge" || { echo "compose-proof: $bridge is still in use" >&2; return 1; }
    ip link del "$bridge" || return 1
  done
  rm -rf --one-file-system "$dir"
}

# finish removes what is left of this run. It goes on to the end whatever fails, and then the run has failed.
finish() {
  status=$?
  set +e
  trap '' HUP INT TERM
  if [ -z "$own" ] || [ -n "$engine" ]; then answers && left; fi
  [ -z "$engine" ] || { kill "$engine" 2>/dev/null; wait "$engine"; }
  [ -z "$own" ] || bury "$own" || { [ "$status" -ne 0 ] || status=1; }
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# alone makes sure that no engine is in this network, and removes what one of this script has left that was killed. It returns early where an engine answers after all.
alone() {
  local one found until=$((SECONDS + 60))
  while [ -n "$(engines)" ] && [ "$SECONDS" -lt "$until" ]; do # apt may have started one, which does not answer yet
    ! answers || return 0
    sleep 0.5
  done
  found=$(engines)
  [ -z "$found" ] || fail "another Docker engine is here, which does not answer at ${DOCKER_HOST:-its usual place}: $(tr '\n' ',' <<<"$found") and a second one would take its networks"
  # The directory is found again in /proc/mounts and in command lines, where other characters are written in other ways.
  places=$(realpath -e -- "${TMPDIR:-/tmp}")/fountain-compose-proof
  [[ $places =~ ^[A-Za-z0-9/._-]+$ ]] || fail 'TMPDIR has other characters than letters, digits, ".", "_" and "-"'
  [ -n "$(find "${places%/*}/" -maxdepth 0 -user 0 \( -perm -1000 -o ! -perm /022 \))" ] || fail "in ${places%/*} others than root may rename what is root's (TMPDIR)"
  for one in "$places".*; do
    if ours "$one"; then
      echo "compose-proof: taking away what an engine left in $one" >&2
      bury "$one" || fail "not all of $one could be taken away"
    elif [ -e "$one" ]; then
      echo "compose-proof: leaving $one alone, which no engine of this script has made in this network since the machine started" >&2
    fi
  done
  found=$(shims)
  [ -z "$found" ] || fail "containers of a Docker engine run here, which is away itself: $(cut -c1-160 <<<"$found")"
  for one in $(bridges); do ! used "$one" || fail "the bridge $one of a Docker engine is in use here"; done
}

# start brings up an engine of our own.
start() {
  local began=$SECONDS one
  command -v dockerd >/dev/null || fail 'there is no Docker engine (Debian: docker.io)'
  [ -e /sys/fs/cgroup/cgroup.controllers ] || [ -d /sys/fs/cgroup/memory ] || fail 'no control groups are mounted in /sys/fs/cgroup, without which no Docker engine starts'
  own=$(mktemp -d "$places.XXXXXX")
  mark >"$own/before"
  bridges >>"$own/before"
  mv "$own/before" "$own/mark" # whole, or not there
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
  for _ in $(seq 75); do # 15 s
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
images=$(sed -nE 's|^FROM ([^ ]*:[^ ]*).*|\1|p' Dockerfile)
images+=$'\n'$(COMPOSE_PROFILES=$profiles "$COMPOSE" config --images | grep -v '^fountainai/')
[ -n "$base" ] || images+=$'\n'$("$COMPOSE" config --images prometheus | grep '^prom/')
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
  tools/images-offline.sh "${FOUNTAIN_STANDINS:-bin/standins}" "${standins[@]}" 9>&-
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
