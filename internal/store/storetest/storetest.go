// Package storetest runs a store's tests on every database the house supports.
package storetest

import (
	"io/fs"
	"testing"

	"github.com/fountainai/fountain/internal/store"
)

// Each runs f on SQLite, and on PostgreSQL when FOUNTAIN_TEST_POSTGRES_URL is set.
func Each(t *testing.T, migrations []fs.FS, f func(t *testing.T, open func(t *testing.T) *store.DB)) {
	panic("being built")
}

// EachConfig is Each for tests that open the database themselves, for example in a child process.
func EachConfig(t *testing.T, migrations []fs.FS, f func(t *testing.T, c store.Config)) {
	panic("being built")
}
