package search

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/embedded/api"
	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/handlers"
	"github.com/fountainai/fountain/impl/search/internal/tsclient"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/httpclient"
	"github.com/fountainai/fountain/internal/lifecycle"
)

// openEngine opens the embedded engine, or a client of a Typesense server. Both are used through the same API.
func (s *service) openEngine() error {
	setting, doer, err := s.config.EngineURL, tsclient.Doer(nil), error(nil)
	if s.config.embedded() {
		setting = "http://embedded"
		doer, err = s.openEmbedded()
	} else {
		doer, err = s.remote()
	}
	if err != nil {
		return err
	}
	addresses, err := config.Addresses(setting)
	if err != nil {
		return fmt.Errorf("addresses of the search engine: %w", err)
	}
	nodes := tsclient.NewNodes(addresses, s.config.Clock, s.nodeChanged)
	client, err := tsclient.Over(nodes, doer, s.keys, tsclient.Deadlines{})
	if err != nil {
		return fmt.Errorf("make client of the search engine: %w", err)
	}
	s.engine = engine.New(client, s.keys)
	if !s.config.embedded() {
		s.watchNodes()
	}
	return nil
}

// tryEngine opens the engine. If its documents are damaged, are locked by a repair of damaged documents, or the disk is full, the service
// neither ends nor ends its family: it waits, not ready. Other errors are fatal.
func (s *service) tryEngine(ctx context.Context) error {
	err := s.openEngine()
	waits := errors.Is(err, embedded.ErrDamaged) || errors.Is(err, embedded.ErrDiskFull) || errors.Is(err, embedded.ErrLocked) && s.unopened.Load()
	if s.unopened.Swap(waits) != waits && waits {
		s.config.Log.ErrorContext(ctx, "the documents of the embedded search engine can't be opened; searches wait until they are repaired or there is room", "error", err)
	}
	if err == nil || waits {
		return err
	}
	return lifecycle.Fatal(err)
}

func (s *service) openEmbedded() (tsclient.Doer, error) {
	local, err := embedded.Open(embedded.Config{
		Dir: filepath.Join(s.config.DataDir, "engine"), Log: s.config.Log, Limits: s.config.limits(), Clock: s.config.Clock,
	})
	if err != nil {
		return nil, fmt.Errorf("open embedded engine: %w", err)
	}
	s.close, s.stored = local.Close, local.Prove
	l := local.Limits()
	s.facts = handlers.Facts{Unsupported: api.Unsupported(), Limits: &handlers.Limits{
		Documents: int64(l.Documents), DocumentsPerCollection: int64(l.DocumentsPerCollection), Collections: int64(l.Collections),
		DocumentBytes: l.DocumentBytes, MemoryBytes: l.MemoryBytes,
	}}
	// The engine answers 429 when it is overloaded, so that the service can tell this from an engine that can't be used.
	return tsclient.InProcess(api.New(local, api.Options{Key: s.keys.Accepts, Busy: http.StatusTooManyRequests})), nil
}

// answerBuffer is the size of the read buffer of a connection, in bytes: about the answer to a search with ten documents.
const answerBuffer = 16 << 10

func (s *service) remote() (tsclient.Doer, error) {
	transport, err := httpclient.NewTransport(s.config.EngineCAFile)
	if err != nil {
		return nil, fmt.Errorf("prepare transport to the search engine: %w", err)
	}
	transport.ReadBufferSize = answerBuffer
	return tsclient.OverHTTP(s.config.Tracer.Transport(transport)), nil
}

func (s *service) closeEngine() error {
	if s.close == nil {
		return nil
	}
	return s.close()
}
