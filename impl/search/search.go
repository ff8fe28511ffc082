// Package search is the service in front of the search engine. Other services call it and never the engine. The engine is a Typesense
// server or, without one, the embedded engine, which serves the same API.
package search

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/enginekey"
	"github.com/fountainai/fountain/impl/search/internal/handlers"
	"github.com/fountainai/fountain/impl/search/internal/job"
	"github.com/fountainai/fountain/impl/search/internal/reindex"
	"github.com/fountainai/fountain/impl/search/internal/searchkeys"
	"github.com/fountainai/fountain/impl/search/internal/sets"
	searchstore "github.com/fountainai/fountain/impl/search/internal/store"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/lifecycle"
	"github.com/fountainai/fountain/internal/runner"
	"github.com/fountainai/fountain/internal/store"
)

// schema is the schema of the service's database.
var schema = lifecycle.Schema{Migrations: searchstore.Migrations, Tables: slices.Concat(lifecycle.SharedTables, searchstore.Tables)}

const (
	callTimeout  = 10 * time.Second // for a complete call of the kms
	watchTimeout = 10 * time.Second // for a held call, in addition to the hold
	examinePause = time.Second      // between two examinations of the engine; readiness has two seconds to report its return
	tidyPause    = time.Minute      // between two deletions of expired rows
	jobsAtOnce   = 4                // jobs that a process works on at once, each of another collection
	setsPause    = 20 * time.Second // between two checks of the engine's synonyms, curations and stopwords

	applySets = "bring synonyms, curations and stopwords to the search engine" // the name under which failures are counted
)

// Run serves until ctx ends, then drains and returns nil. Dependencies that may become available later, such as the kms, the database and
// Typesense, are waited for, and the service is not ready until then. A wrong configuration, an address in use and data that it must not
// touch are errors.
func Run(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("configuration of search: %w", err)
	}
	client, err := lifecycle.Client(c.Service, callTimeout)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	who, err := lifecycle.Enrol(handlers.Word, c.Service, client)
	if err != nil {
		return err
	}
	life, err := lifecycle.New(handlers.Word, c.Service)
	if err != nil {
		return err
	}
	s := &service{config: c, life: life, identity: who}
	if err := s.holders(client); err != nil {
		return err
	}
	s.handlers = &handlers.Handlers{Contract: life.Contract, Version: c.Version, Ready: life.Ready}
	life.Identify(who, client)
	life.Require(s.opened)
	life.Require(s.keys.Ready)
	life.Require(s.healthy)
	life.Prove("the search engine", s.proveEngine)
	life.Go("work", s.work)
	life.Go("engine key", s.refreshKey)
	life.Cleanup("engine", s.closeEngine)
	life.Cleanup("replica", s.leave)
	return life.Serve(ctx, lifecycle.Door{Keys: auth.NewJWKS(config.First(c.JWKSURL), client, c.Clock), Mount: s.handlers.Mount})
}

// service is the running service.
type service struct {
	config   Config
	life     *lifecycle.Service
	identity lifecycle.Identity
	keys     *enginekey.Holder
	parents  *enginekey.Holder // of search keys; nil if the engine can't be reached directly
	handlers *handlers.Handlers
	engine   *engine.Engine   // set by work
	facts    handlers.Facts   // set by work
	close    func() error     // set by work with an embedded engine
	replica  *reindex.Replica // set by work once the other replicas know of it
	stored   func() error     // set with replica: proves that the engine can store
	unopened atomic.Bool      // the embedded engine can't open its documents
	sick     atomic.Bool      // the engine did not answer its last examination
}

// holders creates the holders of the engine's key, which comes from a file or from the kms, and of the secret from which search keys are
// derived.
func (s *service) holders(client *http.Client) error {
	vault, err := s.vault(client)
	if err != nil {
		return err
	}
	patient := *client
	patient.Timeout = enginekey.Hold + watchTimeout
	waiting, err := s.vault(&patient)
	if err != nil {
		return err
	}
	refused := func() { s.identity.Forget(auth.ProofAudience) }
	s.keys = enginekey.New(enginekey.KMS{Client: vault, Waiting: waiting, Make: s.config.embedded(), Refused: refused})
	if s.config.EngineKeyFile != "" {
		s.keys = enginekey.New(enginekey.File(s.config.EngineKeyFile))
	}
	if !s.config.embedded() {
		s.parents = enginekey.New(enginekey.KMS{Client: vault, Waiting: waiting, Name: searchkeys.SecretName, Make: true, Refused: refused})
	}
	return nil
}

