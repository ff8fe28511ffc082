// Package edge tests what users deploy: the repository's Caddyfile in a real Caddy in front of a running family, and what
// docker-compose.yml says. It is built with the tag edge only, because it needs more than Go:
//
//	make edge
//
// CADDY and COMPOSE name the two binaries; without them the tests fail. See Caddyfile and docs/decisions/0003.
package edge
