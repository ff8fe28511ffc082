package gateway

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/servicetest"
)

// behindMany is a gateway whose sequence service has these targets.
func (h *house) behindMany(sequence string) (*gate, *prometheus.Registry) {
	c := h.config(h.behind)
	c.SequenceURL = sequence
	registry := prometheus.NewRegistry()
	c.Registerer = registry
	g, err := build(c, family(h.t), &http.Client{Timeout: callTimeout}, auth.NoRevocations{})
	require.NoError(h.t, err)
	h.gate = httptest.NewServer(g.handler())
	h.t.Cleanup(h.gate.Close)
	return g, registry
}

// A request for a service that is being restarted waits until it is back, without holding one of the operation's
// places.
func TestGate_waitsForAServiceThatIsBeingRestarted(t *testing.T) {
	h := newHouse(t)
	at := servicetest.FreeAddress(t)
	g, registry := h.behindMany("http://" + at)
	const requests = 100 // more than the places of createElements, which are 64
	bearer := "Bearer " + h.token(nil)
	var all sync.WaitGroup
	answers := make(chan answer, requests)
	send := func() {
		all.Go(func() { answers <- h.do("POST", batchPath, `{"elements":[`+createBody+`]}`, "Authorization", bearer) })
	}
	wait := func(n int) {
		waiting := func() bool {
			return metric(t, registry, "fountain_upstream_waiting_requests", "sequence") == float64(n)
		}
		require.Eventually(t, waiting, 4*time.Second, 5*time.Millisecond, "all wait, and none is refused for want of a place")
	}
	send()
	wait(1) // it was refused, and the others know
	for range requests - 1 {
		send()
	}
	wait(requests)
	again, err := net.Listen("tcp", at)
	require.NoError(t, err)
	back := &httptest.Server{Listener: again, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/sequence/v1/ready" {
			return
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(404)
		_, _ = w.Write([]byte(`{"type":"https://example/p","title":"x","status":404,"code":"not_found","requestId":"r","instance":"i"}`))
	})}}
	back.Start()
	defer back.Close()
	var watching sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	watching.Go(func() { _ = g.watcher.Run(ctx) }) // it always succeeds
	all.Wait()
	stop()
	watching.Wait()
	close(answers)
	answered := 0
	for a := range answers {
		require.Contains(t, []string{"not_found", "overloaded"}, a.Code, a.Text) // when it is back they all want a place at once
		if a.Code == "not_found" {
			answered++
		}
	}
	require.GreaterOrEqual(t, answered, 64)
}

// A target that does not answer has no effect while another one does.
func TestGate_choosesAmongSeveralTargets(t *testing.T) {
	h := newHouse(t)
	_, registry := h.behindMany("http://127.0.0.1:1," + h.behind)
	bearer := "Bearer " + h.token(nil)
	for range 40 { // half of them choose the dead one first, until it is known
		require.Equal(t, 201, h.do("POST", createPath, createBody, "Authorization", bearer).StatusCode)
	}
	require.EqualValues(t, 1, metric(t, registry, "fountain_upstream_targets", "down", "sequence"))
}

func TestConfig_takesSeveralAddresses(t *testing.T) {
	h := newHouse(t)
	c := h.config(h.behind)
	for list, good := range map[string]bool{
		"http://a:1": true, "http://a:1,https://b": true, "http://a:1, http://b:1": true, "": false, "http://a:1,": false, "http://a:1,b:1": false,
		"http://a:1,http://a:1": false, "http://u:p@a:1": false, "http://a:1/x": false, "ftp://a": false,
	} {
		c.SearchURL = list
		_, err := c.targets()
		require.Equal(t, good, err == nil, "%q: %v", list, err)
		if err != nil {
			require.Contains(t, err.Error(), "SEARCH_URL")
		}
	}
}

// metric returns the value of a metric with these label values.
func metric(t *testing.T, registry *prometheus.Registry, name string, labels ...string) float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var values []string
			for _, pair := range m.GetLabel() {
				values = append(values, pair.GetValue())
			}
			if family.GetName() == name && slices.Equal(labels, values) {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no metric %s %v", name, labels)
	return 0
}
