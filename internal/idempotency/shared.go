package idempotency

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/store"
)

// Entry is one request of a transaction that serves several (internal/groupcommit). Do gives up the whole transaction when a
// request fails; with Claim and Keep a request fails alone. Key and Secret are the caller's; then Claim fills Answer and Replayed for
// a repeat, or Err for a key that cannot be used, or neither: then the work is to be done and its Answer or Err is to be set
// before Keep.
type Entry struct {
	Key      Key
	Secret   bool
	Answer   Answer
	Replayed bool
	Err      error

	claimed bool
}

// Claimed reports whether the request's work is to be done in this transaction.
func (e *Entry) Claimed() bool { return e.claimed }

// perStatement keeps a statement far below the placeholder limits of both databases.
const perStatement = 100

// Claim looks at the keys of all entries in a handful of statements. Of two entries with one key the second is
// idempotency_in_flight. An error means that the transaction must be given up.
func (s *Store) Claim(ctx context.Context, tx *store.Tx, entries []*Entry) error {
	seen := make(map[string]bool, len(entries))
	var open []*Entry
	for _, e := range entries {
		name := string(e.Key.name())
		switch {
		case e.Key.Value == "" || len(e.Key.Value) > maxValue:
			e.Err = badValue()
		case seen[name]:
			e.Err = stillAtWork()
		default:
			seen[name] = true
			open = append(open, e)
		}
	}
	for len(open) > 0 {
		n := min(perStatement, len(open))
		if err := s.claimSome(ctx, tx, open[:n]); err != nil {
			return err
		}
		open = open[n:]
	}
	return nil
}

func (s *Store) claimSome(ctx context.Context, tx *store.Tx, entries []*Entry) error {
	free, err := lockSome(ctx, tx, entries)
	if err != nil || len(free) == 0 {
		return err
	}
	now := s.clock.Now()
	args := make([]any, 0, 6*len(free)+1)
	for _, e := range free {
		fingerprint, err := s.mac.Sum(e.Key.content())
		if err != nil {
			return fmt.Errorf("fingerprint request: %w", err)
		}
		args = append(args, e.Key.Principal, e.Key.Operation, e.Key.Value, fingerprint, e.Secret, now.UnixMicro())
	}
	var claimed []name
	err = tx.Select(ctx, &claimed, `
		INSERT INTO idempotency (principal, operation, value, fingerprint, secret, created_at) VALUES `+tuples(len(free), "(?, ?, ?, ?, ?, ?)")+`
		ON CONFLICT (principal, operation, value) DO UPDATE
		SET fingerprint = excluded.fingerprint, secret = excluded.secret, answer = NULL, created_at = excluded.created_at
		WHERE idempotency.created_at <= ?
		RETURNING principal, operation, value`, append(args, now.Add(-Life).UnixMicro())...)
	if err != nil {
		return fmt.Errorf("claim idempotency keys: %w", err)
	}
	mine := make(map[name]bool, len(claimed))
	for _, c := range claimed {
		mine[c] = true
	}
	for _, e := range free {
		if e.claimed = mine[nameOf(e.Key)]; e.claimed {
			continue
		}
		e.Answer, e.Err = s.replay(ctx, tx, e.Key)
		var refusal *problem.Error
		if e.Err != nil && !errors.As(e.Err, &refusal) {
			return e.Err
		}
		e.Replayed = e.Err == nil
	}
	return nil
}

// name is a row's primary key.
type name struct{ Principal, Operation, Value string }

func nameOf(k Key) name { return name{k.Principal, k.Operation, k.Value} }

