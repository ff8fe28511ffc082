// Package revocation is the kms's side of the revocation feed: what was ended before its time, in the order in which it was ended, for every
// service and replica to learn within a second.
package revocation

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/revocation"
	"github.com/fountainai/fountain/internal/store"
)

const (
	// Memory is how long an ending is told: twice the longest life of an access token, so that a token that was on its way while its
	// owner was ended has expired long before.
	Memory = 30 * time.Minute

	// FactorsMemory is how long the voiding of factors is told: a twofactor service that is away for longer does not learn of it.
	FactorsMemory = 90 * 24 * time.Hour

	// ContractMemory is how long the change of a contract is told: a gateway that was away for longer lists all contracts again.
	ContractMemory = 24 * time.Hour

	// SigningKeyMemory is how long the end of a signing key is told: a verifier that can't reach the kms may keep a key set for a day.
	SigningKeyMemory = 26 * time.Hour

	// MaxWait is how long a request may wait for the next ending.
	MaxWait = 25 * time.Second
	// MaxPage is the most endings that are told at once.
	MaxPage = 1000

	pollPause  = 200 * time.Millisecond // between two looks for the endings of other replicas
	sweepPause = time.Minute
)

// Rows is what the feed asks of the database.
type Rows interface {
	// Name gives the feed a name unless it has one, and returns the one it has.
	Name(ctx context.Context, tx *store.Tx, name string) (string, error)
	// Append gives an ending the next position. It locks the feed's head until the transaction ends.
	Append(ctx context.Context, tx *store.Tx, e revocation.Entry) (position int64, err error)
	// Head returns the last position that was given out.
	Head(ctx context.Context, q store.Querier) (int64, error)
	// After returns endings with higher positions, lowest first.
	After(ctx context.Context, q store.Querier, position int64, limit int) ([]revocation.Entry, error)
	// Sweep deletes endings that end nothing any more.
	Sweep(ctx context.Context, tx *store.Tx, at time.Time) error
}

// Feed is the revocation feed. It is auth.Revocations for the kms's own door. It is safe for concurrent use.
type Feed struct {
	db    *store.DB
	rows  Rows
	clock clock.Clock
	log   *slog.Logger
	name  string
	set   *revocation.Set

	watched map[string]func(context.Context) error // by kind

	mu     sync.Mutex
	read   int64         // position up to which the set knows everything
	heard  time.Time     // when the database was last asked
	more   chan struct{} // closed when there may be further endings, or the feed closes
	closed bool
}

// Open returns the feed, with everything that was ended and still counts.
func Open(ctx context.Context, db *store.DB, rows Rows, c clock.Clock, log *slog.Logger) (*Feed, error) {
	f := &Feed{db: db, rows: rows, clock: c, log: log, set: revocation.NewSet(), more: make(chan struct{})}
	err := db.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		f.name, err = rows.Name(ctx, tx, rand.Text())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("name the revocation feed: %w", err)
	}
	if err := f.poll(ctx); err != nil {
		return nil, fmt.Errorf("read the revocation feed: %w", err)
	}
	return f, nil
}

// Watch has f called when an entry of the kind was made by whichever replica, again until it succeeds. It is called before Run.
func (f *Feed) Watch(kind string, do func(ctx context.Context) error) {
	if f.watched == nil {
		f.watched = map[string]func(context.Context) error{}
	}
	f.watched[kind] = do
}

// tell calls who watches for what was read.
func (f *Feed) tell(ctx context.Context, entries []revocation.Entry) error {
	for kind, do := range f.watched {
		if !slices.ContainsFunc(entries, func(e revocation.Entry) bool { return e.Kind == kind }) {
			continue
		}
		if err := do(ctx); err != nil {
			return fmt.Errorf("act on %s entries of the feed: %w", kind, err)
		}
	}
	return nil
}

// Append ends something with the caller's transaction. The position is given out right before the commit (store.LastRevocations); before
// Write returns, this replica refuses what was ended. epoch is that of an owner, else 0.
func (f *Feed) Append(tx *store.Tx, kind, id string, epoch int64) {
	now := domain.Now(f.clock)
	entry := revocation.Entry{Kind: kind, ID: id, Epoch: epoch, At: now, Until: now.Add(Memory)}
	switch kind {
	case revocation.Factors:
		entry.Until = now.Add(FactorsMemory)
	case revocation.Contract:
		entry.Until = now.Add(ContractMemory)
	case revocation.SigningKey:
		entry.Until = now.Add(SigningKeyMemory)
	}
	tx.AtEnd(store.LastRevocations, func(ctx context.Context) (err error) {
		if entry.Position, err = f.rows.Append(ctx, tx, entry); err != nil {
			return fmt.Errorf("append to the revocation feed: %w", err)
		}
		return nil
	})
	tx.AfterCommit(func() {
		f.set.Add(entry)
		f.wake()
	})
}

