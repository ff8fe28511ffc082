// Package transfer takes scopes out and brings them in, line by line (scopefile). It holds a few hundred lines at a time in either direction, and an import holds up nobody else's
// writes for longer than one of its small transactions.
package transfer

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"time"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/scopefile"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/internal/clock"
	database "github.com/fountainai/fountain/internal/store"
)

const (
	partVersions = 250             // versions of one transaction
	partBytes    = 2 << 20         // of their data
	maxTypes     = 10_000          // of one import
	exports      = 2               // at once: each holds a connection for reading
	endWithin    = 2 * time.Minute // for taking away the rows of an import that failed, before others do it
	silence      = 10 * time.Minute
	endedAtOnce  = 100
)

// ErrBusy says that as many exports run as may.
var ErrBusy = errors.New("all places for exports are taken")

// Options configure a Service.
type Options struct {
	DB    *database.DB
	Store *store.Store
	Clock clock.Clock
	Log   *slog.Logger
	NewID func() string // never gives one twice
	// Imported is told of a scope that an import has just shown. It must not block.
	Imported func(scope string)
}

// Service exports and imports scopes. It is safe for concurrent use.
type Service struct {
	Options
	places chan struct{}
}

// New returns a Service.
func New(o Options) *Service { return &Service{Options: o, places: make(chan struct{}, exports)} }

// Export writes a scope. It fails before it has written anything with domain.ErrUnknownScope and ErrBusy; begin is called right before the first byte.
func (s *Service) Export(ctx context.Context, scope string, begin func() io.Writer) error {
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	default:
		return ErrBusy
	}
	out := &lateFile{scope: scope, begin: begin}
	if err := s.Store.Export(ctx, scope, out); err != nil {
		return err
	}
	return out.Close()
}

// lateFile begins with the first element: until then there may be none.
type lateFile struct {
	*scopefile.Writer
	scope string
	begin func() io.Writer
}

// Format implements store.Sink.
func (f *lateFile) Format(format domain.Format) error {
	if err := f.open(); err != nil {
		return err
	}
	return f.Writer.Format(format)
}

// Element implements store.Sink.
func (f *lateFile) Element(e domain.Element) error {
	if err := f.open(); err != nil {
		return err
	}
	return f.Writer.Element(e)
}

func (f *lateFile) open() (err error) {
	if f.Writer == nil {
		f.Writer, err = scopefile.NewWriter(f.begin(), f.scope)
	}
	return err
}

// Sweep gives up imports that are silent, and takes away what is left of those that were given up: of ones whose process ended, above all.
func (s *Service) Sweep(ctx context.Context) error {
	if err := s.end(ctx, s.Clock.Now().Add(-silence)); err != nil {
		return err
	}
	ended, err := s.Store.EndedLoads(ctx, endedAtOnce)
	if err != nil {
		return err
	}
	for _, l := range ended {
		s.Log.WarnContext(ctx, "import was given up; its rows are taken away", "scope", l.Scope)
		if err := s.unload(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// EndAll gives up all imports, at the start of a service that is the only one on its database: none goes on. Sweep takes away their rows.
func (s *Service) EndAll(ctx context.Context) error {
	return s.end(ctx, time.UnixMicro(math.MaxInt64/2))
}

func (s *Service) end(ctx context.Context, silentSince time.Time) error {
	return s.DB.Write(ctx, func(ctx context.Context, tx *database.Tx) error { return store.EndLoads(ctx, tx, silentSince) })
}

func (s *Service) unload(ctx context.Context, l *store.Load) error {
	for {
		gone, err := s.Store.Unload(ctx, l)
		if err != nil || gone {
			return err
		}
	}
}

// giveUp takes an import back: its caller is answered when nothing is left of it. What fails here the next Sweep does.
func (s *Service) giveUp(ctx context.Context, l *store.Load) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWithin) // the caller may be gone
	defer cancel()
	err := s.DB.Write(ctx, func(ctx context.Context, tx *database.Tx) error { return store.EndLoad(ctx, tx, l) })
	if err == nil {
		err = s.unload(ctx, l)
	}
	if err != nil {
		s.Log.WarnContext(ctx, "rows of a failed import are taken away later", "scope", l.Scope, "error", err)
	}
}
