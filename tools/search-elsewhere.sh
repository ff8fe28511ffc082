#!/usr/bin/env bash
# Runs the tests of an engine elsewhere against a server of another process: `fountain serve typesense` on loopback, or the Typesense at URL with the admin key KEY, which is WIPED.
#
#   tools/search-elsewhere.sh [go test flags]
#   URL=http://127.0.0.1:8108 KEY=... tools/search-elsewhere.sh -run Apply
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
server=
finish() {
  [ -z "$server" ] || { kill "$server" && wait "$server"; } || true
  rm -rf "$work"
}
trap finish EXIT
if [ -z "${URL:-}" ]; then
  ${GO:-go} build -o "$work/fountain" ./cmd/fountain
  "$work/fountain" serve typesense --port "${PORT:-0}" --data "$work/data" --key-file "$work/key" --log-level error >"$work/ready" &
  server=$!
  for _ in $(seq 300); do
    grep -q '^ready ' "$work/ready" && break
    kill -0 "$server" || { echo "the engine did not start" >&2; exit 1; }
    sleep 0.1
  done
  URL=$(sed -n 's/^ready //p' "$work/ready")
  KEY=$(cat "$work/key")
fi
# One package after the other: they share the server, and each test wipes it.
FOUNTAIN_TEST_TYPESENSE_URL=$URL FOUNTAIN_TEST_TYPESENSE_KEY=$KEY ${GO:-go} test -p 1 -count=1 -timeout 30m "$@" ./impl/search ./impl/search/internal/sets
