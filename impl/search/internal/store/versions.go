package store

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/lease"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/reindex"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// versionsAtOnce keeps a statement well below the placeholder limits of both databases.
const versionsAtOnce = 200

// tombstoneLife is how long the row of a deleted document is kept. In this time a job that deleted it may repeat the deletion.
const tombstoneLife = 2 * time.Hour

// versionsOf returns the key of a collection's document versions. It contains the time of the claim, so that a later collection of the same
// name has a different key.
func versionsOf(c *owner.Collection) string {
	return c.Tenant + "/" + c.Local + "/" + strconv.FormatInt(c.Claimed.UnixMicro(), 10)
}

// ClaimVersions implements reindex.VersionRows. All changes of versions lock the row of the collection first, and are thereby serialised.
func (s *Store) ClaimVersions(ctx context.Context, c *owner.Collection, l lease.Lease, documents map[string]string, decide reindex.Decide) (next map[string]int64, err error) {
	defer tried.To(&err, "claim versions of documents")
	names := slices.Sorted(maps.Keys(documents))
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		next = map[string]int64{}
		last, err := s.give(ctx, tx, c, 2*int64(len(names)))
		if err != nil {
			return err
		}
		now, err := s.time(ctx, tx)
		if err != nil {
			return err
		}
		rows, err := s.versions(ctx, tx, c, names)
		if err != nil {
			return err
		}
		give := func() int64 { last++; return last }
		kept, err := s.standing(ctx, tx, c, rows, documents, now, give)
		if err != nil {
			return err
		}
		for _, d := range decide(kept) {
			next[d] = give()
		}
		return s.lease(ctx, tx, c, l, documents, next, now)
	})
	return next, err
}

// give locks the row of the collection and reserves its next n versions for the caller. It returns the version before the first of these.
// Error: owner.ErrGone.
func (s *Store) give(ctx context.Context, tx *store.Tx, c *owner.Collection, n int64) (last int64, err error) {
	changed, err := tx.Exec(ctx, "UPDATE collections SET document_version = document_version + ? WHERE "+ofCollection, append([]any{n}, key(c)...)...)
	if err == nil && changed == 0 {
		err = owner.ErrGone
	}
	if err != nil {
		return 0, err
	}
	err = tx.Get(ctx, &last, "SELECT document_version FROM collections WHERE "+ofCollection, key(c)...)
	return last - n, err
}

type versionRow struct {
	Document    string
	Version     int64
	Next        int64
	Writer      string
	Lease       string
	LeasedUntil int64 `db:"leased_until"`
}

func (s *Store) versions(ctx context.Context, q store.Querier, c *owner.Collection, names []string) (map[string]versionRow, error) {
	all := make(map[string]versionRow, len(names))
	for some := range slices.Chunk(names, versionsAtOnce) {
		var rows []versionRow
		err := q.Select(ctx, &rows, "SELECT document, version, next, writer, lease, leased_until FROM document_versions WHERE "+"collection = ? AND document IN ("+store.Marks(len(some))+")",
			append([]any{versionsOf(c)}, toAny(some)...)...)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			all[r.Document] = r
		}
	}
	return all, nil
}

func toAny(texts []string) []any {
	out := make([]any, len(texts))
	for i, t := range texts {
		out[i] = t
	}
	return out
}

// standing returns what is known of documents. A document whose last write has an unknown outcome gets a new version that nobody has seen,
// unless the same writer is repeating that write. Error: reindex.ErrWriting.
func (s *Store) standing(ctx context.Context, tx *store.Tx, c *owner.Collection, rows map[string]versionRow, writers map[string]string, now time.Time, give func() int64) (map[string]reindex.Standing, error) {
	kept := make(map[string]reindex.Standing, len(rows))
	for _, d := range slices.Sorted(maps.Keys(rows)) {
		r := rows[d]
		if r.Lease != "" && r.LeasedUntil >= now.UnixMicro() {
			return nil, reindex.ErrWriting
		}
		if r.Next == 0 {
			kept[d] = reindex.Standing{Version: r.Version, Writer: r.Writer}
			continue
		}
		again := r.Writer != "" && r.Writer == writers[d]
		if !again {
			r.Version = give()
			_, err := tx.Exec(ctx, "UPDATE document_versions SET version = ?, next = 0, writer = '', lease = '', leased_until = 0, settled_at = ? WHERE collection = ? AND document = ?", r.Version, now.UnixMicro(), versionsOf(c), d)
			if err != nil {
				return nil, err
			}
		}
		kept[d] = reindex.Standing{Version: r.Version, Doubt: again}
	}
	return kept, nil
}

// lease puts the documents of next under the lease.
func (s *Store) lease(ctx context.Context, tx *store.Tx, c *owner.Collection, l lease.Lease, writers map[string]string, next map[string]int64, now time.Time) error {
	for some := range slices.Chunk(slices.Sorted(maps.Keys(next)), versionsAtOnce) {
		args := make([]any, 0, 7*len(some))
		for _, d := range some {
			args = append(args, versionsOf(c), d, next[d], writers[d], l.Name, now.Add(l.Last).UnixMicro(), now.UnixMicro())
		}
		_, err := tx.Exec(ctx, "INSERT INTO document_versions (collection, document, version, next, writer, lease, leased_until, settled_at) VALUES "+
			strings.TrimSuffix(strings.Repeat("(?, ?, 0, ?, ?, ?, ?, ?),", len(some)), ",")+
			` ON CONFLICT (collection, document) DO UPDATE SET next = excluded.next, writer = excluded.writer, lease = excluded.lease, leased_until = excluded.leased_until`, args...)
		if err != nil {
			return err
		}
	}
	return nil
}

