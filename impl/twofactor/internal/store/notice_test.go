package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/twofactor/internal/challenge"
	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
)

// notices returns the kinds of the notices that were sent.
func (s *sending) notices() (kinds []string) {
	for _, m := range s.post.messages() {
		if m.Notice != "" {
			kinds = append(kinds, m.Notice)
		}
	}
	return kinds
}

// A notice is still delivered after an outage of hours, and is tried less and less often.
func TestNotices_areTriedForADay(t *testing.T) {
	eachSending(t, func(t *testing.T, s *sending) {
		c := s.person(t)
		tries := 0
		s.post.rule(func(m delivery.Message) error { tries++; return down(m) })
		require.NoError(t, s.world.Void(t.Context(), c.Subject, s.now.Now()))
		for range 12 * 60 {
			s.deliver(t)
			s.now.Advance(time.Minute)
		}
		require.Less(t, tries, 120, "it is tried with pauses")
		require.Greater(t, tries, 60)
		s.post.rule(nil)
		s.now.Advance(11 * time.Minute)
		s.deliver(t)
		require.Equal(t, []string{string(factor.NoticeVoided)}, s.notices(), "the address was revoked hours ago")
		require.Zero(t, s.sealed(t), "the address is blanked when the notice is handed over")

		c = s.person(t)
		s.post.rule(down)
		require.NoError(t, s.world.Void(t.Context(), c.Subject, s.now.Now()))
		for range 25 * 6 {
			s.deliver(t)
			s.now.Advance(10 * time.Minute)
		}
		s.post.rule(nil)
		s.now.Advance(time.Hour)
		require.Zero(t, s.deliver(t), "given up")
		require.Zero(t, s.sealed(t))
		require.Len(t, s.notices(), 1)
	})
}

// The feed can deliver the same entry again: factors that were enrolled since are not revoked, and no second notice is sent.
func TestNotices_ofARepeatedVoidAreSentOnce(t *testing.T) {
	eachSending(t, func(t *testing.T, s *sending) {
		c := s.person(t)
		at := s.now.Now()
		require.NoError(t, s.world.Void(t.Context(), c.Subject, at))
		s.now.Advance(time.Hour)
		f, _, err := s.Service.Enrol(t.Context(), c, challenge.Enrolment{Channel: delivery.Email, Target: "new@example.org"})
		require.NoError(t, err)
		s.deliver(t)
		_, err = s.Service.Confirm(t.Context(), c, f.ID, s.last(t))
		require.NoError(t, err)
		require.NoError(t, s.world.Void(t.Context(), c.Subject, at))
		s.deliver(t)
		require.Equal(t, []string{string(factor.NoticeVoided)}, s.notices())
	})
}

func TestNotices_areBounded(t *testing.T) {
	eachSending(t, func(t *testing.T, s *sending) {
		c := s.person(t)
		for range factor.NoticesPerDay + 5 {
			require.NoError(t, s.store.Write(t.Context(), notify(c.Subject, s.now.Now())))
		}
		for s.deliver(t) > 0 {
		}
		require.Len(t, s.notices(), factor.NoticesPerDay)
		s.now.Advance(24 * time.Hour)
		require.NoError(t, s.store.Write(t.Context(), notify(c.Subject, s.now.Now())))
		s.deliver(t)
		require.Len(t, s.notices(), factor.NoticesPerDay+1)
	})
}

// A notice that was copied to the row of another subject is not delivered.
func TestNotices_openInTheirPlaceAlone(t *testing.T) {
	eachSending(t, func(t *testing.T, s *sending) {
		c := s.person(t)
		require.NoError(t, s.store.Write(t.Context(), notify(c.Subject, s.now.Now())))
		s.exec(t, "UPDATE deliveries SET subject = ? WHERE notice <> ''", someone().Subject)
		_, err := s.Deliver(t.Context())
		require.NoError(t, err)
		require.Empty(t, s.notices())
	})
}

// notify runs a transaction that notifies a subject of a revoked factor.
func notify(subject string, now time.Time) func(ctx context.Context, tx factor.Tx) error {
	return func(ctx context.Context, tx factor.Tx) error {
		return tx.Notify(ctx, subject, factor.NoticeRevoked, "", now, now)
	}
}
