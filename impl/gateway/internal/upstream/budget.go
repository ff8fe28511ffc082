package upstream

import "sync/atomic"

const (
	budgetMost = 1000 // maximum balance, in tenths of a repeat
	budgetCost = 10   // a repeat costs what ten requests earn
)

// budget limits repeats to a tenth of the requests, and to a burst of 100, so that a failing service does not get twice the load.
type budget struct{ tenths atomic.Int64 }

// earn is called for each request that is sent the first time.
func (b *budget) earn() {
	if b.tenths.Load() < budgetMost {
		b.tenths.Add(1)
	}
}

// spend reports whether a request may be repeated, and counts the repeat.
func (b *budget) spend() bool {
	if b.tenths.Add(-budgetCost) >= 0 {
		return true
	}
	b.tenths.Add(budgetCost)
	return false
}
