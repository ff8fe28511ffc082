package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fountainai/fountain/internal/credential"
	"github.com/fountainai/fountain/internal/store"
)

const (
	// proveWithin bounds one run of all proofs.
	proveWithin = 2 * time.Second
	// proofLasts is how long a result is reused: readiness is public, and each proof costs a commit.
	proofLasts = time.Second
	// provePause is the interval at which the service checks itself, so that the log reports a fault even when no caller asks for readiness.
	provePause = 5 * time.Second
)

// proof is a check that a ready service passes.
type proof struct {
	what string // names the dependency, for example "the search engine"
	try  func(ctx context.Context) error
}

// Prove adds a check to readiness, in addition to that of the database. Its context ends after two seconds. what is published.
func (s *Service) Prove(what string, try func(ctx context.Context) error) {
	s.proofs = append(s.proofs, proof{what, try})
}

// readiness is the result of the last check.
type readiness struct {
	mu  sync.Mutex
	at  time.Time // of the last proof
	err error     // of the last proof
	log string    // why the service is not ready, for the log; empty: it is ready
}

// Ready returns nil when the service should get requests; otherwise the error says why not, in words that may be published. It runs the checks at
// most once a second and returns within two seconds. The readiness operation returns its result.
func (s *Service) Ready(ctx context.Context) error {
	if s.draining.Load() {
		return errors.New("it is stopping")
	}
	if err := s.checkConditions(); err != nil {
		return err
	}
	return s.proven(ctx)
}

func (s *Service) proven(ctx context.Context) error {
	s.readiness.mu.Lock()
	at, err := s.readiness.at, s.readiness.err
	s.readiness.mu.Unlock()
	if !at.IsZero() && time.Since(at) < proofLasts {
		return err
	}
	// All callers share one check, which is not cancelled when a caller leaves. A check that hangs in the operating system is not waited for beyond
	// the limit.
	done := s.proving.DoChan("", func() (any, error) {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), proveWithin)
		defer cancel()
		err := s.tryAll(bounded)
		s.readiness.mu.Lock()
		defer s.readiness.mu.Unlock()
		s.readiness.at, s.readiness.err = time.Now(), err
		return nil, err
	})
	limit := time.NewTimer(proveWithin)
	defer limit.Stop()
	select {
	case r := <-done:
		return r.Err
	case <-limit.C:
		return fmt.Errorf("its proof of readiness did not end within %s", proveWithin)
	}
}

// tryAll returns the first failure in words that may be published; see unready.
func (s *Service) tryAll(ctx context.Context) error {
	if s.db != nil { // set before the service had started
		if err := s.db.Prove(ctx); err != nil {
			return unready{words: databaseFault(err), cause: err}
		}
	}
	for _, p := range s.proofs {
		if err := p.try(ctx); err != nil {
			return unready{words: p.what + " does not answer", cause: err, dependency: true}
		}
	}
	return nil
}

func databaseFault(err error) string {
	switch {
	case errors.Is(err, store.ErrReplaced):
		return "its database file was removed or replaced"
	case errors.Is(err, store.ErrDamaged):
		return "its database file is damaged"
	case errors.Is(err, store.ErrFull):
		return "the disk of its database is full"
	}
	return "its database does not answer"
}

// unready holds the public text for callers and the cause for the log.
type unready struct {
	words      string
	cause      error
	dependency bool // not the database
}

func (u unready) Error() string { return u.words }

func (u unready) Unwrap() error { return u.cause }

// Reasons why a service is not ready, the label values of the metric fountain_not_ready.
const (
	becauseDisk       = "disk_full"
	becauseDamaged    = "database_damaged" // or removed, or replaced
	becauseDatabase   = "database"         // it does not answer
	becauseDependency = "dependency"       // another dependency, such as the search engine
	becauseClock      = "clock"
	becauseStarting   = "starting"
	becauseOther      = "other"
)

var causes = []string{becauseDisk, becauseDamaged, becauseDatabase, becauseDependency, becauseClock, becauseStarting, becauseOther}

// reasonOf maps an error of Ready to a reason; "" for nil.
func reasonOf(err error) string {
	var failed unready
	switch {
	case err == nil:
		return ""
	case errors.Is(err, credential.ErrClock):
		return becauseClock
	case errors.Is(err, store.ErrFull):
		return becauseDisk
	case errors.Is(err, store.ErrDamaged), errors.Is(err, store.ErrReplaced):
		return becauseDamaged
	case errors.As(err, &failed) && failed.dependency:
		return becauseDependency
	case errors.As(err, &failed):
		return becauseDatabase
	}
	return becauseOther
}

// tell sets the metric: 1 for this reason, 0 for the others.
func (s *Service) tell(reason string) {
	for _, cause := range causes {
		value := 0.0
		if cause == reason {
			value = 1
		}
		s.notReady.WithLabelValues(cause).Set(value)
	}
}

// watchReadiness exports in a metric why the service is not ready, and logs once per change that a started service is not ready any more, or is ready
// again.
func (s *Service) watchReadiness(ctx context.Context) error {
	s.tell(becauseStarting)
	for rest(ctx, provePause) {
		if s.draining.Load() {
			continue
		}
		if s.why.Load() != nil {
			s.tell(becauseStarting)
			continue // Await reports what a start waits for
		}
		err := s.Ready(ctx)
		s.tell(reasonOf(err))
		s.logReadiness(ctx, err)
	}
	return nil
}

func (s *Service) logReadiness(ctx context.Context, err error) {
	words := ""
	if err != nil {
		words = err.Error()
	}
	if s.readiness.log == words {
		return
	}
	s.readiness.log = words
	if err == nil {
		s.config.Log.InfoContext(ctx, "service is ready again")
		return
	}
	s.config.Log.WarnContext(ctx, "service is not ready", "because", words, "error", errors.Unwrap(err))
}
