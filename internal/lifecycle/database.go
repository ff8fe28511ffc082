package lifecycle

import (
	"context"
	"errors"
	"io/fs"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/store"
)

// Schema describes the content of a service's database.
type Schema struct {
	Migrations []fs.FS
	Address    func(url string) string // rewrites the configured URL, which is empty for SQLite; nil keeps it
	Tables     []store.Table           // every table, with what bounds it; SharedTables are those of every service
}

// SharedTables are the tables of internal/audit, internal/idempotency and internal/store.
var SharedTables = []store.Table{
	{Name: "audit_base", Bound: "one row"},
	{Name: "audit_events", Bound: "one row for each change; of what is refused to strangers at most 60 rows a minute for each action and replica; until they are archived"},
	{Name: "audit_head", Bound: "one row"},
	{Name: "audit_keys", Bound: "one row, and one more whenever a data key was abandoned"},
	{Name: "audit_pending", Bound: "empty but between an abandoned data key and the next start"},
	{Name: "idempotency", Bound: "deleted after 24 hours"},
	{Name: "store_proof", Bound: "one row"},
}

// Database opens the service's database and migrates it; Serve closes it at the end. While the database does not answer it waits; any other fault is
// returned.
func (s *Service) Database(ctx context.Context, schema Schema) (*store.DB, error) {
	settings, err := schema.Database(s.word, s.config)
	if err != nil {
		return nil, err
	}
	err = s.Await(ctx, "its database", func(ctx context.Context) (err error) {
		s.db, err = store.Open(ctx, settings)
		return UnlessUnavailable(err)
	})
	if err == nil {
		register(s.config, store.NewRowCounter(s.db, schema.Tables, s.config.Log))
	}
	return s.db, err
}

// UnlessUnavailable is Fatal for every error except that of a database that does not answer. A full disk counts as fatal: it does not empty itself
// while a start waits.
func UnlessUnavailable(err error) error {
	if err == nil || errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrFull) {
		return err
	}
	return Fatal(err)
}

// register registers a collector and replaces that of an earlier run in the same process.
func register(c config.Service, collector prometheus.Collector) {
	c.Registerer.Unregister(collector)
	c.Registerer.MustRegister(collector)
}

func (s *Service) closeDatabase() error {
	if s.db == nil {
		return nil
	}
	return s.db.Close()
}

// Database returns where the database of a service is and how to open it.
func (schema Schema) Database(word string, c config.Service) (store.Config, error) {
	address, err := c.DatabaseURL()
	if err != nil {
		return store.Config{}, err
	}
	if schema.Address != nil {
		address = schema.Address(address)
	}
	return store.Config{URL: address, Dir: c.DataDir, Name: word, Migrations: schema.Migrations, Log: c.Log, Tracer: c.Tracer}, nil
}

// Open opens the database of a service for an operator's command, without waiting for it; the caller closes it. The configuration must be complete
// and valid.
func Open(ctx context.Context, word string, c config.Service, schema Schema) (*store.DB, error) {
	if err := config.CheckDataDir(c.DataDir); err != nil {
		return nil, err
	}
	settings, err := schema.Database(word, c)
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, settings)
}

// Migrate migrates the database of a service and closes it, without waiting for it. The configuration must be complete and valid.
func Migrate(ctx context.Context, word string, c config.Service, schema Schema) error {
	db, err := Open(ctx, word, c, schema)
	if err != nil {
		return err
	}
	return db.Close()
}