// lockSome is lock for several keys; it returns those that no other replica works on.
func lockSome(ctx context.Context, tx *store.Tx, entries []*Entry) (free []*Entry, err error) {
	if tx.Dialect() != store.PostgreSQL {
		return entries, nil
	}
	args := make([]any, len(entries))
	for i, e := range entries {
		args[i] = e.Key.lockID()
	}
	var locks []struct {
		ID   int64
		Free bool
	}
	err = tx.Select(ctx, &locks, "SELECT id, pg_try_advisory_xact_lock(id) AS free FROM (VALUES "+
		tuples(len(entries), "(CAST(? AS BIGINT))")+") AS wanted (id)", args...)
	if err != nil {
		return nil, fmt.Errorf("lock idempotency keys: %w", err)
	}
	got := make(map[int64]bool, len(locks))
	for _, l := range locks {
		got[l.ID] = l.Free
	}
	for _, e := range entries {
		if got[e.Key.lockID()] {
			free = append(free, e)
		} else {
			e.Err = stillAtWork()
		}
	}
	return free, nil
}

// Keep stores the answers of the claimed entries, and gives up the claims of those that failed, so that a repeat may try again. An
// error means that the transaction must be given up.
func (s *Store) Keep(ctx context.Context, tx *store.Tx, entries []*Entry) error {
	var answered, failed []*Entry
	for _, e := range entries {
		switch {
		case !e.claimed:
		case e.Err != nil:
			failed = append(failed, e)
		default:
			answered = append(answered, e)
		}
	}
	for len(answered) > 0 {
		n := min(perStatement, len(answered))
		if err := s.keepSome(ctx, tx, answered[:n]); err != nil {
			return err
		}
		answered = answered[n:]
	}
	for len(failed) > 0 {
		n := min(perStatement, len(failed))
		if err := release(ctx, tx, failed[:n]); err != nil {
			return err
		}
		failed = failed[n:]
	}
	return nil
}

func (s *Store) keepSome(ctx context.Context, tx *store.Tx, entries []*Entry) error {
	args := make([]any, 0, 4*len(entries))
	for _, e := range entries {
		sealed, err := s.sealAnswer(e.Key, e.Answer)
		if err != nil {
			return err
		}
		args = append(args, e.Key.Principal, e.Key.Operation, e.Key.Value, sealed)
	}
	// A parameter that nothing types is text on PostgreSQL.
	first := "(?, ?, ?, CAST(? AS BLOB))"
	if tx.Dialect() == store.PostgreSQL {
		first = "(?, ?, ?, CAST(? AS BYTEA))"
	}
	rows, err := tx.Exec(ctx, "WITH kept (principal, operation, value, answer) AS (VALUES "+tuples(len(entries), first)+`)
		UPDATE idempotency SET answer = kept.answer FROM kept
		WHERE idempotency.principal = kept.principal AND idempotency.operation = kept.operation AND idempotency.value = kept.value`, args...)
	if err != nil {
		return fmt.Errorf("keep answers: %w", err)
	}
	if rows != int64(len(entries)) {
		return errors.New("keep answers: a claim is gone")
	}
	return nil
}

// releaseOne deletes one claim. Several in one statement, as a list of values, SQLite finds by reading the whole table, while every writer waits.
const releaseOne = "DELETE FROM idempotency WHERE principal = ? AND operation = ? AND value = ?"

func release(ctx context.Context, tx *store.Tx, entries []*Entry) error {
	statements := make([]store.Statement, 0, len(entries))
	for _, e := range entries {
		statements = append(statements, store.Statement{Query: releaseOne, Args: []any{e.Key.Principal, e.Key.Operation, e.Key.Value}})
	}
	if _, err := tx.ExecAll(ctx, statements...); err != nil {
		return fmt.Errorf("release idempotency keys: %w", err)
	}
	return nil
}

// tuples repeats one tuple of a VALUES list.
func tuples(n int, tuple string) string {
	return strings.TrimSuffix(strings.Repeat(tuple+", ", n), ", ")
}

func badValue() *problem.Error {
	return problem.New(problem.InvalidParameter, "The Idempotency-Key is empty or too long.").
		WithField("header", "Idempotency-Key", "maxLength", "must have 1 to 255 characters")
}

func stillAtWork() *problem.Error {
	return problem.New(problem.IdempotencyInFlight, "The first request with this Idempotency-Key is still at work.").
		WithRetryAfter(inFlight)
}
