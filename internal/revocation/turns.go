package revocation

import (
	"slices"
	"time"
)

const (
	turnsLast = 10 * time.Minute // for which the alternation of two kms instances is reported after it was last observed
	namesKept = 8
)

// turns detects two kms instances that answer alternately. A feed is named after a generation of the kms, and a restore gives it a new one. So a
// restore changes the name once, and putting back old files moves the position back once. A name that returns, or a position that goes back twice,
// means that there are two instances.
type turns struct {
	left  []string  // names of earlier feeds, the newest last
	back  time.Time // when the current feed last went back
	twice time.Time // when alternation was last observed
}

// change records that the feed changed from one to another, or to an older state of the same one.
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

// taken reports whether two kms instances answer alternately.
func (t *turns) taken(now time.Time) bool { return !t.twice.IsZero() && now.Sub(t.twice) < turnsLast }
