package secret

import (
	"context"

	"github.com/fountainai/fountain/internal/store"
)

// ProposeRandom is the step create alone.
func ProposeRandom(s *Secrets, ctx context.Context, tx *store.Tx, name string, length int64) (int64, error) {
	return s.proposeRandom(ctx, tx, name, length)
}
