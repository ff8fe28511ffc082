package chaos

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/fountainai/fountain/clients/fountain/history"
	"github.com/fountainai/fountain/tests/harness"
)

// The search service is killed during appends and revisions and stays down for a while, a minute in a proof. Nothing is
// lost, and search has everything after its restart.
func TestKill_ofSearchLosesNoElement(t *testing.T) {
	away := 3 * time.Second
	if os.Getenv("FOUNTAIN_PROVE") == "1" {
		away = time.Minute
	}
	var h *household
	var searches []*replica // all search services
	if harness.IsGiven() {
		h, searches = givenHousehold(t, "search", "search-2")
	} else {
		h = newHousehold(t)
		searches = append(searches, h.parts["search"])
	}
	r := record(t, h.editors(1)[0], 8)
	r.await(20)
	time.Sleep(away)
	down := time.Since(r.began)
	before := r.acknowledged.Load()
	for _, one := range searches {
		one.kill()
	}
	time.Sleep(away)
	up := time.Since(r.began)
	for _, one := range searches {
		one.start()
	}
	r.await(20)
	missed := r.acknowledged.Load() - before
	r.end()
	lag := r.history.SearchLag
	t.Logf("appends before: %s", latencies(r.history, 0, down))
	t.Logf("appends while search was away: %s", latencies(r.history, down, up))
	t.Logf("%d elements were appended since search went away; it had all and their versions %s after the last answer, %.0f elements a second", missed, lag.Round(time.Millisecond), float64(missed)/lag.Seconds())
	if !harness.IsGiven() {
		h.stop()
	}
}

// latencies describes how long the acknowledged appends took that began between two times.
func latencies(h *history.History, from, to time.Duration) string {
	var took []time.Duration
	for _, c := range h.Appends {
		if c.Outcome == history.Acknowledged && c.Begin >= from && c.Begin < to {
			took = append(took, c.End-c.Begin)
		}
	}
	if len(took) == 0 {
		return "none"
	}
	slices.Sort(took)
	round := func(d time.Duration) string { return d.Round(10 * time.Microsecond).String() }
	return round(took[len(took)/2]) + " in the middle, p99 " + round(took[len(took)*99/100]) + ", the longest " + round(took[len(took)-1])
}
