package vault

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

const (
	// TendPause is the interval at which the files are read and keysets are resealed.
	TendPause = 5 * time.Second

	seenEvery = 10 * time.Second // how often a replica announces its keys even if they have not changed
	seenFor   = 30 * time.Second // how long after its last announcement a replica counts as running
	forgotten = time.Hour        // after which a killed replica's row is deleted
	batch     = 20               // keysets resealed per call of Tend
)

// State is the state of the root key's rotation.
type State struct {
	Active     string    // ID of the root key that seals; "" until the first release with rotations opens the database
	Previous   string    // ID of the previous one; "" for none
	RotatedAt  time.Time // zero: never
	FinishedAt time.Time // when the last keyset was resealed; zero: never, or not yet
}

// Holder is a replica with the root keys in its files.
type Holder struct {
	Replica  string
	RootKeys []string
	Fault    string // why its files are refused, in public words; "" if they are not
	SeenAt   time.Time
}

// Status is the state of the root key as administrators see it.
type Status struct {
	State
	Sealed    int64  // number of keysets under the active key
	Remaining int64  // number of keysets under other keys
	Current   string // ID of the key in the answering replica's file; "" if it is refused
	Holders   []Holder
}

// Rotation rotates the root key. Every change takes the turn, which serialises the changes of all replicas.
type Rotation struct {
	Vault    *Vault
	Standing *authority.Standing
	Audit    auditlog.Log
	Clock    clock.Clock
	Log      *slog.Logger

	replica string
	mu      sync.Mutex
	said    Holder // the last stored announcement
}

// NewRotation returns the rotation of a vault's root key.
func NewRotation(v *Vault, standing *authority.Standing, c clock.Clock, log *slog.Logger) *Rotation {
	return &Rotation{Vault: v, Standing: standing, Audit: auditlog.Log{Clock: c}, Clock: c, Log: log, replica: id.New("rep")}
}

// Status returns which root key seals what. The reading is recorded in the audit trail.
func (r *Rotation) Status(ctx context.Context, caller *auth.Principal) (s Status, err error) {
	defer tried.To(&err, "read state of root key")
	err = r.Vault.db.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if err := r.Standing.HoldAdministrator(ctx, tx, caller); err != nil {
			return err
		}
		if s, err = r.status(ctx, tx); err != nil {
			return err
		}
		return r.Audit.Append(ctx, tx, auditlog.Event{Action: "getRootKey"})
	})
	return s, err
}

func (r *Rotation) status(ctx context.Context, q store.Querier) (s Status, err error) {
	rows := r.Vault.rows
	if s.State, err = rows.RootState(ctx, q); err != nil {
		return s, err
	}
	if s.Sealed, s.Remaining, err = rows.CountSealed(ctx, q, s.Active); err != nil {
		return s, err
	}
	s.Holders, err = rows.Holders(ctx, q, domain.Now(r.Clock).Add(-seenFor))
	_, s.Current, _ = r.Vault.roots.now()
	return s, err
}

// Rotate makes the key in the file the active one. What the previous key has sealed is resealed in the background. It fails with domain.StateConflict while the
// file holds the active key, a file is refused, another rotation is under way, or a running replica does not hold both keys.
func (r *Rotation) Rotate(ctx context.Context, caller *auth.Principal) (s Status, err error) {
	defer tried.To(&err, "rotate root key")
	_ = r.Vault.roots.read() // may reports the fault below
	if err := r.announce(ctx); err != nil {
		return Status{}, err
	}
	err = r.Vault.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := r.Standing.HoldAdministrator(ctx, tx, caller); err != nil {
			return err
		}
		state, err := r.Vault.rows.TakeRootTurn(ctx, tx)
		if err != nil {
			return err
		}
		if s, err = r.status(ctx, tx); err != nil {
			return err
		}
		if err := r.checkRotatable(s); err != nil {
			return err
		}
		next := State{Active: s.Current, Previous: state.Active, RotatedAt: domain.Now(r.Clock)}
		if err := r.Vault.rows.SetRootState(ctx, tx, next); err != nil {
			return err
		}
		if err := r.Vault.rotateWrapping(ctx, tx); err != nil {
			return err
		}
		if s, err = r.status(ctx, tx); err != nil {
			return err
		}
		return r.Audit.Append(ctx, tx, auditlog.Event{Action: "rotateRootKey", Target: next.Active, Detail: map[string]string{"replaces": next.Previous}})
	})
	return s, err
}

// checkRotatable refuses a rotation after which a replica could not open some sealed text.
func (r *Rotation) checkRotatable(s Status) error {
	conflict := func(sentence string) error { return domain.Refuse(domain.StateConflict, sentence) }
	_, _, fault := r.Vault.roots.now()
	switch {
	case fault != nil:
		return domain.Refuse(domain.StateConflict, "A root key file can't be used; the log of the kms says why.").Because(fault)
	case s.Remaining > 0:
		return conflict("A rotation is under way; the next one can begin when remaining is 0.")
	case s.Current == s.Active:
		return conflict("The root key file contains the root key that is already active. Replace it with a new one, and keep the active one as the previous root key (fountain keygen --replace).")
	}
	for _, h := range s.Holders {
		if h.Fault != "" || !slices.Contains(h.RootKeys, s.Active) || !slices.Contains(h.RootKeys, s.Current) {
			return conflict("A replica does not have both root keys, or was killed within the last 30 seconds; getRootKey shows which.")
		}
	}
	return nil
}