// vault returns a kms client that uses the given HTTP client.
func (s *service) vault(client *http.Client) (*kms.Client, error) {
	vault, err := kms.NewClient(config.First(s.config.KMSURL)+"/kms/v1", kms.WithHTTPClient(client), kms.WithRequestEditorFn(lifecycle.Bearer(s.identity, auth.ProofAudience)))
	if err != nil {
		return nil, fmt.Errorf("client of the kms: %w", err)
	}
	return vault, nil
}

func (s *service) refreshKey(ctx context.Context) error {
	return s.keys.Run(ctx, func(err error) {
		s.config.Log.WarnContext(ctx, "key of the search engine was not refreshed", "error", err)
		s.life.CountFailure("refresh the key of the search engine")
	})
}

// work makes the service ready, and then runs its background work until ctx ends: it examines the engine and deletes expired rows, among
// other things.
func (s *service) work(ctx context.Context) error {
	db, err := s.life.Database(ctx, schema)
	if err != nil {
		return err
	}
	if err := s.life.Await(ctx, "the documents of the search engine", s.tryEngine); err != nil {
		return err
	}
	var rows *searchstore.Store
	err = s.life.Await(ctx, "the kms or the search engine", func(ctx context.Context) (err error) {
		rows, err = s.start(ctx, db)
		return err
	})
	if err != nil {
		return err
	}
	s.facts.KeyVersion = s.keys.Version
	if !s.config.embedded() {
		s.facts.Nodes = s.engine.Nodes
	}
	replica := reindex.NewReplica(rows, s.config.Clock)
	worker := reindex.NewWorker(s.engine, rows, replica, s.config.Log, func() { s.life.CountFailure("go on with a reindex") })
	if err := s.life.Await(ctx, "the database", func(ctx context.Context) error { return s.join(ctx, rows, replica) }); err != nil {
		return err
	}
	s.replica = replica
	writer := reindex.NewWriter(s.engine, rows, replica)
	jobs := job.NewWorker(rows, writer, s.config.Log, func() { s.life.CountFailure("go on with a job") })
	var minter *searchkeys.Minter
	if s.parents != nil {
		minter = searchkeys.New(s.engine, s.parents, s.config.Clock)
	}
	applier := sets.NewApplier(s.engine, rows, s.config.Log)
	s.handlers.SetCore(&handlers.Core{
		Engine: s.engine, Store: rows, Facts: s.facts, Writer: writer, JobDue: jobs.Wake,
		Schemas: &reindex.Schemas{Engine: s.engine, Rows: rows, Wake: worker.Wake},
		Sets:    applier, Unapplied: s.logUnapplied, SearchKeys: minter, EngineDoor: strings.TrimSuffix(s.config.EnginePublicURL, "/"),
	})
	s.life.Started(ctx, "embedded", s.config.embedded())
	var group runner.Group
	group.Go("examine", s.life.Every(examinePause, "examine the search engine", s.examine))
	group.Go("tidy", s.life.Every(tidyPause, "remove old rows", rows.Sweep))
	group.Go("reconcile", s.life.Every(tidyPause, "reconcile the owners of collections", func(ctx context.Context) error { return s.reconcile(ctx, rows) }))
	group.Go("sets", s.life.Every(setsPause, applySets, applier.Apply))
	s.tendKeys(&group, minter, rows)
	group.Go("reindex", worker.Run)
	for range jobsAtOnce {
		group.Go("jobs", jobs.Run)
	}
	group.Go("tell of writes", func(ctx context.Context) error {
		return replica.Run(ctx, func(err error) {
			s.config.Log.WarnContext(ctx, "the writes in progress could not be announced to other replicas", "error", err)
			s.life.CountFailure("tell of writes under way")
		})
	})
	return group.Run(ctx)
}

