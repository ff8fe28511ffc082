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

// Sender sends messages to people. *delivery.Router implements it.
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
	Factors    *factor.Service // has the rules for adding a factor
	Sender     Sender
	Keys       Keys
	ProofKey   *proof.Key
	Raising    []delivery.Channel // channels whose codes raise a session; none is the cautious choice
	PerDay     int                // most messages of all subjects together in a day
	Random     io.Reader          // crypto/rand.Reader outside tests
	Clock      clock.Clock
	Log        *slog.Logger
	Metrics    *Metrics
}

// Service applies the rules, and sends due messages.
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

// now returns the time in microseconds, the precision of the database.
func (s *Service) now() time.Time { return s.Clock.Now().Truncate(time.Microsecond) }

// notify wakes the worker.
func (s *Service) notify() {
	select {
	case s.wake <- struct{}{}:
	default: // it will wake already
	}
}

// Sweep deletes what is no longer needed.
func (s *Service) Sweep(ctx context.Context) error {
	return s.Repository.SweepChallenges(ctx, s.now())
}
