// Package idempotency answers a repeated creation with the first answer. Claim, change and sealed answer are one
// transaction, so that a repeat finds either all of it or nothing, whatever died in between.
package idempotency

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/store"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations creates the idempotency table (00011).
var Migrations = must(fs.Sub(files, "migrations"))

func must(f fs.FS, err error) fs.FS {
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return f
}

const (
	// Life is how long a key is remembered.
	Life = 24 * time.Hour
	// SecretLife is how long an answer that holds a secret can be had again.
	SecretLife = 10 * time.Minute

	maxValue  = 255         // bytes of an Idempotency-Key
	maxAnswer = 1 << 20     // bytes of a sealed answer
	sweepRows = 1000        // deleted in one Sweep
	inFlight  = time.Second // suggested pause before a repeat
)

// MAC fingerprints requests. *seal.Keyset and *seal.Key are MACs.
type MAC interface {
	Sum(data []byte) ([]byte, error)
	Verify(sum, data []byte) error
}

// Sealer seals stored answers. *seal.Keyset and *seal.Key are Sealers.
type Sealer interface {
	Seal(plain, aad []byte) ([]byte, error)
	Open(sealed, aad []byte) ([]byte, error)
}

// Key is what makes two requests the same one: Principal, Operation and Value find the first, Path and Body must not differ
// from it.
type Key struct {
	Principal string // subject of the caller
	Operation string // operationId
	Value     string // the Idempotency-Key header, 1 to 255 bytes
	Path      string // escaped path and query of the request
	Body      []byte // the bytes as received
}

// Answer is what the first request was answered.
type Answer struct {
	Status int               `json:"status"`
	Header map[string]string `json:"header,omitempty"`
	Body   []byte            `json:"body,omitempty"`
}

// Store keeps answers. It is safe for concurrent use.
type Store struct {
	mac    MAC
	sealer Sealer
	clock  clock.Clock
}

// New returns a Store that fingerprints requests by the MAC and seals answers by the Sealer.
func New(fingerprint MAC, sealer Sealer, c clock.Clock) *Store {
	return &Store{mac: fingerprint, sealer: sealer, clock: c}
}

// Do runs fn and stores its answer when the key is new, and returns the stored answer (replayed) when it is not. An error of fn
// is returned unchanged and must be returned by the caller's Write too, so that the claim is rolled back with the rest and a
// repeat may try again. secret says that the answer holds a secret.
//
// Problems: idempotency_conflict when the key was used with another path or body; idempotency_in_flight while the first request
// is still at work on PostgreSQL (on SQLite the single writer makes the repeat wait for it); replay_expired when the answer held
// a secret and 10 minutes have passed: what was created exists, and is not created again.
func (s *Store) Do(ctx context.Context, tx *store.Tx, key Key, secret bool,
	fn func(ctx context.Context, tx *store.Tx) (status int, header map[string]string, body []byte, err error),
) (answer Answer, replayed bool, err error) {
	if key.Value == "" || len(key.Value) > maxValue {
		return Answer{}, false, badValue()
	}
	claimed, err := s.claim(ctx, tx, key, secret)
	if err != nil {
		return Answer{}, false, err
	}
	if !claimed {
		answer, err = s.replay(ctx, tx, key)
		return answer, err == nil, err
	}
	if answer.Status, answer.Header, answer.Body, err = fn(ctx, tx); err != nil {
		return Answer{}, false, err
	}
	if err := s.keep(ctx, tx, key, answer); err != nil {
		return Answer{}, false, err
	}
	return answer, false, nil
}

// claim inserts the key, or takes over one whose life is over, in one statement; false means that a live one is there.
func (s *Store) claim(ctx context.Context, tx *store.Tx, key Key, secret bool) (bool, error) {
	if err := lock(ctx, tx, key); err != nil {
		return false, err
	}
	fingerprint, err := s.mac.Sum(key.content())
	if err != nil {
		return false, fmt.Errorf("fingerprint request: %w", err)
	}
	now := s.clock.Now()
	rows, err := tx.Exec(ctx, `
		INSERT INTO idempotency (principal, operation, value, fingerprint, secret, created_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (principal, operation, value) DO UPDATE
		SET fingerprint = excluded.fingerprint, secret = excluded.secret, answer = NULL, created_at = excluded.created_at
		WHERE idempotency.created_at <= ?`,
		key.Principal, key.Operation, key.Value, fingerprint, secret, now.UnixMicro(), now.Add(-Life).UnixMicro())
	if err != nil {
		return false, fmt.Errorf("claim idempotency key: %w", err)
	}
	return rows == 1, nil
}

