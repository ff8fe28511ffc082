#!/usr/bin/env bash
# Makes src/*.gen.ts from the contracts of ../../openapi with the pinned openapi-typescript, which takes in what a contract refers to in common.yaml.
# Run it by `make typescript`.
set -euo pipefail
cd "$(dirname "$0")"
for word in gateway kms search sequence twofactor; do
  # A value with a default may be left out of what is sent.
  npx --no-install openapi-typescript "../../openapi/$word.yaml" --default-non-nullable=false --empty-objects-unknown -o "src/$word.gen.ts" >/dev/null
done
