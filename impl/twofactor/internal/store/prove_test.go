package store_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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

// count returns a small number in CI and a large one in `make prove`.
func count(few, many int) int {
	if os.Getenv("FOUNTAIN_PROVE") != "" {
		return many
	}
	return few
}

const (
	contestVariable = "FOUNTAIN_TWOFACTOR_TEST_CONTEST"
	contenders      = 32 // of each process
)

// contest reads codes with the times at which to use them. It uses each from many goroutines at once, and prints how often it was accepted.
func contest(text string) {
	var o order
	must(json.Unmarshal([]byte(text), &o))
	db := must1(base.Open(context.Background(), base.Config{URL: o.URL, Dir: o.Dir, Name: o.Name, Migrations: migrations, Log: slog.New(slog.DiscardHandler)}))
	key := must1(seal.FromDataKey(o.DataKey))
	audittest.Open(audittest.Process{}, db)
	rows := store.New(db, store.Options{})
	now := clock.NewFake(o.Now)
	s := &factor.Service{Config: factor.Config{
		Repository: rows, Sealer: key, ProofKey: must1(rows.ProofKey(context.Background(), key, o.Now)), Issuer: "FountainAI", Clock: now, Log: slog.New(slog.DiscardHandler),
	}}
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		micros, code, _ := strings.Cut(lines.Text(), " ")
		now.Advance(time.UnixMicro(must1(strconv.ParseInt(micros, 10, 64))).Sub(now.Now()))
		var won atomic.Int64
		together(contenders, func(i int) {
			c := o.Caller
			c.Session += strconv.Itoa(i)
			if _, err := s.Verify(context.Background(), c, code); err == nil {
				won.Add(1)
			} else if kindOf(err) != "wrong" && kindOf(err) != "locked" {
				panic(err)
			}
		})
		fmt.Println(won.Load())
	}
}

// contestant is one such process.
type contestant struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
}

func newContestant(t *testing.T, o order) *contestant {
	t.Helper()
	text, err := json.Marshal(o)
	require.NoError(t, err)
	c := &contestant{cmd: exec.Command(os.Args[0])}
	c.cmd.Env, c.cmd.Stderr = append(os.Environ(), contestVariable+"="+string(text)), os.Stderr
	c.in, err = c.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := c.cmd.StdoutPipe()
	require.NoError(t, err)
	c.lines = bufio.NewScanner(out)
	require.NoError(t, c.cmd.Start())
	t.Cleanup(func() { _ = c.cmd.Process.Kill(); _ = c.cmd.Wait() })
	require.True(t, c.lines.Scan())
	require.Equal(t, "ready", c.lines.Text())
	return c
}

// use lets the process use a code, and returns how often it was accepted. With kill it kills the process meanwhile; what that has accepted is then not known.
func (c *contestant) use(at time.Time, code string, kill bool) int {
	if _, err := fmt.Fprintf(c.in, "%d %s\n", at.UnixMicro(), code); err != nil {
		return 0
	}
	if kill {
		time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond) // in the middle, at a moment that differs
		_ = c.cmd.Process.Kill()
	}
	if !c.lines.Scan() {
		return 0
	}
	n, _ := strconv.Atoi(c.lines.Text())
	return n
}

// Each code is used by 32 callers of each process at once, with two processes on PostgreSQL and one on SQLite. Every fifth time one of them is killed meanwhile. No code is accepted twice.
func TestVerify_hasOneWinnerAcrossProcessesAndKills(t *testing.T) {
	storetest.EachConfig(t, migrations, func(t *testing.T, config base.Config) {
		dataKey, now := seal.NewDataKey(), clock.NewFake(start)
		db, err := base.Open(t.Context(), config)
		require.NoError(t, err)
		w := newWorld(t, db, dataKey, now)
		c := someone()
		_, seed := w.enrolled(t, c, totp.Default)
		processes, attempts := 2, 0
		if config.URL == "" {
			processes = 1
			w.Service, w.store = nil, nil
			require.NoError(t, db.Close()) // the file is one process's
		}
		o := order{URL: config.URL, Dir: config.Dir, Name: config.Name, DataKey: dataKey, Now: start, Caller: c}
		all := make([]*contestant, processes)
		for i := range all {
			all[i] = newContestant(t, o)
		}
		rounds, unknown := count(15, 100_000/contenders/processes+1), 0
		for round := range rounds {
			now.Advance((factor.RoundCap + 1) * factor.GuessEvery) // the store of guesses is full again: the uses in vain are counted as wrong codes
			code, killed := w.code(t, seed, totp.Default, 0), -1
			if round%5 == 4 {
				killed = round / 5 % processes
			}
			var won atomic.Int64
			var group sync.WaitGroup
			for i, one := range all {
				group.Go(func() { won.Add(int64(one.use(now.Now(), code, i == killed))) })
			}
			group.Wait()
			attempts += contenders * processes
			if killed >= 0 {
				_ = all[killed].cmd.Wait()
				all[killed] = newContestant(t, o)
			}
			if won.Load() == 0 && killed >= 0 { // the killed one may have accepted it, and told nobody
				unknown++
				won.Add(int64(all[0].use(now.Now(), code, false)))
				require.LessOrEqual(t, won.Load(), int64(1), "round %d", round)
			} else {
				require.Equal(t, int64(1), won.Load(), "round %d", round)
			}
			require.Zero(t, all[0].use(now.Now(), code, false), "round %d: once more", round)
		}
		t.Logf("%d attempts at %d codes, %d kills, after %d of which nobody had been told", attempts, rounds, rounds/5, unknown)
	})
}

// 200 clients make a million guesses, in sessions of their own, over a month. No more are checked than the budget allows, and none succeeds. The owner, who gave a right
// code in the session before, gets in each day.
func TestVerify_resistsAMillionGuesses(t *testing.T) {
	const clients, days = 200, 30
	each(t, func(t *testing.T, w *world) {
		owner := someone()
		_, seed := w.enrolled(t, owner, totp.Default)
		perDay := (count(6_000, 1_000_000) + clients*days - 1) / (clients * days) // of a client in a day
		var looked, in atomic.Int64
		for range days {
			w.now.Advance(24 * time.Hour)
			p, err := w.Verify(t.Context(), owner, w.code(t, seed, totp.Default, 0))
			requireRight(t, p, err)
			together(clients, func(i int) {
				thief, random := owner, rand.New(rand.NewPCG(uint64(i), uint64(w.now.Now().Unix())))
				thief.Session = "ses_thief" + strconv.Itoa(i)
				for range perDay {
					switch _, err := w.Verify(t.Context(), thief, fmt.Sprintf("%06d", random.IntN(1_000_000))); kindOf(err) {
					case "right":
						in.Add(1)
					case "wrong":
						looked.Add(1)
					case "locked":
					default:
						t.Error(err)
					}
				}
			})
		}
		require.Zero(t, in.Load())
		require.LessOrEqual(t, looked.Load(), int64(factor.MaxGuesses+days*2+1))
		t.Logf("%d guesses, %d looked at", perDay*clients*days, looked.Load())
	})
}
