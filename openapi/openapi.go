// Package openapi embeds the family's contracts. It is the one place from which programs and tests load them: nothing else
// reads the YAML files, so what is served, compiled and tested is always the same text.
package openapi

import (
	"embed"
	"fmt"
	"slices"
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
