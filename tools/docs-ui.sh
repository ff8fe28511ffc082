#!/usr/bin/env bash
# The files of Swagger UI that the gateway serves, taken from the npm package.
#
#   tools/docs-ui.sh refresh   put the package's files in place
#   tools/docs-ui.sh check     fail unless the committed files equal the package's
#
# The package's scripts are never run, and its text is checked against a pinned hash. What is large is kept compressed (gzip), for it lies in the program.
# To move to another version: change the two lines below, refresh, look at /docs in a browser, commit.
set -euo pipefail
version=5.35.0
integrity=sha512-U06rpMtW9V3XPGOBeamTUSr0Z09jMX4IJuANpE/EZbAhw0G8CgwrzU4YmXkn/h0wCDNsXdGarTNNHC3sU8yVUQ==

dist=$(cd "$(dirname "$0")/.." && pwd)/impl/gateway/internal/docsui/dist
files=(swagger-ui.css swagger-ui-bundle.js swagger-ui-bundle.js.LICENSE.txt
  favicon-32x32.png LICENSE NOTICE)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --ignore-scripts --silent "swagger-ui-dist@$version" >/dev/null)
archive=$work/swagger-ui-dist-$version.tgz
actual=sha512-$(node -e 'process.stdout.write(require("crypto").createHash("sha512").update(require("fs").readFileSync(process.argv[1])).digest("base64"))' "$archive")
if [ "$actual" != "$integrity" ]; then
  echo "swagger-ui-dist $version is not the package that was reviewed: its hash is $actual" >&2
  exit 1
fi
tar -C "$work" -xzf "$archive"
mkdir "$work/dist"
for f in "${files[@]}"; do
  # A source map comment would make the browser ask for a file that is not served.
  case $f in
    *.css | *.js) sed -E 's,/\*# sourceMappingURL=[^*]*\*/,,; s,//# sourceMappingURL=.*$,,' "$work/package/$f" >"$work/dist/$f" ;;
    *) cp "$work/package/$f" "$work/dist/$f" ;;
  esac
done
large=(swagger-ui.css swagger-ui-bundle.js)

case ${1:-} in
  refresh)
    (cd "$work/dist" && gzip -9 -n "${large[@]}")
    chmod 644 "$work"/dist/*
    rm -rf "$dist"
    cp -r "$work/dist" "$dist"
    echo "swagger-ui-dist $version is in place"
    ;;
  check)
    cp -r "$dist" "$work/ours"
    (cd "$work/ours" && gunzip "${large[@]/%/.gz}") # by content: another gzip may compress otherwise
    diff -rq "$work/dist" "$work/ours" || {
      echo "the committed Swagger UI is not that of swagger-ui-dist $version: run \"make docs-ui\"" >&2
      exit 1
    }
    echo "the committed Swagger UI is that of swagger-ui-dist $version"
    ;;
  *)
    echo "usage: tools/docs-ui.sh refresh|check" >&2
    exit 2
    ;;
esac
