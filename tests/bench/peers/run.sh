#!/usr/bin/env bash
# Measures the gateway beside its peers on one machine with Debian, Go and two cores or more, and prints the tables of docs/performance.md. It
# installs nginx, haproxy, wrk and taskset from Debian where they are missing (as root, or with sudo), without starting their services.
#
#   tests/bench/peers/run.sh [-rounds 5] [-seconds 4] [-connections 16] [-rate 1000] [-only gateway,nginx]
#
# PROXY_CORE=0 and LOAD_CORE=1 name the cores of the proxies, and of load and service. PROFILE=1 takes CPU profiles of the gateway under load
# and prints where the time goes; PROFILE=DIR keeps them there.
set -euo pipefail
cd "$(dirname "$0")/../../.."

install_packages() {
  local missing=() root=() made=
  command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || missing+=(nginx)
  command -v haproxy >/dev/null || [ -x /usr/sbin/haproxy ] || missing+=(haproxy)
  command -v wrk >/dev/null || missing+=(wrk)
  command -v taskset >/dev/null || missing+=(util-linux)
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" -eq 0 ] || root=(sudo)
  echo "installing ${missing[*]}" >&2
  "${root[@]}" apt-get update -qq
  if [ ! -e /usr/sbin/policy-rc.d ]; then # Debian's way to say that a package must not start its service
    made=1
    printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee /usr/sbin/policy-rc.d >/dev/null
    "${root[@]}" chmod 755 /usr/sbin/policy-rc.d
  fi
  local status=0
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 || status=$?
  [ -z "$made" ] || "${root[@]}" rm /usr/sbin/policy-rc.d
  return $status
}

install_packages
export PATH=$PATH:/usr/sbin CGO_ENABLED=0
make -s bin/caddy build >&2
go build -C tests/bench/peers -trimpath -o ../../../bin/peers .

options=(-repository . -core "${PROXY_CORE:-0}")
if [ -n "${PROFILE:-}" ]; then
  profiles=$PROFILE
  [ "$PROFILE" != 1 ] || profiles=$(mktemp -d)
  mkdir -p "$profiles"
  options+=(-profile "$profiles")
fi

cat <<END
$(date -u +%F), $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores, load $(cut -d' ' -f1-3 /proc/loadavg) before the run
$(go version), $(nginx -v 2>&1), $(haproxy -v | head -n 1 | cut -d' ' -f1-3), Caddy $(bin/caddy version | cut -d' ' -f1), fountain $(git rev-parse --short HEAD)
END
taskset -c "${LOAD_CORE:-1}" bin/peers run "${options[@]}" "$@"

for profile in "${profiles:-/nonexistent}"/*.pprof; do
  [ -e "$profile" ] || continue
  printf '\n%s\n\n' "$profile"
  go tool pprof -top -cum -nodecount 60 bin/fountain "$profile" 2>/dev/null
done
