package passkey

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count what happens to passkeys.
type Metrics struct{ answers *prometheus.CounterVec }

// NewMetrics registers the metrics.
func NewMetrics(registerer prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{answers: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fountain_twofactor_passkeys_total",
		Help: "Signatures of passkeys by event: begun, right, wrong, unknown. Unknown are sign-ins by passkeys that are not registered, or no longer.",
	}, []string{"event"})}
	if err := registerer.Register(m.answers); err != nil {
		return nil, fmt.Errorf("register metric: %w", err)
	}
	for _, event := range []string{begun, right, wrong, unknown} {
		m.answers.WithLabelValues(event)
	}
	return m, nil
}

const (
	begun   = "begun"
	right   = "right"
	wrong   = "wrong"
	unknown = "unknown"
)

func (m *Metrics) happened(event string) { m.answers.WithLabelValues(event).Inc() }
