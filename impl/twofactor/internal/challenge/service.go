package challenge

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/proof"
	"github.com/fountainai/fountain/internal/clock"
)

// Sender brings messages to people; *delivery.Router is one.
type Sender interface {
	ParseTarget(channel delivery.Channel, raw string) (string, error)
	On(channel delivery.Channel) bool
	Channels() []delivery.Channel
	Working(channel delivery.Channel) bool
	Send(ctx context.Context, m delivery.Message) (delivery.Receipt, error)
}

// Config is what a Service works with. All fields but Raising are required.
type Config struct {
	Repository Repository
	Factors    *factor.Service // whose rules say who may add a factor
	Sender     Sender
	Keys       Keys
	ProofKey   *proof.Key
	Raising    []delivery.Channel // whose codes raise a session; none is the cautious choice
	PerDay     int                // messages of all subjects together
	Random     io.Reader          // crypto/rand.Reader outside tests
	Clock      clock.Clock
	Log        *slog.Logger
	Metrics    *Metrics
}

// Service applies the rules, and sends what is due.
type Service struct {
	Config
	wake chan struct{}
}

// New returns a Service.
func New(ctx context.Context, c Config) (*Service, error) {
	s := &Service{Config: c, wake: make(chan struct{}, 1)}
	return s, s.Repository.SetRaising(ctx, c.Raising)
}

func (s *Service) raises(channel delivery.Channel) bool { return slices.Contains(s.Raising, channel) }

// now is in the precision that rows have.
func (s *Service) now() time.Time { return s.Clock.Now().Truncate(time.Microsecond) }

// notify has the worker look now.
func (s *Service) notify() {
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Sweep removes what nobody asks for any more.
func (s *Service) Sweep(ctx context.Context) error {
	return s.Repository.SweepChallenges(ctx, s.now())
}
