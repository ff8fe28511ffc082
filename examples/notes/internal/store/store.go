// Package store stores notes in SQLite. Every guarantee is a single statement.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/fountainai/fountain/examples/notes/internal/domain"
)

const schema = `CREATE TABLE IF NOT EXISTS notes (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	id TEXT NOT NULL UNIQUE,
	owner TEXT NOT NULL,
	title TEXT NOT NULL,
	text TEXT NOT NULL,
	version INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS notes_of_owner ON notes (owner, seq);`

const columns = "seq, id, title, text, version, created_at, updated_at"

// Store stores notes. It is safe for concurrent use.
type Store struct {
	Max int // most notes of one owner; Open sets domain.MaxNotes

	db  *sql.DB
	now func() time.Time
}

// Open opens the database at path, and creates it if there is none.
func Open(ctx context.Context, path string, now func() time.Time) (*Store, error) {
	pragmas := url.Values{"_txlock": {"immediate"}, "_pragma": {"journal_mode(wal)", "synchronous(full)", "busy_timeout(5000)"}}
	db, err := sql.Open("sqlite", "file:"+strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)+"?"+pragmas.Encode())
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db.SetMaxOpenConns(8)
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, errors.Join(fmt.Errorf("make tables: %w", err), db.Close())
	}
	return &Store{Max: domain.MaxNotes, db: db, now: now}, nil
}

// Close closes the database.
func (s *Store) Close() error { return s.db.Close() }

// Create stores a new note. Error: domain.ErrFull if its owner has too many.
func (s *Store) Create(ctx context.Context, owner string, d domain.Draft) (domain.Note, error) {
	now := s.now().UnixMicro()
	row := s.db.QueryRowContext(ctx, `INSERT INTO notes (id, owner, title, text, version, created_at, updated_at)
		SELECT ?, ?, ?, ?, 1, ?, ? WHERE (SELECT count(*) FROM notes WHERE owner = ?) < ? RETURNING `+columns,
		domain.NewID(), owner, d.Title, d.Text, now, now, owner, s.Max)
	return scanned(row, "create note", domain.ErrFull)
}

// Get reads an owner's note.
func (s *Store) Get(ctx context.Context, owner, id string) (domain.Note, error) {
	row := s.db.QueryRowContext(ctx, "SELECT "+columns+" FROM notes WHERE owner = ? AND id = ?", owner, id)
	return scanned(row, "read note", domain.ErrUnknown)
}

// List returns an owner's notes after a position in the list.
func (s *Store) List(ctx context.Context, owner string, after int64, limit int) ([]domain.Note, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT "+columns+" FROM notes WHERE owner = ? AND seq > ? ORDER BY seq LIMIT ?", owner, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list notes: %w", err)
	}
	defer rows.Close()
	var all []domain.Note
	for rows.Next() {
		n, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("list notes: %w", err)
		}
		all = append(all, n)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list notes: %w", err)
	}
	return all, nil
}

// Update replaces the version of the note that its owner has read. Error: domain.ErrStale if there is another version.
func (s *Store) Update(ctx context.Context, owner, id string, version int64, d domain.Draft) (domain.Note, error) {
	row := s.db.QueryRowContext(ctx, `UPDATE notes SET title = ?, text = ?, version = version + 1, updated_at = ?
		WHERE owner = ? AND id = ? AND version = ? RETURNING `+columns, d.Title, d.Text, s.now().UnixMicro(), owner, id, version)
	n, err := scanned(row, "update note", domain.ErrStale)
	if !errors.Is(err, domain.ErrStale) {
		return n, err
	}
	if _, unknown := s.Get(ctx, owner, id); unknown != nil { // it only decides between two errors
		return n, unknown
	}
	return n, err
}

// Delete deletes a note.
func (s *Store) Delete(ctx context.Context, owner, id string) error {
	result, err := s.db.ExecContext(ctx, "DELETE FROM notes WHERE owner = ? AND id = ?", owner, id)
	if err != nil {
		return fmt.Errorf("delete note: %w", err)
	}
	gone, err := result.RowsAffected()
	if err == nil && gone == 0 {
		err = domain.ErrUnknown
	}
	return err
}

// scanned reads the single row of a statement. If there is none, it returns the error none.
func scanned(row *sql.Row, tried string, none error) (domain.Note, error) {
	n, err := scan(row)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return domain.Note{}, none
	case err != nil:
		return domain.Note{}, fmt.Errorf("%s: %w", tried, err)
	}
	return n, nil
}

func scan(row interface{ Scan(into ...any) error }) (domain.Note, error) {
	var n domain.Note
	var created, updated int64
	err := row.Scan(&n.Seq, &n.ID, &n.Draft.Title, &n.Draft.Text, &n.Version, &created, &updated)
	n.CreatedAt, n.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return n, err
}