// wake lets everybody who waits look again.
func (f *Feed) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		close(f.more)
		f.more = make(chan struct{})
	}
}

// Revoked implements auth.Revocations.
func (f *Feed) Revoked(p *auth.Principal) (bool, error) {
	f.mu.Lock()
	heard := f.heard
	f.mu.Unlock()
	if time.Since(heard) > revocation.MaxAge {
		return false, auth.ErrUnknownRevocations
	}
	return f.set.Ended(p), nil
}

// Page is a part of the feed.
type Page struct {
	Feed     string // name of the feed
	Position int64  // up to which the follower knows everything after this page
	Entries  []revocation.Entry
}

// After returns what was ended after a position of the feed of this name, and waits for it up to wait when there is nothing. For a follower
// of another feed, and one that is ahead of this one (a backup was restored), the page begins at the beginning.
func (f *Feed) After(ctx context.Context, name string, position int64, limit int, wait time.Duration) (Page, error) {
	ctx, cancel := context.WithTimeout(ctx, min(wait, MaxWait)+time.Minute)
	defer cancel()
	timer := time.NewTimer(min(wait, MaxWait))
	defer timer.Stop()
	if name != f.name {
		position = 0
	}
	for {
		more, open := f.waiting()
		head, err := f.rows.Head(ctx, f.db.Read(ctx))
		if err != nil {
			return Page{}, fmt.Errorf("read the feed's head: %w", err)
		}
		if position > head {
			position = 0
		}
		entries, err := f.rows.After(ctx, f.db.Read(ctx), position, limit)
		if err != nil {
			return Page{}, fmt.Errorf("read the feed: %w", err)
		}
		page := Page{Feed: f.name, Position: head, Entries: entries}
		if len(entries) > 0 {
			page.Position = entries[len(entries)-1].Position
		}
		if len(entries) > 0 || wait <= 0 || !open || name != f.name {
			return page, nil
		}
		select {
		case <-more:
		case <-timer.C:
			return page, nil
		case <-ctx.Done():
			return page, nil // the follower left: there is nothing that failed
		}
	}
}

func (f *Feed) waiting() (more <-chan struct{}, open bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.more, !f.closed
}

// Run follows the endings of other replicas and deletes old ones until ctx ends; then nobody waits any more. It logs when it begins to fail
// and when it no longer does, and calls failed each time.
func (f *Feed) Run(ctx context.Context, failed func()) error {
	defer f.close()
	failing, swept := false, time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pollPause):
		}
		err := f.poll(ctx)
		if err == nil && time.Since(swept) > sweepPause {
			swept = time.Now()
			err = f.sweep(ctx)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			failed()
		}
		if (err != nil) != failing {
			failing = err != nil
			if failing {
				f.log.ErrorContext(ctx, "the revocation feed can't be read", "error", err)
			} else {
				f.log.InfoContext(ctx, "the revocation feed is read again")
			}
		}
	}
}

func (f *Feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	close(f.more)
}

// poll takes in what was ended since the last time, by whichever replica.
func (f *Feed) poll(ctx context.Context) error {
	f.mu.Lock()
	read := f.read
	f.mu.Unlock()
	head, err := f.rows.Head(ctx, f.db.Read(ctx))
	if err != nil {
		return fmt.Errorf("read the head of the feed: %w", err)
	}
	grown := head > read
	for read < head {
		entries, err := f.rows.After(ctx, f.db.Read(ctx), read, MaxPage)
		if err != nil {
			return fmt.Errorf("read the feed: %w", err)
		}
		if len(entries) == 0 { // what is between was deleted
			read = head
			break
		}
		f.set.Add(entries...)
		if err := f.tell(ctx, entries); err != nil {
			return err
		}
		read = entries[len(entries)-1].Position
	}
	f.mu.Lock()
	f.read, f.heard = read, time.Now()
	f.mu.Unlock()
	if grown {
		f.wake()
	}
	return nil
}

func (f *Feed) sweep(ctx context.Context) error {
	now := f.clock.Now()
	f.set.Sweep(now)
	return f.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return f.rows.Sweep(ctx, tx, now) })
}

// Entries returns how many endings still count here.
func (f *Feed) Entries() int { return f.set.Len() }
