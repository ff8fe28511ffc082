package vault

import (
	"context"
	"errors"
	"fmt"

	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
)

// Wrapping is the name of the keyset that seals the keys of keyrings. Unlike the other keysets it is rotated together with the root key, so that what is wrapped
// afterwards is protected by a key that was never sealed under the old root key.
const Wrapping = "keyrings"

// Wrap seals a key under the newest key of the wrapping keyset, and returns that key's ID. It takes the turn of the root key, so that the keyset can't be
// rotated before the commit. The keyset must exist.
func (v *Vault) Wrap(ctx context.Context, tx *store.Tx, plain, aad []byte) (sealed []byte, by uint32, err error) {
	set, err := v.lockWrapping(ctx, tx)
	if err != nil {
		return nil, 0, fmt.Errorf("wrap key: %w", err)
	}
	sealed, err = set.Seal(plain, aad)
	return sealed, set.Primary(), err
}

// Unwrap opens what Wrap sealed with the same aad, else it fails with seal.ErrOpen.
func (v *Vault) Unwrap(ctx context.Context, sealed, aad []byte) ([]byte, error) {
	set, err := v.AEAD(ctx, Wrapping)
	if err != nil {
		return nil, err
	}
	plain, err := set.Open(sealed, aad)
	if !errors.Is(err, seal.ErrOpen) {
		return plain, err
	}
	v.forget(Wrapping) // another replica may have rotated it
	if set, err = v.AEAD(ctx, Wrapping); err != nil {
		return nil, err
	}
	return set.Open(sealed, aad)
}

// Rewrapped is the state of the wrapping keyset.
type Rewrapped struct {
	Primary uint32 // ID of the key that wraps
	Older   bool   // there are older keys too
}

// Wraps returns the state of the wrapping keyset in the database.
func (v *Vault) Wraps(ctx context.Context, q store.Querier) (Rewrapped, error) {
	sealed, found, err := v.rows.Keyset(ctx, q, Wrapping)
	if err != nil || !found {
		return Rewrapped{}, err
	}
	set, _, err := v.unseal(Wrapping, sealed)
	if err != nil {
		return Rewrapped{}, fmt.Errorf("keyset %s: %w", Wrapping, err)
	}
	return Rewrapped{set.Primary(), len(set.Keys()) > 1}, nil
}

// DropOlder removes all keys but the newest from the wrapping keyset. It does so only if unused, called with the newest key's ID while this transaction has
// the turn, returns true: the older keys wrap nothing any more.
func (v *Vault) DropOlder(ctx context.Context, tx *store.Tx, unused func(primary uint32) (bool, error)) error {
	set, err := v.lockWrapping(ctx, tx)
	if err != nil {
		return err
	}
	if free, err := unused(set.Primary()); err != nil || !free {
		return err
	}
	for _, id := range set.Keys() {
		if id == set.Primary() {
			continue
		}
		if set, err = set.Without(id); err != nil {
			return err
		}
	}
	return v.replace(ctx, tx, set)
}

// rotateWrapping adds a new primary key to the wrapping keyset. The caller has the turn.
func (v *Vault) rotateWrapping(ctx context.Context, tx *store.Tx) error {
	set, err := v.lockWrapping(ctx, tx)
	if err != nil {
		return err
	}
	if set, err = set.Rotate(); err != nil {
		return err
	}
	return v.replace(ctx, tx, set)
}

// lockWrapping takes the turn, which locks the wrapping keyset until the transaction ends, and returns it.
func (v *Vault) lockWrapping(ctx context.Context, tx *store.Tx) (*seal.Keyset, error) {
	if _, err := v.rows.TakeRootTurn(ctx, tx); err != nil {
		return nil, err
	}
	sealed, found, err := v.rows.Keyset(ctx, tx, Wrapping)
	if err == nil && !found {
		err = errors.New("keyset " + Wrapping + " is missing")
	}
	if err != nil {
		return nil, err
	}
	set, _, err := v.unseal(Wrapping, sealed)
	return set, err
}

// replace stores the wrapping keyset under the active root key. The caller has the turn.
func (v *Vault) replace(ctx context.Context, tx *store.Tx, set *seal.Keyset) error {
	state, err := v.rows.RootState(ctx, tx)
	if err != nil {
		return err
	}
	sealed, err := v.seal(state.Active, Wrapping, set)
	if err != nil {
		return err
	}
	tx.AfterCommit(func() { v.forget(Wrapping) })
	return v.rows.ReplaceKeyset(ctx, tx, Wrapping, state.Active, sealed)
}

func (v *Vault) forget(name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.open, name)
}
