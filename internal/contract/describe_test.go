package contract

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParameters_sayWhatAValueMustBe(t *testing.T) {
	all, err := LoadAll()
	require.NoError(t, err)
	said := map[string]string{}
	for _, c := range all {
		for _, op := range c.Operations {
			described := op.Parameters()
			require.Len(t, described, len(op.parameters), op.ID)
			for i, p := range described {
				require.NotEmpty(t, p.Schema, "%s: %s", op.ID, p.Name)
				require.Equal(t, op.parameters[i].required, p.Required)
				said[op.ID+" "+p.In+" "+p.Name] = p.Schema
			}
			require.Equal(t, op.body == nil, len(op.BodyTypes()) == 0, op.ID)
		}
	}
	require.Equal(t, "integer, at least 1, at most 200", said["listElements query limit"])
	require.Contains(t, said["createElement path scope"], "string, at least ")
	require.Contains(t, said["createElement path scope"], "match ^")
	require.Equal(t, []string{"application/json"}, sample(t).Operation("listThings").AnswerTypes())
}
