// Package kms is the identity and key service of the family: users and their sessions, services and their API keys, tokens and signing keys, secrets, and
// the data keys that the other services seal with.
package kms

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/handlers"
	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/lifecycle"
)

// schema has the migrations and tables of the kms's database.
var schema = lifecycle.Schema{Migrations: []fs.FS{audit.Migrations, idempotency.Migrations, kmsdb.Migrations}, Tables: slices.Concat(lifecycle.SharedTables, kmsdb.Tables)}

// Run serves until ctx ends, then drains and returns nil. It answers health checks from the start and waits for a database that is not
// available yet. A wrong configuration, root key or issuer is an error, and changes nothing.
func Run(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("configuration of kms: %w", err)
	}
	life, err := lifecycle.New(handlers.Word, c.Service)
	if err != nil {
		return fmt.Errorf("prepare kms: %w", err)
	}
	shared, err := share(c)
	if err != nil {
		return err
	}
	s := &program{config: c, life: life, shared: shared}
	s.handlers = &handlers.Handlers{Contract: life.Contract, Clock: c.Clock, Version: c.Version, Ready: life.Ready}
	life.Require(s.canSign)
	life.Go("limits", shared.limiter.Run)
	life.Cleanup("shared commits", s.endCommits) // after the last request is answered
	life.Cleanup("root key", s.leave)
	life.Go("work", s.work)
	return life.Serve(ctx, lifecycle.Door{Keys: keys{s}, Revocations: revocations{s}, Issuer: s.issuer, Mount: s.handlers.Mount})
}

// program is the running service.
type program struct {
	config   Config
	life     *lifecycle.Service
	handlers *handlers.Handlers
	shared   *shared
	app      atomic.Pointer[app]
}

// work builds the domain as soon as the database is available, and then runs the periodic tasks.
func (s *program) work(ctx context.Context) error {
	db, err := s.life.Database(ctx, schema)
	if err != nil {
		return err
	}
	var built *app
	err = s.life.Await(ctx, "its database", func(ctx context.Context) (err error) {
		built, err = build(ctx, s.config, db, s.shared)
		return lifecycle.UnlessUnavailable(err)
	})
	if err != nil {
		return err
	}
	s.life.KeepAudit(built.domain.Audit)
	s.handlers.Start(built.domain)
	s.app.Store(built)
	s.config.Registerer.MustRegister(waitingGauge(built.domain.Adoptions.Judge), built.domain.Mails.Collector(), newBackupCollector(s.config.DataDir, s.config.Clock, s.config.Log))
	s.life.Started(ctx)
	return built.runBackground(ctx, s.life)
}

// endCommits flushes pending group commits before the database is closed.
func (s *program) endCommits() error {
	built := s.app.Load()
	if built == nil {
		return nil
	}
	built.domain.Secrets.Close()
	return built.domain.Recorder.Close()
}

// leave removes this replica from those that a rotation of the root key waits for. A failure is only logged: the other replicas notice by themselves that it
// is gone.
func (s *program) leave() error {
	built := s.app.Load()
	if built == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if err := built.domain.RootKey.Leave(ctx); err != nil {
		s.config.Log.WarnContext(ctx, "other replicas could not be notified that this one stops; a rotation of the root key may wait half a minute for it", "error", err)
	}
	return nil
}

// leaveTimeout bounds the last statement at shutdown.
const leaveTimeout = 5 * time.Second

// canSign returns an error when no token can be signed. It returns nil before the start, which readiness reports itself.
func (s *program) canSign() error {
	if built := s.app.Load(); built != nil {
		return built.domain.Ring.Ready()
	}
	return nil
}

// issuer returns the issuer that was fixed at the first start; "" before the domain is built.
func (s *program) issuer() string {
	if built := s.app.Load(); built != nil {
		return built.domain.Mint.Issuer
	}
	return ""
}
