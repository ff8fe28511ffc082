package idempotency

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/store"
)

// Entry is one request of a transaction that serves several (internal/groupcommit). With Do a failed request rolls back the whole transaction; with
// Claim and Keep it fails alone. The caller sets Key and Secret, and Fingerprint if it was computed beforehand. Claim sets Answer and Replayed for a
// repeat, or Err for a key that cannot be used. If it sets neither, the caller does the work and sets Answer or Err before Keep.
type Entry struct {
	Key         Key
	Fingerprint []byte // result of Store.Fingerprint for Key; nil: Keep computes it, while others wait for the transaction
	Secret      bool
	Answer      Answer
	Replayed    bool
	Err         error

	claimed bool
	at      time.Time // of the claim
}

// Claimed reports whether the request's work must be done in this transaction.
func (e *Entry) Claimed() bool { return e.claimed }

// perStatement keeps a statement far below the placeholder limits of both databases.
const perStatement = 100

// Claim looks up the keys of all entries in a few statements and writes nothing. Keys that it finds free stay reserved until the transaction ends. Of
// two entries with the same key the second fails with idempotency_in_flight. After an error the transaction must be rolled back.
func (s *Store) Claim(ctx context.Context, tx *store.Tx, entries []*Entry) error {
	seen := make(map[name]bool, len(entries))
	var open []*Entry
	for _, e := range entries {
		switch {
		case e.Key.Value == "" || len(e.Key.Value) > maxValue:
			e.Err = badValue()
		case seen[nameOf(e.Key)]:
			e.Err = AtWork()
		default:
			seen[nameOf(e.Key)] = true
			open = append(open, e)
		}
	}
	for part := range slices.Chunk(open, perStatement) {
		if err := s.claimSome(ctx, tx, part); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) claimSome(ctx context.Context, tx *store.Tx, entries []*Entry) error {
	free, err := lockSome(ctx, tx, entries)
	if err != nil || len(free) == 0 {
		return err
	}
	known, err := look(ctx, tx, free)
	if err != nil {
		return err
	}
	now := s.clock.Now()
	for _, e := range free {
		r, there := known[nameOf(e.Key)]
		if !there || r.over(now) {
			e.claimed, e.at = true, now
			continue
		}
		e.Answer, e.Err = s.replay(r, e.Key, now)
		e.Replayed = e.Err == nil
	}
	return nil
}

// Fingerprint returns the digest of a request's path and body by which a repeat is recognized. It needs no transaction.
func (s *Store) Fingerprint(key Key) ([]byte, error) {
	sum, err := s.mac.Sum(key.content())
	if err != nil {
		return nil, fmt.Errorf("fingerprint request: %w", err)
	}
	return sum, nil
}

// name is a row's primary key.
type name struct{ Principal, Operation, Value string }

func nameOf(k Key) name { return name{k.Principal, k.Operation, k.Value} }

// look reads the rows of the entries' keys.
func look(ctx context.Context, tx *store.Tx, entries []*Entry) (map[name]row, error) {
	args := make([]any, 0, 3*len(entries))
	for _, e := range entries {
		args = append(args, e.Key.Principal, e.Key.Operation, e.Key.Value)
	}
	var rows []row
	if err := tx.Select(ctx, &rows, lookFor(len(entries)), args...); err != nil {
		return nil, fmt.Errorf("look for idempotency keys: %w", err)
	}
	known := make(map[name]row, len(rows))
	for _, r := range rows {
		known[r.name] = r
	}
	return known, nil
}

// lookFor returns a query for n keys. SQLite joins the tables of a CROSS JOIN in the order in which they are written, and so finds each key by the
// index; otherwise it might scan the whole table while every writer waits.
func lookFor(n int) string {
	return "WITH wanted (principal, operation, value) AS (" + store.Values(n, store.Text, store.Text, store.Text) + `)
		SELECT i.principal, i.operation, i.value, i.fingerprint, i.secret, i.answer, i.created_at FROM wanted w CROSS JOIN idempotency i
		WHERE i.principal = w.principal AND i.operation = w.operation AND i.value = w.value`
}

// lockSome refuses keys that another replica is working on, and returns the other entries. Otherwise a second request on PostgreSQL would wait for
// the first one's row and hold a connection meanwhile. On SQLite there is one writer.
func lockSome(ctx context.Context, tx *store.Tx, entries []*Entry) (free []*Entry, err error) {
	if tx.Dialect() != store.PostgreSQL {
		return entries, nil
	}
	ids := make([]int64, len(entries))
	args := make([]any, len(entries))
	for i, e := range entries {
		ids[i] = e.Key.lockID()
		args[i] = ids[i]
	}
	var locks []struct {
		ID   int64
		Free bool
	}
	err = tx.Select(ctx, &locks, "SELECT id, pg_try_advisory_xact_lock(id) AS free FROM ("+store.Values(len(entries), store.Bigint)+") AS wanted (id)", args...)
	if err != nil {
		return nil, fmt.Errorf("lock idempotency keys: %w", err)
	}
	got := make(map[int64]bool, len(locks))
	for _, l := range locks {
		got[l.ID] = l.Free
	}
	for i, e := range entries {
		if got[ids[i]] {
			free = append(free, e)
		} else {
			e.Err = AtWork()
		}
	}
	return free, nil
}

// Keep writes the keys of the claimed entries with their answers. Failed entries are not stored, so that a repeat may try again. After an error the
// transaction must be rolled back.
func (s *Store) Keep(ctx context.Context, tx *store.Tx, entries []*Entry) error {
	var answered []*Entry
	for _, e := range entries {
		if e.claimed && e.Err == nil {
			answered = append(answered, e)
		}
	}
	for part := range slices.Chunk(answered, perStatement) {
		if err := s.keepSome(ctx, tx, part); err != nil {
			return err
		}
	}
	return nil
}

// keepSome writes keys in one statement and replaces expired rows of the same keys.
func (s *Store) keepSome(ctx context.Context, tx *store.Tx, entries []*Entry) error {
	args := make([]any, 0, 7*len(entries))
	for _, e := range entries {
		fingerprint, err := e.Fingerprint, error(nil)
		if fingerprint == nil {
			fingerprint, err = s.Fingerprint(e.Key)
		}
		if err != nil {
			return err
		}
		sealed, err := s.sealAnswer(e.Key, e.Answer)
		if err != nil {
			return err
		}
		args = append(args, e.Key.Principal, e.Key.Operation, e.Key.Value, fingerprint, e.Secret, sealed, e.at.UnixMicro())
	}
	rows, err := tx.Exec(ctx, `
		INSERT INTO idempotency (principal, operation, value, fingerprint, secret, answer, created_at) VALUES `+tuples(len(entries), "(?, ?, ?, ?, ?, ?, ?)")+`
		ON CONFLICT (principal, operation, value) DO UPDATE
		SET fingerprint = excluded.fingerprint, secret = excluded.secret, answer = excluded.answer, created_at = excluded.created_at
		WHERE idempotency.created_at <= excluded.created_at - ?`, append(args, Life.Microseconds())...)
	if err != nil {
		return fmt.Errorf("keep answers: %w", err)
	}
	if rows != int64(len(entries)) {
		return errors.New("keep answers: a key that was free was used meanwhile")
	}
	return nil
}

// tuples returns the tuple of a VALUES list n times.
func tuples(n int, tuple string) string {
	return strings.TrimSuffix(strings.Repeat(tuple+", ", n), ", ")
}

func badValue() *problem.Error {
	return problem.New(problem.InvalidParameter, "The Idempotency-Key is empty or too long.").
		WithField("header", "Idempotency-Key", "maxLength", "must have 1 to 255 characters")
}

// AtWork returns the problem of a key whose first request is still running.
func AtWork() *problem.Error {
	return problem.New(problem.IdempotencyInFlight, "The first request with this Idempotency-Key is still in progress.").
		WithRetryAfter(inFlight)
}
