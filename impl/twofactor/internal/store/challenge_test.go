package store_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/twofactor/internal/challenge"
	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/store"
	"github.com/fountainai/fountain/internal/seal"
	base "github.com/fountainai/fountain/internal/store"
)

// post is a sender that the test controls.
type post struct {
	mu     sync.Mutex
	sent   []delivery.Message
	behave func(m delivery.Message) error // called before a message counts as sent; nil: all are taken over
}

func (p *post) ParseTarget(_ delivery.Channel, raw string) (string, error) { return raw, nil }
func (p *post) On(delivery.Channel) bool                                   { return true }
func (p *post) Working(delivery.Channel) bool                              { return true }
func (p *post) Channels() []delivery.Channel                               { return []delivery.Channel{delivery.Email} }

func (p *post) Send(_ context.Context, m delivery.Message) (delivery.Receipt, error) {
	p.mu.Lock()
	behave := p.behave
	p.mu.Unlock()
	if behave != nil {
		if err := behave(m); err != nil {
			return delivery.Receipt{}, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, m)
	return delivery.Receipt{Provider: "post", ID: "post-" + m.ID}, nil
}

func (p *post) rule(behave func(m delivery.Message) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.behave = behave
}

func (p *post) messages() []delivery.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]delivery.Message(nil), p.sent...)
}

// counted counts how many codes are compared.
type counted struct {
	*seal.Key
	looks atomic.Int64
}

func (c *counted) Verify(sum, data []byte) error {
	c.looks.Add(1)
	return c.Key.Verify(sum, data)
}

// sending is a world that sends codes.
type sending struct {
	*challenge.Service
	*world
	post *post
	keys *counted
}

func eachSending(t *testing.T, f func(t *testing.T, s *sending)) {
	t.Helper()
	each(t, func(t *testing.T, w *world) {
		s := &sending{world: w, post: &post{}, keys: &counted{Key: w.key}}
		s.Service = s.another(t)
		f(t, s)
	})
}

// another returns the challenges of one more replica.
func (s *sending) another(t *testing.T) *challenge.Service {
	t.Helper()
	metrics, err := challenge.NewMetrics(prometheus.NewRegistry())
	require.NoError(t, err)
	key, err := s.store.ProofKey(t.Context(), s.key, s.now.Now())
	require.NoError(t, err)
	c, err := challenge.New(t.Context(), challenge.Config{
		Repository: s.store, Factors: s.world.Service, Sender: s.post, Keys: s.keys, ProofKey: key, PerDay: 1000, Random: rand.Reader, Clock: s.now,
		Log: slog.New(slog.DiscardHandler), Metrics: metrics,
	})
	require.NoError(t, err)
	return c
}

func (s *sending) deliver(t *testing.T) int {
	t.Helper()
	n, err := s.Deliver(t.Context())
	require.NoError(t, err)
	return n
}

// last returns the code that was sent last.
func (s *sending) last(t *testing.T) string {
	t.Helper()
	for _, m := range slices.Backward(s.post.messages()) {
		if m.Code != "" {
			return m.Code
		}
	}
	require.FailNow(t, "no code was sent")
	return ""
}

// person returns a subject with a confirmed address.
func (s *sending) person(t *testing.T) challenge.Caller {
	t.Helper()
	c := challenge.Caller{Caller: someone()}
	f, _, err := s.Service.Enrol(t.Context(), c, challenge.Enrolment{Channel: delivery.Email, Target: c.Subject + "@example.org"})
	require.NoError(t, err)
	s.deliver(t)
	_, err = s.Service.Confirm(t.Context(), c, f.ID, s.last(t))
	require.NoError(t, err)
	return c
}

func (s *sending) ask(t *testing.T, c challenge.Caller, life time.Duration) challenge.Challenge {
	t.Helper()
	made, err := s.Create(t.Context(), c, challenge.Request{Purpose: "payment", Life: life})
	require.NoError(t, err)
	return made
}

func requireRefusal(t *testing.T, err error, kind challenge.Kind) {
	t.Helper()
	var r *challenge.Refusal
	require.ErrorAs(t, err, &r)
	require.Equal(t, kind, r.Kind)
}

func wrongCode(code string) string {
	if code == "000000" {
		return "111111"
	}
	return "000000"
}

