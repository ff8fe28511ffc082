package tried_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/tried"
)

func open(cause error) (err error) {
	defer tried.To(&err, "open door")
	return cause
}

func TestTo_saysWhatWasTriedAndKeepsTheCause(t *testing.T) {
	cause := errors.New("it is locked")
	err := open(cause)
	require.EqualError(t, err, "open door: it is locked")
	require.ErrorIs(t, err, cause)
	require.NoError(t, open(nil))
}
