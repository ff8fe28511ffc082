package httpserver

import (
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// series are the metrics of one operation. They are found once: looking for them by their labels costs more than to count.
type series struct {
	duration prometheus.Observer
	requests *prometheus.CounterVec // of the operation, by status

	mu       sync.RWMutex
	byStatus map[int]prometheus.Counter
}

// series returns those of a request's operation.
func (o *observer) series(l *line) *series {
	if known, ok := o.known.Load(l.x.Operation); ok {
		return known.(*series)
	}
	name := l.operation()
	known, _ := o.known.LoadOrStore(l.x.Operation, &series{
		duration: o.duration.WithLabelValues(name), requests: o.requests.MustCurryWith(prometheus.Labels{"operation": name}), byStatus: map[int]prometheus.Counter{},
	})
	return known.(*series)
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
