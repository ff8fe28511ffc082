package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/proof"
	"github.com/fountainai/fountain/internal/store"
)

func proofAAD(kid string) []byte { return []byte("twofactor proof key\x00" + kid) }

// ProofKey returns the key that signs proofs, and creates it when there is none. Of replicas that start together one creates
// the key and the others use it.
func (s *Store) ProofKey(ctx context.Context, sealer factor.Sealer, now time.Time) (*proof.Key, error) {
	fresh, err := proof.NewKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make proof key: %w", err)
	}
	sealed, err := sealer.Seal(fresh.Seed(), proofAAD(fresh.ID()))
	if err != nil {
		return nil, fmt.Errorf("seal proof key: %w", err)
	}
	var current struct {
		ID     string `db:"kid"`
		Sealed []byte `db:"sealed_seed"`
	}
	err = s.write(ctx, func(ctx context.Context, t *store.Tx) error {
		_, err := t.Exec(ctx, `INSERT INTO proof_keys (kid, sealed_seed, current, created_at) VALUES (?, ?, 1, ?) ON CONFLICT DO NOTHING`,
			fresh.ID(), sealed, micros(now))
		if err != nil {
			return err
		}
		return t.Get(ctx, &current, `SELECT kid, sealed_seed FROM proof_keys WHERE current = 1`)
	})
	if err != nil {
		return nil, fmt.Errorf("keep proof key: %w", err)
	}
	seed, err := sealer.Open(current.Sealed, proofAAD(current.ID))
	if err != nil {
		return nil, fmt.Errorf("open proof key: %w", err)
	}
	key, err := proof.FromSeed(seed)
	if err != nil {
		return nil, fmt.Errorf("read proof key: %w", err)
	}
	if key.ID() != current.ID {
		return nil, fmt.Errorf("proof key %s has another key's seed", current.ID)
	}
	return key, nil
}
