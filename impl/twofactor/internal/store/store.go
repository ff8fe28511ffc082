// Package store keeps factors, challenges, deliveries, passkeys and proof keys in the service's database.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/groupcommit"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations creates the tables of this service. Its files are numbered from 00100.
var Migrations = func() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil { // the directory is compiled in
		panic(err)
	}
	return sub
}()

// Store implements factor.Repository, challenge.Repository and passkey.Repository.
type Store struct {
	db       *store.DB
	forgot   atomic.Int64 // when all old used steps were last deleted, in unix microseconds
	attempts *groupcommit.Committer[*factor.Attempt, factor.Verdict]
}

// Options configure what a Store reports.
type Options struct {
	Log     *slog.Logger
	Observe func(attempts int) // is called with the number of attempts of each commit; may be nil
}

// New returns the store on an open database. Call Close in the end.
func New(db *store.DB, o Options) *Store {
	s := &Store{db: db}
	s.attempts = groupcommit.New(db, groupcommit.Options{MaxBatch: maxBatch, Log: o.Log, Observe: o.Observe}, judge)
	return s
}

// Close waits for the attempts that are being judged.
func (s *Store) Close() { s.attempts.Close() }

// tx implements factor.Tx.
type tx struct{ *store.Tx }

var (
	_ factor.Repository = (*Store)(nil)
	_ factor.Tx         = tx{}
)

// Write implements factor.Repository.
func (s *Store) Write(ctx context.Context, fn func(ctx context.Context, tx factor.Tx) error) error {
	return s.write(ctx, func(ctx context.Context, t *store.Tx) error { return fn(ctx, tx{t}) })
}

func (s *Store) write(ctx context.Context, fn func(ctx context.Context, t *store.Tx) error) error {
	return s.db.Write(ctx, fn)
}

// row is a factor as stored in the database.
type row struct {
	ID          string `db:"id"`
	Subject     string `db:"subject"`
	Type        string `db:"type"`
	Label       string `db:"label"`
	Status      string `db:"status"`
	SealedSeed  []byte `db:"sealed_seed"`
	Algorithm   string `db:"algorithm"`
	Digits      int    `db:"digits"`
	Period      int    `db:"period"`
	LastStep    int64  `db:"last_step"`
	Drift       int64  `db:"drift"`
	LastOffset  int64  `db:"last_offset"`
	Attempts    int64  `db:"attempts"`
	LockedUntil int64  `db:"locked_until"`
	SteppedUp   int64  `db:"stepped_up"`
	CreatedAt   int64  `db:"created_at"`
	ExpiresAt   int64  `db:"expires_at"`
	ConfirmedAt int64  `db:"confirmed_at"`
	LastUsedAt  int64  `db:"last_used_at"`
	Invitation  string `db:"invitation_id"`
	Masked      string `db:"masked_target"`
	Spent       []byte `db:"spent"` // not among columns
}

const columns = `id, subject, type, label, status, sealed_seed, algorithm, digits, period, last_step, drift, last_offset, attempts,
	locked_until, stepped_up, created_at, expires_at, confirmed_at, last_used_at, invitation_id, masked_target`

func (r row) record() factor.Record {
	return factor.Record{
		Factor: factor.Factor{
			ID: r.ID, Subject: r.Subject, Type: r.Type, Label: r.Label, Status: factor.Status(r.Status),
			Parameters: totp.Parameters{Algorithm: totp.Algorithm(r.Algorithm), Digits: r.Digits, Period: r.Period},
			Created:    moment(r.CreatedAt), Expires: moment(r.ExpiresAt), Confirmed: moment(r.ConfirmedAt), LastUsed: moment(r.LastUsedAt),
			MaskedTarget: r.Masked,
		},
		SealedSeed: r.SealedSeed, LastStep: r.LastStep, Spent: r.Spent, Clock: totp.Clock{Drift: r.Drift, Offset: r.LastOffset}, Attempts: r.Attempts,
		SteppedUp: r.SteppedUp == 1, InvitationID: r.Invitation,
	}
}

// moment turns stored microseconds into a time; 0 is the zero time.
func moment(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// micros turns a time into what is stored.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// attempt is the part of an UPDATE that counts an attempt at a pending factor, and locks the factor at the last attempt of a round. With
// the condition open one statement decides and counts, so that of any number of parallel attempts exactly as many pass as are allowed.
var attempt = `attempts = attempts + 1, locked_until = ` + lockExpression()

// lockExpression returns the SQL expression for the end of the lock, by the number of attempts. Its one placeholder is the current time.
func lockExpression() string {
	var b strings.Builder
	fmt.Fprintf(&b, "CASE WHEN (attempts + 1) %% %d <> 0 THEN locked_until ELSE CAST(? AS BIGINT) + CASE (attempts + 1) / %d",
		factor.RoundCap, factor.RoundCap)
	last := len(factor.Locks) - 1
	for i, d := range factor.Locks[:last] {
		fmt.Fprintf(&b, " WHEN %d THEN %d", i+1, d.Microseconds())
	}
	fmt.Fprintf(&b, " ELSE %d END END", factor.Locks[last].Microseconds())
	return b.String()
}

// open is the condition under which a pending factor accepts an attempt. Both placeholders are the current time. A lock that ends later than the
// longest one can was set while the clock was ahead, and is ignored.
var open = fmt.Sprintf("(locked_until <= ? OR locked_until > CAST(? AS BIGINT) + %d)", factor.LongestLock.Microseconds())

// none reports whether err says that no row matched.
func none(err error) bool { return errors.Is(err, sql.ErrNoRows) }

// Audit implements factor.Tx.
func (t tx) Audit(ctx context.Context, e factor.Event) (err error) {
	defer tried.To(&err, "record event")
	return audit.Append(ctx, t.Tx, recorded(e))
}

// recorded returns an event in the form of the audit trail.
func recorded(e factor.Event) audit.Event {
	outcome := "ok"
	if e.Denied {
		outcome = "denied"
	}
	kind := audit.User
	if e.Service {
		kind = audit.Service
	}
	return audit.Event{
		At: e.At, Action: e.Action, Actor: e.Subject, ActorKind: kind, Target: e.Target, Outcome: outcome,
		RequestID: e.RequestID, Address: e.Address, Detail: e.Detail,
	}
}
