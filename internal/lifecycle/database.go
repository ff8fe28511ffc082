package lifecycle

import (
	"context"
	"errors"
	"io/fs"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/store"
)

// Schema is what a service's database holds.
type Schema struct {
	Migrations []fs.FS
	Address    func(url string) string // changes the configured address, which is empty for SQLite; nil leaves it
	Tables     []store.Table           // every table, with what bounds it; those that each service has are SharedTables
}

// SharedTables are what internal/audit, internal/idempotency and internal/store bring.
var SharedTables = []store.Table{
	{Name: "audit_base", Bound: "one row"},
	{Name: "audit_events", Bound: "one row for each change; of what is refused to strangers at most 60 rows a minute for each action and replica; until they are archived"},
	{Name: "audit_head", Bound: "one row"},
	{Name: "audit_keys", Bound: "one row, and one more whenever a data key was abandoned"},
	{Name: "audit_pending", Bound: "empty but between an abandoned data key and the next start"},
	{Name: "idempotency", Bound: "deleted after 24 hours"},
	{Name: "store_proof", Bound: "one row"},
}

// Database opens the service's database and migrates it; Serve closes it at the end. One that does not answer is waited for; any
// other fault is an error.
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

// UnlessUnavailable is Fatal for every error but one of a database that does not answer. A full disk does not empty itself while a start
// waits.
func UnlessUnavailable(err error) error {
	if err == nil || errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrFull) {
		return err
	}
	return Fatal(err)
}

// register registers a collector in the place of that of an earlier run in the same process.
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

// Database says where the database of a service is and how it is built.
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

// Open opens the database of a service for an operator's command; the caller closes it. It waits for nothing. The configuration is complete and
// valid.
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

// Migrate brings the database of a service up to date and closes it. It waits for nothing. The configuration is complete and valid.
func Migrate(ctx context.Context, word string, c config.Service, schema Schema) error {
	db, err := Open(ctx, word, c, schema)
	if err != nil {
		return err
	}
	return db.Close()
}
