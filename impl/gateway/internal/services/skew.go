package services

import (
	"context"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/impl/gateway/internal/upstream"
)

// skew records which targets have a different text of their contract than the gateway. They still get requests, since both texts exist while a new version is
// deployed. A lasting difference makes the gateway refuse the target's answers, or the target refuse requests that the gateway admits.
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

// note records the digest that a target reported, and logs a change.
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
		s.log.WarnContext(ctx, "service has a different contract than the gateway", "upstream", service.Word, "target", target.URL.Host, "digest", digest, "ours", service.Digest)
		return
	}
	s.log.InfoContext(ctx, "service has the gateway's contract again", "upstream", service.Word, "target", target.URL.Host)
}

// count returns the number of targets with a different text, and sets the metric, which therefore exists from the start.
func (s *skew) count(word string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.of(word)
	s.targets.WithLabelValues(word).Set(float64(n))
	return n
}

// of counts them. The caller holds the lock.
func (s *skew) of(word string) int {
	n := 0
	for _, other := range s.seen[word] {
		if other {
			n++
		}
	}
	return n
}

// forget drops what is known of a service's targets.
func (s *skew) forget(word string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.seen, word)
	s.targets.WithLabelValues(word).Set(0)
}

// drop removes a service from the metric.
func (s *skew) drop(word string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.seen, word)
	s.targets.DeleteLabelValues(word)
}