// T10: of any number of parallel guesses exactly as many are compared as a challenge has attempts.
func TestVerify_looksAtFiveOfManyParallelGuessesAtAChallenge(t *testing.T) {
	guesses := count(64, 500)
	eachSending(t, func(t *testing.T, s *sending) {
		replicas := []*challenge.Service{s.Service, s.another(t)}
		c := s.person(t)
		made := s.ask(t, c, challenge.LongestLife)
		s.deliver(t)
		guess := wrongCode(s.last(t))
		s.keys.looks.Store(0)
		var wrong, tooMany atomic.Int64
		var group sync.WaitGroup
		for i := range guesses {
			group.Go(func() {
				_, _, err := replicas[i%2].Verify(t.Context(), c, made.ID, guess, false)
				var r *challenge.Refusal
				switch {
				case !errors.As(err, &r):
					t.Errorf("not refused: %v", err)
				case r.Kind == challenge.Wrong:
					wrong.Add(1)
				case r.Kind == challenge.TooMany:
					tooMany.Add(1)
				default:
					t.Errorf("refused: %v", r.Kind)
				}
			})
		}
		group.Wait()
		require.EqualValues(t, challenge.MaxAttempts, s.keys.looks.Load(), "guesses that were looked at")
		require.EqualValues(t, challenge.MaxAttempts, wrong.Load())
		require.EqualValues(t, guesses-challenge.MaxAttempts, tooMany.Load())
		_, _, err := s.Verify(t.Context(), c, made.ID, s.last(t), false)
		requireRefusal(t, err, challenge.TooMany)
	})
}

// T1, T15: a right code is accepted once, however many send it at the same time, and never again.
func TestVerify_acceptsARightCodeOnce(t *testing.T) {
	eachSending(t, func(t *testing.T, s *sending) {
		replicas := []*challenge.Service{s.Service, s.another(t)}
		for range 3 {
			c := s.person(t)
			made := s.ask(t, c, challenge.DefaultLife)
			s.deliver(t)
			code := s.last(t)
			var won atomic.Int64
			var group sync.WaitGroup
			for i := range 16 {
				group.Go(func() {
					if _, _, err := replicas[i%2].Verify(t.Context(), c, made.ID, code, false); err == nil {
						won.Add(1)
					}
				})
			}
			group.Wait()
			require.EqualValues(t, 1, won.Load())
			_, _, err := s.another(t).Verify(t.Context(), c, made.ID, code, false)
			requireRefusal(t, err, challenge.Used)
		}
	})
}

// Right codes use up no guesses. Wrong ones are counted over all challenges, so that new challenges do not give new guesses without end.
func TestVerify_countsWrongCodesOverChallenges(t *testing.T) {
	eachSending(t, func(t *testing.T, s *sending) {
		c := s.person(t)
		looked := 0
		for range 40 {
			s.now.Advance(time.Hour + time.Minute)
			made, err := s.Create(t.Context(), c, challenge.Request{Purpose: "payment", Life: challenge.LongestLife})
			if err != nil {
				requireRefusal(t, err, challenge.Budget)
				s.now.Advance(24 * time.Hour)
				continue
			}
			s.deliver(t)
			for range challenge.MaxAttempts - 1 {
				_, _, err = s.Verify(t.Context(), c, made.ID, wrongCode(s.last(t)), false)
				var r *challenge.Refusal
				require.ErrorAs(t, err, &r)
				if r.Kind == challenge.Wrong {
					looked++
				}
			}
			_, _, err = s.Verify(t.Context(), c, made.ID, s.last(t), false)
			if looked < challenge.GuessCap {
				require.NoError(t, err)
				continue
			}
			requireRefusal(t, err, challenge.TooMany)
			break
		}
		require.Equal(t, challenge.GuessCap, looked)
		s.now.Advance(challenge.GuessWindow)
		made := s.ask(t, c, challenge.DefaultLife)
		s.deliver(t)
		_, _, err := s.Verify(t.Context(), c, made.ID, s.last(t), false)
		require.NoError(t, err, "the honest owner comes back in")
	})
}

func down(delivery.Message) error {
	return &delivery.Failure{Reason: delivery.Unreachable}
}

// walk lets time pass in small steps, and sends what is due at each step.
func (s *sending) walk(t *testing.T, d time.Duration) {
	t.Helper()
	for range int(d / (250 * time.Millisecond)) {
		s.now.Advance(250 * time.Millisecond)
		s.deliver(t)
	}
}

func (s *sending) status(t *testing.T, c challenge.Caller, id string) challenge.Challenge {
	t.Helper()
	got, err := s.Get(t.Context(), c, id)
	require.NoError(t, err)
	return got
}

