package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/store"
)

// migrated names a copy of a database in which the migrations have run: on SQLite in a new directory, or on the server of admin.
func migrated(t *testing.T, c store.Config, admin string) store.Config {
	t.Helper()
	key := digest(t, c.Migrations)
	if admin == "" {
		c.Dir = t.TempDir()
		require.NoError(t, os.WriteFile(file(c), sqliteTemplate(t, c, key), 0o600))
		return c
	}
	c.URL = createDatabase(t, admin, postgresTemplate(t, c, admin, key))
	return c
}

// digest identifies migrations by what they say.
func digest(t *testing.T, migrations []fs.FS) string {
	t.Helper()
	hash := sha256.New()
	for _, part := range migrations {
		require.NoError(t, fs.WalkDir(part, ".", func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := fs.ReadFile(part, path)
			hash.Write([]byte(path + "\x00"))
			hash.Write(append(text, 0))
			return err
		}))
	}
	return hex.EncodeToString(hash.Sum(nil)[:12])
}

// file is the path of a SQLite database.
func file(c store.Config) string { return filepath.Join(c.Dir, c.Name+".db") }

var (
	making sync.Mutex
	files  = map[string][]byte{} // SQLite databases, by the digest of their migrations
	exist  = map[string]bool{}   // PostgreSQL databases, by name
)

// sqliteTemplate returns the file of a SQLite database in which the migrations have run.
func sqliteTemplate(t *testing.T, c store.Config, key string) []byte {
	t.Helper()
	making.Lock()
	defer making.Unlock()
	if files[key] == nil {
		c.Dir = t.TempDir()
		migrate(t, c)
		raw, err := os.ReadFile(file(c))
		require.NoError(t, err)
		files[key] = raw
	}
	return files[key]
}

// postgresTemplate returns the name of a database on the server in which the migrations have run. It stays there for the tests of other packages and
// for the next run.
func postgresTemplate(t *testing.T, c store.Config, admin, key string) string {
	t.Helper()
	making.Lock()
	defer making.Unlock()
	name := "fountain_template_" + key
	if exist[name] {
		return name
	}
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, admin)
	require.NoError(t, err, "connect to the test server")
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "SELECT pg_advisory_lock(hashtext($1))", name) // held until the connection is closed: other packages wait
	require.NoError(t, err)
	var exists bool
	require.NoError(t, conn.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)", name).Scan(&exists))
	if !exists {
		unfinished := name + "_unfinished"
		run(t, admin, "DROP DATABASE IF EXISTS "+unfinished+" WITH (FORCE)", "CREATE DATABASE "+unfinished+" TEMPLATE template0 ENCODING 'UTF8'")
		c.URL = named(t, admin, unfinished)
		migrate(t, c)
		run(t, admin, "ALTER DATABASE "+unfinished+" RENAME TO "+name)
	}
	exist[name] = true
	return name
}

// migrate runs the migrations in an empty database.
func migrate(t *testing.T, c store.Config) {
	t.Helper()
	db, err := store.Open(context.Background(), c)
	require.NoError(t, err)
	require.NoError(t, db.Close())
}
