package upstream

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// counts has the counters of a service's metrics.
type counts struct {
	dialErrors, ejections     atomic.Int64
	refused, notReady, broken atomic.Int64 // repeated requests, by reason
	waiting                   atomic.Int64 // requests waiting for a target
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("fountain_upstream_"+name, help, append([]string{"upstream"}, labels...), nil)
}

var (
	connectionsDesc = describe("connections", "Connections to the service's targets: active or idle.", "state")
	targetsDesc     = describe("targets", "Targets of the service by state.", "state")
	dialErrorsDesc  = describe("dial_errors_total", "Connections that could not be made.")
	repeatsDesc     = describe("repeats_total", "Requests sent again: the target refused the connection, said not_ready, or broke it before an answer.", "reason")
	ejectionsDesc   = describe("ejections_total", "Targets that were left out for a while because requests failed there.")
	waitingDesc     = describe("waiting_requests", "Requests that wait for a target of the service.")
	breakerDesc     = describe("breaker_open", "Operations that are not sent to the service because it does not answer them in time.")
)

// collector collects the metrics of all services when they are scraped.
type collector struct{ set *Set }

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{connectionsDesc, targetsDesc, dialErrorsDesc, repeatsDesc, ejectionsDesc, waitingDesc, breakerDesc} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	for _, s := range *c.set.services.Load() {
		tell := func(d *prometheus.Desc, kind prometheus.ValueType, value int64, labels ...string) {
			to <- prometheus.MustNewConstMetric(d, kind, float64(value), append([]string{s.word}, labels...)...)
		}
		open, idle := 0, 0
		states := map[Health]int64{}
		for _, t := range s.targets {
			o, i := t.pool.count()
			open, idle = open+o, idle+i
			states[t.health()]++
		}
		tell(connectionsDesc, prometheus.GaugeValue, int64(open-idle), "active")
		tell(connectionsDesc, prometheus.GaugeValue, int64(idle), "idle")
		for _, h := range []Health{Unknown, Ready, Starting, Down} {
			tell(targetsDesc, prometheus.GaugeValue, states[h], h.String())
		}
		tell(dialErrorsDesc, prometheus.CounterValue, s.counts.dialErrors.Load())
		tell(repeatsDesc, prometheus.CounterValue, s.counts.refused.Load(), "refused")
		tell(repeatsDesc, prometheus.CounterValue, s.counts.notReady.Load(), "not_ready")
		tell(repeatsDesc, prometheus.CounterValue, s.counts.broken.Load(), "broken")
		tell(ejectionsDesc, prometheus.CounterValue, s.counts.ejections.Load())
		tell(waitingDesc, prometheus.GaugeValue, s.counts.waiting.Load())
		tell(breakerDesc, prometheus.GaugeValue, s.breakers.open())
	}
}
