package audit_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/store"
)

// kept is a keeper with its log and metrics.
type kept struct {
	*audit.Keeper
	log    *journal
	metric *prometheus.Registry
}

// journal collects what a keeper logs and counts. It is safe for concurrent use.
type journal struct {
	mu     sync.Mutex
	text   bytes.Buffer
	failed []string
}

// Write implements io.Writer.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) fail(what string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.failed = append(j.failed, what)
}

func (j *journal) failures() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.failed)
}

func keep(t *testing.T, chain *audit.Chain, file string) *kept {
	t.Helper()
	k := &kept{log: &journal{}, metric: prometheus.NewRegistry()}
	k.Keeper = audit.NewKeeper(chain, audit.Keeping{
		File: file, Log: slog.New(slog.NewJSONHandler(k.log, nil)), Registerer: k.metric, Failed: k.log.fail,
	})
	return k
}

func (k *kept) gauge(t *testing.T, name string) float64 {
	t.Helper()
	families, err := k.metric.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

func TestKeeper_writesCheckpointsByTimeByNumberAndAtTheStop(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		db, err := store.Open(context.Background(), store.Config{Dir: t.TempDir(), Name: "test", Migrations: migrations, Log: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		defer db.Close()
		k := keep(t, audittest.Open(t, db), filepath.Join(dir, "checkpoint"))
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- k.Run(ctx) }()
		lines := func() int { return strings.Count(k.log.String(), `"msg":"audit checkpoint"`) }
		synctest.Wait()
		require.Equal(t, 1, lines(), "the state at the start")
		time.Sleep(time.Hour)
		require.Equal(t, 1, lines(), "nothing was appended")
		appendEvents(t, db, event("a"))
		time.Sleep(59 * time.Second)
		require.Equal(t, 1, lines())
		time.Sleep(2 * time.Second)
		require.Equal(t, 2, lines(), "a minute after the first event")
		many := make([]audit.Event, 1000)
		for i := range many {
			many[i] = event("many")
		}
		appendEvents(t, db, many...)
		synctest.Wait()
		require.Equal(t, 3, lines(), "a thousand events")
		appendEvents(t, db, event("last"))
		stop()
		require.NoError(t, <-ended)
		require.NoError(t, k.Close())
		require.Equal(t, 4, lines(), "the stop")
		require.Empty(t, k.log.failures())
		known, err := audit.ReadCheckpoint(filepath.Join(dir, "checkpoint"))
		require.NoError(t, err)
		require.EqualValues(t, 1002, known.Seq)
		require.NoError(t, known.Verify(known.PublicKey))
		require.EqualValues(t, 1002, k.gauge(t, "fountain_audit_checkpoint_seq"))
		require.EqualValues(t, 1, k.gauge(t, "fountain_audit_intact"))
	})
}

// started runs the keeper until it has verified the chain once.
func (k *kept) started(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	require.Eventually(t, func() bool {
		return k.gauge(t, "fountain_audit_verified_events") > 0 || k.gauge(t, "fountain_audit_intact") == 0
	}, 10*time.Second, time.Millisecond)
	stop()
	require.NoError(t, <-ended)
}

func TestKeeper_alarmsWhenAnOlderStateWasPutBack(t *testing.T) {
	db, file := sqlite(t), filepath.Join(t.TempDir(), "checkpoint")
	chain := audittest.Open(t, db)
	appendEvents(t, db, event("a"))
	old := read(t, db)
	appendEvents(t, db, event("b"))
	before := keep(t, chain, file)
	before.started(t)
	require.NoError(t, before.Close())
	require.EqualValues(t, 1, before.gauge(t, "fountain_audit_intact"))
	known, err := os.ReadFile(file)
	require.NoError(t, err)

	require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error { return old.write(ctx, tx) }))
	k := keep(t, audittest.Open(t, db), file)
	k.started(t)
	require.EqualValues(t, 0, k.gauge(t, "fountain_audit_intact"))
	require.Contains(t, k.log.String(), `"the audit chain is not valid`)
	require.NoError(t, k.Close())
	still, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, known, still, "the file stays: it is what shows it")
}

