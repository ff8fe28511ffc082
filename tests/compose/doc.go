// Package compose runs the repository's docker-compose.yml, as it is, with a Docker engine. It is built with the tag compose only, because it needs one, and
// root, by which it ends the processes of containers:
//
//	make compose-proof
//
// COMPOSE names the binary of Compose, DOCKER the engine's client. The image is built twice and
// compared, from images that must be there; nothing is pulled. One with the label fountain.standin is
// told to be no more than a stand-in.
package compose
