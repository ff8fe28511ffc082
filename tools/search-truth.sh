#!/usr/bin/env bash
# Replays the recorded answers of a real Typesense 29.0 against the embedded engine, or against the Typesense at URL with the admin key
# KEY, which is WIPED. It prints the agreement per area, and without flags also how much of it holds for other names, letters, orders and capitals
# (search-variants.py), and fails when less than 95 % do. Needs python3. FOUNTAIN_SHARED names another folder than ../shared.
#
#   tools/search-truth.sh [--area facet] [--quiet] [--json FILE]
#   URL=http://127.0.0.1:8108 KEY=... tools/search-truth.sh --quiet
set -euo pipefail
cd "$(dirname "$0")/.."
corpus=${FOUNTAIN_SHARED:-../shared}/data/typesense
[ -e "$corpus/compare.py" ] || { echo "the recorded answers are not in $corpus (FOUNTAIN_SHARED names the folder above data/)" >&2; exit 1; }

work=$(mktemp -d)
server=
finish() {
  [ -z "$server" ] || { kill "$server" && wait "$server"; } || true
  rm -rf "$work"
}
trap finish EXIT
if [ -z "${URL:-}" ]; then
  ${GO:-go} build -trimpath -o "$work/fountain" ./cmd/fountain
  "$work/fountain" serve typesense --port "${PORT:-0}" --data "$work/data" --key-file "$work/key" --log-level error >"$work/ready" &
  server=$!
  for _ in $(seq 100); do
    grep -q '^ready ' "$work/ready" && break
    kill -0 "$server" || { echo "the engine did not start" >&2; exit 1; }
    sleep 0.1
  done
  URL=$(sed -n 's/^ready //p' "$work/ready")
  KEY=$(cat "$work/key")
fi
if [ $# -gt 0 ]; then
  python3 "$corpus/compare.py" --url "$URL" --key "$KEY" --corpus "$corpus" "$@"
  exit
fi
python3 "$corpus/compare.py" --url "$URL" --key "$KEY" --corpus "$corpus" --quiet --json "$work/recorded.json"
echo
python3 tools/search-variants.py --url "$URL" --key "$KEY" --corpus "$corpus" --recorded "$work/recorded.json" --seed "${SEED:-1}"
echo
FOUNTAIN_SHARED=$(cd "$corpus/../.." && pwd) FOUNTAIN_TEST_REQUIRE=recordings ${GO:-go} test -count=1 -run recordedAnswers ./impl/search/internal/sets
