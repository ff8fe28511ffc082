// Package idempotency answers a repeated creation with the first answer. The change and the sealed answer are one transaction, so that a repeat finds
// either both or neither, even after a crash. A key is looked up before the change and written once, after it: in between an advisory lock keeps the
// other replicas from using it on PostgreSQL, and SQLite has one writer.
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
	// Life is how long a key is kept.
	Life = 24 * time.Hour
	// SecretLife is how long an answer that contains a secret can be replayed.
	SecretLife = 10 * time.Minute

	maxValue  = 255         // bytes of an Idempotency-Key
	maxAnswer = 1 << 20     // bytes of a sealed answer
	sweepRows = 1000        // deleted in one Sweep
	inFlight  = time.Second // suggested pause before a repeat
)

// MAC computes the fingerprints of requests. *seal.Keyset and *seal.Key are MACs.
type MAC interface {
	Sum(data []byte) ([]byte, error)
	Verify(sum, data []byte) error
}

// Sealer seals stored answers. *seal.Keyset and *seal.Key are Sealers.
type Sealer interface {
	Seal(plain, aad []byte) ([]byte, error)
	Open(sealed, aad []byte) ([]byte, error)
}

// Key identifies a request: Principal, Operation and Value are looked up; Path and Body must equal those of the first request.
type Key struct {
	Principal string // subject of the caller
	Operation string // operationId
	Value     string // the Idempotency-Key header, 1 to 255 bytes
	Path      string // escaped path and query of the request
	Body      []byte // the bytes as received
}

// Answer is the answer to the first request.
type Answer struct {
	Status int               `json:"status"`
	Header map[string]string `json:"header,omitempty"`
	Body   []byte            `json:"body,omitempty"`
}

// Store stores and replays answers. It is safe for concurrent use.
type Store struct {
	mac    MAC
	sealer Sealer
	clock  clock.Clock
}

// New returns a Store that computes fingerprints with the MAC and seals answers with the Sealer.
func New(fingerprint MAC, sealer Sealer, c clock.Clock) *Store {
	return &Store{mac: fingerprint, sealer: sealer, clock: c}
}

// Do runs fn and stores its answer when the key is new; otherwise it returns the stored answer (replayed). An error of fn is returned unchanged, and
// the caller's Write must return it too, so that everything is rolled back and a repeat may try again. secret says that the answer contains a secret.
//
// Problems: idempotency_conflict when the key was used with another path or body; idempotency_in_flight while the first request is still running on
// PostgreSQL (on SQLite the repeat waits for it, as there is one writer); replay_expired when the answer contained a secret and 10 minutes have
// passed: the resource exists and is not created again.
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

// row is the stored record of a request.
type row struct {
	name
	Fingerprint []byte
	Secret      bool
	Answer      []byte
	CreatedAt   int64 `db:"created_at"`
}

// over reports whether the key has expired. An expired key is treated as unused.
func (r row) over(now time.Time) bool { return r.CreatedAt <= now.Add(-Life).UnixMicro() }

// replay returns the answer to a repeat of the request; err is a problem.
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
		return Answer{}, expired().Wrap(err) // the answer is lost, but what it reported exists
	}
	return answer, nil
}

// Conflict returns the problem of a key that was used with another request.
func Conflict() *problem.Error {
	return problem.New(problem.IdempotencyConflict, "This Idempotency-Key was used with another request.").
		WithField("header", "Idempotency-Key", "unique", "was used with another path or body")
}

// InFlight reports whether err means that the first request with the key is still running.
func InFlight(err error) bool { return errors.Is(err, problem.IdempotencyInFlight) }

func expired() *problem.Error {
	return problem.New(problem.ReplayExpired, "The request was carried out, but its response contained a secret and is no longer stored.")
}

// Sweep blanks answers whose secret has expired and deletes up to 1000 expired keys; call it again while removed is not 0. Keys that are not swept
// yet are refused by their age all the same.
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

// RemoveAll deletes every stored answer. It is used when the key that sealed them is lost.
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
