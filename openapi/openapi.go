// Package openapi embeds the family's contracts. It is the one place from which programs and tests load them: nothing else
// reads the YAML files, so what is served, compiled and tested is always the same text.
package openapi

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"slices"
	"sync"
)

// Files holds every contract, one YAML file per service plus common.yaml, whose components the others reference.
//
//go:embed *.yaml
var Files embed.FS

var words = []string{"gateway", "kms", "search", "sequence", "twofactor"}

// Words returns the services' names in alphabetical order. The word of a service is the same in its file name, packages,
// metric labels and configuration prefix.
func Words() []string { return slices.Clone(words) }

// Read returns the YAML text of the contract of one service, or of "common". An unknown word is an error.
func Read(word string) ([]byte, error) {
	text, err := Files.ReadFile(word + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("no contract is called %q", word)
	}
	return text, nil
}

// digests are those of all contracts, by word.
var digests = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	for _, word := range words {
		text, err := Read(word)
		if err != nil {
			panic(err) // they are embedded
		}
		out[word] = DigestOf(text)
	}
	return out
})

// Digest returns that of the contract of a service; "" for an unknown word. A service tells it with its readiness, so that the gateway sees when it keeps
// another contract than the gateway checks.
func Digest(word string) string { return digests()[word] }

// DigestOf returns the SHA-256 of a contract's text as RFC 9530 writes digests: "sha-256=:...:".
func DigestOf(text []byte) string {
	sum := sha256.Sum256(text)
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}
