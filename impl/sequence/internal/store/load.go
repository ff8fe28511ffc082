package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	database "github.com/fountainai/fountain/internal/store"
)

// unloaded is a condition that excludes elements e of a scope that is being imported. They become visible with the import's last transaction.
const unloaded = " NOT EXISTS (SELECT 1 FROM scope_loads l WHERE l.scope = e.scope) "

// beginWait is how long the first and the last transaction of an import, and PutFormat, wait for transactions that change the scope.
const beginWait = 5 * time.Second

// Load imports a scope that has had no element. It writes in transactions of a few rows each. No reader sees these rows until Finish shows all of them.
type Load struct {
	Scope string
	ID    string // unique to this import

	formats  []domain.Format
	counters []counterRow // of the types so far
	position int64        // the last one in the feed
}

type counterRow struct {
	elementType string
	last        int64
}

// BeginLoad reserves the scope for the load. No other change to the scope succeeds until the load has finished, or until it was given up and its rows are deleted. Errors:
// domain.ErrScopeTaken when the scope has had a change or an element, or has a number format, domain.ErrImporting when another import has it.
func BeginLoad(ctx context.Context, tx *database.Tx, l *Load, at time.Time) error {
	if err := lockScope(ctx, tx, l.Scope); err != nil {
		return err
	}
	var taken int
	if err := tx.Get(ctx, &taken, "SELECT (SELECT COUNT(*) FROM feeds WHERE scope = ?) + (SELECT COUNT(*) FROM counters WHERE scope = ? AND last > 0) + (SELECT COUNT(*) FROM number_formats WHERE scope = ?)", l.Scope, l.Scope, l.Scope); err != nil {
		return fmt.Errorf("look for scope: %w", err)
	}
	if taken > 0 {
		return domain.ErrScopeTaken
	}
	rows, err := tx.Exec(ctx, "INSERT INTO scope_loads (scope, id, ended, touched_at) VALUES (?, ?, FALSE, ?) ON CONFLICT (scope) DO NOTHING", l.Scope, l.ID, at.UnixMicro())
	if err != nil {
		return fmt.Errorf("begin import: %w", err)
	}
	if rows == 0 {
		return domain.ErrImporting
	}
	return nil
}

// lockScope locks the feed of a scope until the transaction ends, also where the scope has no feed yet. Every transaction that changes the scope holds this lock. It waits up to
// beginWait.
func lockScope(ctx context.Context, tx *database.Tx, scope string) error {
	if err := boundWaits(ctx, tx, beginWait); err != nil {
		return err
	}
	_, err := LockFeeds(ctx, tx, []string{scope}, beginWait)
	return err
}

// LoadedVersion is a version of an element of a load.
type LoadedVersion struct {
	domain.Ref
	domain.Version
}

// Part is what one transaction of a load adds: elements that follow those of the part before, and versions of these elements and of the last element of the part before.
type Part struct {
	Formats  []domain.Format // of types that begin in this part
	Elements []domain.Element
	Versions []LoadedVersion
	Changes  []domain.Change // of the feed, without positions
}

// Add writes a part. It does not change l: call Added once the transaction has committed. Errors: domain.ErrImportLost, *domain.InvalidItems when two elements of a type have the
// same id or formatted number; it does not say which.
func (l *Load) Add(ctx context.Context, tx *database.Tx, at time.Time, p *Part) error {
	if err := l.touch(ctx, tx, at); err != nil {
		return err
	}
	inserted := int64(0)
	err := inChunks(p.Elements, func(part []domain.Element) error {
		args := make([]any, 0, 9*len(part))
		for _, e := range part {
			args = append(args, l.Scope, e.ElementType, e.ID, e.Number, formattedOrNull(e), string(e.Status), e.Version, e.CreatedAt.UnixMicro(), e.UpdatedAt.UnixMicro())
		}
		rows, err := tx.Exec(ctx, "INSERT INTO elements (scope, element_type, id, number, formatted, status, version, created_at, updated_at) "+
			database.Values(len(part), database.Text, database.Text, database.Text, database.Bigint, database.Text, database.Text, database.Bigint, database.Bigint, database.Bigint)+
			" ON CONFLICT DO NOTHING", args...)
		inserted += rows
		return err
	})
	if err != nil {
		return fmt.Errorf("load elements: %w", err)
	}
	if inserted != int64(len(p.Elements)) {
		return &domain.InvalidItems{Faults: []domain.ItemFault{{Property: "id", Rule: "unique", Message: "or formatted number is assigned to two elements of a type"}}}
	}
	if err := l.versions(ctx, tx, p.Versions); err != nil {
		return err
	}
	rows := make([]changeRow, len(p.Changes))
	for i, c := range p.Changes {
		rows[i] = changeRow{Scope: l.Scope, Position: l.position + int64(i) + 1, Kind: string(c.Kind), ElementType: c.ElementType, ID: c.ID, Version: c.Version, Number: c.Number, At: c.At.UnixMicro(), Actor: c.Actor}
	}
	b := batch{tx: tx}
	if err := b.insertChanges(ctx, rows); err != nil {
		return fmt.Errorf("load changes: %w", err)
	}
	return nil
}

