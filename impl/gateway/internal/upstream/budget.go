package upstream

import "sync/atomic"

const (
	budgetMost = 1000 // tenths of a repetition that are saved up at most
	budgetCost = 10   // a repetition costs as much as ten requests bring in
)

// budget bounds repetitions to a tenth of the requests, and a hundred at once: a service that fails is not asked twice as much.
type budget struct{ tenths atomic.Int64 }

// earn is for each request that is sent the first time.
func (b *budget) earn() {
	if b.tenths.Load() < budgetMost {
		b.tenths.Add(1)
	}
}

// spend reports whether one request may be repeated.
func (b *budget) spend() bool {
	if b.tenths.Add(-budgetCost) >= 0 {
		return true
	}
	b.tenths.Add(budgetCost)
	return false
}
