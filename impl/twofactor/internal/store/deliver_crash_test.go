package store_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/twofactor/internal/challenge"
	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
	"github.com/fountainai/fountain/impl/twofactor/internal/store"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/seal"
	base "github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

const workerVariable = "FOUNTAIN_TWOFACTOR_TEST_WORKER"

// dyingPost accepts a message, prints it on standard output, and kills its own process before that can be recorded.
type dyingPost struct{ post }

func (*dyingPost) Send(_ context.Context, m delivery.Message) (delivery.Receipt, error) {
	must(json.NewEncoder(os.Stdout).Encode(m))
	die()
	return delivery.Receipt{}, nil
}

// dieSending is a worker that dies with its first message.
func dieSending(text string) {
	var o order
	must(json.Unmarshal([]byte(text), &o))
	ctx := context.Background()
	db, err := base.Open(ctx, base.Config{URL: o.URL, Dir: o.Dir, Name: o.Name, Migrations: migrations, Log: slog.New(slog.DiscardHandler)})
	must(err)
	key := must1(seal.FromDataKey(o.DataKey))
	audittest.Open(audittest.Process{}, db)
	rows := store.New(db, store.Options{})
	worker := must1(challenge.New(ctx, challenge.Config{
		Repository: rows, Sender: &dyingPost{}, Keys: key, ProofKey: must1(rows.ProofKey(ctx, key, o.Now)), PerDay: 1000, Random: rand.Reader,
		Clock: clock.NewFake(o.Now), Log: slog.New(slog.DiscardHandler), Metrics: must1(challenge.NewMetrics(prometheus.NewRegistry())),
	}))
	must1(worker.Deliver(ctx))
}

// A worker is killed after the provider has accepted the message, and before that is recorded. The message is sent once more, with the same code and the
// same id, and the life of the code begins then.
func TestDeliver_sendsTheSameCodeOnceMoreThroughKill(t *testing.T) {
	storetest.EachConfig(t, migrations, func(t *testing.T, config base.Config) {
		dataKey, now := seal.NewDataKey(), clock.NewFake(start)
		open := func() *sending {
			db, err := base.Open(t.Context(), config)
			require.NoError(t, err)
			s := &sending{world: newWorld(t, db, dataKey, now), post: &post{}}
			s.keys = &counted{Key: s.key}
			s.Service = s.another(t)
			return s
		}
		s := open()
		c := s.person(t)
		made := s.ask(t, c, time.Minute)
		require.NoError(t, s.db.Close())

		text, err := json.Marshal(order{URL: config.URL, Dir: config.Dir, Name: config.Name, DataKey: dataKey, Now: now.Now()})
		require.NoError(t, err)
		worker := exec.Command(os.Args[0])
		worker.Env = append(os.Environ(), workerVariable+"="+string(text))
		worker.Stderr = os.Stderr
		shown, err := worker.Output()
		requireKilled(t, err)
		var first delivery.Message
		require.NoError(t, json.Unmarshal(shown, &first))

		s = open()
		require.Zero(t, s.deliver(t), "it is still the dead worker's")
		now.Advance(31 * time.Second) // beyond the lease
		require.Equal(t, 1, s.deliver(t))
		require.Equal(t, []delivery.Message{first}, s.post.messages(), "one more message, with the same code and the same name")
		now.Advance(59 * time.Second) // 90 s after it was asked for, and within 60 s of the second message
		require.Zero(t, s.deliver(t), "and no third one")
		_, _, err = s.Service.Verify(t.Context(), c, made.ID, first.Code, false)
		require.NoError(t, err)
		_, _, err = s.Service.Verify(t.Context(), c, made.ID, first.Code, false)
		requireRefusal(t, err, challenge.Used)
		require.NoError(t, s.db.Close())
	})
}
