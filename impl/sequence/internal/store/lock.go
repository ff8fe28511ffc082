package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	database "github.com/fountainai/fountain/internal/store"
)

// lockTimeout bounds, in ms, every wait for a lock in a transaction that must not wait for counters and feeds. All other locks are held for moments only.
const lockTimeout = 5000

// Lock locks the counters of the groups until the transaction ends, so that no other transaction changes anything in these groups. With a
// wait of 0 it does not wait. It returns the groups whose counter another transaction holds, and the caller must change nothing in them.
// Otherwise it waits up to that long for each counter and then fails with database.ErrHeld. It locks in one order, so that two replicas do
// not deadlock.
//
// A group that has had no element has no counter: the statement that inserts the counter locks it. On SQLite Lock does nothing, because the
// transaction is the only writer.
func Lock(ctx context.Context, tx *database.Tx, groups []domain.Group, wait time.Duration) (held []domain.Group, err error) {
	if tx.Dialect() != database.PostgreSQL || len(groups) == 0 {
		return nil, nil
	}
	skip := " SKIP LOCKED"
	if wait > 0 {
		skip = ""
	}
	if err := boundWaits(ctx, tx, wait); err != nil {
		return nil, err
	}
	groups = slices.Clone(groups)
	slices.SortFunc(groups, domain.Group.Compare)
	groups = slices.Compact(groups)
	locked, err := counters(ctx, tx, groups, `ORDER BY c.scope COLLATE "C", c.element_type COLLATE "C" FOR UPDATE OF c`+skip) // the order of domain.Group.Compare, as in advance
	if err != nil || len(locked) == len(groups) {
		return nil, err
	}
	existing, err := counters(ctx, tx, groups, "")
	for g := range existing {
		if !locked[g] && wait == 0 {
			held = append(held, g)
		}
	}
	return held, err
}

// boundWaits bounds every later wait for a lock in a transaction on PostgreSQL. With a wait of 0, for transactions that must not wait, the bound is lockTimeout.
func boundWaits(ctx context.Context, tx *database.Tx, wait time.Duration) error {
	if tx.Dialect() != database.PostgreSQL {
		return nil
	}
	timeout := int64(lockTimeout)
	if wait > 0 {
		timeout = max(wait.Milliseconds(), 1)
	}
	var set string
	if err := tx.Get(ctx, &set, "SELECT set_config('lock_timeout', ?, true)", strconv.FormatInt(timeout, 10)); err != nil {
		return fmt.Errorf("bound waits for locks: %w", err)
	}
	return nil
}

