package store_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/seal"
	base "github.com/fountainai/fountain/internal/store"
)

// BenchmarkVerifyFor measures right codes of services, one after the other, each with a durable mark and an audit event. In turn with them it measures durable
// commits of one row on the same kind of database. "rate" is the number of codes for each row in the same time, as the median of all turns; "rate-q1" and
// "rate-q3" are its quartiles.
func BenchmarkVerifyFor(b *testing.B) {
	measureOne(b, newBench(b).someone(b))
}

// BenchmarkVerifyForSession measures codes of a session that can be used again: the session is stored too, in a tree of its own.
func BenchmarkVerifyForSession(b *testing.B) {
	one := newBench(b).someone(b)
	one.session = "ses_1"
	measureOne(b, one)
}

func measureOne(b *testing.B, one *benchSubject) {
	besideRows(b, func() { one.generate(b, benchTurn) }, func() {
		for range benchTurn {
			one.verifyFor(b)
		}
	}, benchTurn)
}

// BenchmarkVerifyForMany measures the same for 64 subjects at once, compared with rows one after the other.
func BenchmarkVerifyForMany(b *testing.B) {
	const clients, each = 64, 10
	w := newBench(b)
	all := make([]*benchSubject, clients)
	for i := range all {
		all[i] = w.someone(b)
	}
	besideRows(b, func() {
		for _, s := range all {
			s.generate(b, each)
		}
	}, func() {
		together(clients, func(i int) {
			for range each {
				all[i].verifyFor(b)
			}
		})
	}, clients*each)
}

// benchWarm is how many rows are written before the measurement: SQLite overwrites a write-ahead log that has reached its size, and one that still grows costs more.
const benchWarm = 1500

// BenchmarkVerifyForFloor measures a code without any rules and hashes: one read and three writes, each of one row in a tree of its own, by plain
// statements in one transaction. No code can be cheaper with these tables and this driver.
func BenchmarkVerifyForFloor(b *testing.B) {
	w := newBench(b)
	one := w.someone(b)
	body, sum, n := make([]byte, 300), make([]byte, 32), int64(1_000_000)
	besideRows(b, func() {}, func() {
		for range benchTurn {
			n++
			require.NoError(b, w.db.Write(b.Context(), func(ctx context.Context, tx *base.Tx) error {
				var id string
				if err := tx.Get(ctx, &id, "SELECT id FROM factors WHERE subject = ?", one.caller.Subject); err != nil {
					return err
				}
				_, err := tx.ExecAll(ctx,
					base.Statement{Query: "UPDATE factors SET last_step = ? WHERE id = ?", Args: []any{n, id}},
					base.Statement{Query: "UPDATE audit_head SET hash = ? WHERE id = 1", Args: []any{sum}},
					base.Statement{
						Query: "INSERT INTO audit_events (seq, at, action, actor, target, body, hash, mac) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
						Args:  []any{n, n, "verifyOtpFor", id, id, body, sum, sum},
					})
				return err
			}))
		}
	}, benchTurn)
}

// benchTurn is how many of one kind are measured in a turn. Turns are short, so that both kinds meet the same load of the machine.
const benchTurn = 50

