package store

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/reindex"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// each runs f against a Store on every database.
func each(t *testing.T, f func(t *testing.T, s *Store, now *clock.Fake)) {
	storetest.Each(t, Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db, now := open(t), clock.NewFake(noon)
		audittest.Open(t, db)
		f(t, New(db, nil, now), now)
	})
}

func did(action string) audit.Event {
	return audit.Event{Action: action, Actor: "svc_a", ActorKind: audit.Service, Target: "plays", Outcome: audit.OK}
}

// make claims and creates a collection, one second after the previous one.
func (s *Store) make(t *testing.T, now *clock.Fake, whose string) *owner.Collection {
	t.Helper()
	now.Advance(time.Second)
	c := &owner.Collection{Name: owner.Name{Local: "plays"}, Owner: whose}
	_, err := s.Claim(t.Context(), c)
	require.NoError(t, err)
	_, err = s.Finish(t.Context(), c, nil, idempotency.Answer{}, did("createCollection"))
	require.NoError(t, err)
	return s.now(t, c.Name)
}

func (s *Store) now(t *testing.T, n owner.Name) *owner.Collection {
	t.Helper()
	c, err := s.CollectionNow(t.Context(), n)
	require.NoError(t, err)
	return c
}

// A deletion that ends late takes nothing from a collection that was created under the same name in the meantime.
func TestRemove_leavesALaterCollectionOfTheName(t *testing.T) {
	each(t, func(t *testing.T, s *Store, now *clock.Fake) {
		first := s.make(t, now, "service:a")
		_, err := s.PutGrant(t.Context(), first, "user:old", owner.Read, did("putCollectionGrant"))
		require.NoError(t, err)
		again := s.make(t, now, "service:a") // the engine has deleted the first, and its row is still there
		require.Empty(t, again.Grants, "those were the first one's")
		_, err = s.PutGrant(t.Context(), again, "user:new", owner.Read, did("putCollectionGrant"))
		require.NoError(t, err)
		require.NoError(t, s.Remove(t.Context(), first, did("deleteCollection")))
		require.Equal(t, "user:new", s.now(t, first.Name).Grants[0].Grantee)

		require.NoError(t, s.Remove(t.Context(), again, did("deleteCollection")))
		require.Nil(t, s.now(t, first.Name))
		another := s.make(t, now, "service:b")
		require.Empty(t, another.Grants)
		require.NoError(t, s.Remove(t.Context(), again, did("deleteCollection")))
		require.Equal(t, "service:b", s.now(t, first.Name).Owner)
	})
}

// An earlier owner of the name can't give access to the current collection.
func TestGrants_areOfOneCollectionNotOfItsName(t *testing.T) {
	each(t, func(t *testing.T, s *Store, now *clock.Fake) {
		before := s.make(t, now, "service:a")
		require.NoError(t, s.Remove(t.Context(), before, did("deleteCollection")))
		today := s.make(t, now, "service:b")
		_, err := s.PutGrant(t.Context(), before, "service:a", owner.Write, did("putCollectionGrant"))
		require.ErrorIs(t, err, owner.ErrGone)
		_, err = s.PutGrant(t.Context(), today, "user:u", owner.Read, did("putCollectionGrant"))
		require.NoError(t, err)
		require.ErrorIs(t, s.DeleteGrant(t.Context(), before, "user:u", did("deleteCollectionGrant")), owner.ErrNoGrant)
		require.NoError(t, s.DeleteGrant(t.Context(), today, "user:u", did("deleteCollectionGrant")))
	})
}

// An attempt to create an existing collection leaves its row unchanged: the collection can still be deleted.
func TestClaim_ofACollectionThatIsThereChangesNothing(t *testing.T) {
	each(t, func(t *testing.T, s *Store, now *clock.Fake) {
		c := s.make(t, now, "service:a")
		now.Advance(time.Second)
		fresh, err := s.Claim(t.Context(), c)
		require.NoError(t, err)
		require.False(t, fresh)
		require.Equal(t, c, s.now(t, c.Name))
	})
}

func TestReconcile_givesTenantsWhatIsOfTheirs(t *testing.T) {
	each(t, func(t *testing.T, s *Store, now *clock.Fake) {
		maps, plays := owner.Name{Tenant: "globe", Local: "maps"}, owner.Name{Local: "plays"}
		require.NoError(t, s.Reconcile(t.Context(), func(context.Context) (map[string]bool, error) {
			return map[string]bool{"globe.maps": true, "plays": false}, nil
		}))
		require.Equal(t, &owner.Collection{Name: maps, Owner: "tenant:globe", TenantScoped: true, Claimed: noon}, s.now(t, maps))
		require.Equal(t, &owner.Collection{Name: plays, Owner: owner.Administrators, Claimed: noon}, s.now(t, plays))
	})
}

// A collection that is deleted while the engine is being read does not get a row again.
func TestReconcile_bringsNothingBackThatIsDeletedMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, s *Store, now *clock.Fake) {
		c := s.make(t, now, "service:a")
		require.NoError(t, s.Reconcile(t.Context(), func(ctx context.Context) (map[string]bool, error) {
			return map[string]bool{"plays": false}, s.Remove(ctx, c, did("deleteCollection"))
		}))
		require.Nil(t, s.now(t, c.Name))
	})
}

