package store_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

const childVariable = "FOUNTAIN_STORE_TEST_CHILD"

func TestMain(m *testing.M) {
	if where := os.Getenv(childVariable); where != "" {
		child(where)
	}
	os.Exit(m.Run())
}

// child writes numbers until it is killed, and prints each one after its commit was acknowledged.
func child(where string) {
	var c store.Config
	if err := json.Unmarshal([]byte(where), &c); err != nil {
		panic(err)
	}
	c.Migrations, c.Log = counters, slog.New(slog.DiscardHandler)
	db, err := store.Open(context.Background(), c)
	if err != nil {
		panic(err)
	}
	for n := 0; ; n++ {
		err := db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, "INSERT INTO counters (name, value) SELECT 'n' || COUNT(*), COUNT(*) FROM counters")
			return err
		})
		if err != nil {
			panic(err)
		}
		fmt.Println("ack")
	}
}

func TestWrite_keepsWhatItAcknowledgedThroughKill(t *testing.T) {
	storetest.EachConfig(t, counters, func(t *testing.T, c store.Config) {
		acknowledged := 0
		for round := range 3 {
			acknowledged += killAfter(t, c, 5+7*round)
			db, err := store.Open(t.Context(), c)
			require.NoError(t, err, "the dead process's lock is gone")
			var count int
			require.NoError(t, db.Read(t.Context()).Get(t.Context(), &count, "SELECT COUNT(*) FROM counters"))
			require.GreaterOrEqual(t, count, acknowledged, "an acknowledged commit is lost")
			acknowledged = count // at most one per round was committed and not acknowledged
			require.NoError(t, db.Close())
		}
	})
}

// killAfter starts a child, kills it with SIGKILL after some acknowledgements and returns how many numbers it has printed.
func killAfter(t *testing.T, c store.Config, acks int) (given int) {
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
	for lines.Scan() {
		if given++; given == acks {
			require.NoError(t, command.Process.Kill())
		}
	}
	require.Error(t, command.Wait(), "killed")
	require.GreaterOrEqual(t, given, acks)
	return given
}