// besideRows measures codes and rows by turns. Each call of verify gives the stated number of codes. The work of the authenticators, which generate does before each turn, is not measured.
func besideRows(b *testing.B, generate, verify func(), codes int) {
	rows := benchDB(b)
	for range benchWarm / benchTurn {
		generate()
		verify()
		commitRows(b, rows)
	}
	var rates, ofCodes, ofRows []float64
	var worked [2]time.Duration
	for b.Loop() {
		generate()
		begun, work := time.Now(), processorTime(b)
		verify()
		between, workBetween := time.Now(), processorTime(b)
		commitRows(b, rows)
		code, row := between.Sub(begun)/time.Duration(codes), time.Since(between)/benchTurn
		worked[0] += (workBetween - work) / time.Duration(codes)
		worked[1] += (processorTime(b) - workBetween) / benchTurn
		ofCodes, ofRows = append(ofCodes, float64(code.Microseconds())), append(ofRows, float64(row.Microseconds()))
		rates = append(rates, float64(row)/float64(code))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(quantile(ofCodes, 2), "us/code")
	b.ReportMetric(quantile(ofRows, 2), "us/row")
	b.ReportMetric(float64(worked[0].Microseconds())/float64(b.N), "cpu-us/code")
	b.ReportMetric(float64(worked[1].Microseconds())/float64(b.N), "cpu-us/row")
	b.ReportMetric(quantile(rates, 1), "rate-q1")
	b.ReportMetric(quantile(rates, 2), "rate")
	b.ReportMetric(quantile(rates, 3), "rate-q3")
}

// processorTime returns the processor time that the process has used, in user and system mode.
func processorTime(b *testing.B) time.Duration {
	var u unix.Rusage
	require.NoError(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// quantile returns a quartile of figures; 2 is the median.
func quantile(all []float64, quarter int) float64 {
	slices.Sort(all)
	return all[(len(all)-1)*quarter/4]
}

// commitRows makes durable commits of one row, one after the other.
func commitRows(b *testing.B, db *base.DB) {
	for range benchTurn {
		require.NoError(b, db.Write(b.Context(), func(ctx context.Context, tx *base.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE restore_mark SET not_before = not_before + 1")
			return err
		}))
	}
}

// benchWorld is a factor.Service on one database.
type benchWorld struct {
	db      *base.DB
	service *factor.Service
}

type benchSubject struct {
	service *factor.Service
	caller  factor.Caller
	session string
	seed    []byte
	now     *clock.Fake
	codes   []string // of the next steps
}

// benchKey seals what the benchmarks store. All use one key, because on PostgreSQL they share a database.
var benchKey = sync.OnceValue(func() *seal.Key { return must1(seal.FromDataKey(seal.NewDataKey())) })

func newBench(b *testing.B) *benchWorld {
	b.Helper()
	db := benchDB(b)
	key := benchKey()
	rows := newStore(b, db)
	return &benchWorld{db, must1(factor.New(factor.Config{
		Repository: rows, Authority: trusting{}, Sealer: key, ProofKey: must1(rows.ProofKey(b.Context(), key, start)), Issuer: "FountainAI", Random: zeros{},
		Clock: clock.NewFake(start), Log: slog.New(slog.DiscardHandler),
	}))}
}

// someone is a subject with an active factor, and a clock that shows a new step for each of its codes.
func (w *benchWorld) someone(b *testing.B) *benchSubject {
	b.Helper()
	s := &benchSubject{caller: someone(), seed: must1(totp.NewSeed(zeros{})), now: clock.NewFake(start)}
	config := w.service.Config
	config.Clock = s.now
	s.service = must1(factor.New(config))
	e := must1(s.service.Enrol(b.Context(), s.caller, "", totp.Default, "", nil))
	must1(s.service.Confirm(b.Context(), s.caller, e.FactorID, must1(totp.Code(s.seed, totp.Default, totp.Default.Step(start)))))
	return s
}

// generate makes the codes of the next steps.
func (s *benchSubject) generate(b *testing.B, codes int) {
	require.Empty(b, s.codes)
	step := totp.Default.Step(s.now.Now())
	for n := range int64(codes) {
		s.codes = append(s.codes, must1(totp.Code(s.seed, totp.Default, step+1+n)))
	}
}

func (s *benchSubject) verifyFor(b *testing.B) {
	s.now.Advance(30 * time.Second)
	code := s.codes[0]
	s.codes = s.codes[1:]
	_, err := s.service.VerifyFor(b.Context(), s.caller, s.caller.Subject, s.session, code)
	if err != nil {
		b.Error(err)
	}
}

// benchDB opens PostgreSQL if FOUNTAIN_BENCH_POSTGRES_URL names a database to be filled, else SQLite.
func benchDB(b *testing.B) *base.DB {
	b.Helper()
	db, err := base.Open(b.Context(), base.Config{
		URL: os.Getenv("FOUNTAIN_BENCH_POSTGRES_URL"), Dir: b.TempDir(), Name: "bench", Migrations: migrations, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, db.Close()) })
	return db
}

// zeros is a source of zeros in place of random bytes, for seeds.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	if len(p) != totp.SeedSize {
		return rand.Read(p)
	}
	clear(p)
	return len(p), nil
}

func must1[T any](v T, err error) T {
	must(err)
	return v
}
