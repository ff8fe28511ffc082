// Package idempotency answers a repeated creation with the first answer.
package idempotency

import (
	"context"
	"io/fs"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/store"
)

// Migrations creates the idempotency table (00011).
var Migrations fs.FS

// MAC fingerprints request bodies. *seal.Keyset and *seal.Key are MACs.
type MAC interface {
	Sum(data []byte) ([]byte, error)
	Verify(sum, data []byte) error
}

// Sealer seals stored answers. *seal.Keyset and *seal.Key are Sealers.
type Sealer interface {
	Seal(plain, aad []byte) ([]byte, error)
	Open(sealed, aad []byte) ([]byte, error)
}

// Key is what makes two requests the same one.
type Key struct {
	Principal string // subject of the caller
	Operation string // operationId
	Value     string // the Idempotency-Key header
	Path      string // escaped path and query of the request: part of the fingerprint
	Body      []byte // the bytes as received: part of the fingerprint
}

// Answer is what the first request was answered.
type Answer struct {
	Status int
	Header map[string]string
	Body   []byte
}

// Store keeps answers.
type Store struct{}

// New returns a Store.
func New(fingerprint MAC, sealer Sealer, c clock.Clock) *Store { panic("being built") }

// Do runs fn once per Key.
func (s *Store) Do(ctx context.Context, tx *store.Tx, key Key, secret bool,
	fn func(ctx context.Context, tx *store.Tx) (status int, header map[string]string, body []byte, err error),
) (answer Answer, replayed bool, err error) {
	panic("being built")
}

// Sweep blanks secrets older than 10 minutes and deletes rows older than 24 hours.
func (s *Store) Sweep(ctx context.Context, tx *store.Tx) (removed int64, err error) {
	panic("being built")
}