func (l *Load) versions(ctx context.Context, tx *database.Tx, versions []LoadedVersion) error {
	err := inChunks(versions, func(part []LoadedVersion) error {
		args := make([]any, 0, 8*len(part))
		for _, v := range part {
			args = append(args, l.Scope, v.ElementType, v.ID, v.Version.Version, v.Data, v.Comment, v.CreatedAt.UnixMicro(), v.CreatedBy)
		}
		_, err := tx.Exec(ctx, "INSERT INTO versions (scope, element_type, id, version, data, comment, created_at, created_by) "+
			database.Values(len(part), database.Text, database.Text, database.Text, database.Bigint, database.Text, database.Text, database.Bigint, database.Text), args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("load versions: %w", err)
	}
	return nil
}

// Added records a part that Add has written, once its transaction has committed.
func (l *Load) Added(p *Part) {
	for _, e := range p.Elements {
		if n := len(l.counters); n == 0 || l.counters[n-1].elementType != e.ElementType {
			l.counters = append(l.counters, counterRow{elementType: e.ElementType})
		}
		l.counters[len(l.counters)-1].last = e.Number
	}
	l.formats = append(l.formats, p.Formats...)
	l.position += int64(len(p.Changes))
}

// Types returns how many types the load has so far.
func (l *Load) Types() int { return len(l.counters) }

// touch sets the time of the load's last write, and so locks the load's row until the commit. It fails with domain.ErrImportLost when the load was given up.
func (l *Load) touch(ctx context.Context, tx *database.Tx, at time.Time) error {
	rows, err := tx.Exec(ctx, "UPDATE scope_loads SET touched_at = ? WHERE scope = ? AND id = ? AND NOT ended", at.UnixMicro(), l.Scope, l.ID)
	if err != nil {
		return fmt.Errorf("hold import: %w", err)
	}
	if rows == 0 {
		return domain.ErrImportLost
	}
	return nil
}

// Finish makes the import visible: with the commit the scope has its elements, numbers, versions and feed. The same commit begins the walk that marks the elements for search.
// Error: domain.ErrImportLost.
func (l *Load) Finish(ctx context.Context, tx *database.Tx, origin domain.Origin) error {
	if err := lockScope(ctx, tx, l.Scope); err != nil {
		return err
	}
	rows, err := tx.Exec(ctx, "DELETE FROM scope_loads WHERE scope = ? AND id = ? AND NOT ended", l.Scope, l.ID)
	if err != nil {
		return fmt.Errorf("finish import: %w", err)
	}
	if rows == 0 {
		return domain.ErrImportLost
	}
	err = inChunks(l.counters, func(part []counterRow) error {
		args := make([]any, 0, 3*len(part))
		for _, c := range part {
			args = append(args, l.Scope, c.elementType, c.last)
		}
		_, err := tx.Exec(ctx, "INSERT INTO counters (scope, element_type, last) "+database.Values(len(part), database.Text, database.Text, database.Bigint), args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("give counters: %w", err)
	}
	err = inChunks(l.formats, func(part []domain.Format) error {
		args := make([]any, 0, 8*len(part))
		for _, f := range part {
			args = append(args, l.Scope, f.ElementType, f.Prefix, f.Padding, string(f.Reset), f.TimeZone, f.Period, f.Last)
		}
		_, err := tx.Exec(ctx, "INSERT INTO number_formats (scope, element_type, prefix, padding, resets, time_zone, period, last) "+
			database.Values(len(part), database.Text, database.Text, database.Text, database.Bigint, database.Text, database.Text, database.Text, database.Bigint), args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("give number formats: %w", err)
	}
	if _, err := tx.Exec(ctx, "INSERT INTO feeds (scope, last) VALUES (?, ?)", l.Scope, l.position); err != nil {
		return fmt.Errorf("begin feed: %w", err)
	}
	if _, err := tx.Exec(ctx, "INSERT INTO scope_origins (scope, sha256, at, actor) VALUES (?, ?, ?, ?)", l.Scope, origin.SHA256, origin.At.UnixMicro(), origin.By); err != nil {
		return fmt.Errorf("keep origin of scope: %w", err)
	}
	return BeginWalk(ctx, tx, l.Scope)
}

// loading returns which of the scopes are being imported.
func loading(ctx context.Context, q database.Querier, scopes []string) (map[string]bool, error) {
	out := map[string]bool{}
	err := inChunks(scopes, func(part []string) error {
		var found []string
		err := q.Select(ctx, &found, "SELECT scope FROM scope_loads WHERE scope IN ("+database.Marks(len(part))+")", toAny(part)...)
		for _, scope := range found {
			out[scope] = true
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for imports: %w", err)
	}
	return out, nil
}

// Origin returns the import that created a scope, or nil when the scope was not imported.
func (s *Store) Origin(ctx context.Context, scope string) (*domain.Origin, error) {
	var kept struct {
		SHA256 string `db:"sha256"`
		At     int64  `db:"at"`
		Actor  string `db:"actor"`
	}
	err := s.db.Read(ctx).Get(ctx, &kept, "SELECT sha256, at, actor FROM scope_origins WHERE scope = ?", scope)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read origin of scope: %w", err)
	}
	return &domain.Origin{SHA256: kept.SHA256, At: fromMicros(kept.At), By: kept.Actor}, nil
}
