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

// policy returns who may call each operation, as the contract says. The gateway reads the same policy from the
// contract.
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