// Another replica that starts after an older state was restored continues after that state. The keeper of this replica must not sign it.
func TestKeeper_neverSignsOverAnOlderStateThatWasPutBack(t *testing.T) {
	db, file := sqlite(t), filepath.Join(t.TempDir(), "checkpoint")
	chain := audittest.Open(t, db)
	appendEvents(t, db, event("a"))
	old := read(t, db)
	appendEvents(t, db, event("b"), event("c"))
	k := keep(t, chain, file)
	require.NoError(t, k.MakeCheckpoint(t.Context()))
	proof, err := os.ReadFile(file)
	require.NoError(t, err)

	require.NoError(t, db.Write(t.Context(), old.write))
	audittest.Open(t, db)
	appendEvents(t, db, event("d"), event("e"), event("f"))
	k.VerifyOnce(t.Context())
	require.EqualValues(t, 0, k.gauge(t, "fountain_audit_intact"), "the verification of the day")

	chain.Grown(read(t, db).Head.Seq)
	require.ErrorIs(t, k.MakeCheckpoint(t.Context()), audit.ErrTampered)
	require.Contains(t, k.log.String(), `"reason":"checkpoint"`)
	require.Equal(t, 1, strings.Count(k.log.String(), `"msg":"audit checkpoint"`), "only the one of before")
	still, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, proof, still)
}

// Operators are alerted by the gauge, so it must not wait for the next daily verification.
func TestKeeper_alarmsWhenAnAppendWasRefused(t *testing.T) {
	db := sqlite(t)
	chain := audittest.Open(t, db)
	appendEvents(t, db, event("a"))
	old := read(t, db)
	appendEvents(t, db, event("b"))
	k := keep(t, chain, filepath.Join(t.TempDir(), "checkpoint"))
	require.NoError(t, k.MakeCheckpoint(t.Context()))
	require.NoError(t, db.Write(t.Context(), old.write))
	require.NoError(t, k.MakeCheckpoint(t.Context()), "nothing was appended")
	err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error { return audit.Append(ctx, tx, event("c")) })
	require.ErrorIs(t, err, audit.ErrTampered)
	require.ErrorIs(t, k.MakeCheckpoint(t.Context()), audit.ErrTampered)
	require.EqualValues(t, 0, k.gauge(t, "fountain_audit_intact"))
	k.VerifyOnce(t.Context())
	require.EqualValues(t, 0, k.gauge(t, "fountain_audit_intact"), "it stays")
}

func TestKeeper_alarmsWhenAnEventWasChangedAndTellsWhatFails(t *testing.T) {
	db, dir := sqlite(t), t.TempDir()
	chain := audittest.Open(t, db)
	appendEvents(t, db, event("a"), event("b"))
	exec(t, db, "UPDATE audit_events SET actor = 'usr_2' WHERE seq = 1")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	k := keep(t, chain, filepath.Join(dir, "file", "checkpoint"))
	k.started(t)
	require.EqualValues(t, 0, k.gauge(t, "fountain_audit_intact"))
	require.Contains(t, k.log.String(), `"event":1,"reason":"event"`)
	require.NoError(t, k.Close()) // the end may have interrupted the first checkpoint
	require.Contains(t, k.log.failures(), "write an audit checkpoint", "there is no directory")
	count, err := testutil.GatherAndCount(k.metric)
	require.NoError(t, err)
	require.Equal(t, 7, count)
}

func TestKeeper_makesTheDirectoryOfItsCheckpoint(t *testing.T) {
	db, file := sqlite(t), filepath.Join(t.TempDir(), "data", "checkpoint")
	chain := audittest.Open(t, db)
	appendEvents(t, db, event("a"))
	k := keep(t, chain, file)
	require.NoError(t, k.Close())
	require.Empty(t, k.log.failures())
	require.FileExists(t, file)
}