// lock refuses a repeat while the first request is at work. On PostgreSQL the insert would wait for it instead, and hold a
// connection all the while.
func lock(ctx context.Context, tx *store.Tx, key Key) error {
	if tx.Dialect() != store.PostgreSQL {
		return nil
	}
	var free bool
	if err := tx.Get(ctx, &free, "SELECT pg_try_advisory_xact_lock(?)", key.lockID()); err != nil {
		return fmt.Errorf("lock idempotency key: %w", err)
	}
	if !free {
		return stillAtWork()
	}
	return nil
}

func (s *Store) replay(ctx context.Context, tx *store.Tx, key Key) (Answer, error) {
	var row struct {
		Fingerprint []byte
		Secret      bool
		Answer      []byte
		CreatedAt   int64 `db:"created_at"`
	}
	err := tx.Get(ctx, &row, `SELECT fingerprint, secret, answer, created_at FROM idempotency
		WHERE principal = ? AND operation = ? AND value = ?`, key.Principal, key.Operation, key.Value)
	if err != nil {
		return Answer{}, fmt.Errorf("read idempotency key: %w", err)
	}
	if s.mac.Verify(row.Fingerprint, key.content()) != nil {
		return Answer{}, problem.New(problem.IdempotencyConflict, "This Idempotency-Key was used with another request.").
			WithField("header", "Idempotency-Key", "unique", "was used with another path or body")
	}
	age := s.clock.Now().Sub(time.UnixMicro(row.CreatedAt))
	if len(row.Answer) == 0 || row.Secret && age >= SecretLife {
		return Answer{}, expired()
	}
	answer, err := s.open(key, row.Answer)
	if err != nil {
		return Answer{}, expired().Wrap(err) // the answer is lost, but what it told of exists
	}
	return answer, nil
}

func expired() *problem.Error {
	return problem.New(problem.ReplayExpired, "The request was carried out, but its answer held a secret and is no longer kept.")
}

// Sweep blanks answers whose secret has had its time and deletes up to 1000 keys whose life is over; call it again while removed
// is not 0. What it has not got to yet is refused by age all the same.
func (s *Store) Sweep(ctx context.Context, tx *store.Tx) (removed int64, err error) {
	now := s.clock.Now()
	key := []string{"principal", "operation", "value"}
	secrets := store.Rows{Table: "idempotency", Key: key, Where: "secret AND answer IS NOT NULL AND created_at <= ?", Args: []any{now.Add(-SecretLife).UnixMicro()}}
	if _, err = secrets.Update(ctx, tx, "answer = NULL"); err != nil {
		return 0, fmt.Errorf("blank idempotency answers: %w", err)
	}
	over := store.Rows{Table: "idempotency", Key: key, Where: `(principal, operation, value) IN
		(SELECT principal, operation, value FROM idempotency WHERE created_at <= ? LIMIT ?)`, Args: []any{now.Add(-Life).UnixMicro(), sweepRows}}
	removed, err = over.Delete(ctx, tx)
	if err != nil {
		return 0, fmt.Errorf("delete idempotency keys: %w", err)
	}
	return removed, nil
}

// RemoveAll removes every kept answer: the key that they are sealed with is lost.
func RemoveAll(ctx context.Context, tx *store.Tx) error {
	if _, err := tx.Exec(ctx, "DELETE FROM idempotency"); err != nil {
		return fmt.Errorf("remove kept answers: %w", err)
	}
	return nil
}

// SweepAll sweeps until nothing is left to remove, in transactions of its own.
func (s *Store) SweepAll(ctx context.Context, db *store.DB) error {
	for removed := int64(1); removed > 0; {
		err := db.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			removed, err = s.Sweep(ctx, tx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
