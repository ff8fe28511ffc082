package services

import (
	"context"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/impl/gateway/internal/upstream"
)

// skew knows which targets keep another text of their contract than the gateway checks. They get requests all the same: while a new version is put in
// place both are there. One that stays so answers what the gateway refuses, or refuses what the gateway lets through.
type skew struct {
	log     *slog.Logger
	targets *prometheus.GaugeVec

	mu   sync.Mutex
	seen map[string]map[*upstream.Target]bool // by the service's word
}

func newSkew(log *slog.Logger, to prometheus.Registerer) *skew {
	s := &skew{log: log, seen: map[string]map[*upstream.Target]bool{}, targets: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "fountain_upstream_skewed_targets", Help: "Targets that keep another text of their contract than the gateway checks.",
	}, []string{"upstream"})}
	to.MustRegister(s.targets)
	return s
}

// note takes what a target said of its contract, and logs a change.
func (s *skew) note(ctx context.Context, service Status, target *upstream.Target, digest string) {
	other := digest != service.Digest
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[service.Word][target] == other {
		return
	}
	if s.seen[service.Word] == nil {
		s.seen[service.Word] = map[*upstream.Target]bool{}
	}
	s.seen[service.Word][target] = other
	s.targets.WithLabelValues(service.Word).Set(float64(s.of(service.Word)))
	if other {
		s.log.WarnContext(ctx, "service keeps another contract than the gateway", "upstream", service.Word, "target", target.URL.Host, "digest", digest, "ours", service.Digest)
		return
	}
	s.log.InfoContext(ctx, "service keeps the gateway's contract again", "upstream", service.Word, "target", target.URL.Host)
}

// count returns how many targets of a service keep another text, and makes the metric tell it from the beginning.
func (s *skew) count(word string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.of(word)
	s.targets.WithLabelValues(word).Set(float64(n))
	return n
}

// of is called with the lock.
func (s *skew) of(word string) int {
	n := 0
	for _, other := range s.seen[word] {
		if other {
			n++
		}
	}
	return n
}

// forget begins anew with the targets of a service.
func (s *skew) forget(word string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.seen, word)
	s.targets.WithLabelValues(word).Set(0)
}

// drop takes a service out of the metric.
func (s *skew) drop(word string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.seen, word)
	s.targets.DeleteLabelValues(word)
}