// settling maps what became of a document to the change of its row.
var settling = map[reindex.Fate]string{
	reindex.Written: "version = next, next = 0, lease = '', leased_until = 0, settled_at = ?",
	reindex.Deleted: "version = 0, next = 0, lease = '', leased_until = 0, settled_at = ?",
	reindex.Refused: "next = 0, writer = '', lease = '', leased_until = 0, settled_at = ?",
	reindex.Unknown: "lease = '', leased_until = 0, settled_at = ?",
}

// SettleVersions implements reindex.VersionRows.
func (s *Store) SettleVersions(ctx context.Context, c *owner.Collection, l lease.Lease, fates map[string]reindex.Fate) (err error) {
	defer tried.To(&err, "settle versions of documents")
	byFate := map[reindex.Fate][]string{}
	for d, f := range fates {
		byFate[f] = append(byFate[f], d)
	}
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := s.give(ctx, tx, c, 0); err != nil {
			return err
		}
		now, err := s.time(ctx, tx)
		if err != nil {
			return err
		}
		for fate, set := range settling {
			for some := range slices.Chunk(slices.Sorted(slices.Values(byFate[fate])), versionsAtOnce) {
				n, err := tx.Exec(ctx, "UPDATE document_versions SET "+set+" WHERE collection = ? AND lease = ? AND document IN ("+store.Marks(len(some))+")",
					append([]any{now.UnixMicro(), versionsOf(c), l.Name}, toAny(some)...)...)
				if err != nil {
					return err
				}
				if int(n) != len(some) {
					return lease.ErrLost
				}
			}
		}
		return nil
	})
}

// VersionOf implements reindex.VersionRows.
func (s *Store) VersionOf(ctx context.Context, c *owner.Collection, document string) (version int64, err error) {
	defer tried.To(&err, "read version of document")
	err = s.db.Read(ctx).Get(ctx, &version, "SELECT version FROM document_versions WHERE collection = ? AND document = ?", versionsOf(c), document)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return version, err
}

// LastVersion implements reindex.VersionRows.
func (s *Store) LastVersion(ctx context.Context, c *owner.Collection) (version int64, err error) {
	defer tried.To(&err, "read last version of collection")
	err = s.db.Read(ctx).Get(ctx, &version, "SELECT document_version FROM collections WHERE "+ofCollection, key(c)...)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, owner.ErrGone
	}
	return version, err
}

// SweepVersions deletes expired versions of documents. It is the part of Sweep that concerns them.
func (s *Store) SweepVersions(ctx context.Context) (err error) {
	defer tried.To(&err, "delete old versions of documents")
	return s.db.Write(ctx, s.sweepVersions)
}

// goneAtOnce limits how many rows one sweep deletes for collections that are gone. The rest is left to the next sweep.
const goneAtOnce = 20_000

// goneCollections selects the collections that have rows in document_versions but no longer exist. It skips from one collection to the next
// in the primary key, because there is a row for each document. A collection that is only claimed has no versions yet.
const goneCollections = `WITH RECURSIVE known (collection) AS (
	SELECT min(collection) FROM document_versions
	UNION ALL SELECT (SELECT min(v.collection) FROM document_versions v WHERE v.collection > k.collection) FROM known k WHERE k.collection IS NOT NULL)
	SELECT collection FROM known WHERE collection IS NOT NULL AND collection NOT IN (SELECT c.tenant || '/' || c.name || '/' || CAST(c.claimed_at AS TEXT) FROM collections c)`

// sweepVersions deletes the rows of deleted documents, and those of collections that are gone.
func (s *Store) sweepVersions(ctx context.Context, tx *store.Tx) error {
	now, err := s.time(ctx, tx)
	if err != nil {
		return err
	}
	of := []string{"collection", "document"}
	old := store.Rows{Table: "document_versions", Key: of, Where: "version = 0 AND next = 0 AND lease = '' AND settled_at < ?", Args: []any{now.Add(-tombstoneLife).UnixMicro()}}
	if _, err := old.Delete(ctx, tx); err != nil {
		return err
	}
	var gone []string
	if err := tx.Select(ctx, &gone, goneCollections); err != nil {
		return err
	}
	left := int64(goneAtOnce)
	for _, collection := range gone {
		old := store.Rows{Table: "document_versions", Key: of, Where: "collection = ? AND document IN (SELECT d.document FROM document_versions d WHERE d.collection = ? LIMIT ?)", Args: []any{collection, collection, left}}
		n, err := old.Delete(ctx, tx)
		if err != nil {
			return err
		}
		if left -= n; left <= 0 {
			break
		}
	}
	return nil
}

// restoredLeap is added to version counters after a restore. It is larger than the number of versions that can have been given since the
// backup.
const restoredLeap = 1 << 40

// LeapVersions prepares the versions of documents after a database was restored from a backup. It moves the counter of each collection
// beyond all versions that were given since the backup, because callers may hold those. The engine may have newer documents than the
// backup, so the version of every document is marked as unknown.
func LeapVersions(ctx context.Context, tx *store.Tx) error {
	_, err := tx.Exec(ctx, "UPDATE collections SET document_version = document_version + ? WHERE versioned = 1", int64(restoredLeap))
	if err == nil {
		_, err = tx.Exec(ctx, "UPDATE document_versions SET next = version, writer = '', lease = '', leased_until = 0 WHERE version > 0")
	}
	return err
}
