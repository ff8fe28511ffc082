#!/bin/sh
# What tests/harness asks of a family that docker-compose.yml has brought up: ends, starts and reads its containers. COMPOSE, DOCKER and the settings of Compose are in the
# environment, as tests/compose has them.
#
#   tools/compose-driver.sh kill SERVICE          as a power cut would; the container stays down
#   tools/compose-driver.sh stop SERVICE          as an operator does
#   tools/compose-driver.sh start SERVICE         and waits until it is healthy
#   tools/compose-driver.sh read SERVICE FILE     writes a file of the container to standard output
set -eu
cd "$(dirname "$0")/.."
verb=$1 service=$2
case $verb in
kill) "$COMPOSE" kill -s KILL "$service" ;;
stop) "$COMPOSE" stop -t 45 "$service" ;;
start)
	"$COMPOSE" start "$service"
	container=$("$COMPOSE" ps -a -q "$service")
	tries=0
	until [ "$("$DOCKER" inspect -f '{{.State.Health.Status}}' "$container")" = healthy ]; do
		tries=$((tries + 1))
		[ "$tries" -lt 600 ] || { echo "$service is not healthy after 5 minutes" >&2; exit 1; }
		sleep 0.5
	done
	;;
read) "$COMPOSE" cp "$service:$3" - | tar -xO ;;
*)
	echo "no such verb: $verb" >&2
	exit 2
	;;
esac
