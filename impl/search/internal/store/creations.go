package store

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/lease"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Begin looks for the answer to an earlier request with the key. Without one (known is false) it leases the creation of the collection:
// until the lease ends no other request with the key gets it. begun reports whether an earlier attempt with the key had begun and left no
// answer. Problems are those of idempotency.Store.Do. In addition, idempotency_conflict is returned for a key that began the creation of
// another collection, and idempotency_in_flight for a creation that is leased.
func (s *Store) Begin(ctx context.Context, key idempotency.Key, collection string, l lease.Lease) (answer idempotency.Answer, known, begun bool, err error) {
	defer tried.To(&err, "begin creation")
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		e := &idempotency.Entry{Key: key}
		if err := s.answers.Claim(ctx, tx, []*idempotency.Entry{e}); err != nil {
			return err
		}
		if answer, known = e.Answer, e.Replayed; !e.Claimed() {
			return e.Err
		}
		var err error
		begun, err = s.begin(ctx, tx, key, collection, l)
		return err
	})
	return answer, known, begun, err
}

// begin records the start of a creation, or takes over one whose attempt has ended. again reports the latter.
func (s *Store) begin(ctx context.Context, tx *store.Tx, key idempotency.Key, collection string, l lease.Lease) (again bool, err error) {
	now, err := s.time(ctx, tx)
	if err != nil {
		return false, err
	}
	begun, until := s.clock.Now().UnixMicro(), now.Add(l.Last).UnixMicro()
	// This locks an existing row, so that no other transaction ends that attempt between the reads and writes below.
	_, err = tx.Exec(ctx, `INSERT INTO creations (principal, key, collection, begun_at, lease, leased_until) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (principal, key) DO UPDATE SET begun_at = creations.begun_at`, key.Principal, key.Value, collection, begun, l.Name, until)
	if err != nil {
		return false, err
	}
	var row struct {
		Collection, Lease string
		Until             int64 `db:"leased_until"`
	}
	err = tx.Get(ctx, &row, `SELECT collection, lease, leased_until FROM creations WHERE principal = ? AND key = ?`, key.Principal, key.Value)
	switch {
	case err != nil:
		return false, err
	case row.Lease == l.Name:
		return false, nil
	case row.Collection != collection: // otherwise both would be created, and one of them without an answer and an event
		return true, idempotency.Conflict()
	case row.Until >= now.UnixMicro():
		return true, idempotency.AtWork()
	}
	_, err = tx.Exec(ctx, `UPDATE creations SET begun_at = ?, lease = ?, leased_until = ? WHERE principal = ? AND key = ?`, begun, l.Name, until, key.Principal, key.Value)
	return true, err
}

// Finish retries this often, and waits this long in between, while a repeated request holds the lock on the answer, which takes a few
// milliseconds.
const (
	finishTries = 20
	finishPause = 50 * time.Millisecond
)

// Finish marks a collection as created, and stores the answer to a keyed creation together with its audit event. If another attempt with
// the key has already stored its answer, Finish returns that answer and changes nothing, because the collection may have been changed
// since. With a nil key no answer is stored.
func (s *Store) Finish(ctx context.Context, c *owner.Collection, key *idempotency.Key, answer idempotency.Answer, e audit.Event) (_ idempotency.Answer, err error) {
	defer tried.To(&err, "finish creation")
	for tries := 1; ; tries++ {
		stored, err := s.finish(ctx, c, key, answer, e)
		if tries == finishTries || !idempotency.InFlight(err) {
			return stored, err
		}
		select {
		case <-ctx.Done():
			return stored, err
		case <-time.After(finishPause):
		}
	}
}

func (s *Store) finish(ctx context.Context, c *owner.Collection, key *idempotency.Key, answer idempotency.Answer, e audit.Event) (stored idempotency.Answer, err error) {
	stored = answer
	err = s.write(ctx, func(ctx context.Context, tx *store.Tx) error {
		made := func() error {
			if err := s.made(ctx, tx, c); err != nil {
				return err
			}
			return audit.Append(ctx, tx, e)
		}
		if key == nil {
			return made()
		}
		var err error
		stored, _, err = s.answers.Do(ctx, tx, *key, false, func(ctx context.Context, tx *store.Tx) (int, map[string]string, []byte, error) {
			if _, err := tx.Exec(ctx, `DELETE FROM creations WHERE principal = ? AND key = ?`, key.Principal, key.Value); err != nil {
				return 0, nil, nil, err
			}
			return answer.Status, answer.Header, answer.Body, made()
		})
		return err
	})
	return stored, err
}

// Abandon deletes a keyed creation that the engine refused, so that a repeated request is a new attempt.
func (s *Store) Abandon(ctx context.Context, key idempotency.Key, l lease.Lease) (err error) {
	defer tried.To(&err, "abandon creation")
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM creations WHERE principal = ? AND key = ? AND lease = ?`, key.Principal, key.Value, l.Name)
		return err
	})
}

// Interrupt releases the lease of a creation whose outcome is unknown, so that a repeated request continues it.
func (s *Store) Interrupt(ctx context.Context, key idempotency.Key, l lease.Lease) (err error) {
	defer tried.To(&err, "interrupt creation")
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE creations SET lease = '', leased_until = 0 WHERE principal = ? AND key = ? AND lease = ?`, key.Principal, key.Value, l.Name)
		return err
	})
}
