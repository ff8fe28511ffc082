package contract

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/openapi"
)

// A bundled contract is one file with the same meaning: the same operations with the same policies.
func TestBundle_isOneFileThatMeansTheSame(t *testing.T) {
	for _, word := range openapi.Words() {
		text, err := Bundle(word+".yaml", openapi.Files.ReadFile)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(text), "openapi: 3.0.3\ninfo:\n"))
		require.NotContains(t, string(text), "common.yaml#")
		bundled, err := LoadFS(fstest.MapFS{word + ".yaml": {Data: text}}, word)
		require.NoError(t, err, word)
		original, err := Load(word)
		require.NoError(t, err)
		require.Len(t, bundled.Operations, len(original.Operations))
		for _, op := range original.Operations {
			require.Equal(t, op.Policy, bundled.Operation(op.ID).Policy, op.ID)
			require.Equal(t, op.Requirements, bundled.Operation(op.ID).Requirements, op.ID)
			require.Equal(t, op.Parameters(), bundled.Operation(op.ID).Parameters(), op.ID)
			require.Equal(t, op.BodyTypes(), bundled.Operation(op.ID).BodyTypes(), op.ID)
		}
	}
}