// Announce stores which keys the files of this replica hold. It is called before the replica serves, so that every rotation takes the replica into account. It
// returns ErrWrongRoot if a rotation to a key that this replica lacks has begun meanwhile.
func (r *Rotation) Announce(ctx context.Context) (err error) {
	defer tried.To(&err, "announce root keys")
	if err := r.announce(ctx); err != nil {
		return err
	}
	state, err := r.Vault.rows.RootState(ctx, r.Vault.db.Read(ctx))
	if err != nil {
		return err
	}
	return r.Vault.roots.holds(state.Active)
}

func (r *Rotation) announce(ctx context.Context) error {
	held, _, fault := r.Vault.roots.now()
	now := domain.Now(r.Clock)
	me := Holder{Replica: r.replica, RootKeys: held, SeenAt: now}
	if fault != nil {
		me.Fault = "a root key file is refused"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if same := slices.Equal(r.said.RootKeys, held) && r.said.Fault == me.Fault; same && now.Sub(r.said.SeenAt) < seenEvery && !now.Before(r.said.SeenAt) {
		return nil
	}
	err := r.Vault.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := r.Vault.rows.TakeRootTurn(ctx, tx); err != nil {
			return err
		}
		return r.Vault.rows.PutHolder(ctx, tx, me, now.Add(-forgotten))
	})
	if err == nil {
		r.said = me
	}
	return err
}

// Leave removes this replica from those that a rotation requires to hold both keys.
func (r *Rotation) Leave(ctx context.Context) (err error) {
	defer tried.To(&err, "withdraw root keys")
	return r.Vault.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return r.Vault.rows.DeleteHolder(ctx, tx, r.replica) })
}

// Tend reads the files, announces their keys, and reseals a batch of keysets while a rotation is under way. It also returns an error when the files lack a key
// and a restart of this replica would fail. Keysets of a key that has left the files are still resealed: this process may be the last one that has it.
func (r *Rotation) Tend(ctx context.Context) (err error) {
	defer tried.To(&err, "tend root key")
	fault := r.Vault.roots.read()
	if err := r.announce(ctx); err != nil {
		return errors.Join(fault, err)
	}
	rows, db := r.Vault.rows, r.Vault.db
	state, err := rows.RootState(ctx, db.Read(ctx))
	if err != nil {
		return errors.Join(fault, err)
	}
	if err := r.Vault.roots.holds(state.Active); err != nil {
		return errors.Join(fault, err) // the sealed keysets would be lost with this process if its key has no file
	}
	sealedBy, err := rows.Roots(ctx, db.Read(ctx))
	if err != nil {
		return errors.Join(fault, err)
	}
	return errors.Join(fault, r.Vault.roots.holds(sealedBy...), r.resealSome(ctx, state))
}

// resealSome reseals a batch of keysets, and finishes the rotation when none is left.
func (r *Rotation) resealSome(ctx context.Context, state State) error {
	names, err := r.Vault.rows.SealedByOthers(ctx, r.Vault.db.Read(ctx), state.Active, batch)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := r.reseal(ctx, name); err != nil {
			return fmt.Errorf("reseal keyset %s: %w", name, err)
		}
	}
	return r.finish(ctx, state)
}

// reseal seals one keyset under the active key. Replicas may reseal the same keyset at once: the turn serialises them, and the second changes nothing.
func (r *Rotation) reseal(ctx context.Context, name string) error {
	v := r.Vault
	return v.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		state, err := v.rows.TakeRootTurn(ctx, tx)
		if err != nil {
			return err
		}
		sealed, found, err := v.rows.Keyset(ctx, tx, name)
		if err != nil || !found {
			return err
		}
		set, from, err := v.unseal(name, sealed)
		if err != nil || from == state.Active {
			return err
		}
		again, err := v.seal(state.Active, name, set)
		if err != nil {
			return err
		}
		return v.rows.Reseal(ctx, tx, name, from, state.Active, again)
	})
}

// finish records, once, that no keyset is left under the previous key.
func (r *Rotation) finish(ctx context.Context, seen State) error {
	if seen.RotatedAt.IsZero() || !seen.FinishedAt.IsZero() {
		return nil
	}
	done := false
	err := r.Vault.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		state, err := r.Vault.rows.TakeRootTurn(ctx, tx)
		if err != nil || !state.FinishedAt.IsZero() {
			return err
		}
		_, left, err := r.Vault.rows.CountSealed(ctx, tx, state.Active)
		if err != nil || left > 0 {
			return err
		}
		state.FinishedAt, done = domain.Now(r.Clock), true
		if err := r.Vault.rows.SetRootState(ctx, tx, state); err != nil {
			return err
		}
		return r.Audit.Append(ctx, tx, auditlog.Event{Action: "finishRootKeyRotation", Target: state.Active, Detail: map[string]string{"replaces": state.Previous}})
	})
	if err != nil {
		return fmt.Errorf("finish rotation: %w", err)
	}
	if done {
		r.Log.InfoContext(ctx, "the root key is rotated; the previous one is needed only to open older backups", "active", seen.Active, "previous", seen.Previous)
	}
	return nil
}
