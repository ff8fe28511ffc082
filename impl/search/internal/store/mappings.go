package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/reindex"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// ofCollection is the condition for the row of this collection, and not of a later one with the same name. Its placeholders take key.
const ofCollection = "tenant = ? AND name = ? AND claimed_at = ? AND made = 1"

func key(c *owner.Collection) []any { return []any{c.Tenant, c.Local, c.Claimed.UnixMicro()} }

// Mapping implements reindex.WriterRows. It clears the cache of owners if the caller's engine collection is outdated.
func (s *Store) Mapping(ctx context.Context, c *owner.Collection) (m reindex.Mapping, err error) {
	defer tried.To(&err, "read mapping of collection")
	var row struct {
		Physical  string
		Reindex   string
		Held      int64
		Versioned int64
	}
	err = s.db.Read(ctx).Get(ctx, &row, "SELECT physical, reindex, held, versioned FROM collections WHERE "+ofCollection, key(c)...)
	if errors.Is(err, sql.ErrNoRows) {
		return m, owner.ErrGone
	}
	if row.Physical != c.Physical {
		s.owners.forget()
	}
	if row.Physical == "" {
		row.Physical = c.Name.Engine()
	}
	return reindex.Mapping{Physical: row.Physical, Noting: row.Reindex, Held: row.Held == 1, Versioned: row.Versioned == 1}, err
}

// notesAtOnce keeps a statement well below the placeholder limits of both databases.
const notesAtOnce = 200

// Note implements reindex.WriterRows. Documents are noted in sorted order, so that two transactions that note the same documents can't
// deadlock. The time of a note only grows: a transaction that had to wait for the lock brings an earlier time, and with that time the
// document could be copied while the later write is still under way. The time grows with each write: so a note that was read before stays
// when the earlier state is settled.
func (s *Store) Note(ctx context.Context, of string, documents []string) (err error) {
	defer tried.To(&err, "note documents")
	documents = slices.Compact(slices.Sorted(slices.Values(documents)))
	if len(documents) == 0 {
		return nil
	}
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		now, err := s.time(ctx, tx)
		if err != nil {
			return err
		}
		for some := range slices.Chunk(documents, notesAtOnce) {
			args := make([]any, 0, 3*len(some))
			for _, d := range some {
				args = append(args, of, d, now.UnixMicro())
			}
			_, err := tx.Exec(ctx, "INSERT INTO reindex_notes (reindex, document, noted_at, refused) VALUES "+
				strings.TrimSuffix(strings.Repeat("(?, ?, ?, 0),", len(some)), ",")+
				" ON CONFLICT (reindex, document) DO UPDATE SET refused = 0, noted_at = CASE WHEN reindex_notes.noted_at >= excluded.noted_at THEN reindex_notes.noted_at + 1 ELSE excluded.noted_at END", args...)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// EndHold implements reindex.WriterRows.
func (s *Store) EndHold(ctx context.Context, c *owner.Collection) (err error) {
	defer tried.To(&err, "let writes continue")
	now, err := s.time(ctx, s.db.Read(ctx))
	if err != nil {
		return err
	}
	var lost int64
	err = s.db.Read(ctx).Get(ctx, &lost, "SELECT COUNT(*) FROM reindexes WHERE id = (SELECT reindex FROM collections WHERE "+ofCollection+") AND leased_until < ?", append(key(c), now.UnixMicro())...)
	if err != nil || lost == 0 {
		return err
	}
	return s.write(ctx, func(ctx context.Context, tx *store.Tx) error {
		// The collection is locked before its reindex, as everywhere. A concurrent swap therefore runs completely before or after this.
		n, err := tx.Exec(ctx, "UPDATE collections SET held = 0 WHERE "+ofCollection+" AND held = 1", key(c)...)
		if err != nil || n == 0 {
			return err
		}
		now, err := s.time(ctx, tx)
		if err != nil {
			return err
		}
		n, err = tx.Exec(ctx, `UPDATE reindexes SET lease = '', state = CASE WHEN state = 'swapping' THEN 'verifying' ELSE state END
			WHERE id = (SELECT reindex FROM collections WHERE `+ofCollection+`) AND leased_until < ?`, append(key(c), now.UnixMicro())...)
		if err == nil && n == 0 {
			_, err = tx.Exec(ctx, "UPDATE collections SET held = 1 WHERE "+ofCollection, key(c)...)
		}
		return err
	})
}
