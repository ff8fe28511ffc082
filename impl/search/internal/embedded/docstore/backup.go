package docstore

import (
	"io/fs"
	"log/slog"
	"regexp"
	"strconv"

	"github.com/fountainai/fountain/internal/store"
)

// Database returns the configuration of the documents database in a directory, for a backup.
func Database(dir string) store.Config {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the directory is embedded
	}
	return store.Config{Dir: dir, Name: name, Migrations: []fs.FS{files}, Log: slog.New(slog.DiscardHandler)}
}

var ofCollection = regexp.MustCompile(`^documents_([1-9][0-9]{0,18})$`)

// TableOf returns the statement that creates the table of a collection, given the table's name, or "" for any other name.
func TableOf(table string) string {
	found := ofCollection.FindStringSubmatch(table)
	if found == nil {
		return ""
	}
	key, err := strconv.ParseUint(found[1], 10, 64)
	if err != nil {
		return ""
	}
	return createDocuments(key)
}

// createDocuments returns the statement that creates the table of a collection.
func createDocuments(key uint64) string {
	return "CREATE TABLE " + documents(key) + " (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, sum INTEGER NOT NULL, document BLOB NOT NULL)"
}
