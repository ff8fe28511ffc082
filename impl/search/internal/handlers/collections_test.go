package handlers

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	searchstore "github.com/fountainai/fountain/impl/search/internal/store"
	"github.com/fountainai/fountain/impl/search/internal/tsclient"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// The cache of owners may be a second old. A collection that belongs to somebody else by now must not be deleted.
func TestDeleteCollection_readsAgainWhoseTheCollectionIs(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db, deleted := open(t), 0
		audittest.Open(t, db)
		client, err := tsclient.New("http://engine", tsclient.InProcess(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			deleted++
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{}`))
		})), func() string { return "k" }, tsclient.Deadlines{})
		require.NoError(t, err)
		now := clock.NewFake(clock.System.Now())
		here, elsewhere := searchstore.New(db, nil, now), searchstore.New(db, nil, now)
		h := &Handlers{}
		h.SetCore(&Core{Engine: engine.New(client, nil), Store: here})
		ctx := auth.NewContext(t.Context(), &auth.Principal{Kind: auth.KindService, Subject: "a"})
		name := owner.Name{Local: "plays"}
		made := func(whose string) {
			c := &owner.Collection{Name: name, Owner: whose}
			_, err := elsewhere.Claim(ctx, c)
			require.NoError(t, err)
			_, err = elsewhere.Finish(ctx, c, nil, idempotency.Answer{}, audit.Event{Action: "createCollection", Actor: "a", ActorKind: audit.Service, Target: "plays", Outcome: audit.OK})
			require.NoError(t, err)
		}

		made("service:a")
		_, err = here.Collection(ctx, []owner.Name{name}, func(*owner.Collection) bool { return true })
		require.NoError(t, err) // and keeps it
		first, err := elsewhere.CollectionNow(ctx, name)
		require.NoError(t, err)
		require.NoError(t, elsewhere.Remove(ctx, first, audit.Event{Action: "deleteCollection", Actor: "a", ActorKind: audit.Service, Target: "plays", Outcome: audit.OK}))
		made("service:b")
		_, err = h.DeleteCollection(ctx, searchapi.DeleteCollectionRequestObject{Collection: "plays"})
		require.ErrorIs(t, err, problem.NotFound)
		require.Zero(t, deleted)
	})
}
