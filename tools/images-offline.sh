#!/usr/bin/env bash
# Builds stand-ins of the images that docker-compose.yml and the Dockerfile name, under those very names, where no registry answers: the compose file and the
# Dockerfile stay as they are. They are for tests and for looking at the family, not for service, and each has the label fountain.standin, which says what it is.
# Who can reach a registry somewhere brings the real images instead (docs/operations.md, "Without a registry").
#
#   tools/images-offline.sh [WORK [NAME...]]      WORK keeps what can be used again (default: bin/standins)
#   tools/images-offline.sh --names                        prints the names of the images alone
#
# NAME is one of golang caddy postgres redis typesense prometheus; without any all are made. The Go image has what this machine has compiled of the project.
# It needs root, Debian 12, a Docker engine that runs, Go in /usr/local/go, and the programs that the images are named after (Debian: docker.io libcap2-bin busybox
# postgresql redis-server prometheus). They are copied, with the libraries that they are linked with; nothing is fetched but Go modules that this machine has not. An
# image that is there and is no stand-in is left alone. Grafana has no stand-in.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "images-offline: $*" >&2; exit 1; }

# tools that the real images have too; no others, so that the compose file can't come to need one that is only here.
coreutils=(cat chmod chown cp cut date dirname echo env head id install ln ls mkdir mktemp mv rm sleep sort stat tail test touch tr true)

# image NAME prints the image of that name that the compose file or the Dockerfile wants.
image() {
  local found
  found=$(sed -nE "s#^ *(image:|FROM) ($1:[^ ]+).*#\2#p" docker-compose.yml Dockerfile | sort -u)
  [ -n "$found" ] && [ "$(wc -l <<<"$found")" -eq 1 ] || fail "which image is $1?"
  echo "$found"
}

all=(golang caddy postgres redis typesense prometheus)
declare -A of=([typesense]=typesense/typesense [prometheus]=prom/prometheus) # what is not named as its image

if [ "${1:-}" = --names ]; then # of the images that stand-ins are made of
  for one in "${all[@]}"; do image "${of[$one]:-$one}"; done
  exit
fi

work=${1:-bin/standins}
chosen=("${@:2}")
[ ${#chosen[@]} -gt 0 ] || chosen=("${all[@]}")
mkdir -p "$work"
work=$(cd "$work" && pwd)
trees=$work/standin-trees # of one image each, removed when it is made: a name of its own, as WORK may be a directory with other things in it
docker=$(command -v /usr/bin/docker || command -v docker) || docker= # Debian's is of the engine's own version

# needs PACKAGE COMMAND... fails where a command is not there.
needs() {
  local one
  for one in "${@:2}"; do command -v "$one" >/dev/null || fail "there is no $one (Debian: $1)"; done
}
needs docker.io docker
for one in "${chosen[@]}"; do
  case $one in
    golang) [ "$(go env GOROOT)" = /usr/local/go ] || fail "Go must be in /usr/local/go, where the image has it: what is compiled here is not used there otherwise" ;;
    caddy)
      needs libcap2-bin setcap
      needs busybox busybox
      ;;
    postgres)
      needs util-linux setpriv
      pg=$(dirname "$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n 1)" 2>/dev/null) && [ -x "$pg/postgres" ] || fail "there is no PostgreSQL (Debian: postgresql)"
      ;;
    redis) needs redis-server redis-server redis-cli ;;
    prometheus) needs prometheus prometheus promtool ;;
    typesense) ;;
    *) fail "which stand-in is $one?" ;;
  esac
done
"$docker" info >/dev/null 2>&1 || fail "no Docker engine answers"

# made IMAGE INPUTS says whether nothing is to be done: the image is there, and a real one, or a stand-in of these inputs.
made() {
  local label
  label=$("$docker" image inspect -f '{{index .Config.Labels "fountain.standin"}}|{{index .Config.Labels "fountain.standin.inputs"}}' "$1" 2>/dev/null) || return 1
  [ "$label" != '|' ] || { echo "$1: is there, and no stand-in"; return; }
  [ "${label#*|}" = "$2" ] && echo "$1: is there, a stand-in: ${label%|*}"
}

# digest prints one for what the arguments name: files, or words.
digest() {
  local one
  for one in "$@" tools/images-offline.sh; do if [ -f "$one" ]; then sha256sum <"$one"; else echo "$one"; fi; done | sha256sum | cut -c1-16
}

# tree DIR begins a root file system.
tree() {
  rm -rf "$1"
  mkdir -p "$1"/{usr/bin,usr/sbin,usr/lib,usr/lib64,etc/ssl/certs,root,run,tmp,var/tmp}
  chmod 1777 "$1/tmp" "$1/var/tmp"
  local one
  for one in bin sbin lib lib64; do ln -s "usr/$one" "$1/$one"; done
  ln -s ../run "$1/var/run"
  cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"
  printf 'root:x:0:0:root:/root:/bin/sh\n%s\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n' "${2:-daemon:x:1:1:daemon:/:/bin/false}" >"$1/etc/passwd"
  printf 'root:x:0:\n%s\nnogroup:x:65534:\n' "${2:+${2%%:*}:x:999:}" | grep . >"$1/etc/group"
  echo 'hosts: files dns' >"$1/etc/nsswitch.conf"
}

