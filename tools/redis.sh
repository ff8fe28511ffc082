#!/bin/sh
# A throw-away Redis for tests, on a free port of 127.0.0.1, reachable from this machine only. It keeps nothing on disk.
#
#   eval "$(tools/redis.sh start DIR)"   starts it with its files in DIR and exports FOUNTAIN_REDIS_URL
#   tools/redis.sh stop DIR              stops what start started in DIR (and nothing else)
#
# A later start in the same DIR takes the same port again, empty.
set -eu

usage() { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 64; }
fail() { echo "redis.sh: $*" >&2; exit 1; }

[ $# -eq 2 ] || usage
command=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd -P)

# running tells whether the process that start started is still there; the number may be another program's by now.
running() {
	[ -s "$dir/pid" ] && pid=$(cat "$dir/pid") && kill -0 "$pid" 2>/dev/null || return 1
	[ ! -d /proc/self ] || grep -qs redis-server "/proc/$pid/cmdline" # nothing where it has ended
}

# launch starts it on a port and waits until it takes connections; false when the port is taken.
launch() {
	: >"$dir/log"
	(cd "$dir" && redis-server --bind 127.0.0.1 --port "$1" --daemonize yes --pidfile "$dir/pid" --logfile "$dir/log" \
		--dir "$dir" --save '' --appendonly no --maxmemory 64mb --maxmemory-policy volatile-ttl) >/dev/null || return 1
	for _ in $(seq 100); do
		grep -q 'Ready to accept connections' "$dir/log" && return
		grep -q 'Failed listening' "$dir/log" && return 1
		sleep 0.05
	done
	return 1
}

# A free port can be lost between looking and listening, so several are tried.
start() {
	running && return
	if [ -s "$dir/port" ]; then
		launch "$(cat "$dir/port")" && return
		tail -20 "$dir/log" >&2
		fail "Redis did not start again on its port"
	fi
	for _ in 1 2 3 4 5 6 7 8; do
		port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 12000)) # below the range the kernel gives to clients
		if launch "$port"; then
			echo "$port" >"$dir/port"
			return
		fi
	done
	tail -20 "$dir/log" >&2
	fail "Redis did not start"
}

case $command in
start)
	command -v redis-server >/dev/null || fail "redis-server not found"
	start
	echo "export FOUNTAIN_REDIS_URL='redis://127.0.0.1:$(cat "$dir/port")'"
	;;
stop)
	if running; then
		kill -KILL "$pid" # it has nothing to save
		while running; do sleep 0.02; done
	fi
	;;
*) usage ;;
esac
