package main

import (
	"os"
	"strings"
	"testing"

	environment "github.com/caarlos0/env/v11"
	"github.com/stretchr/testify/require"
)

// TestOperations_listEverySetting checks that docs/operations.md lists the settings that the programs read.
func TestOperations_listEverySetting(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	for word, program := range programs {
		fields, err := environment.GetFieldParamsWithOptions(program().settings, environment.Options{})
		require.NoError(t, err)
		listed := 0
		for _, f := range fields {
			if f.OwnKey == "" {
				continue // a struct around the settings
			}
			listed++
			require.True(t, strings.Contains(string(text), "`"+f.Key+"`"), "%s: the setting %s is not in docs/operations.md", word, f.Key)
		}
		require.Greater(t, listed, 10, word)
	}
}
