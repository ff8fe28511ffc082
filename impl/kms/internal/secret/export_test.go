package secret

import (
	"context"

	"github.com/fountainai/fountain/impl/kms/internal/policy"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/store"
)

// EnterTogether runs one transaction with a reading for each caller; the readings open nothing.
func EnterTogether(s *Secrets, ctx context.Context, tx *store.Tx, name string, callers ...*auth.Principal) (refused []error, err error) {
	batch := make([]*reading, len(callers))
	for i, caller := range callers {
		batch[i] = &reading{auth.NewContext(ctx, caller), caller, policy.GetSecret, name, func(context.Context, *store.Tx, *current) error { return nil }}
	}
	results, err := s.readTogether(ctx, tx, batch)
	for _, r := range results {
		refused = append(refused, r.Err)
	}
	return refused, err
}

// ProposeRandom is the step Create alone.
func ProposeRandom(s *Secrets, ctx context.Context, tx *store.Tx, name string, length int64) (int64, error) {
	return s.proposeRandom(ctx, tx, name, length)
}

// Opened returns the value of a version, read in a transaction.
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
