package chaos

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/fountainai/fountain/clients/fountain/history"
)

// The search service is killed under appends and revisions and stays away for a while, a minute in a proof: nothing is lost, and search has all of it after its start.
func TestKill_ofSearchLosesNoElement(t *testing.T) {
	away := 3 * time.Second
	if os.Getenv("FOUNTAIN_PROVE") == "1" {
		away = time.Minute
	}
	h := newHousehold(t)
	r := record(t, h.editors(1)[0], 8)
	r.await(20)
	time.Sleep(away)
	down := time.Since(r.began)
	before := r.acknowledged.Load()
	h.parts["search"].kill()
	time.Sleep(away)
	up := time.Since(r.began)
	h.parts["search"].start()
	r.await(20)
	missed := r.acknowledged.Load() - before
	r.end()
	lag := r.history.SearchLag
	t.Logf("appends before: %s", latencies(r.history, 0, down))
	t.Logf("appends while search was away: %s", latencies(r.history, down, up))
	t.Logf("%d elements were appended since search went away; it had all and their versions %s after the last answer, %.0f elements a second", missed, lag.Round(time.Millisecond), float64(missed)/lag.Seconds())
	h.stop()
}

// latencies tells how long acknowledged appends took that began between two moments.
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
