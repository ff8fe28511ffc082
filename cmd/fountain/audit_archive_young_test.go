package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/store"
)

const (
	ninetyDays = 90 * 24 * time.Hour
	day        = 24 * time.Hour
)

// toldTrail is a kms that tells what its trail holds: one event, and the witnessed checkpoint of another service.
type toldTrail struct {
	now     time.Time // by its clock
	event   time.Time // of its trail
	witness map[string]string
	heard   time.Time // when the checkpoint was witnessed, by its clock

	mu    sync.Mutex
	asked []string
}

func (k *toldTrail) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	k.asked = append(k.asked, r.URL.Path)
	k.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	event := func(action string, at time.Time, detail map[string]string) map[string]any {
		return map[string]any{"seq": 7, "at": at, "action": action, "actor": "", "actorKind": "system", "target": "", "outcome": "ok", "requestId": "", "detail": detail}
	}
	answer := map[string]any{"keptSeconds": int64(ninetyDays / time.Second), "at": k.now}
	switch q := r.URL.Query(); {
	case strings.HasSuffix(r.URL.Path, "/audit/checkpoint"):
		fmt.Fprint(w, `{"service":"kms","seq":7,"hash":"AAAA","at":"2026-11-30T03:00:00Z","keyId":"0","publicKey":"AAAA","signature":"AAAA"}`)
		return
	case strings.HasSuffix(r.URL.Path, "/audit/events") && q.Get("action") == "witnessAudit":
		answer["items"] = []any{event("witnessAudit", k.heard, k.witness)}
	case strings.HasSuffix(r.URL.Path, "/audit/events"):
		answer["items"] = []any{event("a", k.event, nil)}
	case strings.HasSuffix(r.URL.Path, "/audit/archive"):
		seq, _ := strconv.ParseInt(k.witness["seq"], 10, 64)
		answer = map[string]any{"service": "twofactor", "ordered": seq}
	default:
		w.WriteHeader(http.StatusTeapot)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// archive runs the command, and returns the paths of what it has asked.
func (k *toldTrail) archive(t *testing.T, a archiveCall) (asked string, err error) {
	t.Helper()
	k.asked = nil
	server := httptest.NewServer(k)
	defer server.Close()
	c, err := fountain.New(server.URL, fountain.WithTokenSource(fountain.TokenSourceFunc(func(context.Context, string) (string, error) { return "token", nil })))
	require.NoError(t, err)
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	err = a.run(cmd, &operator{output: "table"}, c)
	return strings.Join(k.asked, " "), err
}

// Events that the kms would not let go are refused before anything is written, by the clock of the kms; with --keep, which has nothing removed, nobody is asked for their age.
func TestAuditArchive_refusesYoungEventsBeforeItWrites(t *testing.T) {
	now := time.Now().UTC().Add(400 * day).Truncate(time.Second) // whatever the operator's clock says
	k := &toldTrail{now: now, event: now.Add(-80 * day)}
	a := archiveCall{service: "kms", dir: filepath.Join(t.TempDir(), "archives"), before: now.Format(time.RFC3339)}
	asked, err := k.archive(t, a)
	require.ErrorContains(t, err, "event 7 is of "+k.event.Format(time.RFC3339))
	require.ErrorContains(t, err, "the kms keeps every event for 90 days: give a --before of "+now.Add(-ninetyDays).Format(time.RFC3339))
	require.NoDirExists(t, a.dir)
	require.NotContains(t, asked, "export")

	keeping := a
	keeping.keep = true
	asked, err = k.archive(t, keeping)
	require.Error(t, err, "this kms exports nothing")
	require.Contains(t, asked, "/audit/export")
	k.event = now.Add(-100 * day)
	asked, err = k.archive(t, a)
	require.Error(t, err)
	require.Contains(t, asked, "/audit/export", "all that is from before is old enough")
}

// trailOfTwofactor is a data directory with a trail of twofactor, whose clock stands, and the checkpoint at its end.
func trailOfTwofactor(t *testing.T, now time.Time) (data string, end audit.Checkpoint) {
	t.Helper()
	data = t.TempDir()
	db, err := store.Open(t.Context(), store.Config{
		Dir: filepath.Join(data, "twofactor"), Name: "twofactor", Migrations: []fs.FS{audit.Migrations}, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	defer db.Close()
	chain, err := audit.Open(t.Context(), db, audit.Options{Service: "twofactor", Sealer: audittest.Sealer(t), Clock: clock.NewFake(now)})
	require.NoError(t, err)
	require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for _, age := range []time.Duration{80 * day, 120 * day} { // times need not be in the order of numbers
			if err := audit.Append(ctx, tx, audit.Event{At: now.Add(-age), Action: "a", ActorKind: audit.System, Outcome: audit.OK}); err != nil {
				return err
			}
		}
		return nil
	}))
	end, err = chain.Checkpoint(t.Context())
	require.NoError(t, err)
	return data, end
}

