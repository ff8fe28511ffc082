#!/usr/bin/env bash
# Prints of which modules the image's program is made, in kilobytes of their code and data, the largest first. What the runtime keeps of every function comes on
# top, about two thirds again.
#
#   tools/size.sh [N]      the first N (30)
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
CGO_ENABLED=0 go build -tags server -trimpath -buildvcs=false -ldflags=-w -o "$dir/fountain" ./cmd/fountain
go version -m "$dir/fountain" | awk '$1 == "dep" || $1 == "mod" {print $2}' >"$dir/modules"
go tool nm -size "$dir/fountain" | awk -v modules="$dir/modules" '
  BEGIN { while ((getline line < modules) > 0) known[line] = 1 }
  $3 ~ /^[bB]$/ || /drbg\.memory/ { next } # takes no room in the file
  {
    at = $4
    for (i = 5; i <= NF; i++) at = at " " $i
    sub(/^(type:\.eq\.|go:itab\.|type:)/, "", at); sub(/^\*/, "", at)
    sub(/[\[(].*/, "", at) # of generic code and methods
    of = "the standard library and what belongs to no module"
    for (n = split(at, part, "/"); n > 0; n--) {
      name = part[1]
      for (i = 2; i <= n; i++) name = name "/" part[i]
      if (!(name in known)) sub(/\.[^.\/]*(\.[^\/]*)?$/, "", name)
      if (name in known) { of = name; break }
    }
    if (at ~ /^main\./) of = "github.com/fountainai/fountain"
    bytes[of] += $2
  }
  END { for (of in bytes) printf "%8d %s\n", bytes[of] / 1000, of }' | sort -rn | head -n "${1:-30}"
