// Package transfer exports and imports scopes, line by line (package scopefile). It holds a few hundred lines at a time in either direction. An import delays other writes by at most
// one of its small transactions.
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
	partVersions = 250              // versions of one transaction
	partBytes    = 2 << 20          // of their data
	maxTypes     = 10_000           // of one import
	exports      = 2                // at a time, because each holds a connection for reading
	endWithin    = 2 * time.Minute  // bounds how long a failed import deletes its rows; Sweep deletes the rest
	silence      = 10 * time.Minute // an import that has written nothing for so long is given up
	endedAtOnce  = 100              // imports that one Sweep cleans up
)

// ErrBusy says that the maximum number of exports is running.
var ErrBusy = errors.New("all places for exports are taken")

// Options configure a Service.
type Options struct {
	DB    *database.DB
	Store *store.Store
	Clock clock.Clock
	Log   *slog.Logger
	NewID func() string // must never return the same id twice
	// Imported is called when an import has made a scope visible. It must not block.
	Imported func(scope string)
}

// Service exports and imports scopes. It is safe for concurrent use.
type Service struct {
	Options
	places chan struct{}
}

// New returns a Service.
func New(o Options) *Service { return &Service{Options: o, places: make(chan struct{}, exports)} }

// Export writes a scope to the writer that begin returns. It calls begin directly before the first byte. With domain.ErrUnknownScope and ErrBusy it fails before it calls begin.
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

// lateFile writes the first line with the first item, because until then the scope may turn out to be unknown.
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

// Sweep gives up imports that have written nothing for some time, mostly because their process has ended, and deletes the rows of imports that were given up.
func (s *Service) Sweep(ctx context.Context) error {
	if err := s.end(ctx, s.Clock.Now().Add(-silence)); err != nil {
		return err
	}
	ended, err := s.Store.EndedLoads(ctx, endedAtOnce)
	if err != nil {
		return err
	}
	for _, l := range ended {
		s.Log.WarnContext(ctx, "import was aborted; its rows are removed", "scope", l.Scope)
		if err := s.unload(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// EndAll gives up all imports. It is for the start of a service that is the only one on its database: no import is running. Sweep deletes their rows.
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

// giveUp ends a failed import and deletes its rows, before the caller is answered. When it fails, a later Sweep deletes the rest.
func (s *Service) giveUp(ctx context.Context, l *store.Load) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWithin) // the caller may be gone
	defer cancel()
	err := s.DB.Write(ctx, func(ctx context.Context, tx *database.Tx) error { return store.EndLoad(ctx, tx, l) })
	if err == nil {
		err = s.unload(ctx, l)
	}
	if err != nil {
		s.Log.WarnContext(ctx, "rows of a failed import are removed later", "scope", l.Scope, "error", err)
	}
}