// Events of another service that it would not let go are refused before anything is written, too: by its own clock, and by the time that it has told the kms.
func TestAuditArchive_refusesYoungEventsOfAnotherServiceBeforeItWrites(t *testing.T) {
	theirs := time.Date(2031, 5, 1, 0, 0, 0, 0, time.UTC) // neither the operator's clock nor that of the kms
	data, end := trailOfTwofactor(t, theirs)
	heard := theirs.Add(-1000 * day)
	k := &toldTrail{now: heard, heard: heard, witness: map[string]string{
		"seq": strconv.FormatInt(end.Seq, 10), "hash": base64.StdEncoding.EncodeToString(end.Hash), "at": end.At.Format(time.RFC3339Nano),
		"publicKey": base64.StdEncoding.EncodeToString(end.PublicKey), "signature": base64.StdEncoding.EncodeToString(end.Signature),
		"keptSeconds": strconv.FormatInt(int64(ninetyDays/time.Second), 10),
	}}
	begin := func() archiveCall {
		return archiveCall{service: "twofactor", data: data, dir: filepath.Join(t.TempDir(), "archives"), before: theirs.Format(time.RFC3339)}
	}
	a := begin()
	_, err := k.archive(t, a)
	require.ErrorContains(t, err, "event 1 is of "+theirs.Add(-80*day).Format(time.RFC3339))
	require.ErrorContains(t, err, "the twofactor service keeps every event for 90 days: give a --before of "+heard.Add(-ninetyDays).Format(time.RFC3339))
	require.NoDirExists(t, a.dir)

	keeping := a
	keeping.keep = true
	_, err = k.archive(t, keeping)
	require.NoError(t, err)
	require.DirExists(t, a.dir)

	for told, refused := range map[string]bool{"9223372036854775807": true, "9223372037": true, "9223372036854775808": true, "1e9": true, "-9223372036854775808": false} {
		k.witness["keptSeconds"] = told // beyond what a time can hold, or no number
		odd := begin()
		_, err = k.archive(t, odd)
		require.Equal(t, refused, err != nil, "%s: %v", told, err)
		if refused {
			require.NoDirExists(t, odd.dir)
		}
	}
	k.witness["keptSeconds"] = strconv.FormatInt(int64(ninetyDays/time.Second), 10)

	k.now = heard.Add(10 * day) // and so is the clock of the service
	a = begin()
	asked, err := k.archive(t, a)
	require.NoError(t, err, "the event is 90 days old")
	require.Contains(t, asked, "/audit/archive")

	k.now = heard
	k.witness["keptSeconds"] = strconv.FormatInt(int64(70*day/time.Second), 10)
	_, err = k.archive(t, begin())
	require.NoError(t, err, "the service keeps them for less")
	delete(k.witness, "keptSeconds")
	_, err = k.archive(t, begin())
	require.NoError(t, err, "an older service has not told: it judges by itself")
}
