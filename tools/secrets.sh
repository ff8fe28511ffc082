#!/bin/sh
# Makes the secrets that the profiles of docker-compose.yml need, each in the folder of the one container that reads it. Nothing that is there is replaced.
#
#   tools/secrets.sh [DIR]        DIR is deploy/secrets, or what FOUNTAIN_SECRETS names
#
# The folder is closed to everybody else on this machine; the files in it are readable, because a container's user is another one.
set -eu
cd "$(dirname "$0")/.."
dir=${1:-${FOUNTAIN_SECRETS:-deploy/secrets}}
services="kms twofactor search sequence"

umask 022
mkdir -p "$dir"
chmod 700 "$dir"
for one in gateway $services postgres redis typesense grafana backup backup-drill; do mkdir -p "$dir/$one"; done

# random prints 32 random bytes in hexadecimal: letters and digits need no escape in a URL, SQL or a file of settings.
random() { od -An -tx1 -N32 /dev/urandom | tr -d ' \n'; }

# put FILE keeps standard input as a new file, whole or not at all; a file that is there stays.
put() {
	if [ -e "$dir/$1" ]; then
		cat >/dev/null
		return
	fi
	cat >"$dir/$1.new"
	mv "$dir/$1.new" "$dir/$1"
	echo "made $dir/$1"
}

random | put postgres/password
for one in $services; do
	printf 'postgres://%s:%s@postgres:5432/%s?sslmode=disable\n' "$one" "$(random)" "$one" | put "$one/database_url"
done
# A user and a database for each, with the password of the URL above; every statement on one line, which a single-user server takes too.
for one in $services; do
	password=$(sed -n 's|^postgres://[^:]*:\([0-9a-f]*\)@.*|\1|p' "$dir/$one/database_url")
	[ -n "$password" ] || { echo "secrets.sh: $dir/$one/database_url is not one of this script; write databases.sql yourself" >&2; exit 1; }
	printf "CREATE ROLE %s LOGIN PASSWORD '%s';\n\nCREATE DATABASE %s OWNER %s;\n\nREVOKE CONNECT ON DATABASE %s FROM PUBLIC;\n\n" "$one" "$password" "$one" "$one" "$one"
done | put postgres/databases.sql

random | put gateway/redis_password
cp_secret() { [ -e "$dir/$2" ] || cat "$dir/$1" | put "$2"; }
cp_secret gateway/redis_password kms/redis_password
printf 'bind 0.0.0.0 -::\nport 6379\nsave ""\nappendonly no\nmaxmemory 128mb\nmaxmemory-policy volatile-ttl\nrequirepass %s\n' "$(cat "$dir/gateway/redis_password")" | put redis/redis.conf

random | put search/typesense_key
printf '[server]\napi-key = %s\ndata-dir = /data\n' "$(cat "$dir/search/typesense_key")" | put typesense/typesense.ini

random | put grafana/password
