package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"

	"github.com/jmoiron/sqlx"
	"modernc.org/sqlite"
)

const (
	sqliteReaders = 4
	// A reader can meet the lock of a WAL recovery or of an external backup. Our own writers queue for the only writing connection.
	busyTimeout = 5000 // ms
)

// pragmas are set in the connection string and read back on every connection, because a driver silently ignores one that it does not know.
var pragmas = []struct{ name, set, want string }{
	{"busy_timeout", fmt.Sprint(busyTimeout), fmt.Sprint(busyTimeout)},
	{"journal_mode", "WAL", "wal"},
	{"synchronous", "FULL", "2"}, // a commit is on the disk when it is acknowledged
	{"foreign_keys", "ON", "1"},
	{"secure_delete", "ON", "1"},                   // freed space is overwritten: otherwise SQLite leaves old content in the file, also when a record merely grows
	{"temp_store", "MEMORY", "2"},                  // statement journals are kept in memory: temporary files for them took a sixth of the time of writes
	{"journal_size_limit", "67108864", "67108864"}, // bytes; a larger WAL is truncated to this size
}

func openSQLite(ctx context.Context, c Config) (*DB, error) {
	if err := settled(c.Dir); err != nil { // before a file is created: the next restore needs an empty place
		return nil, err
	}
	if err := ensureDir(c.Dir); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, err
	}
	unlock, err := lockFile(filepath.Join(dir, c.Name+".lock"))
	if err != nil {
		return nil, err
	}
	db := &DB{name: c.Name, dialect: SQLite, wait: connWait, endWait: endWait, unlock: unlock, log: c.Log}
	path := filepath.Join(dir, c.Name+".db")
	if err := db.openFile(ctx, path, c.MaxConns); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func (db *DB) openFile(ctx context.Context, path string, readers int) error {
	if err := errors.Join(settled(filepath.Dir(path)), noOrphanLog(path)); err != nil {
		return err
	}
	// SQLite creates the files beside the database with the database's mode.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	found, err := file.Stat()
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if db.writer, err = sqlitePool(path, 1, false); err != nil {
		return err
	}
	if readers <= 0 {
		readers = sqliteReaders
	}
	if db.reader, err = sqlitePool(path, readers, true); err != nil {
		return err
	}
	// The writer connects first: it switches a new file to WAL.
	if err := db.writer.PingContext(ctx); err != nil {
		return err
	}
	if found.Size() == 0 {
		if err := db.markOverwriting(ctx); err != nil {
			return err
		}
	}
	if err := db.reader.PingContext(ctx); err != nil {
		return err
	}
	if db.identity, err = identify(path); err != nil {
		return err
	}
	return db.quickCheck(ctx)
}

// noOrphanLog returns ErrDamaged when there is a write-ahead log and its database is missing or empty: the database file was removed, and SQLite
// would report an I/O error.
func noOrphanLog(path string) error {
	log, err := os.Stat(path + "-wal")
	if err != nil || log.Size() == 0 {
		return nil // opening the database reports what is wrong with it
	}
	if file, err := os.Stat(path); err == nil && file.Size() > 0 {
		return nil
	}
	return fmt.Errorf("%w: the file is missing or empty, but the write-ahead log of an earlier one exists; restore a backup, or move the log away to begin with an empty database", ErrDamaged)
}

func sqlitePool(path string, size int, readOnly bool) (*sqlx.DB, error) {
	query := url.Values{"mode": {"rw"}} // a later connection must not create an empty database where the file was removed meanwhile
	for _, p := range pragmas {
		query.Add("_pragma", p.name+"("+p.set+")")
	}
	if readOnly {
		query.Add("_pragma", "query_only(1)")
	} else {
		// A deferred transaction that reads and then writes fails with SQLITE_BUSY at once, without waiting for the busy timeout.
		query.Set("_txlock", "immediate")
	}
	address := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: query.Encode()}
	base, err := sqlite.NewConnector(address.String())
	if err != nil {
		return nil, err
	}
	pool := sqlx.NewDb(sql.OpenDB(checkedConnector{base, readOnly}), "sqlite")
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	return pool, nil
}

// checkedConnector refuses a connection whose pragmas do not have the expected values, and makes connections cache their statements.
type checkedConnector struct {
	driver.Connector
	readOnly bool
}

func (c checkedConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.check(ctx, conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	keeping, err := newKeepingConn(conn)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return keeping, nil
}

func (c checkedConnector) check(ctx context.Context, conn driver.Conn) error {
	for _, p := range pragmas {
		if err := checkPragma(ctx, conn, p.name, p.want); err != nil {
			return err
		}
	}
	if c.readOnly {
		return checkPragma(ctx, conn, "query_only", "1")
	}
	return nil
}

func checkPragma(ctx context.Context, conn driver.Conn, name, want string) error {
	rows, err := conn.(driver.QueryerContext).QueryContext(ctx, "PRAGMA "+name, nil)
	if err != nil {
		return fmt.Errorf("read pragma %s: %w", name, err)
	}
	defer rows.Close()
	value := make([]driver.Value, len(rows.Columns()))
	if err := rows.Next(value); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read pragma %s: %w", name, err)
	}
	if len(value) != 1 || fmt.Sprint(value[0]) != want {
		return fmt.Errorf("pragma %s is %v, not %s", name, value, want)
	}
	return nil
}
