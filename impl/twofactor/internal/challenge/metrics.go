package challenge

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
)

// Metrics count what happens to challenges and deliveries.
type Metrics struct {
	challenges *prometheus.CounterVec
	deliveries *prometheus.CounterVec
}

// NewMetrics registers the metrics.
func NewMetrics(registerer prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{}
	m.challenges = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fountain_twofactor_challenges_total",
		Help: "Challenges by event: created, resent, verified, wrong. Many created and few verified ones are a sign of SMS pumping.",
	}, []string{"event"})
	m.deliveries = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fountain_twofactor_deliveries_total", Help: "Deliveries of codes, by channel and outcome: sent, retried, failed, delivered, undelivered.",
	}, []string{"channel", "outcome"})
	for _, collector := range []prometheus.Collector{m.challenges, m.deliveries} {
		if err := registerer.Register(collector); err != nil {
			return nil, fmt.Errorf("register metric: %w", err)
		}
	}
	for _, event := range []string{created, resent, verified, wrong} {
		m.challenges.WithLabelValues(event)
	}
	return m, nil
}

const (
	created  = "created"
	resent   = "resent"
	verified = "verified"
	wrong    = "wrong"
)

func (m *Metrics) happened(event string) { m.challenges.WithLabelValues(event).Inc() }

func (m *Metrics) countDelivery(channel delivery.Channel, outcome string) {
	m.deliveries.WithLabelValues(string(channel), outcome).Inc()
}
