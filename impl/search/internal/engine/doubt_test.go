package engine

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/tsclient"
	"github.com/fountainai/fountain/internal/problem"
)

type freshKeys struct{}

func (freshKeys) Refresh(context.Context) error { return nil }

// The second attempt, with a fresh key, can only vouch for itself and not for the first one.
func TestAgain_keepsTheDoubtOfTheFirstAttempt(t *testing.T) {
	refusesKey := &tsclient.Error{Status: 401}
	for name, second := range map[string]error{"is not reached": tsclient.ErrNotSent, "refuses the key": refusesKey} {
		for _, doubt := range []bool{false, true} {
			attempts := []error{refusesKey, second}
			if doubt {
				attempts[0] = fmt.Errorf("%w: %w", tsclient.ErrDoubt, refusesKey)
			}
			n := -1
			err := (&Engine{keys: freshKeys{}}).again(t.Context(), func() error { n++; return attempts[n] })
			require.ErrorIs(t, err, problem.EngineUnavailable, name)
			require.Equal(t, !doubt, Untouched(err), name)
		}
	}
}