// A provider is unavailable for 20 s within the life of a code: the code still arrives, and its life begins then.
func TestDeliver_outlastsAShortOutage(t *testing.T) {
	eachSending(t, func(t *testing.T, s *sending) {
		c := s.person(t)
		tries := 0
		s.post.rule(func(m delivery.Message) error { tries++; return down(m) })
		made := s.ask(t, c, challenge.DefaultLife)
		s.deliver(t)
		s.walk(t, 20*time.Second)
		require.Equal(t, challenge.Queued, s.status(t, c, made.ID).Delivery)
		require.Equal(t, delivery.Unreachable, s.status(t, c, made.ID).Reason)
		require.Greater(t, tries, 4)
		require.Less(t, tries, 16, "it is tried with pauses")
		before := len(s.post.messages())
		s.post.rule(nil)
		s.walk(t, 4*time.Second)
		require.Len(t, s.post.messages(), before+1)
		got := s.status(t, c, made.ID)
		require.Equal(t, challenge.Sent, got.Delivery)
		require.WithinDuration(t, s.now.Now().Add(challenge.DefaultLife), got.Expires, 4*time.Second)
		s.now.Advance(55 * time.Second)
		_, _, err := s.Verify(t.Context(), c, made.ID, s.last(t), false)
		require.NoError(t, err)
	})
}

// A provider is unavailable for longer: the status says so, the code is deleted, and it is not sent when the provider works again.
func TestDeliver_givesUpWithTheLifeOfTheCode(t *testing.T) {
	eachSending(t, func(t *testing.T, s *sending) {
		c := s.person(t)
		s.post.rule(down)
		made := s.ask(t, c, challenge.DefaultLife)
		s.deliver(t)
		s.walk(t, 61*time.Second)
		got := s.status(t, c, made.ID)
		require.Equal(t, challenge.Failed, got.Delivery)
		require.Equal(t, delivery.Unreachable, got.Reason)
		before := len(s.post.messages())
		s.post.rule(nil)
		s.walk(t, 10*time.Second)
		require.Len(t, s.post.messages(), before, "T18: a code that comes too late helps nobody")
		require.Zero(t, s.sealed(t))
	})
}

// T18: a service that was down until after a code had expired does not send it.
func TestDeliver_sendsNoCodeTooLate(t *testing.T) {
	eachSending(t, func(t *testing.T, s *sending) {
		c := s.person(t)
		made := s.ask(t, c, challenge.DefaultLife)
		before := len(s.post.messages())
		s.now.Advance(61 * time.Second)
		require.Equal(t, 1, s.deliver(t))
		require.Len(t, s.post.messages(), before)
		got := s.status(t, c, made.ID)
		require.Equal(t, challenge.Failed, got.Delivery)
		require.Equal(t, "late", got.Reason)
	})
}

// sealed counts the codes that can still be read.
func (s *sending) sealed(t *testing.T) (n int) {
	t.Helper()
	require.NoError(t, s.db.Read(t.Context()).Get(t.Context(), &n, "SELECT COUNT(*) FROM deliveries WHERE length(sealed_code) > 0"))
	return n
}

func TestDeliver_triesAPermanentRefusalOnce(t *testing.T) {
	eachSending(t, func(t *testing.T, s *sending) {
		c := s.person(t)
		tries := 0
		s.post.rule(func(delivery.Message) error {
			tries++
			return &delivery.Failure{Permanent: true, Reason: delivery.Rejected}
		})
		made := s.ask(t, c, challenge.DefaultLife)
		s.deliver(t)
		s.walk(t, 10*time.Second)
		require.Equal(t, 1, tries)
		require.Equal(t, challenge.Failed, s.status(t, c, made.ID).Delivery)
		require.Zero(t, s.sealed(t))
	})
}

// T18: a provider that accepts a message without confirming it gets it twice, and a worker that dies between sending and recording sends it once more. It is the same
// code with the same id, so that two messages do not confuse the person.
func TestDeliver_repeatsTheSameCode(t *testing.T) {
	eachSending(t, func(t *testing.T, s *sending) {
		c := s.person(t)
		before := len(s.post.messages())
		s.post.rule(func(m delivery.Message) error {
			s.post.mu.Lock()
			defer s.post.mu.Unlock()
			s.post.sent = append(s.post.sent, m)
			return context.DeadlineExceeded
		})
		made := s.ask(t, c, challenge.LongestLife)
		s.deliver(t)
		s.post.rule(nil)
		s.walk(t, time.Second)
		twice := s.post.messages()[before:]
		require.Len(t, twice, 2)
		require.Equal(t, twice[0], twice[1])
		_, _, err := s.Verify(t.Context(), c, made.ID, twice[0].Code, false)
		require.NoError(t, err)

		s.now.Advance(time.Hour)
		s.ask(t, c, challenge.LongestLife)
		orders, err := s.store.Claim(t.Context(), "dead", s.now.Now(), s.now.Now().Add(30*time.Second), s.now.Now().Add(time.Hour), 10)
		require.NoError(t, err)
		require.Len(t, orders, 1)
		require.Zero(t, s.deliver(t), "the dead worker's lease still holds")
		s.now.Advance(31 * time.Second)
		require.Equal(t, 1, s.deliver(t))
		require.Zero(t, s.deliver(t))
		require.Zero(t, s.sealed(t), "the code is blanked when it is handed over")
	})
}

