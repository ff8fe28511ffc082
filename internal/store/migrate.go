package store

import (
	"archive/zip"
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"github.com/pressly/goose/v3"
)

// migrate applies the missing migrations, each in its own transaction. A SQLite database is protected by the lock on its file; on PostgreSQL an
// advisory lock lets one of several starting replicas migrate while the others wait.
func (db *DB) migrate(ctx context.Context, parts []fs.FS) error {
	provider, err := db.provider(parts)
	if err != nil {
		return err
	}
	if err := db.refuseNewer(ctx, provider); err != nil {
		return err
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return err
	}
	for _, r := range results {
		db.log.InfoContext(ctx, "database migrated", "database", db.name, "migration", r.Source.Path, "duration", r.Duration)
	}
	return nil
}

// provider returns a goose provider with the migrations of all parts.
func (db *DB) provider(parts []fs.FS) (*goose.Provider, error) {
	files, err := mergeMigrations(db.dialect, parts)
	if err != nil {
		return nil, err
	}
	options := []goose.ProviderOption{
		goose.WithDisableGlobalRegistry(true),
		// A service that adopts a shared package later applies that package's low numbers after its own high ones.
		goose.WithAllowOutofOrder(true),
	}
	dialect := goose.DialectSQLite3
	if db.dialect == PostgreSQL {
		dialect = goose.DialectPostgres
		options = append(options, goose.WithSessionLocker(migrationLock{}))
	}
	return goose.NewProvider(dialect, db.writer.DB, files, options...)
}

// migrationLock is a goose lock.SessionLocker that simply waits: goose's own polls every few seconds, which would delay the start of several replicas
// by as much. PostgreSQL scopes advisory locks to the database and releases them with the session.
type migrationLock struct{}

const migrationLockID = 0x666f756e // "foun"

func (migrationLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", migrationLockID)
	return err
}

func (migrationLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", migrationLockID)
	return err
}

// refuseNewer returns ErrNewer when a migration was applied that this binary does not contain.
func (db *DB) refuseNewer(ctx context.Context, provider *goose.Provider) error {
	if _, err := provider.GetDBVersion(ctx); err != nil { // creates the version table where there is none
		return err
	}
	known := map[int64]bool{0: true} // goose's own first row
	for _, s := range provider.ListSources() {
		known[s.Version] = true
	}
	var applied []int64
	if err := db.writer.SelectContext(ctx, &applied, "SELECT version_id FROM goose_db_version WHERE is_applied ORDER BY version_id"); err != nil {
		return err
	}
	for _, version := range applied {
		if version == unfinished {
			return ErrUnfinished
		}
		if isMoved(version) {
			return ErrMoved
		}
		if !known[version] {
			return fmt.Errorf("%w: migration %05d is unknown here", ErrNewer, version)
		}
	}
	return nil
}

var (
	blobType = regexp.MustCompile(`\bBLOB\b`)
	textType = regexp.MustCompile(`\bTEXT\b`)
	rowKey   = regexp.MustCompile(`\bBIGINT((?: NOT NULL)? PRIMARY KEY)\b`)
	noRowID  = regexp.MustCompile(`\) WITHOUT ROWID;`)
)

// mergeMigrations puts the *.sql files of all parts into one directory and translates them to the dialect: BLOB is BYTEA on PostgreSQL, and TEXT
// columns compare by bytes there as they do on SQLite, whatever the database's locale is. The directory is a ZIP archive in memory, the only file
// system of the standard library that a program can fill.
func mergeMigrations(d Dialect, parts []fs.FS) (files fs.FS, err error) {
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	seen := map[string]bool{}
	for _, part := range parts {
		names, err := fs.Glob(part, "*.sql")
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if seen[name] {
				return nil, fmt.Errorf("migration %s exists twice", name)
			}
			seen[name] = true
			if err := addMigration(w, d, part, name); err != nil {
				return nil, err
			}
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	files, err = zip.NewReader(bytes.NewReader(archive.Bytes()), int64(archive.Len()))
	return files, err
}

func addMigration(w *zip.Writer, d Dialect, part fs.FS, name string) error {
	text, err := fs.ReadFile(part, name)
	if err != nil {
		return err
	}
	file, err := w.Create(name)
	if err != nil {
		return err
	}
	_, err = file.Write([]byte(d.spell(string(text))))
	return err
}

// spell translates a migration to the dialect. SQLite uses a column declared INTEGER PRIMARY KEY as the row number; with any other type name, BIGINT
// included, the key is a separate index beside the table. WITHOUT ROWID stores a table in the tree of its key; PostgreSQL has no such tables.
func (d Dialect) spell(migration string) string {
	if d != PostgreSQL {
		return rowKey.ReplaceAllString(migration, "INTEGER$1")
	}
	lines := strings.Split(migration, "\n")
	for i, line := range lines {
		if code, _, _ := strings.Cut(line, "--"); strings.TrimSpace(code) != "" {
			line = noRowID.ReplaceAllString(blobType.ReplaceAllString(line, "BYTEA"), ");")
			lines[i] = textType.ReplaceAllString(line, `TEXT COLLATE "C"`)
		}
	}
	return strings.Join(lines, "\n")
}
