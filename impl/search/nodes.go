package search

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/tsclient"
)

// nodeChanged logs that an engine node went away or came back. The embedded engine has a single node, and its state is logged by examine.
func (s *service) nodeChanged(n tsclient.NodeState) {
	switch {
	case s.config.embedded():
	case n.Healthy:
		s.config.Log.Info("a node of the search engine answers again", "node", n.Address)
	default:
		s.config.Log.Warn("a node of the search engine does not answer", "node", n.Address, "error", n.Cause)
	}
}

// watchNodes registers a metric that reports, at each scrape, which nodes of the engine are healthy.
func (s *service) watchNodes() {
	c := nodeCollector{s.engine, prometheus.NewDesc("fountain_search_engine_node_healthy", "1 for a node of the search engine that can be used, as it was found last; otherwise 0.", []string{"node"}, nil)}
	s.config.Registerer.Unregister(c)
	s.config.Registerer.MustRegister(c)
}

// nodeCollector implements prometheus.Collector.
type nodeCollector struct {
	engine *engine.Engine
	desc   *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c nodeCollector) Describe(to chan<- *prometheus.Desc) { to <- c.desc }

// Collect implements prometheus.Collector.
func (c nodeCollector) Collect(to chan<- prometheus.Metric) {
	for _, n := range c.engine.Nodes() {
		value := 0.0
		if n.Healthy {
			value = 1
		}
		to <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, value, n.Address)
	}
}