# add DIR FILE... copies programs, under their own paths, with the libraries that they are linked with.
add() {
  local dir=$1 file lib
  shift
  for file in "$@"; do
    [[ $file == /* ]] || file=$(type -P "$file")
    mkdir -p "$dir$(dirname "$file")"
    [ -e "$dir$file" ] || cp -L "$file" "$dir$file"
    while read -r lib; do
      mkdir -p "$dir$(dirname "$lib")"
      [ -e "$dir$lib" ] || cp -L "$lib" "$dir$lib"
    done < <({ ldd "$file" 2>/dev/null || true; } | awk '{for (i = 1; i <= NF; i++) if ($i ~ /^\//) {print $i; break}}')
  done
}

# shell DIR adds a shell and the small programs.
shell() {
  local one
  add "$1" /bin/bash /bin/dash grep sed find xargs
  for one in "${coreutils[@]}"; do [ ! -e "/usr/bin/$one" ] || add "$1" "/usr/bin/$one"; done
  ln -sf dash "$1/usr/bin/sh"
}

# import DIRECTORY IMAGE INPUTS WHAT CHANGE... makes an image, and removes the directory.
import() {
  local dir=$1 image=$2 change=(--change "LABEL fountain.standin.inputs=$3" --change "LABEL fountain.standin=\"$4\"") c what=$4
  shift 4
  for c in "$@"; do change+=(--change "$c"); done
  tar -C "$dir" --xattrs --xattrs-include=security.capability -c . | "$docker" import "${change[@]}" - "$image" >/dev/null
  rm -rf "$dir"
  echo "$image: made after ${SECONDS} s, a stand-in: $what"
}

# modules brings this project's, which are in this machine's cache or are fetched into it.
modules() ( # in a shell of its own: what it sets is for this alone
  here=$(go env GOMODCACHE)
  GOFLAGS=-modcacherw GOMODCACHE=$work/mod GOPROXY="file://$here/cache/download,$(go env GOPROXY)" GOSUMDB=off go mod download
)

# go_offline runs Go with the modules of WORK and the Dockerfile's settings. Go is in the same place there, so the keys of the build cache are the same.
go_offline() { GOMODCACHE=$work/mod GOPROXY=off CGO_ENABLED=0 go "$@"; }

# compiled copies into WORK what the Dockerfile's build needs of this machine's build cache, and compiles first what is not there. An entry of the cache is a file that
# names the output of an action; the output is a file named after it. Where a later Go keeps them otherwise, nothing is copied, and the build in the image compiles all.
compiled() {
  local cache outputs
  cache=$(go env GOCACHE)
  outputs=$(mktemp)
  go_offline list -deps -export -tags server -trimpath -buildvcs=false -f '{{.Export}}' ./cmd/fountain | sed -nE 's/.*\/([0-9a-f]{64})-d$/\1/p' >"$outputs"
  rm -rf "$work/cache"
  mkdir -p "$work/cache"
  {
    sed -E 's/^(..).*/\1\/&-d/' "$outputs"
    cd "$cache" && find . -name '*-a' -print0 | xargs -0 grep -lF -f "$outputs" -- || true # 123 where some of the files do not match
  } | tar -C "$cache" -c -T - | tar -C "$work/cache" -x || echo 'images-offline: nothing is taken from the build cache' >&2
  rm -f "$outputs"
}

# linked FROM TO copies a directory by links, where they can be made. TO is a directory even where FROM is a link to one: what is removed in TO stays in FROM.
linked() {
  mkdir -p "$2"
  cp -al "$1/." "$2" 2>/dev/null || { rm -rf "$2" && mkdir -p "$2" && cp -a "$1/." "$2"; }
}

golang() {
  local image dir=$trees/golang inputs what
  image=$(image golang)
  inputs=$(digest go.mod go.sum "$(go version)")
  made "$image" "$inputs" && return
  what="$(go env GOVERSION) of this machine, with this project's modules, and what the Dockerfile compiles compiled"
  tree "$dir"
  shell "$dir"
  mkdir -p "$dir"/{go/bin,go/pkg,root/.cache,usr/local}
  linked /usr/local/go "$dir/usr/local/go"
  rm -rf "$dir/usr/local/go/test"
  linked "$work/mod" "$dir/go/pkg/mod"
  compiled
  linked "$work/cache" "$dir/root/.cache/go-build"
  import "$dir" "$image" "$inputs" "$what" \
    'ENV PATH=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    'ENV GOPATH=/go' 'ENV GOTOOLCHAIN=local' 'ENV GOPROXY=off' 'ENV GOSUMDB=off' 'WORKDIR /go' 'CMD ["bash"]'
}

caddy() {
  local image dir=$trees/caddy inputs
  make --no-print-directory bin/caddy >&2
  image=$(image caddy)
  inputs=$(digest bin/caddy)
  made "$image" "$inputs" && return
  tree "$dir"
  add "$dir" /bin/busybox
  ln -s busybox "$dir/usr/bin/sh"
  install -m 0755 bin/caddy "$dir/usr/bin/caddy"
  setcap cap_net_bind_service=+ep "$dir/usr/bin/caddy" # as the real one has it: without the right in the compose file it would not start
  mkdir -p "$dir"/{config/caddy,data/caddy,etc/caddy,srv}
  import "$dir" "$image" "$inputs" "Caddy $(bin/caddy version | cut -d' ' -f1) of its Go module" 'ENV XDG_CONFIG_HOME=/config' 'ENV XDG_DATA_HOME=/data' 'WORKDIR /srv' \
    'CMD ["caddy","run","--config","/etc/caddy/Caddyfile","--adapter","caddyfile"]'
}

postgres() {
  local image dir=$trees/postgres inputs one version
  version=$("$pg/postgres" --version | awk '{print $3}')
  image=$(image postgres)
  inputs=$(digest "$pg/postgres" tools/standins/postgres.sh)
  made "$image" "$inputs" && return
  tree "$dir" postgres:x:999:999::/var/lib/postgresql:/bin/bash
  shell "$dir"
  add "$dir" setpriv "$pg"/{postgres,initdb,pg_ctl,pg_isready,psql,pg_dump,pg_restore}
  for one in "$(dirname "$pg")"/lib/*.so; do [[ $one == *llvm* ]] || add "$dir" "$one"; done
  mkdir -p "$dir"/{usr/share/postgresql,usr/lib/locale,var/lib/postgresql/data,run/postgresql,docker-entrypoint-initdb.d,usr/local/bin}
  cp -aL "/usr/share/postgresql/$(basename "$(dirname "$pg")")" "$dir/usr/share/postgresql/"
  cp -a /usr/lib/locale/C.utf8 "$dir/usr/lib/locale/"
  cp -a /usr/share/zoneinfo "$dir/usr/share/"
  install -m 0755 tools/standins/postgres.sh "$dir/usr/local/bin/docker-entrypoint.sh"
  chown -R 999:999 "$dir/var/lib/postgresql" "$dir/run/postgresql"
  chmod 3777 "$dir/run/postgresql" # as in the real one: what is mounted there takes it
  import "$dir" "$image" "$inputs" "PostgreSQL $version of Debian, which does not open the data of another major version" "ENV PATH=$pg:/usr/local/bin:/usr/bin" 'ENV LANG=C.UTF-8' \
    'ENV PGDATA=/var/lib/postgresql/data' 'ENTRYPOINT ["docker-entrypoint.sh"]' 'EXPOSE 5432' 'CMD ["postgres"]'
}

redis() {
  local image dir=$trees/redis inputs
  image=$(image redis)
  inputs=$(digest "$(type -P redis-server)")
  made "$image" "$inputs" && return
  tree "$dir" redis:x:999:999::/data:/bin/false
  shell "$dir"
  add "$dir" redis-server redis-cli
  install -d -o 999 -g 999 "$dir/data"
  import "$dir" "$image" "$inputs" "Redis $(redis-server --version | sed -E 's/.*v=([^ ]+).*/\1/') of Debian" 'WORKDIR /data' 'EXPOSE 6379' 'CMD ["redis-server"]'
}

# The engine is this project's own: it says nothing about a real Typesense.
typesense() {
  local image dir=$trees/typesense inputs
  image=$(image typesense/typesense)
  go_offline build -tags server -trimpath -buildvcs=false -ldflags='-s -w' -o "$work/fountain" ./cmd/fountain
  inputs=$(digest "$work/fountain" tools/standins/typesense.sh)
  made "$image" "$inputs" && return
  tree "$dir"
  shell "$dir"
  mkdir -p "$dir"/{opt,data}
  install -m 0755 "$work/fountain" "$dir/opt/fountain"
  install -m 0755 tools/standins/typesense.sh "$dir/opt/typesense-server"
  import "$dir" "$image" "$inputs" "fountain serve typesense, no Typesense" 'ENTRYPOINT ["/opt/typesense-server"]' 'EXPOSE 8108'
}

prometheus() {
  local image dir=$trees/prometheus inputs
  image=$(image prom/prometheus)
  inputs=$(digest "$(type -P prometheus)" "$(type -P promtool)")
  made "$image" "$inputs" && return
  tree "$dir"
  add "$dir" prometheus promtool
  mkdir -p "$dir/etc/prometheus"
  install -d -o 65534 -g 65534 "$dir/prometheus"
  import "$dir" "$image" "$inputs" "Prometheus $(command prometheus --version 2>&1 | awk 'NR == 1 {print $3}') of Debian" 'USER 65534' 'WORKDIR /prometheus' \
    'ENTRYPOINT ["/bin/prometheus"]' 'EXPOSE 9090' 'CMD ["--config.file=/etc/prometheus/prometheus.yml","--storage.tsdb.path=/prometheus"]'
}

case " ${chosen[*]} " in *" golang "* | *" typesense "*) modules ;; esac
for one in "${chosen[@]}"; do "$one"; done
rmdir "$trees" 2>/dev/null || true
