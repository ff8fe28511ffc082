package handlers

import (
	"context"
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

// twoReplicas are the handlers of a service, and the store of another replica at the same database. Neither clock moves, so that what the
// handlers have cached stays.
type twoReplicas struct {
	*Handlers
	t        *testing.T
	here     *searchstore.Store
	other    *searchstore.Store
	requests int // of the engine
}

func eachTwoReplicas(t *testing.T, test func(t *testing.T, r *twoReplicas)) {
	t.Helper()
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db, now := open(t), clock.NewFake(clock.System.Now())
		audittest.Open(t, db)
		r := &twoReplicas{Handlers: &Handlers{}, t: t, here: searchstore.New(db, nil, now), other: searchstore.New(db, nil, now)}
		client, err := tsclient.New("http://engine", tsclient.InProcess(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			r.requests++
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{}`))
		})), func() string { return "k" }, tsclient.Deadlines{})
		require.NoError(t, err)
		r.SetCore(&Core{Engine: engine.New(client, nil), Store: r.here})
		test(t, r)
	})
}

var plays = owner.Name{Local: "plays"}

// as returns the context of a service's request.
func (r *twoReplicas) as(service string) context.Context {
	return auth.NewContext(r.t.Context(), &auth.Principal{Kind: auth.KindService, Subject: service})
}

func change(action string) audit.Event {
	return audit.Event{Action: action, Actor: "a", ActorKind: audit.Service, Target: "plays", Outcome: audit.OK}
}

// created creates the collection at the other replica.
func (r *twoReplicas) created(by string) *owner.Collection {
	r.t.Helper()
	c := &owner.Collection{Name: plays, Owner: "service:" + by}
	_, err := r.other.Claim(r.t.Context(), c)
	require.NoError(r.t, err)
	_, err = r.other.Finish(r.t.Context(), c, nil, idempotency.Answer{}, change("createCollection"))
	require.NoError(r.t, err)
	c, err = r.other.CollectionNow(r.t.Context(), plays)
	require.NoError(r.t, err)
	return c
}

// cached caches the owner here.
func (r *twoReplicas) cached() {
	r.t.Helper()
	_, err := r.here.Collection(r.t.Context(), []owner.Name{plays}, func(*owner.Collection) bool { return true })
	require.NoError(r.t, err)
}

// granted grants access at the other replica.
func (r *twoReplicas) granted(c *owner.Collection, to string, access owner.Access) {
	r.t.Helper()
	_, err := r.other.PutGrant(r.t.Context(), c, "service:"+to, access, change("putCollectionGrant"))
	require.NoError(r.t, err)
}

// The cache of owners may be a second old. A collection that belongs to somebody else by now must not be deleted.
func TestDeleteCollection_readsAgainWhoseTheCollectionIs(t *testing.T) {
	eachTwoReplicas(t, func(t *testing.T, r *twoReplicas) {
		first := r.created("a")
		r.cached()
		require.NoError(t, r.other.Remove(t.Context(), first, change("deleteCollection")))
		r.created("b")
		_, err := r.DeleteCollection(r.as("a"), searchapi.DeleteCollectionRequestObject{Collection: "plays"})
		require.ErrorIs(t, err, problem.NotFound)
		require.Zero(t, r.requests)
	})
}

// What another replica has just created or granted is not refused because of what is cached here: clients create a collection and use it at
// once, at whichever replica.
func TestHold_refusesNothingFromTheCache(t *testing.T) {
	eachTwoReplicas(t, func(t *testing.T, r *twoReplicas) {
		holds := func(service string, need owner.Access) error {
			core, p, err := r.begin(r.as(service))
			require.NoError(t, err)
			_, err = core.hold(r.as(service), p, "plays", need)
			return err
		}
		r.cached()
		c := r.created("a")
		require.NoError(t, holds("a", owner.Write), "it was cached as missing")
		require.ErrorIs(t, holds("b", owner.Read), problem.NotFound)
		r.granted(c, "b", owner.Read)
		require.NoError(t, holds("b", owner.Read), "it was cached without the grant")
		require.ErrorIs(t, holds("b", owner.Write), problem.Forbidden)
		r.granted(c, "b", owner.Write)
		require.NoError(t, holds("b", owner.Write), "it was cached with the lesser access")
		require.ErrorIs(t, holds("c", owner.Read), problem.NotFound)
	})
}

// Who has access is read from the database, so that an owner who revokes a grant at one replica does not read it at another.
func TestListCollectionGrants_listsWhatAnotherReplicaHasChanged(t *testing.T) {
	eachTwoReplicas(t, func(t *testing.T, r *twoReplicas) {
		c := r.created("a")
		grants := func() []searchapi.Grant {
			res, err := r.ListCollectionGrants(r.as("a"), searchapi.ListCollectionGrantsRequestObject{Collection: "plays"})
			require.NoError(t, err)
			return res.(searchapi.ListCollectionGrants200JSONResponse).Items
		}
		r.cached()
		r.granted(c, "b", owner.Read)
		require.Len(t, grants(), 1)
		r.cached()
		require.NoError(t, r.other.DeleteGrant(t.Context(), c, "service:b", change("deleteCollectionGrant")))
		require.Empty(t, grants())
	})
}