// Two chains that record each other's checkpoints stop doing so when nothing else is appended.
func TestKeeper_exchangesCheckpointsAndComesToRest(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		db, err := store.Open(context.Background(), store.Config{Dir: t.TempDir(), Name: "test", Migrations: migrations, Log: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		defer db.Close()
		chain := audittest.Open(t, db)
		other, key, err := ed25519.GenerateKey(nil)
		require.NoError(t, err)
		var mu sync.Mutex // time that passes in a bubble orders nothing for the race detector
		var all []audit.Checkpoint
		told := func() []audit.Checkpoint {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(all)
		}
		var away atomic.Bool
		k := keep(t, chain, filepath.Join(dir, "checkpoint"))
		k.Witness = func(_ context.Context, c audit.Checkpoint) (audit.Checkpoint, error) {
			if away.Load() {
				return audit.Checkpoint{}, context.DeadlineExceeded
			}
			mu.Lock()
			all = append(all, c)
			mu.Unlock()
			theirs := audit.Checkpoint{Service: "kms", Seq: 7, Hash: make([]byte, 32), At: c.At, PublicKey: other}
			theirs.Sign(key)
			return theirs, nil
		}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- k.Run(ctx) }()
		appendEvents(t, db, event("a"))
		time.Sleep(time.Hour)
		require.LessOrEqual(t, len(told()), 2, "the start, and the event")
		require.NoError(t, told()[len(told())-1].Verify(told()[0].PublicKey))
		before := len(told())
		time.Sleep(time.Hour)
		require.Len(t, told(), before, "what was recorded of the other gives no cause for another")
		records, _, err := audit.List(context.Background(), db.Read(context.Background()), audit.Query{Action: "recordCheckpoint"})
		require.NoError(t, err)
		require.Len(t, records, before)
		require.Equal(t, "kms", records[0].Target)
		require.Equal(t, "7", records[0].Detail["seq"])

		away.Store(true)
		appendEvents(t, db, event("b"))
		time.Sleep(5 * time.Minute)
		require.Contains(t, k.log.failures(), "write an audit checkpoint")
		away.Store(false)
		time.Sleep(2 * time.Minute)
		require.Len(t, told(), before+1, "it is told as soon as somebody listens")
		away.Store(true)
		appendEvents(t, db, event("c"))
		failed := len(k.log.failures())
		stop()
		require.NoError(t, <-ended)
		require.NoError(t, k.Close())
		require.Len(t, k.log.failures(), failed, "at the stop the other may be gone")
		report, err := chain.Verify(context.Background(), audit.Verification{})
		require.NoError(t, err)
		require.True(t, report.Intact(), "%+v", report)
	})
}

// Every process has a checkpoint witnessed once, even if nothing was appended since the last one: the retention time sent with it may have changed.
func TestKeeper_hasACheckpointOfEveryProcessWitnessed(t *testing.T) {
	db, file := sqlite(t), filepath.Join(t.TempDir(), "checkpoint")
	chain := audittest.Open(t, db)
	other, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	told := 0
	for start := 1; start <= 3; start++ {
		k := keep(t, chain, file)
		k.Witness = func(_ context.Context, c audit.Checkpoint) (audit.Checkpoint, error) {
			told++
			theirs := audit.Checkpoint{Service: "kms", Seq: 7, Hash: make([]byte, 32), At: c.At, PublicKey: other}
			theirs.Sign(key)
			return theirs, nil
		}
		k.Compare(t.Context())
		require.NoError(t, k.MakeCheckpoint(t.Context()))
		require.NoError(t, k.MakeCheckpoint(t.Context()))
		require.Equal(t, start, told)
		require.NoError(t, k.Close())
		require.Equal(t, start, told, "at the stop the other may be gone")
	}
}

// A service reports when the other service's trail is not the one that it has recorded, because of an older state or a second copy.
func TestKeeper_tellsWhenTheOtherTrailWentBack(t *testing.T) {
	db := sqlite(t)
	k := keep(t, audittest.Open(t, db), filepath.Join(t.TempDir(), "checkpoint"))
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	answer := audit.Checkpoint{Service: "kms", PublicKey: public, At: time.Now()}
	k.Witness = func(context.Context, audit.Checkpoint) (audit.Checkpoint, error) {
		signed := answer
		signed.Sign(private)
		return signed, nil
	}
	said := func(seq int64, hash byte) float64 {
		answer.Seq, answer.Hash = seq, bytes.Repeat([]byte{hash}, 32)
		appendEvents(t, db, event("a"))
		require.NoError(t, k.MakeCheckpoint(t.Context()))
		return k.gauge(t, "fountain_audit_witness_behind")
	}
	require.Zero(t, said(10, 1))
	require.Zero(t, said(12, 2))
	require.NotContains(t, k.log.String(), "is not the one that was recorded")
	require.EqualValues(t, 1, said(7, 3), "an older state")
	require.Contains(t, k.log.String(), `"event":7,"recorded":12`)
	require.Zero(t, said(13, 4))
	require.EqualValues(t, 1, said(13, 5), "another history")
	answer.PublicKey = make([]byte, ed25519.PublicKeySize)
	appendEvents(t, db, event("a"))
	require.ErrorIs(t, k.MakeCheckpoint(t.Context()), audit.ErrSignature)
}
