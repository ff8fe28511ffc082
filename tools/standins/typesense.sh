#!/bin/bash
# Entry of the stand-in of the image typesense/typesense (tools/images-offline.sh): the embedded engine of this project with the settings that docker-compose.yml
# gives a Typesense, --config=FILE with api-key and data-dir.
set -euo pipefail
umask 077
config=
for arg in "$@"; do
	case $arg in
	--config=*) config=${arg#--config=} ;;
	*) echo "typesense-server: the stand-in knows --config=FILE alone" >&2; exit 2 ;;
	esac
done
value() { sed -n "s/^ *$1 *= *//p" "$config"; }
value api-key >/tmp/key
exec /opt/fountain serve typesense --host 0.0.0.0 --port 8108 --data "$(value data-dir)" --key-file /tmp/key
