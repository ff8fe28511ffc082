#!/usr/bin/env bash
# Makes generated/*api and clients/* from openapi/*.yaml, and the stubs of examples/notes, with the pinned oapi-codegen. Run it by `make generate`.
set -euo pipefail
cd "$(dirname "$0")/.."

oapi() { go tool -modfile=tools/codegen/go.mod oapi-codegen "$@"; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Clients map the common components to clients/common: they must not reach anything server-side.
client_config=$work/client-config.yaml
sed 's#fountain/generated/commonapi#fountain/clients/common#' oapi-config.yaml >"$client_config"

# The code is made from the contracts without the RateLimit headers of successes: the gateway alone writes these, and a service would have a
# field for each in every answer (docs/decisions/0020-rate-limit-headers-declared-not-generated.md).
# A problem is one response for code, whatever its status: those by status differ in their examples alone.
for contract in openapi/*.yaml; do
  sed -e "\|'common.yaml#/components/headers/RateLimit|d" -e "/^    NotModified:/,/^    Problem:/{\|'#/components/headers/RateLimit|d;}" \
    -e "s/\(components\/responses\/Problem\)[0-9]*'/\1'/" -e "/^    Problem[0-9]/,/^  schemas:/{/^  schemas:/!d;}" \
    "$contract" >"$work/${contract##*/}"
done

generate() { # CONFIG PACKAGE PARTS OUTPUT CONTRACT
  mkdir -p "$(dirname "$4")"
  oapi -config "$1" -package "$2" -generate "$3" -o "$4" "$5"
}

generate oapi-config.yaml commonapi types,skip-prune,strict-server generated/commonapi/commonapi.gen.go "$work/common.yaml"
generate "$client_config" common types,skip-prune clients/common/common.gen.go "$work/common.yaml"
for word in gateway kms search sequence twofactor; do
  generate oapi-config.yaml "${word}api" types,chi-server,strict-server "generated/${word}api/${word}api.gen.go" "$work/$word.yaml"
  generate "$client_config" "$word" types,client "clients/$word/$word.gen.go" "$work/$word.yaml"
done

# The example has a contract and a module of its own.
cd examples/notes
go tool -modfile=../../tools/codegen/go.mod oapi-codegen -config oapi-config.yaml notes.yaml