// Whether a collection is tenant-scoped follows from the engine's schema, whatever the claim said.
func TestReconcile_takesFromTheEngineWhetherACollectionIsTenantScoped(t *testing.T) {
	each(t, func(t *testing.T, s *Store, now *clock.Fake) {
		c := &owner.Collection{Name: owner.Name{Local: "plays"}, Owner: "service:a"}
		_, err := s.Claim(t.Context(), c)
		require.NoError(t, err)
		now.Advance(claimLife + time.Second)
		require.NoError(t, s.Reconcile(t.Context(), func(context.Context) (map[string]bool, error) { return map[string]bool{"plays": true}, nil }))
		require.True(t, s.now(t, c.Name).TenantScoped)
	})
}

// The time of a note grows with each write of its document, whatever time the write brings. The document is copied once all writes have
// ended, and the note is settled if no further write has come.
func TestNote_growsWithEachWrite(t *testing.T) {
	each(t, func(t *testing.T, s *Store, now *clock.Fake) {
		require.NoError(t, s.Note(t.Context(), "rix_a", []string{"d"}))
		later := now.Now().Add(time.Second)
		now.Set(later)
		require.NoError(t, s.Note(t.Context(), "rix_a", []string{"d"}))
		now.Set(later.Add(-time.Second / 2))
		require.NoError(t, s.Note(t.Context(), "rix_a", []string{"d"}))
		notes, err := s.Notes(t.Context(), "rix_a", later.Add(time.Microsecond), 10)
		require.NoError(t, err)
		require.Empty(t, notes, "the second write may be under way")
		notes, err = s.Notes(t.Context(), "rix_a", later.Add(time.Second), 10)
		require.NoError(t, err)
		require.Equal(t, []reindex.Note{{Document: "d", At: later.UnixMicro() + 1}}, notes)
	})
}

// If no other process writes, cache entries don't expire: after each change of owners and grants they match the database at once.
func TestCollection_isWhatTheDatabaseHasAfterEachChange(t *testing.T) {
	each(t, func(t *testing.T, s *Store, now *clock.Fake) {
		require.NoError(t, s.Alone(t.Context()))
		plays, poems := owner.Name{Local: "plays"}, owner.Name{Tenant: "globe", Local: "poems"}
		alike := func(what string) {
			t.Helper()
			for range 2 { // the second one is kept
				for _, n := range []owner.Name{plays, poems} {
					got, err := s.Collection(t.Context(), []owner.Name{n}, func(*owner.Collection) bool { return true })
					require.NoError(t, err)
					require.Equal(t, s.now(t, n), got, what)
				}
			}
		}
		alike("nothing is there")
		c := s.make(t, now, "service:a")
		require.NotNil(t, c)
		alike("made")
		_, err := s.PutGrant(t.Context(), c, "user:b", owner.Read, did("putCollectionGrant"))
		require.NoError(t, err)
		alike("granted")
		_, err = s.PutGrant(t.Context(), c, "user:b", owner.Write, did("putCollectionGrant"))
		require.NoError(t, err)
		alike("granted more")
		require.NoError(t, s.DeleteGrant(t.Context(), c, "user:b", did("deleteCollectionGrant")))
		alike("revoked")
		require.Empty(t, s.now(t, plays).Grants)
		require.NoError(t, s.Reconcile(t.Context(), func(context.Context) (map[string]bool, error) {
			return map[string]bool{"plays": false, "globe.poems": true}, nil
		}))
		alike("adopted")
		require.True(t, s.now(t, poems).TenantScoped)
		later := s.make(t, now, "service:a")
		require.NotEqual(t, c.Claimed, later.Claimed)
		alike("made again")
		require.NoError(t, s.Remove(t.Context(), later, did("deleteCollection")))
		alike("removed")
		require.Nil(t, s.now(t, plays))
	})
}

// If other replicas write too, cache entries expire within a second. This covers a grant that another replica has revoked, and a collection
// that another replica has deleted and that belongs to somebody else since. Callers that need the current state, such as writes and search
// keys, read the database.
func TestCollection_isWhatAnotherReplicaHasMadeOfItWithinASecond(t *testing.T) {
	twoReplicas(t, func(t *testing.T, a, b *Store) {
		now, plays := a.clock.(*clock.Fake), owner.Name{Local: "plays"}
		seen := func(s *Store) *owner.Collection {
			t.Helper()
			c, err := s.Collection(t.Context(), []owner.Name{plays}, func(*owner.Collection) bool { return true })
			require.NoError(t, err)
			return c
		}
		first := a.make(t, now, "service:a")
		_, err := a.PutGrant(t.Context(), first, "user:b", owner.Read, did("putCollectionGrant"))
		require.NoError(t, err)
		require.Len(t, seen(b).Grants, 1)
		require.NoError(t, a.DeleteGrant(t.Context(), first, "user:b", did("deleteCollectionGrant")))
		require.Empty(t, seen(a).Grants, "where it was revoked it ends at once")
		require.Empty(t, b.now(t, plays).Grants)
		now.Advance(ownersKept)
		require.Empty(t, seen(b).Grants)

		require.NoError(t, a.Remove(t.Context(), first, did("deleteCollection")))
		require.Nil(t, b.now(t, plays))
		a.make(t, now, "service:c") // a second later
		require.Equal(t, "service:c", seen(a).Owner)
		require.Equal(t, "service:c", b.now(t, plays).Owner)
		require.Equal(t, "service:c", seen(b).Owner)
	})
}