// Two workers never send the same message.
func TestDeliver_sharesTheWork(t *testing.T) {
	eachSending(t, func(t *testing.T, s *sending) {
		var people []challenge.Caller
		for range 12 {
			people = append(people, s.person(t))
		}
		before := len(s.post.messages())
		for _, c := range people {
			s.ask(t, c, challenge.DefaultLife)
		}
		var group sync.WaitGroup
		for range 4 {
			worker := s.another(t)
			group.Go(func() {
				_, err := worker.Deliver(t.Context())
				if err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		seen := map[string]bool{}
		for _, m := range s.post.messages()[before:] {
			require.False(t, seen[m.ID])
			seen[m.ID] = true
		}
		require.Len(t, seen, 12)
	})
}

// A panic in a provider's client delays one message by a lease, and no other message.
func TestDeliver_outlivesAPanic(t *testing.T) {
	eachSending(t, func(t *testing.T, s *sending) {
		bad, good := s.person(t), s.person(t)
		s.ask(t, bad, challenge.DefaultLife)
		s.ask(t, good, challenge.DefaultLife)
		s.post.rule(func(m delivery.Message) error {
			if m.Subject == bad.Subject {
				panic("a fault of the client")
			}
			return nil
		})
		_, err := s.Deliver(t.Context())
		require.ErrorContains(t, err, "panic")
		require.Equal(t, good.Subject, s.post.messages()[len(s.post.messages())-1].Subject)
		s.post.rule(nil)
		s.now.Advance(31 * time.Second)
		require.Equal(t, 1, s.deliver(t))
	})
}

// A row that was copied to another challenge, subject or factor can't be opened there, and its code is not right there.
func TestDeliver_rowsOpenInTheirPlaceAlone(t *testing.T) {
	eachSending(t, func(t *testing.T, s *sending) {
		ada, eve := s.person(t), s.person(t)
		exec := func(query string, args ...any) {
			t.Helper()
			require.NoError(t, s.db.Write(t.Context(), func(ctx context.Context, tx *base.Tx) error {
				_, err := tx.Exec(ctx, query, args...)
				return err
			}))
		}
		victim, own := s.ask(t, ada, challenge.DefaultLife), s.ask(t, eve, challenge.DefaultLife)
		before := len(s.post.messages())
		exec("UPDATE deliveries SET sealed_code = (SELECT d.sealed_code FROM deliveries d WHERE d.id = ?) WHERE id = ?", victim.DeliveryID, own.DeliveryID)
		exec("UPDATE factors SET sealed_seed = (SELECT f.sealed_seed FROM factors f WHERE f.id = ?) WHERE id = ?", own.FactorID, victim.FactorID)
		s.deliver(t)
		require.Len(t, s.post.messages(), before, "neither is sent")
		for _, c := range []challenge.Challenge{s.status(t, ada, victim.ID), s.status(t, eve, own.ID)} {
			require.Equal(t, challenge.Failed, c.Delivery)
			require.Equal(t, "broken", c.Reason)
		}
		s.now.Advance(time.Hour)
		own = s.ask(t, eve, challenge.DefaultLife)
		s.deliver(t)
		code := s.last(t)
		exec("UPDATE challenges SET code_sum = (SELECT c.code_sum FROM challenges c WHERE c.id = ?), status = 'open', expires_at = ? WHERE id = ?", own.ID,
			s.now.Now().Add(5*time.Minute).UnixMicro(), victim.ID)
		_, _, err := s.Verify(t.Context(), ada, victim.ID, code, false)
		requireRefusal(t, err, challenge.Wrong)
	})
}

// Stored data reveal neither a code nor an address: neither the rows nor the audit trail.
func TestChallenges_keepNoCodeInClear(t *testing.T) {
	eachSending(t, func(t *testing.T, s *sending) {
		c := s.person(t)
		made := s.ask(t, c, challenge.DefaultLife)
		s.deliver(t)
		_, _, err := s.Verify(t.Context(), c, made.ID, wrongCode(s.last(t)), false)
		requireRefusal(t, err, challenge.Wrong)
		for _, table := range []string{"challenges", "deliveries", "send_counters", "factors", "audit_events"} {
			text := s.dump(t, table)
			require.NotEmpty(t, text)
			require.NotContains(t, text, c.Subject+"@example.org", table)
			for _, m := range s.post.messages() {
				require.NotContains(t, text, `"`+m.Code+`"`, table)
			}
		}
	})
}

// dump returns a table as text.
func (s *sending) dump(t *testing.T, table string) string {
	t.Helper()
	columns := map[string][]string{
		"challenges":    {"id", "purpose", "operation", "code_sum"},
		"deliveries":    {"id", "reason", "provider_id", "sealed_code"},
		"send_counters": {"kind", "key"},
		"factors":       {"id", "sealed_seed", "target_sum", "masked_target", "label"},
		"audit_events":  {"body"},
	}[table]
	var b strings.Builder
	for _, column := range columns {
		var values [][]byte
		require.NoError(t, s.db.Read(t.Context()).Select(t.Context(), &values, fmt.Sprintf("SELECT %s FROM %s", column, table)))
		for _, v := range values {
			fmt.Fprintf(&b, "%q\n", v)
		}
	}
	return b.String()
}

func TestSweepChallenges_boundsItsTables(t *testing.T) {
	eachSending(t, func(t *testing.T, s *sending) {
		c := s.person(t)
		s.ask(t, c, challenge.DefaultLife)
		rows := func() (n int) {
			require.NoError(t, s.db.Read(t.Context()).Get(t.Context(), &n,
				"SELECT (SELECT COUNT(*) FROM challenges) + (SELECT COUNT(*) FROM deliveries) + (SELECT COUNT(*) FROM send_counters)"))
			return n
		}
		full := rows()
		require.Positive(t, full)
		require.NoError(t, s.Service.Sweep(t.Context()))
		require.Equal(t, full, rows())
		s.now.Advance(61 * 24 * time.Hour)
		require.NoError(t, s.Service.Sweep(t.Context()))
		require.Zero(t, rows())
	})
}

// What was sealed with a lost data key is deleted: none of its codes is accepted any more.
func TestDropSealed_endsChallenges(t *testing.T) {
	eachSending(t, func(t *testing.T, s *sending) {
		c := s.person(t)
		made := s.ask(t, c, challenge.DefaultLife)
		require.NoError(t, s.db.Write(t.Context(), func(ctx context.Context, tx *base.Tx) error { return store.DropSealed(ctx, tx, s.now.Now()) }))
		_, err := s.Get(t.Context(), c, made.ID)
		requireRefusal(t, err, challenge.NotFound)
		require.Zero(t, s.deliver(t))
	})
}

// An address is no authenticator: its row accepts no code of one, and locks nothing.
func TestAttempt_looksAtNoAddress(t *testing.T) {
	eachSending(t, func(t *testing.T, s *sending) {
		c := s.person(t)
		_, err := s.world.Verify(t.Context(), c.Caller, "123456")
		require.ErrorIs(t, err, factor.ErrInvalidCode)
		list, err := s.List(t.Context(), c.Subject, factor.Cursor{}, 10)
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Equal(t, factor.Active, list[0].Status)
		require.Equal(t, "email", list[0].Type)
		require.NoError(t, s.world.Sweep(t.Context()))
	})
}

// D5: a challenge that was made while the clock was ahead has expired when the clock is corrected, and messages that were postponed while it was ahead are sent in time.
func TestChallenges_outliveClocksThatLeap(t *testing.T) {
	eachSending(t, func(t *testing.T, s *sending) {
		c := s.person(t)
		right := s.now.Now()
		s.now.Set(right.Add(48 * time.Hour))
		made := s.ask(t, c, challenge.LongestLife)
		s.deliver(t)
		code := s.last(t)
		s.post.rule(down)
		waiting, err := s.Create(t.Context(), c, challenge.Request{Purpose: "other", Life: challenge.LongestLife})
		require.NoError(t, err)
		s.deliver(t)
		s.now.Set(right.Add(time.Minute))
		_, _, err = s.Verify(t.Context(), c, made.ID, code, false)
		requireRefusal(t, err, challenge.Gone)
		s.post.rule(nil)
		require.Equal(t, 1, s.deliver(t), "it does not wait for two days")
		require.Equal(t, challenge.Sent, s.status(t, c, waiting.ID).Delivery)
		again := s.ask(t, c, challenge.DefaultLife)
		s.deliver(t)
		_, _, err = s.Verify(t.Context(), c, again.ID, s.last(t), false)
		require.NoError(t, err)
		s.now.Set(right.Add(-time.Hour))
		_, _, err = s.Verify(t.Context(), c, again.ID, s.last(t), false)
		requireRefusal(t, err, challenge.Used)
	})
}
