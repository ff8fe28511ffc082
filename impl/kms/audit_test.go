package kms_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/store"
)

// database opens the database of the stopped kms.
func (h *house) database() *store.DB {
	h.t.Helper()
	c := store.Config{
		Dir: h.dir, Name: "kms", Log: slog.New(slog.DiscardHandler),
		Migrations: []fs.FS{audit.Migrations, idempotency.Migrations, kmsdb.Migrations},
	}
	if h.config.DatabaseURLFile != "" {
		url, err := config.ReadSecret(h.config.DatabaseURLFile)
		require.NoError(h.t, err)
		c.URL = url
	}
	db, err := store.Open(context.Background(), c)
	require.NoError(h.t, err)
	return db
}

// offline stops the kms, runs f on its database and starts it again.
func (h *house) offline(f func(db *store.DB)) {
	h.t.Helper()
	require.NoError(h.t, h.stop())
	db := h.database()
	f(db)
	require.NoError(h.t, db.Close())
	h.run()
}

// records returns the whole audit chain after verifying it.
func (h *house) records() (all []audit.Record) {
	h.t.Helper()
	h.offline(func(db *store.DB) {
		checked, firstBreak, err := audit.Verify(context.Background(), db.Read(context.Background()))
		require.NoError(h.t, err)
		require.Zero(h.t, firstBreak)
		for before := int64(0); ; {
			page, _, err := audit.List(context.Background(), db.Read(context.Background()), audit.Query{Before: before, Limit: 1000})
			require.NoError(h.t, err)
			if len(page) == 0 {
				break
			}
			all = append(all, page...)
			before = page[len(page)-1].Seq
		}
		require.EqualValues(h.t, checked, len(all))
	})
	return all
}

// events returns the records with this value of the detail security.
func (h *house) events(security string) (found []audit.Record) {
	h.t.Helper()
	for _, r := range h.records() {
		if strings.Contains(r.Detail["security"], security) {
			found = append(found, r)
		}
	}
	return found
}

func TestAudit_recordsEveryChangeWithItsRequest(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		admin, raised := h.administrator()
		grace := h.user("grace", "reader", raised)
		h.change(grace.ID, `{"roles":["editor"]}`, raised)
		h.attempt("grace", "wrong password here")
		h.login("grace", userPassword)
		seen := map[string]audit.Record{}
		for _, r := range slices.Backward(h.records()) { // the newest of each kind remains
			seen[r.Action+" "+r.Outcome] = r
		}
		for _, want := range []string{
			"createSigningKey ok", "registerService ok", "createEnrolmentToken ok", "createBootstrapToken ok", "bootstrapAdmin ok", "enrolService ok",
			"putProofKey ok", "completeStepUp ok", "createUser ok", "updateUser ok", "loginUser denied", "loginUser ok",
		} {
			require.Contains(t, seen, want)
		}
		made := seen["createUser ok"]
		require.Equal(t, []string{admin.ID, "user", grace.ID}, []string{made.Actor, made.ActorKind, made.Target})
		require.NotEmpty(t, made.RequestID)
		require.Equal(t, grace.ID, seen["loginUser denied"].Target)
		require.Equal(t, grace.ID, seen["loginUser ok"].Actor)
		all, err := json.Marshal(seen)
		require.NoError(t, err)
		for _, secret := range []string{userPassword, adminPassword, raised} {
			require.NotContains(t, string(all), secret)
		}
	})
}
