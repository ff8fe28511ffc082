// Package sequence numbers the elements of a scope without gaps, and keeps their versions. Every change of an element reaches the
// search service through the outbox.
package sequence

import (
	"context"
	"crypto/rand"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"time"

	"github.com/fountainai/fountain/impl/sequence/internal/handlers"
	"github.com/fountainai/fountain/impl/sequence/internal/searchsync"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/impl/sequence/internal/transfer"
	"github.com/fountainai/fountain/impl/sequence/internal/writer"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/credential"
	"github.com/fountainai/fountain/internal/httpclient"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/lifecycle"
	"github.com/fountainai/fountain/internal/outbox"
	"github.com/fountainai/fountain/internal/runner"
	database "github.com/fountainai/fountain/internal/store"
)

// schema describes the database of the service: its migrations, its tables, and the address that its statements need.
var schema = lifecycle.Schema{
	Migrations: []fs.FS{audit.Migrations, idempotency.Migrations, outbox.Migrations, credential.Migrations, store.Migrations},
	Address:    store.Address,
	Tables:     slices.Concat(lifecycle.SharedTables, store.Tables),
}

// sweepPause is the time between two runs of each background task: deleting expired idempotency keys and the rows of failed imports, and finishing
// orders whose process has ended.
const sweepPause = time.Minute

// gather is how long a delivery to the search service waits for more changed elements. Without it the elements of a client that appends one at a time would be delivered one at a time.
const gather = 25 * time.Millisecond

// Run serves until ctx ends, and then finishes the requests that have begun. It starts without the other services, and is not ready until they are
// available.
func Run(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("configuration of sequence: %w", err)
	}
	client, err := lifecycle.Client(c.Service, callTimeout, c.SearchURL)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	source, err := lifecycle.Enrol(word, c.Service, client)
	if err != nil {
		return err
	}
	return run(ctx, c, client, source)
}

// service is one running sequence service.
type service struct {
	Config
	life     *lifecycle.Service
	client   *http.Client
	identity lifecycle.Identity
	verify   *auth.JWKS // the kms's keys
	keys     lateKey
	server   *handlers.Server // work sets its fields before the service is ready
}

// run is Run with an identity and a client that are ready to use.
func run(ctx context.Context, c Config, client *http.Client, who lifecycle.Identity) error {
	life, err := lifecycle.New(word, c.Service)
	if err != nil {
		return err
	}
	s := &service{Config: c, life: life, client: client, identity: who, verify: auth.NewJWKS(config.First(c.JWKSURL), client, c.Clock)}
	s.server = &handlers.Server{
		Ready: life.Ready, NewID: func() string { return id.New("elm") }, Version: c.Version, Followers: &writer.Followers{}, Stopping: ctx.Done(),
	}
	life.Identify(who, client)
	life.Go("work", s.work)
	life.Cleanup("writer", s.closeWriter) // runs after the last request is answered
	return life.Serve(ctx, lifecycle.Door{Keys: s.verify, Mount: s.server.Mount(life.Contract)})
}