// counters returns which of the groups have a counter. how is appended to the query: an order and a row lock, or nothing.
func counters(ctx context.Context, tx *database.Tx, groups []domain.Group, how string) (map[domain.Group]bool, error) {
	out := make(map[domain.Group]bool, len(groups))
	err := inChunks(groups, func(part []domain.Group) error {
		args := make([]any, 0, 2*len(part))
		for _, g := range part {
			args = append(args, g.Scope, g.ElementType)
		}
		var rows []row
		err := tx.Select(ctx, &rows, "WITH wanted (scope, element_type) AS ("+database.Values(len(part), database.Text, database.Text)+`)
			SELECT c.scope, c.element_type FROM counters c JOIN wanted w ON c.scope = w.scope AND c.element_type = w.element_type `+how, args...)
		for _, r := range rows {
			out[r.ref().Group] = true
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("lock counters: %w", err)
	}
	return out, nil
}

// LockFeeds locks the feeds of the scopes until the transaction ends. Every transaction locks counters before feeds. With a wait of 0 it does not wait. It returns the
// scopes whose feed another transaction holds, and the caller must change nothing in them. Otherwise it waits as long as Lock or boundWaits, called before, has set.
//
// A scope that was never changed has no feed yet, and no statement can skip a row that another transaction is about to insert. So a transaction that will insert a feed
// first takes an advisory lock on the name of the scope.
func LockFeeds(ctx context.Context, tx *database.Tx, scopes []string, wait time.Duration) (held []string, err error) {
	if tx.Dialect() != database.PostgreSQL || len(scopes) == 0 {
		return nil, nil
	}
	scopes = slices.Clone(scopes)
	slices.Sort(scopes)
	scopes = slices.Compact(scopes)
	how := ` ORDER BY f.scope COLLATE "C" FOR UPDATE OF f`
	if wait == 0 {
		how += " SKIP LOCKED"
	}
	locked, err := feeds(ctx, tx, scopes, how)
	if err != nil || len(locked) == len(scopes) {
		return nil, err
	}
	existing, err := feeds(ctx, tx, scopes, "")
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, scope := range scopes {
		switch {
		case !existing[scope]:
			missing = append(missing, scope)
		case !locked[scope] && wait == 0:
			held = append(held, scope)
		}
	}
	taken, err := lockNames(ctx, tx, missing, wait)
	if err != nil || len(missing) == len(taken) {
		return append(held, taken...), err
	}
	late, err := lockLateFeeds(ctx, tx, missing, taken, how)
	return slices.Concat(held, taken, late), err
}

// lockLateFeeds locks the feeds that other transactions have inserted after LockFeeds looked for them and before it had locked the names of their scopes. Once a feed exists,
// other transactions lock the feed and not the name. It returns the scopes whose feed another transaction holds.
func lockLateFeeds(ctx context.Context, tx *database.Tx, missing, taken []string, how string) (held []string, err error) {
	named := slices.DeleteFunc(slices.Clone(missing), func(scope string) bool { return slices.Contains(taken, scope) })
	existing, err := feeds(ctx, tx, named, "")
	if err != nil || len(existing) == 0 {
		return nil, err
	}
	locked, err := feeds(ctx, tx, named, how)
	for _, scope := range named {
		if existing[scope] && !locked[scope] {
			held = append(held, scope)
		}
	}
	return held, err
}

// feeds returns which of the scopes have a feed. how is appended to the query: an order and a row lock, or nothing.
func feeds(ctx context.Context, tx *database.Tx, scopes []string, how string) (map[string]bool, error) {
	out := make(map[string]bool, len(scopes))
	err := inChunks(scopes, func(part []string) error {
		var found []string
		err := tx.Select(ctx, &found, "WITH wanted (scope) AS ("+database.Values(len(part), database.Text)+`)
			SELECT f.scope FROM feeds f JOIN wanted w ON f.scope = w.scope`+how, toAny(part)...)
		for _, scope := range found {
			out[scope] = true
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("lock feeds: %w", err)
	}
	return out, nil
}

// feedLocks is the first key of the advisory locks on the names of scopes. It keeps them apart from other advisory locks, which have a single key of 64 bits.
const feedLocks = 4500

// lockNames takes the advisory locks on the names of scopes without a feed, in the order given. With a wait of 0 it does not wait, and returns the scopes whose name
// another transaction has locked.
func lockNames(ctx context.Context, tx *database.Tx, scopes []string, wait time.Duration) (held []string, err error) {
	lock := fmt.Sprintf("pg_try_advisory_xact_lock(%d, hashtext(scope))", feedLocks)
	if wait > 0 {
		lock = fmt.Sprintf("pg_advisory_xact_lock(%d, hashtext(scope)) IS NOT NULL", feedLocks)
	}
	err = inChunks(scopes, func(part []string) error {
		var names []struct {
			Scope string
			Free  bool
		}
		err := tx.Select(ctx, &names, "WITH wanted (scope) AS ("+database.Values(len(part), database.Text)+") SELECT scope, "+lock+" AS free FROM wanted", toAny(part)...)
		for _, n := range names {
			if !n.Free {
				held = append(held, n.Scope)
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("lock names of scopes: %w", err)
	}
	return held, nil
}

func toAny(texts []string) []any {
	out := make([]any, len(texts))
	for i, text := range texts {
		out[i] = text
	}
	return out
}
