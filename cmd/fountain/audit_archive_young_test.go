package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
)

// Events that the kms would not let go are refused before anything is written, in days; with --keep, which has nothing removed, nobody is asked for their age.
func TestAuditArchive_refusesYoungEventsBeforeItWrites(t *testing.T) {
	at := time.Now().Add(-80 * 24 * time.Hour).UTC()
	asked := []string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/audit/checkpoint"):
			fmt.Fprint(w, `{"service":"kms","seq":7,"hash":"AAAA","at":"2026-11-30T03:00:00Z","keyId":"0","publicKey":"AAAA","signature":"AAAA"}`)
		case strings.HasSuffix(r.URL.Path, "/audit/events"):
			fmt.Fprintf(w, `{"items":[{"seq":7,"at":%q,"action":"a","actor":"","actorKind":"system","target":"","outcome":"ok","requestId":""}],"keptSeconds":%d}`, at.Format(time.RFC3339Nano), 90*24*60*60)
		default:
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	t.Cleanup(server.Close)
	c, err := fountain.New(server.URL, fountain.WithTokenSource(fountain.TokenSourceFunc(func(context.Context, string) (string, error) { return "token", nil })))
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "archives")
	run := func(a archiving) error {
		a.service, a.dir = "kms", dir
		cmd := &cobra.Command{}
		cmd.SetContext(t.Context())
		return a.run(cmd, &operator{output: "table"}, c)
	}
	err = run(archiving{before: time.Now().UTC().Format(time.RFC3339)})
	require.ErrorContains(t, err, "event 7 is of "+at.Format(time.RFC3339))
	require.ErrorContains(t, err, "keeps every event for 90 days")
	require.NoDirExists(t, dir)
	for _, path := range asked {
		require.NotContains(t, path, "export")
	}
	require.Error(t, run(archiving{before: time.Now().UTC().Format(time.RFC3339), keep: true}), "this kms exports nothing")
	require.Contains(t, strings.Join(asked, " "), "/audit/export")
	asked = nil
	require.Error(t, run(archiving{before: time.Now().Add(-100 * 24 * time.Hour).UTC().Format(time.RFC3339)}))
	require.Contains(t, strings.Join(asked, " "), "/audit/export", "all that is from before is old enough")
}
