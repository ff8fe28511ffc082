package httpserver

import (
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/internal/contract"
)

// series are the metrics of one operation. They are looked up once: looking them up by labels costs more than counting.
type series struct {
	duration prometheus.Observer
	requests *prometheus.CounterVec // of the operation, by status

	mu       sync.RWMutex
	byStatus map[int]prometheus.Counter
}

// series returns the metrics of a request's operation.
func (o *observer) series(l *line) *series {
	if l.x.Operation == nil {
		return o.unrouted
	}
	return contract.Kept(l.x.Operation, o, func() *series { return o.newSeries(l.operation()) })
}

func (o *observer) newSeries(operation string) *series {
	return &series{
		duration: o.duration.WithLabelValues(operation), requests: o.requests.MustCurryWith(prometheus.Labels{"operation": operation}), byStatus: map[int]prometheus.Counter{},
	}
}

// answers returns the counter of a status.
func (s *series) answers(status int) prometheus.Counter {
	s.mu.RLock()
	counter := s.byStatus[status]
	s.mu.RUnlock()
	if counter != nil {
		return counter
	}
	counter = s.requests.WithLabelValues(strconv.Itoa(status))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byStatus[status] = counter
	return counter
}
