package store_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/store"
	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/seal"
	base "github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

const childVariable = "FOUNTAIN_TWOFACTOR_TEST_CHILD"

// order says what a child process verifies, and when it kills itself.
type order struct {
	URL, Dir, Name string
	DataKey        []byte
	Now            time.Time
	Caller         factor.Caller
	Code           string
	AfterMark      bool // die when the mark is durable, else while the code is compared
}

func TestMain(m *testing.M) {
	if text := os.Getenv(contestVariable); text != "" {
		contest(text)
		os.Exit(0)
	}
	if text := os.Getenv(childVariable); text != "" {
		dieVerifying(text)
		os.Exit(3) // it was to be killed
	}
	if text := os.Getenv(workerVariable); text != "" {
		dieSending(text)
		os.Exit(3)
	}
	os.Exit(m.Run())
}

func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// dyingAfter kills its own process when the verdict is durable.
type dyingAfter struct{ factor.Repository }

func (d dyingAfter) Attempt(ctx context.Context, a *factor.Attempt) (factor.Verdict, error) {
	if _, err := d.Repository.Attempt(ctx, a); err != nil {
		panic(err)
	}
	die()
	return factor.Verdict{}, nil
}

// dyingWithin kills its own process while a code is compared.
type dyingWithin struct{ factor.Sealer }

func (dyingWithin) Open([]byte, []byte) ([]byte, error) {
	die()
	return nil, nil
}

func dieVerifying(text string) {
	var o order
	must(json.Unmarshal([]byte(text), &o))
	ctx := context.Background()
	db, err := base.Open(ctx, base.Config{URL: o.URL, Dir: o.Dir, Name: o.Name, Migrations: migrations, Log: slog.New(slog.DiscardHandler)})
	must(err)
	key, err := seal.FromDataKey(o.DataKey)
	must(err)
	audittest.Open(audittest.Process{}, db)
	rows := store.New(db, store.Options{})
	proofKey, err := rows.ProofKey(ctx, key, o.Now)
	must(err)
	c := factor.Config{Repository: rows, Sealer: key, ProofKey: proofKey, Issuer: "FountainAI", Clock: clock.NewFake(o.Now), Log: slog.New(slog.DiscardHandler)}
	if o.AfterMark {
		c.Repository = dyingAfter{rows}
	} else {
		c.Sealer = dyingWithin{key}
	}
	s := &factor.Service{Config: c}
	_, err = s.Verify(ctx, o.Caller, o.Code)
	must(err)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// A crash while the code is compared accepts and reveals nothing. After a crash that follows the mark, the code stays used.
func TestVerify_acceptsACodeOnceThroughKill(t *testing.T) {
	storetest.EachConfig(t, migrations, func(t *testing.T, config base.Config) {
		dataKey, now := seal.NewDataKey(), clock.NewFake(start)
		open := func() *world {
			db, err := base.Open(t.Context(), config)
			require.NoError(t, err)
			return newWorld(t, db, dataKey, now)
		}
		w := open()
		c := someone()
		_, seed := w.enrolled(t, c, totp.Default)
		for round := range 4 {
			now.Advance(time.Minute)
			code, afterMark := w.code(t, seed, totp.Default, 0), round%2 == 1
			require.NoError(t, w.db.Close())
			kill(t, order{URL: config.URL, Dir: config.Dir, Name: config.Name, DataKey: dataKey, Now: now.Now(), Caller: c, Code: code, AfterMark: afterMark})
			w = open()
			require.Zero(t, w.number(t, "SELECT wrong FROM subjects WHERE subject = ?", c.Subject))
			var p factor.Proof
			var err error
			if !afterMark {
				p, err = w.Verify(t.Context(), c, code)
				requireRight(t, p, err)
			}
			p, err = w.Verify(t.Context(), c, code)
			requireWrong(t, p, err)
			w.events(t) // the chain holds
			w.exec(t, "UPDATE subjects SET wrong = 0")
		}
		require.NoError(t, w.db.Close())
	})
}

// Guesses whose verdict was returned by a process that is killed directly afterwards are counted like all others.
func TestVerify_countsGuessesThroughKill(t *testing.T) {
	storetest.EachConfig(t, migrations, func(t *testing.T, config base.Config) {
		dataKey, now := seal.NewDataKey(), clock.NewFake(start)
		db, err := base.Open(t.Context(), config)
		require.NoError(t, err)
		w := newWorld(t, db, dataKey, now)
		c := someone()
		_, seed := w.enrolled(t, c, totp.Default)
		guess := w.wrong(t, seed, totp.Default)
		require.NoError(t, db.Close())
		for range factor.RoundCap {
			kill(t, order{URL: config.URL, Dir: config.Dir, Name: config.Name, DataKey: dataKey, Now: now.Now(), Caller: c, Code: guess, AfterMark: true})
		}
		db, err = base.Open(t.Context(), config)
		require.NoError(t, err)
		defer db.Close()
		w = newWorld(t, db, dataKey, now)
		_, err = w.Verify(t.Context(), c, w.code(t, seed, totp.Default, 0))
		requireLocked(t, err)
	})
}

// kill runs the order in a child process, which must end by SIGKILL.
func kill(t *testing.T, o order) {
	t.Helper()
	text, err := json.Marshal(o)
	require.NoError(t, err)
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childVariable+"="+string(text))
	command.Stderr = os.Stderr
	requireKilled(t, command.Run())
}

// requireKilled requires that a child process was ended by SIGKILL.
func requireKilled(t *testing.T, err error) {
	t.Helper()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	status, ok := exit.Sys().(syscall.WaitStatus)
	require.True(t, ok)
	require.Equal(t, syscall.SIGKILL, status.Signal(), "it was to die by the kill")
}