// tendKeys starts the work that keeps search keys pointed at the current collections, and their secret up to date.
func (s *service) tendKeys(group *runner.Group, minter *searchkeys.Minter, rows *searchstore.Store) {
	if minter == nil {
		return
	}
	group.Go("search keys", s.life.Every(setsPause, "keep search keys on their collections", func(ctx context.Context) error { return minter.Tend(ctx, rows.Collections) }))
	group.Go("secret of search keys", func(ctx context.Context) error {
		return s.parents.Run(ctx, func(err error) {
			s.config.Log.WarnContext(ctx, "secret of search keys was not refreshed", "error", err)
			s.life.CountFailure("refresh the secret of search keys")
		})
	})
}

// logUnapplied reports that the engine does not have the change of a request yet. The change is applied again in the background.
func (s *service) logUnapplied(ctx context.Context, err error) {
	s.config.Log.WarnContext(ctx, "a change of a set is not yet applied to the search engine", "error", err)
	s.life.CountFailure(applySets)
}

// join makes this process known to the other replicas before it writes anything.
func (s *service) join(ctx context.Context, rows *searchstore.Store, replica *reindex.Replica) error {
	if err := rows.Alone(ctx); err != nil {
		return err
	}
	_, err := replica.Beat(ctx)
	return err
}

// leaveTime limits how long a shutdown waits for the database.
const leaveTime = 5 * time.Second

// leave tells the other replicas that this process ends. If the database can't be reached, they find out by themselves.
func (s *service) leave() error {
	if s.replica == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	if err := s.replica.Leave(ctx); err != nil {
		s.config.Log.WarnContext(ctx, "the shutdown could not be announced to other replicas; a reindex may wait for this one for two minutes", "error", err)
	}
	return nil
}

// start gets the keys and waits for the engine. It may be repeated after each failure.
func (s *service) start(ctx context.Context, db *store.DB) (*searchstore.Store, error) {
	if err := s.identity.Ready(); err != nil {
		return nil, err
	}
	dataKey, err := s.identity.DataKey(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("get the data key: %w", err)
	}
	if err := s.life.OpenAudit(ctx, db, dataKey); err != nil {
		return nil, err
	}
	if err := s.keys.Refresh(ctx); err != nil {
		return nil, fmt.Errorf("get the key of the search engine: %w", err)
	}
	if err := s.engine.Healthy(ctx); err != nil {
		return nil, err
	}
	rows := searchstore.New(db, idempotency.New(dataKey, dataKey, s.config.Clock), s.config.Clock)
	return rows, s.reconcile(ctx, rows)
}

// reconcile makes the stored owners of collections match the engine's collections.
func (s *service) reconcile(ctx context.Context, rows *searchstore.Store) error {
	return rows.Reconcile(ctx, func(ctx context.Context) (map[string]bool, error) {
		all, err := s.engine.Collections(ctx)
		present := make(map[string]bool, len(all))
		for _, c := range all {
			present[c.Name] = c.Scoped()
		}
		return present, err
	})
}

// examine records whether the engine answers, and logs each change.
func (s *service) examine(ctx context.Context) error {
	err := s.engine.Examine(ctx)
	if sick := err != nil; ctx.Err() == nil && s.sick.Swap(sick) != sick {
		s.config.Log.WarnContext(ctx, "state of the search engine changed", "sick", sick, "error", err)
	}
	return nil
}

// proveEngine is the readiness check of the engine. It runs only after work has set the engine.
func (s *service) proveEngine(ctx context.Context) error {
	if err := s.engine.Healthy(ctx); err != nil || s.stored == nil {
		return err
	}
	return s.stored()
}

func (s *service) opened() error {
	if s.unopened.Load() {
		return errors.New("the documents of the search engine are damaged, or the disk is full")
	}
	return nil
}

func (s *service) healthy() error {
	if s.sick.Load() {
		return errors.New("the search engine does not answer")
	}
	return nil
}
