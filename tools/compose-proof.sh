#!/usr/bin/env bash
# Builds the image, and runs docker-compose.yml as it is, from an empty machine to the death of each container (tests/compose), alone and with two of each service,
# and leaves nothing behind. Where no Docker engine answers it starts one of its own (Debian: docker.io), with its data in a directory that is removed; where no
# registry answers it makes stand-ins of the images of others (tools/images-offline.sh).
# It needs root, and ip and busybox, which play another machine (Debian: iproute2 busybox).
# Never beside another engine that it can't see: two of them take each other's networks away. So it starts none where the bridge docker0 is.
#
#   tools/compose-proof.sh [FLAG...]      flags of go test, for example -run Image
#
# FOUNTAIN_STANDINS names the directory of what the stand-ins are made of (default: bin/standins).
set -euo pipefail
cd "$(dirname "$0")/.."
export DOCKER=/usr/bin/docker
[ -x "$DOCKER" ] || DOCKER=$(command -v docker) || { echo 'compose-proof: there is no docker (Debian: docker.io)' >&2; exit 1; }
own=
FOUNTAIN_COMPOSE_RUN=$(od -An -N4 -tx1 /dev/urandom | tr -d ' ') # in the name of every project of this run
export FOUNTAIN_COMPOSE_RUN

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

finish() {
  status=$?
  trap '' HUP INT TERM
  if "$DOCKER" info >/dev/null 2>&1; then left || true; fi
  if [ -n "$own" ]; then
    [ -z "${engine:-}" ] || { kill "$engine" 2>/dev/null && wait "$engine" || true; }
    ip link del docker0 2>/dev/null || true
    rm -rf "$own"
  fi
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

if ! "$DOCKER" info >/dev/null 2>&1; then
  command -v dockerd >/dev/null || { echo 'compose-proof: there is no Docker engine (Debian: docker.io)' >&2; exit 1; }
  ! ip link show docker0 >/dev/null 2>&1 || { echo 'compose-proof: docker0 is there: another engine may be, whose networks a second one would take (if none is: ip link del docker0)' >&2; exit 1; }
  own=$(mktemp -d)
  export DOCKER_HOST=unix://$own/docker.sock DOCKER_CONFIG=$own/config
  dockerd --data-root "$own/data" --exec-root "$own/exec" --pidfile "$own/pid" -H "$DOCKER_HOST" >"$own/log" 2>&1 &
  engine=$!
  for _ in $(seq 150); do
    "$DOCKER" info >/dev/null 2>&1 && break
    kill -0 "$engine" 2>/dev/null || break
    sleep 0.2
  done
  "$DOCKER" info >/dev/null 2>&1 || { tail -5 "$own/log" >&2; echo 'compose-proof: the Docker engine does not start here' >&2; exit 1; }
fi
export COMPOSE=$PWD/bin/docker-compose
profiles=postgres,redis,typesense,scale
images=$(sed -nE 's|^FROM ([^ ]*:[^ ]*).*|\1|p' Dockerfile; COMPOSE_PROFILES=$profiles "$COMPOSE" config --images | grep -v "^fountainai/"; "$COMPOSE" config --images prometheus | grep "^prom/")
missing=()
for image in $images; do "$DOCKER" image inspect "$image" >/dev/null 2>&1 || missing+=("$image"); done
if [ ${#missing[@]} -gt 0 ]; then
  echo "compose-proof: not there: ${missing[*]}"
  registry=true
  for image in "${missing[@]}"; do timeout 120 "$DOCKER" pull -q "$image" >/dev/null 2>&1 || { registry=false; break; }; done
  $registry || tools/images-offline.sh "${FOUNTAIN_STANDINS:-bin/standins}"
fi
# Compose builds through buildx where that is installed, else by the engine's classic builder, which is not asked for by default any more.
"$DOCKER" buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0
began=$SECONDS
"$COMPOSE" build gateway
echo "compose-proof: the image was built after $((SECONDS - began)) s"
CGO_ENABLED=0 go test -count=1 -timeout 90m -v -tags compose "$@" ./tests/compose