// work opens the database, sets what the handlers need, makes the service ready, and runs the background tasks until ctx ends.
func (s *service) work(ctx context.Context) error {
	db, err := s.life.Database(ctx, schema)
	if err != nil {
		return err
	}
	elements := store.New(db)
	if err := db.Write(ctx, func(ctx context.Context, tx *database.Tx) error { return store.NameFeeds(ctx, tx, rand.Text()) }); err != nil {
		return fmt.Errorf("name the feeds: %w", err)
	}
	syncer, err := searchsync.New(searchsync.Options{
		DB: db, Store: elements, URL: config.First(s.SearchURL), Client: httpclient.Patient(s.client), Identity: s.identity, Log: s.Log, Registerer: s.Registerer,
	})
	if err != nil {
		return fmt.Errorf("prepare the search collection: %w", err)
	}
	deliverer := outbox.New(db, outbox.Options{Batch: searchsync.Batch, Gather: gather, Clock: s.Clock, Log: s.Log}, s.traced(syncer.Deliver))
	letters := searchsync.Letters{DB: db, Retried: deliverer.Notify}
	s.Registerer.MustRegister(lag{deliverer, letters, elements})
	known := idempotency.New(&s.keys, &s.keys, s.Clock)
	s.server.Store, s.server.Search, s.server.DeadLetters = elements, syncer, letters
	s.server.Writer = writer.New(writer.Options{
		DB: db, Keys: known, Clock: s.Clock, Log: s.Log, Registerer: s.Registerer, MaxBatch: s.maxBatch,
		Enqueue: searchsync.Enqueue, Committed: func(scope string) {
			deliverer.Notify()
			s.server.Followers.Changed(scope)
		},
	})
	walks := searchsync.Walks{DB: db, Log: s.Log, Marked: deliverer.Notify, Begun: make(chan struct{}, 1)}
	transfers := transfer.New(transfer.Options{
		DB: db, Store: elements, Clock: s.Clock, Log: s.Log, NewID: func() string { return id.New("imp") }, Imported: func(scope string) {
			walks.Notify()
			s.server.Followers.Changed(scope)
		},
	})
	s.server.Transfer, s.server.Reindex = transfers, walks
	if db.Dialect() == database.SQLite { // no other process uses the database
		if err := transfers.EndAll(ctx); err != nil {
			return fmt.Errorf("give up imports of the process before: %w", err)
		}
		if err := s.server.Writer.FinishAllOrders(ctx); err != nil {
			return fmt.Errorf("finish reorders of the process before: %w", err)
		}
	}
	var group runner.Group
	group.Go("reorders", s.life.Every(sweepPause, "finish long reorders of processes that ended", s.server.Writer.FinishOrders))
	group.Go("mark scopes for search", walks.Run)
	group.Go("imports", s.life.Every(sweepPause, "take away rows of failed imports", transfers.Sweep))
	group.Go("become ready", func(ctx context.Context) error { return s.becomeReady(ctx, db) })
	group.Go("deliver to search", deliverer.Run)
	group.Go("search collection", syncer.Run)
	group.Go("follow other replicas", func(ctx context.Context) error { return s.server.Followers.Run(ctx, elements.Ends, s.Log) })
	group.Go("sweep", s.life.Every(sweepPause, "remove old idempotency keys", func(ctx context.Context) error { return known.SweepAll(ctx, db) }))
	return group.Run(ctx)
}

// traced starts a trace for each delivery, because a delivery is part of no request.
func (s *service) traced(deliver outbox.Deliver) outbox.Deliver {
	return func(ctx context.Context, batch []outbox.Message) (err error) {
		ctx, end := s.Tracer.Work(ctx, "deliver to search")
		defer func() { end(err) }()
		return deliver(ctx, batch)
	}
}

// becomeReady waits for the kms. It gets the keys that tokens are verified with and the data key that stored answers are sealed with, opens the
// audit chain, and marks the service as started.
func (s *service) becomeReady(ctx context.Context, db *database.DB) error {
	err := s.life.Await(ctx, "the kms", func(ctx context.Context) error {
		if err := s.verify.Ready(ctx); err != nil {
			return fmt.Errorf("get the keys of the kms: %w", err)
		}
		key, err := s.identity.DataKey(ctx, db)
		if err != nil {
			return fmt.Errorf("get the data key: %w", err)
		}
		if err := s.life.OpenAudit(ctx, db, key); err != nil {
			return err
		}
		s.keys.key.Store(key)
		return nil
	})
	if err != nil {
		return err
	}
	s.life.Started(ctx)
	return nil
}

// closeWriter closes the writer, before its database is closed.
func (s *service) closeWriter() error {
	if s.server.Writer != nil {
		s.server.Writer.Close()
	}
	return nil
}
