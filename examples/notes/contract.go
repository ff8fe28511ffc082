package main

import (
	_ "embed"
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/fountainai/fountain/clients/fountain/verify"
)

//go:embed notes.yaml
var contract []byte

// policy is who may call what, as the contract says: the gateway reads it there too.
func policy() (verify.Policy, error) {
	var document map[string]any
	if err := yaml.Unmarshal(contract, &document); err != nil {
		return nil, fmt.Errorf("read contract: %w", err)
	}
	text, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("read contract: %w", err)
	}
	return verify.ReadPolicy(text)
}
