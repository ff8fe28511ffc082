package contract

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/openapi"
)

func TestLoad_givesEachCallerItsOwnOperations(t *testing.T) {
	for _, word := range openapi.Words() {
		one, err := Load(word)
		require.NoError(t, err)
		other, err := Load(word)
		require.NoError(t, err)
		require.Len(t, other.Operations, len(one.Operations))
		for i, op := range one.Operations {
			twin := other.Operations[i]
			require.NotSame(t, op, twin)
			require.Equal(t, Kept(op, one, func() string { return "of one" }), "of one")
			require.Equal(t, Kept(twin, one, func() string { return "of the other" }), "of the other")
		}
		var m Match
		for _, op := range other.Operations {
			if !strings.Contains(op.Path, "{") {
				require.NoError(t, other.Match(op.Method, op.Path, &m))
				require.Same(t, op, m.Operation, "the table leads to the caller's operations")
			}
		}
	}
}

// Fails when a field was added to Operation and not to own.
func TestOwn_copiesEveryField(t *testing.T) {
	of := reflect.TypeFor[Operation]()
	seen := map[string]bool{}
	for _, word := range openapi.Words() {
		c, err := Load(word)
		require.NoError(t, err)
		for _, op := range c.Operations {
			op.label, op.Unsupported, op.Mount, op.route = "label", "unsupported", "/mount", "route"
			op.adopted, op.pathNames, op.variants = true, []string{"name"}, []*Operation{op}
			was, own := reflect.ValueOf(op).Elem(), reflect.ValueOf(op.own()).Elem()
			for i := range of.NumField() {
				name := of.Field(i).Name
				if name == "kept" {
					continue
				}
				seen[name] = seen[name] || !was.Field(i).IsZero()
				require.Equal(t, was.Field(i).IsZero(), own.Field(i).IsZero(), name)
			}
		}
	}
	for i := range of.NumField() {
		if name := of.Field(i).Name; name != "kept" {
			require.True(t, seen[name], "%s is set in no operation: this test would not see that own leaves it out", name)
		}
	}
}
