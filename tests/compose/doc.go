// Package compose runs the repository's unchanged docker-compose.yml with a Docker engine. It is built only with the tag compose, because it needs an engine, and
// root to kill the processes of containers:
//
//	make compose-proof
//
// COMPOSE names the binary of Compose, DOCKER the client of the engine. The image is built twice and compared, from images that must exist already: nothing is
// pulled. An image with the label fountain.standin is reported as a stand-in.
package compose
