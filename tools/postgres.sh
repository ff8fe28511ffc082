#!/bin/sh
# A throw-away PostgreSQL for tests, on a free port of 127.0.0.1, reachable from this machine only.
#
#   eval "$(tools/postgres.sh start DIR)"   starts it with its files in DIR and exports FOUNTAIN_TEST_POSTGRES_URL
#   tools/postgres.sh url DIR               prints the URL
#   tools/postgres.sh stop DIR              stops what start started in DIR (and nothing else)
#
# DIR must be empty or absent at the first start; it is kept at stop. PostgreSQL refuses to run as root, so root runs it
# as the user postgres. FOUNTAIN_POSTGRES_BIN names the directory of initdb and pg_ctl where it cannot be guessed.
# FOUNTAIN_POSTGRES_SETTINGS has further lines for postgresql.conf, which count at the first start.
set -eu

usage() { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 64; }
fail() { echo "postgres.sh: $*" >&2; exit 1; }

[ $# -eq 2 ] || usage
command=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd -P)
data=$dir/data

bin=${FOUNTAIN_POSTGRES_BIN:-}
if [ -z "$bin" ]; then
	for candidate in /usr/lib/postgresql/*/bin /usr/local/bin /opt/homebrew/bin /usr/bin; do
		[ -x "$candidate/initdb" ] && bin=$candidate
	done
fi
[ -n "$bin" ] || fail "initdb not found; set FOUNTAIN_POSTGRES_BIN"

# as_owner runs a command as somebody PostgreSQL accepts.
as_owner() {
	if [ "$(id -u)" -eq 0 ]; then
		(cd / && setpriv --reuid=postgres --regid=postgres --init-groups -- "$@")
	else
		"$@"
	fi
}

running() { as_owner "$bin/pg_ctl" -D "$data" status >/dev/null 2>&1; }

url() {
	running || fail "not running in $dir"
	port=$(sed -n 4p "$data/postmaster.pid")
	echo "postgres://fountain@127.0.0.1:$port/postgres?sslmode=disable"
}

initialise() {
	if [ "$(id -u)" -eq 0 ]; then
		chown postgres "$dir"
		# initdb must be able to enter the directory.
		as_owner test -x "$dir" || fail "the user postgres cannot enter $dir; choose a directory under /tmp"
	fi
	as_owner "$bin/initdb" -D "$data" -U fountain -A trust -E UTF8 --locale=C.UTF-8 >"$dir/initdb.log" 2>&1 ||
		{ cat "$dir/initdb.log" >&2; fail "initdb failed"; }
	# Nobody but 127.0.0.1, and no Unix socket: several of these may run beside each other.
	echo 'host all fountain 127.0.0.1/32 trust' >"$data/pg_hba.conf"
	cat >>"$data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
shared_buffers = 128MB
log_min_messages = warning
${FOUNTAIN_POSTGRES_SETTINGS:-}
CONF
}

# A free port can be lost between looking and listening, so several are tried.
start() {
	[ -d "$data" ] || initialise
	running && return
	for _ in 1 2 3 4 5 6 7 8; do
		port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 12000)) # below the range the kernel gives to clients
		if as_owner "$bin/pg_ctl" -D "$data" -w -t 60 -l "$dir/postgres.log" -o "-p $port" start >/dev/null 2>&1; then
			return
		fi
	done
	tail -20 "$dir/postgres.log" >&2
	fail "PostgreSQL did not start"
}

case $command in
start)
	start
	echo "export FOUNTAIN_TEST_POSTGRES_URL='$(url)'"
	;;
url) url ;;
stop)
	# pg_ctl signals the process whose id stands in this directory.
	if running; then as_owner "$bin/pg_ctl" -D "$data" -m fast -w stop >/dev/null; fi
	;;
*) usage ;;
esac
