// Package idempotency answers a repeated creation with the first answer. Change and sealed answer are one transaction, so that a
// repeat finds either all of it or nothing, whatever died in between. A key is looked for before the change and written once, behind
// it: between the two an advisory lock keeps the other replicas away on PostgreSQL, and SQLite has one writer.
package idempotency

import (
	"context"
	"embed"
	"errors"
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
// is returned unchanged and must be returned by the caller's Write too, so that all is rolled back and a repeat may try again. secret says that the answer holds a secret.
//
// Problems: idempotency_conflict when the key was used with another path or body; idempotency_in_flight while the first request
// is still at work on PostgreSQL (on SQLite the single writer makes the repeat wait for it); replay_expired when the answer held
// a secret and 10 minutes have passed: what was created exists, and is not created again.
func (s *Store) Do(ctx context.Context, tx *store.Tx, key Key, secret bool,
	fn func(ctx context.Context, tx *store.Tx) (status int, header map[string]string, body []byte, err error),
) (answer Answer, replayed bool, err error) {
	e := &Entry{Key: key, Secret: secret}
	if err := s.Claim(ctx, tx, []*Entry{e}); err != nil {
		return Answer{}, false, err
	}
	if !e.claimed {
		return e.Answer, e.Replayed, e.Err
	}
	if e.Answer.Status, e.Answer.Header, e.Answer.Body, err = fn(ctx, tx); err != nil {
		return Answer{}, false, err
	}
	if err := s.Keep(ctx, tx, []*Entry{e}); err != nil {
		return Answer{}, false, err
	}
	return e.Answer, false, nil
}

// row is what is kept of a request.
type row struct {
	name
	Fingerprint []byte
	Secret      bool
	Answer      []byte
	CreatedAt   int64 `db:"created_at"`
}

// over reports whether the life of the key is over: it is as one that was never used.
func (r row) over(now time.Time) bool { return r.CreatedAt <= now.Add(-Life).UnixMicro() }

// replay is what a repeat of the request is told; err is a problem.
func (s *Store) replay(r row, key Key, now time.Time) (Answer, error) {
	if s.mac.Verify(r.Fingerprint, key.content()) != nil {
		return Answer{}, Conflict()
	}
	age := now.Sub(time.UnixMicro(r.CreatedAt))
	if len(r.Answer) == 0 || r.Secret && age >= SecretLife {
		return Answer{}, expired()
	}
	answer, err := s.open(key, r.Answer)
	if err != nil {
		return Answer{}, expired().Wrap(err) // the answer is lost, but what it told of exists
	}
	return answer, nil
}

// Conflict is the problem of a key that was used with another request.
func Conflict() *problem.Error {
	return problem.New(problem.IdempotencyConflict, "This Idempotency-Key was used with another request.").
		WithField("header", "Idempotency-Key", "unique", "was used with another path or body")
}

// InFlight reports whether an error is that the first request with a key is still at work.
func InFlight(err error) bool { return errors.Is(err, problem.IdempotencyInFlight) }

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
