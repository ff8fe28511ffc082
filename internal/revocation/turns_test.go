package revocation

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/clock"
)

// beside follows a kms and a copy of it; a switch says which one answers.
func beside(t *testing.T, original, copied *feed) (f *Follower, copies *atomic.Bool, log *bytes.Buffer) {
	t.Helper()
	copies, log = &atomic.Bool{}, &bytes.Buffer{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if copies.Load() {
			copied.ServeHTTP(w, r)
			return
		}
		original.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return NewFollower(Config{
		KMSURL: server.URL, Client: server.Client(), Credential: credential{}, Clock: clock.System, Log: slog.New(slog.NewJSONHandler(log, nil)),
		Registerer: prometheus.NewRegistry(),
	}), copies, log
}

// A restore gives the feed a new name. One change of the name is a restore; if the old name returns, the original is running beside the copy.
func TestFollower_tellsARestoredCopyBesideTheLivingOriginal(t *testing.T) {
	f, copies, log := beside(t, &feed{name: "one"}, &feed{name: "two"})
	turn := func(toCopy bool) {
		copies.Store(toCopy)
		require.NoError(t, f.read(t.Context()))
	}
	turn(false)
	turn(true)
	require.NoError(t, f.Ready(), "a restore")
	require.Zero(t, f.copies())
	require.Contains(t, log.String(), "restored or replaced")
	turn(false)
	require.ErrorContains(t, f.Ready(), "two kms answer")
	require.EqualValues(t, 1, f.copies())
	turn(true)
	turn(false)
	require.Equal(t, 1, strings.Count(log.String(), "stop the copy"), "it is told once")
	f.turns.twice = f.turns.twice.Add(-turnsLast)
	require.NoError(t, f.Ready(), "the copy was stopped")
	require.Zero(t, f.copies())
}

// Restored files set the position of the same feed back once. A second time within minutes means that a copy answers in turn with the original.
func TestFollower_tellsAPlainCopyBesideTheLivingOriginal(t *testing.T) {
	original, copied := &feed{name: "one"}, &feed{name: "one"}
	f, copies, _ := beside(t, original, copied)
	copied.end("ses_1")
	original.end("ses_1")
	original.end("ses_2")
	for range 2 {
		require.Zero(t, f.copies())
		copies.Store(false)
		require.NoError(t, f.read(t.Context()))
		copies.Store(true)
		require.NoError(t, f.read(t.Context()))
	}
	require.ErrorContains(t, f.Ready(), "two kms answer")
	copies.Store(false)
	f.turns.back, f.turns.twice = time.Now().Add(-turnsLast), time.Time{}
	require.NoError(t, f.read(t.Context()))
	copies.Store(true)
	require.NoError(t, f.read(t.Context()))
	require.NoError(t, f.Ready(), "long after the one before it is another restore")
}

func TestTurns_keepsFewNames(t *testing.T) {
	var k turns
	now := time.Now()
	for i := range 100 {
		k.change(string(rune('a'+i%26))+string(rune('a'+i/26)), string(rune('a'+(i+1)%26))+string(rune('a'+(i+1)/26)), now)
	}
	require.Len(t, k.left, namesKept)
	require.False(t, k.taken(now), "one restore after the other")
}
