package challenge

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
)

// budget is how many messages may be sent to one of something in a window of time. Who has many messages sent to numbers that he is paid for, or to a
// person whom he wants to bother, finds the end of one of them.
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

// count is a budget of one thing.
type count struct {
	budget
	of string
}

// spend counts a message to a target, before it is written. The first that is counted is the subject's, so that what is done for one subject is done
// one after the other. One that is refused is counted nowhere.
func (s *Service) spend(ctx context.Context, tx Tx, subject string, channel delivery.Channel, target string, now time.Time) error {
	form := string(channel) + "\x00" + delivery.CountingForm(channel, target)
	if channel == "" {
		form += subject // refused at the same place as one who has an address
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

// untilNext is how long a window still lasts.
func untilNext(window time.Duration, now time.Time) time.Duration {
	return now.Truncate(window).Add(window).Sub(now)
}

// guess is the count of a subject's attempts at codes.
const guess = "guess"
