package outbox_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/outbox"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

const childVariable = "FOUNTAIN_OUTBOX_TEST_CHILD"

func TestMain(m *testing.M) {
	if where := os.Getenv(childVariable); where != "" {
		child(where)
	}
	os.Exit(m.Run())
}

// child delivers one batch, prints that, and never marks it as delivered.
func child(where string) {
	var c store.Config
	if err := json.Unmarshal([]byte(where), &c); err != nil {
		panic(err)
	}
	c.Migrations, c.Log = migrations, slog.New(slog.DiscardHandler)
	db, err := store.Open(context.Background(), c)
	if err != nil {
		panic(err)
	}
	err = outbox.New(db, outbox.Options{Lease: time.Hour}, func(_ context.Context, batch []outbox.Message) error {
		fmt.Println("delivered", len(batch))
		select {}
	}).Run(context.Background())
	panic(err)
}

func TestRun_deliversAgainAfterAKillBetweenDeliveryAndMark(t *testing.T) {
	storetest.EachConfig(t, migrations, func(t *testing.T, c store.Config) {
		db, err := store.Open(t.Context(), c)
		require.NoError(t, err)
		enqueue(t, db, "a", "1")
		enqueue(t, db, "b", "2")
		require.NoError(t, db.Close())
		require.Equal(t, "delivered 2", killAfterDelivery(t, c))

		db, err = store.Open(t.Context(), c)
		require.NoError(t, err)
		defer db.Close()
		now := clock.NewFake(time.Now())
		s := newSink(nil)
		w, stop := run(t, db, outbox.Options{Clock: now, Poll: time.Millisecond, Lease: time.Hour}, s)
		if c.URL != "" { // on SQLite the lock of the file proves that the worker is dead
			count, _, err := w.Lag(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, 2, count, "the dead worker's lease still holds")
			now.Advance(2 * time.Hour)
		}
		<-s.received
		stop()
		require.Equal(t, map[string][]string{"a": {"1"}, "b": {"2"}}, s.got)
		requireEmpty(t, w)
	})
}

func killAfterDelivery(t *testing.T, c store.Config) (said string) {
	t.Helper()
	where, err := json.Marshal(map[string]any{"URL": c.URL, "Dir": c.Dir, "Name": c.Name})
	require.NoError(t, err)
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childVariable+"="+string(where))
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	said = lines.Text()
	require.NoError(t, command.Process.Kill())
	require.Error(t, command.Wait(), "killed")
	return said
}
