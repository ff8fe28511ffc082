#!/bin/bash
# Entry of the stand-in of the image postgres (tools/images-offline.sh): what docker-compose.yml uses of the real one. The first start makes a cluster for the user
# postgres with the password of POSTGRES_PASSWORD_FILE, and runs the *.sql of /docker-entrypoint-initdb.d on a server that listens on its socket alone.
set -euo pipefail
umask 077
if [ "$(id -u)" -eq 0 ]; then
	mkdir -p "$PGDATA"
	chown -R 999:999 "$PGDATA"
	POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
	export POSTGRES_PASSWORD
	exec setpriv --reuid=999 --regid=999 --clear-groups -- "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	chmod 0700 "$PGDATA"
	initdb --username=postgres --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") --encoding=UTF8 --locale=C.UTF-8 --auth-local=trust --auth-host=scram-sha-256 >/dev/null
	echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
	echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
	pg_ctl -w -o "-c listen_addresses=''" start >/dev/null
	for file in /docker-entrypoint-initdb.d/*.sql; do
		[ ! -e "$file" ] || psql -v ON_ERROR_STOP=1 --no-psqlrc -q -U postgres -d postgres -f "$file"
	done
	pg_ctl -w -m fast stop >/dev/null
fi
unset POSTGRES_PASSWORD
exec "$@"
