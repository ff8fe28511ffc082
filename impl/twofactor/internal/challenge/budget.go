package challenge

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
)

// budget is how many messages may be sent in a window of time for one subject, one target or the like. Budgets stop callers who have messages sent to
// numbers that earn them money, or to people they want to annoy.
type budget struct {
	kind   string
	most   int
	window time.Duration
}

var (
	perSubject  = budget{"subject", 5, time.Hour}
	perTarget   = budget{"target", 3, 10 * time.Minute}
	perTargetIn = budget{"target day", 10, 24 * time.Hour}
	perRange    = budget{"range", 20, time.Hour} // of phone numbers
)

func (s *Service) perDay() budget { return budget{"day", s.PerDay, 24 * time.Hour} }

// count is the budget of one subject, target or the like.
type count struct {
	budget
	of string
}

// spend counts a message to a target against all its budgets, before it is written. The budget of the subject comes first: its locked row makes
// transactions for one subject run one after the other. A refused message is not counted, because its transaction is rolled back.
func (s *Service) spend(ctx context.Context, tx Tx, subject string, channel delivery.Channel, target string, now time.Time) error {
	form := string(channel) + "\x00" + delivery.CountingForm(channel, target)
	if channel == "" {
		form += subject // no factor: the same budgets refuse it as for a subject with an address
	}
	counts := []count{{perSubject, subject}, {perTarget, form}, {perTargetIn, form}}
	if numbers := delivery.Range(channel, target); numbers != "" {
		counts = append(counts, count{perRange, numbers})
	}
	if channel != "" {
		counts = append(counts, count{s.perDay(), ""})
	}
	for _, b := range counts {
		key, err := s.hashed("budget "+b.kind, b.of)
		if err != nil {
			return err
		}
		ok, err := tx.Spend(ctx, b.kind, key, b.most, b.window, now)
		if err != nil {
			return err
		}
		if !ok {
			return refuseFor(Budget, untilNext(b.window, now), "Too many codes were sent; wait before the next one.")
		}
	}
	return nil
}

// untilNext returns how long the present window still lasts.
func untilNext(window time.Duration, now time.Time) time.Duration {
	return now.Truncate(window).Add(window).Sub(now)
}

// guess is the kind of the count of a subject's attempts at codes.
const guess = "guess"
