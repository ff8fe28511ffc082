package revocation

import (
	"slices"
	"time"
)

const (
	turnsLast = 10 * time.Minute // for which two kms that answered in turn are taken to be there, since the last turn
	namesKept = 8
)

// turns tell whether two kms answer in turn. The name of a feed is that of a generation of the kms: a restore gives it a new one. So a restore changes the name once, and
// files of before that are put back bring the position back once; a name that comes back, or a position that goes back twice, is of two kms beside each other.
type turns struct {
	left  []string  // names of feeds that were left for others, the newest last
	back  time.Time // when the present feed last went back
	twice time.Time // of the last turn
}

// change notes that after the feed from came the feed to, or an older state of the same one.
func (t *turns) change(from, to string, now time.Time) {
	if from == to {
		if !t.back.IsZero() && now.Sub(t.back) < turnsLast {
			t.twice = now
		}
		t.back = now
		return
	}
	t.back = time.Time{}
	if slices.Contains(t.left, to) {
		t.twice = now
	}
	t.left = append(slices.DeleteFunc(t.left, func(name string) bool { return name == from }), from)
	if len(t.left) > namesKept {
		t.left = t.left[1:]
	}
}

// taken tells whether two kms answer in turn.
func (t *turns) taken(now time.Time) bool { return !t.twice.IsZero() && now.Sub(t.twice) < turnsLast }
