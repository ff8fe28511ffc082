// Package admit protects services from overload. For each operation it admits only as many concurrent requests as the service can complete
// in about the time that they take under low load, and refuses the others.
package admit

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/internal/admission"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/problem"
)

// Station admits requests. It is safe for concurrent use.
type Station struct {
	services atomic.Pointer[map[string]*admission.Adaptive] // by word; never changed in place
	limit    *prometheus.Desc
}

// New returns a Station for the services with these words, and registers the metric of its limits.
func New(words []string, to prometheus.Registerer) *Station {
	s := &Station{
		limit: prometheus.NewDesc("fountain_gateway_admission_limit",
			"How many requests of an operation the gateway lets through to its service at once.", []string{"operation"}, nil),
	}
	s.Keep(words)
	to.MustRegister(s)
	return s
}

// Keep replaces the set of services. It keeps the state of those that remain. It must not be called concurrently.
func (s *Station) Keep(words []string) {
	before := s.services.Load()
	services := make(map[string]*admission.Adaptive, len(words))
	for _, word := range words {
		if before != nil && (*before)[word] != nil {
			services[word] = (*before)[word]
			continue
		}
		services[word] = admission.NewAdaptive()
	}
	s.services.Store(&services)
}

// Admit admits the request, or refuses it with problem.Overloaded. The request's place is freed when the answer is known (Exchange.Answered), so that a
// slow reader holds none. Streams, of the answer or of the request body, take no place, since they last arbitrarily long.
func (s *Station) Admit(x *httpserver.Exchange) error {
	service := (*s.services.Load())[x.Operation.Word]
	if service == nil || streams(x) {
		return nil
	}
	place, err := service.Enter(x.Request.Context(), x.Operation.Label())
	if errors.Is(err, admission.ErrBusy) {
		return problem.New(problem.Overloaded, "The service is overloaded. Try again later.").WithRetryAfter(time.Second)
	}
	if err != nil {
		return problem.New(problem.Overloaded, "The request waited too long for its turn.").WithRetryAfter(time.Second).Wrap(err)
	}
	x.OnAnswered(func(status int, err error) { place.Leave(outcome(status, err)) })
	return nil
}

// streams reports whether the duration of the request says nothing about the load of the service. It is false for a body that was read completely, even if the
// operation also takes streams.
func streams(x *httpserver.Exchange) bool {
	s := x.Operation.Policy.Stream
	return s != nil && (s.Kind == contract.StreamLongPoll || x.Stream != nil || x.Operation.StreamsAnswer())
}

// outcome converts a status, or the error in its place, to what it tells about the service's load. Refusals do not count as done: they are quick, and would
// make the operation's normal duration appear too short.
func outcome(status int, err error) admission.Outcome {
	switch {
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, problem.UpstreamTimeout):
		return admission.TooLate
	case errors.Is(err, problem.Overloaded):
		return admission.Refused
	case err != nil || status == 0 || status >= http.StatusBadRequest:
		return admission.Failed
	}
	return admission.Done
}

// Describe implements prometheus.Collector.
func (s *Station) Describe(to chan<- *prometheus.Desc) { to <- s.limit }

// Collect implements prometheus.Collector.
func (s *Station) Collect(to chan<- prometheus.Metric) {
	for _, service := range *s.services.Load() {
		for operation, limit := range service.Limits() {
			to <- prometheus.MustNewConstMetric(s.limit, prometheus.GaugeValue, float64(limit), operation)
		}
	}
}
