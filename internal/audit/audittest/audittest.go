// Package audittest gives tests an audit chain with a key.
package audittest

import (
	"bytes"
	"context"
	"fmt"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
)

// Service is whose chains the tests open.
const Service = "test"

// Sealer returns the data key that all tests share, so that replicas and restarts open the same chain.
func Sealer(t require.TestingT) *seal.Key {
	key, err := seal.FromDataKey(bytes.Repeat([]byte("audit test"), 4)[:seal.DataKeySize])
	require.NoError(t, err)
	return key
}

// Open opens the chain of a database.
func Open(t require.TestingT, db *store.DB) *audit.Chain {
	chain, err := audit.Open(context.Background(), db, audit.Options{Service: Service, Sealer: Sealer(t), Clock: clock.System})
	require.NoError(t, err)
	return chain
}

// Process is the require.TestingT of a test's child process, which has no testing.T: it panics.
type Process struct{}

// Errorf implements require.TestingT.
func (Process) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// FailNow implements require.TestingT.
func (Process) FailNow() { panic("failed") }
