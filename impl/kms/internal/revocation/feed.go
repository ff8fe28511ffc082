// Package revocation is the kms's side of the revocation feed: everything that was ended before its expiry, in order, so that every service and
// replica learns of it within a second.
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
	// Memory is how long the feed keeps an entry: twice the longest lifetime of an access token. A token that was being issued while its owner was
	// ended has expired long before.
	Memory = 30 * time.Minute

	// FactorsMemory is how long the feed keeps the voiding of factors. A twofactor service that is away for longer does not learn of it.
	FactorsMemory = 90 * 24 * time.Hour

	// ContractMemory is how long the feed keeps the change of a contract. A gateway that was away for longer lists all contracts again.
	ContractMemory = 24 * time.Hour

	// SigningKeyMemory is how long the feed keeps the end of a signing key. A verifier that can't reach the kms may keep a key set for a day.
	SigningKeyMemory = 26 * time.Hour

	// MaxWait is how long a request may wait for the next entry.
	MaxWait = 25 * time.Second
	// MaxPage is the most entries that one page has.
	MaxPage = 1000

	pollPause  = 200 * time.Millisecond // between two checks for entries of other replicas
	sweepPause = time.Minute
)

// Rows are the queries of the feed.
type Rows interface {
	// Name stores a name for the feed unless it has one, and returns the stored one.
	Name(ctx context.Context, tx *store.Tx, name string) (string, error)
	// Append stores an entry at the next position. It locks the feed's head until the transaction ends.
	Append(ctx context.Context, tx *store.Tx, e revocation.Entry) (position int64, err error)
	// Head returns the last assigned position.
	Head(ctx context.Context, q store.Querier) (int64, error)
	// After returns entries with higher positions, lowest first.
	After(ctx context.Context, q store.Querier, position int64, limit int) ([]revocation.Entry, error)
	// Sweep deletes entries that have expired.
	Sweep(ctx context.Context, tx *store.Tx, at time.Time) error
}

// Feed is the revocation feed. It implements auth.Revocations for the kms's own requests. It is safe for concurrent use.
type Feed struct {
	db    *store.DB
	rows  Rows
	clock clock.Clock
	log   *slog.Logger
	name  string
	set   *revocation.Set

	watched map[string]func(context.Context) error // by kind

	mu     sync.Mutex
	read   int64         // position up to which the set is complete
	heard  time.Time     // when the database was last read
	more   chan struct{} // closed when there may be new entries, and at shutdown
	closed bool
}

// Open returns the feed, and loads all entries that have not expired.
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

// Watch registers do, which is called when any replica has added an entry of the kind, and again until it succeeds. It must be called before Run.
func (f *Feed) Watch(kind string, do func(ctx context.Context) error) {
	if f.watched == nil {
		f.watched = map[string]func(context.Context) error{}
	}
	f.watched[kind] = do
}

// notifyWatchers calls the registered watchers of the kinds that were read.
func (f *Feed) notifyWatchers(ctx context.Context, entries []revocation.Entry) error {
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

// Append adds an entry in the caller's transaction. Its position is assigned right before the commit (store.LastRevocations). When Write returns,
// this replica already refuses what was ended. epoch is an owner's new epoch, else 0.
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

// wake makes all waiting requests look for entries again.
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

// Page is a page of the feed.
type Page struct {
	Feed     string // name of the feed
	Position int64  // the follower has all entries up to here after this page
	Entries  []revocation.Entry
}

// After returns the entries after a position of the feed with this name. When there are none it waits for one, up to wait. A follower of another
// feed, and one whose position is ahead of this feed because a backup was restored, gets a page from the beginning.
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
			return page, nil // the follower disconnected, which is no failure
		}
	}
}

func (f *Feed) waiting() (more <-chan struct{}, open bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.more, !f.closed
}

// Run follows the entries of other replicas and deletes expired ones until ctx ends; then it releases all waiting requests. It calls failed after
// every failure, and logs when failures begin and end.
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

// poll reads the entries that any replica has added since the last poll.
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
		if len(entries) == 0 { // the entries in between were deleted
			read = head
			break
		}
		f.set.Add(entries...)
		if err := f.notifyWatchers(ctx, entries); err != nil {
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

// Entries returns the number of entries in memory.
func (f *Feed) Entries() int { return f.set.Len() }
