package secret

import (
	"context"

	"github.com/fountainai/fountain/internal/store"
)

// ProposeRandom is the step create alone.
func ProposeRandom(s *Secrets, ctx context.Context, tx *store.Tx, name string, length int64) (int64, error) {
	return s.proposeRandom(ctx, tx, name, length)
}

// Opened is the value of a version in a transaction.
func Opened(s *Secrets, ctx context.Context, tx *store.Tx, name string, number int64) string {
	v, _, err := s.rows.Version(ctx, tx, name, number)
	if err != nil {
		panic(err)
	}
	value, err := s.open(Sealed{Secret{Name: name, Version: number}, v.WrappedKey, v.Value})
	if err != nil {
		panic(err)
	}
	return value
}
