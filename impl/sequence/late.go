package sequence

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/impl/sequence/internal/searchsync"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/internal/outbox"
	"github.com/fountainai/fountain/internal/seal"
)

// lateKey is a data key that is set after the start, because the kms may start later than this service. Until then its methods
// fail with errNoKey. They are not called before the service is ready.
type lateKey struct{ key atomic.Pointer[seal.Key] }

var errNoKey = errors.New("the data key does not exist yet")

func (l *lateKey) Sum(data []byte) ([]byte, error) {
	if k := l.key.Load(); k != nil {
		return k.Sum(data)
	}
	return nil, errNoKey
}

func (l *lateKey) Verify(sum, data []byte) error {
	if k := l.key.Load(); k != nil {
		return k.Verify(sum, data)
	}
	return errNoKey
}

func (l *lateKey) Seal(plain, aad []byte) ([]byte, error) {
	if k := l.key.Load(); k != nil {
		return k.Seal(plain, aad)
	}
	return nil, errNoKey
}

func (l *lateKey) Open(sealed, aad []byte) ([]byte, error) {
	if k := l.key.Load(); k != nil {
		return k.Open(sealed, aad)
	}
	return nil, errNoKey
}

// lag collects metrics of work that is not finished: elements that have not reached the search service, walks and long orders.
type lag struct {
	worker  *outbox.Worker
	letters searchsync.Letters
	store   *store.Store
}

var (
	lagCount = prometheus.NewDesc("fountain_sequence_search_waiting_elements", "Changed elements that have not reached the search service.", nil, nil)
	lagDead  = prometheus.NewDesc("fountain_sequence_search_dead_letters", "Elements that the search service has refused and does not get by itself.", nil, nil)
	lagWalks = prometheus.NewDesc("fountain_sequence_search_waiting_scopes", "Scopes whose elements are yet to be marked for search, after an import or reindexScope.", nil, nil)
	orders   = prometheus.NewDesc("fountain_sequence_orders_unfinished", "Long reorders and moves whose rows are not all written, or not yet taken away.", nil, nil)
	lagAge   = prometheus.NewDesc("fountain_sequence_search_oldest_waiting_seconds", "How long the oldest of them has waited.", nil, nil)
)

// Describe implements prometheus.Collector.
func (lag) Describe(out chan<- *prometheus.Desc) {
	out <- lagCount
	out <- lagDead
	out <- lagWalks
	out <- orders
	out <- lagAge
}

// Collect implements prometheus.Collector.
func (l lag) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	count, oldest, err := l.worker.Lag(ctx)
	if err != nil {
		return // other metrics show that the database is unavailable; an error here would fail all of them
	}
	dead, err := l.letters.Count(ctx)
	if err != nil {
		return
	}
	walks, err := l.store.Walks(ctx)
	if err != nil {
		return
	}
	unfinished, err := l.store.Orders(ctx)
	if err != nil {
		return
	}
	out <- prometheus.MustNewConstMetric(orders, prometheus.GaugeValue, float64(unfinished))
	out <- prometheus.MustNewConstMetric(lagWalks, prometheus.GaugeValue, float64(walks))
	out <- prometheus.MustNewConstMetric(lagDead, prometheus.GaugeValue, float64(dead))
	out <- prometheus.MustNewConstMetric(lagCount, prometheus.GaugeValue, float64(count))
	out <- prometheus.MustNewConstMetric(lagAge, prometheus.GaugeValue, oldest.Seconds())
}
