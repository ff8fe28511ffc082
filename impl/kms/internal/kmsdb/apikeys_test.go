package kmsdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/apikey"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/credential"
	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/store"
)

// keyEnd is the expiry of the keys in the tests.
var keyEnd = noon.Add(time.Hour)

func userKey(id, userID string) apikey.Key {
	return apikey.Key{
		ID: id, Name: "a key", Start: "fk_live_", Owner: authority.Ref{Kind: auth.KindUser, ID: userID}, Scopes: []string{"documents:read", "keys:read"},
		CreatedAt: noon, ExpiresAt: keyEnd, RootID: id, Life: time.Hour, GrantedUntil: keyEnd.Add(time.Hour), Version: 1,
	}
}

func (s suite) insertKey(k apikey.Key) {
	s.Helper()
	s.write(func(ctx context.Context, tx *store.Tx) error {
		return kmsdb.APIKeys{}.Insert(ctx, tx, k, []byte("sum of "+k.ID))
	})
}

func (s suite) key(id string) apikey.Key {
	s.Helper()
	k, found, err := kmsdb.APIKeys{}.Get(s.Context(), s.q(), id)
	require.NoError(s, err)
	require.True(s, found)
	return k
}

func TestAPIKeys_areFoundAsTheyWereStored(t *testing.T) {
	each(t, func(s suite) {
		rows, want := kmsdb.APIKeys{}, userKey("key_2", "usr_1")
		want.ParentID, want.RootID, want.Tenant, want.FollowsOwner = "key_1", "key_1", "acme", true
		want.Metadata, want.Limit = map[string]string{"team": "press"}, apikey.RateLimit{Uses: 10, Window: time.Minute}
		s.insertKey(want)
		require.Equal(s, want, s.key("key_2"))
		got, found, err := rows.ByHash(s.Context(), s.q(), [][]byte{[]byte("by an old pepper"), []byte("sum of key_2")})
		require.NoError(s, err)
		require.True(s, found)
		require.Equal(s, want, got)
		_, found, err = rows.ByHash(s.Context(), s.q(), [][]byte{[]byte("sum of key_3")})
		require.NoError(s, err)
		require.False(s, found)
		_, found, err = rows.Get(s.Context(), s.q(), "key_3")
		require.NoError(s, err)
		require.False(s, found)
		_ = s.fails(func(ctx context.Context, tx *store.Tx) error {
			return rows.Insert(ctx, tx, userKey("key_3", "usr_1"), []byte("sum of key_2"))
		})
		_ = s.fails(func(ctx context.Context, tx *store.Tx) error {
			return rows.Insert(ctx, tx, want, []byte("another sum"))
		})
	})
}

func TestAPIKeys_areChangedOverOneVersionOnly(t *testing.T) {
	each(t, func(s suite) {
		rows, k := kmsdb.APIKeys{}, userKey("key_1", "usr_1")
		s.insertKey(k)
		k.Name, k.Version, k.Metadata, k.Limit = "another", 2, map[string]string{"a": "b"}, apikey.RateLimit{Uses: 1, Window: time.Second}
		update := func(ctx context.Context, tx *store.Tx) (bool, error) { return rows.Update(ctx, tx, k, 1) }
		require.True(s, s.did(update))
		require.False(s, s.did(update), "version 1 is gone")
		require.Equal(s, k, s.key("key_1"))
	})
}

func TestAPIKeys_areListedNewestFirstInPages(t *testing.T) {
	each(t, func(s suite) {
		for id, owner := range map[string]string{"key_1": "usr_1", "key_2": "usr_2", "key_3": "usr_1"} {
			s.insertKey(userKey(id, owner))
		}
		ids := func(owner authority.Ref, before string, limit int) (out []string) {
			keys, err := kmsdb.APIKeys{}.List(s.Context(), s.q(), owner, before, limit)
			require.NoError(s, err)
			for _, k := range keys {
				out = append(out, k.ID)
			}
			return out
		}
		require.Equal(s, []string{"key_3", "key_2"}, ids(authority.Ref{}, "", 2))
		require.Equal(s, []string{"key_1"}, ids(authority.Ref{}, "key_2", 2))
		require.Equal(s, []string{"key_3", "key_1"}, ids(authority.Ref{Kind: auth.KindUser, ID: "usr_1"}, "", 9))
		require.Empty(s, ids(authority.Ref{Kind: auth.KindService, ID: "usr_1"}, "", 9))
	})
}

func TestAPIKeys_workUntilTheyExpireOrAreRevokedOrRestored(t *testing.T) {
	each(t, func(s suite) {
		rows, owner := kmsdb.APIKeys{}, authority.Ref{Kind: auth.KindUser, ID: "usr_1"}
		s.insertKey(userKey("key_1", "usr_1"))
		s.insertKey(userKey("key_2", "usr_1"))
		working := func(at time.Time) int {
			n, err := rows.Working(s.Context(), s.q(), owner, at)
			require.NoError(s, err)
			return n
		}
		first := func(id string, at time.Time) bool {
			return s.did(func(ctx context.Context, tx *store.Tx) (bool, error) { return rows.FirstUse(ctx, tx, id, at) })
		}
		revoke := func(ctx context.Context, tx *store.Tx) (bool, error) {
			return rows.Revoke(ctx, tx, "key_2", noon, "test")
		}
		require.Equal(s, 2, working(keyEnd.Add(-time.Microsecond)))
		require.Zero(s, working(keyEnd))
		require.False(s, first("key_1", keyEnd))
		require.True(s, first("key_1", noon))
		require.True(s, s.did(revoke))
		require.False(s, s.did(revoke))
		require.Equal(s, noon, s.key("key_2").RevokedAt)
		require.False(s, first("key_2", noon))
		require.Equal(s, 1, working(noon))
		require.Equal(s, noon, s.key("key_1").LastUsedAt)
		require.EqualValues(s, 1, s.key("key_1").Uses)
		s.restoredAt(noon.Add(time.Second))
		require.Zero(s, working(noon))
		require.Equal(s, noon.Add(time.Second), s.key("key_1").RevokedAt, "it reads as revoked by the restore")
		require.Equal(s, noon, s.key("key_2").RevokedAt)
	})
}

func TestAPIKeys_areRevokedUnusedOnlyBeforeTheirUse(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.APIKeys{}
		s.insertKey(userKey("used", "usr_1"))
		s.insertKey(userKey("unused", "usr_1"))
		revoke := func(id string, at time.Time) bool {
			return s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
				return rows.RevokeUnused(ctx, tx, id, at, "test")
			})
		}
		require.True(s, s.did(func(ctx context.Context, tx *store.Tx) (bool, error) { return rows.FirstUse(ctx, tx, "used", noon) }))
		require.False(s, revoke("used", noon))
		require.True(s, s.key("used").RevokedAt.IsZero())
		require.True(s, revoke("unused", noon))
		require.True(s, revoke("unused", noon.Add(time.Second)))
		require.Equal(s, noon, s.key("unused").RevokedAt, "it stays revoked since the first time")
	})
}

func TestAPIKeys_areReplacedOnceWithinThePatience(t *testing.T) {
	each(t, func(s suite) {
		rows, soon := kmsdb.APIKeys{}, noon.Add(time.Minute)
		s.insertKey(userKey("key_1", "usr_1"))
		replace := func(successor string, at, expires, patience time.Time) (done apikey.Replacement, replaced bool) {
			s.write(func(ctx context.Context, tx *store.Tx) (err error) {
				done, replaced, err = rows.Replace(ctx, tx, "key_1", successor, at, expires, patience)
				return err
			})
			return done, replaced
		}
		done, replaced := replace("key_2", noon, keyEnd.Add(time.Hour), noon)
		require.True(s, replaced)
		require.Equal(s, apikey.Replacement{OldExpires: keyEnd}, done, "it never lives longer than before")
		done, replaced = replace("key_3", soon, keyEnd, noon)
		require.False(s, replaced, "it was replaced at the patience, not before")
		require.Equal(s, "key_2", done.Prior)
		done, replaced = replace("key_3", soon, soon, soon)
		require.True(s, replaced)
		require.Equal(s, apikey.Replacement{OldExpires: soon, Prior: "key_2"}, done)
		require.Equal(s, "key_3", s.key("key_1").ReplacedBy)
		_, replaced = replace("key_4", soon, soon, soon.Add(time.Second))
		require.False(s, replaced, "it does not work any more")
		require.Equal(s, "exclusive", s.whatIsLocked("exclusive", "SELECT 1 FROM api_keys WHERE id = 'key_1'", func(ctx context.Context, tx *store.Tx) error {
			_, _, err := rows.Replace(ctx, tx, "key_1", "key_5", noon, keyEnd, soon.Add(time.Second))
			return err
		}))
	})
}

func TestAPIKeys_endWithAllThatDescendFromThem(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.APIKeys{}
		parents := map[string]string{"root": "", "child": "root", "sibling": "root", "grandchild": "child", "stranger": ""}
		for id, parent := range parents {
			k := userKey(id, "usr_1")
			k.ParentID = parent
			s.insertKey(k)
		}
		end := func(id string) (ids []string) {
			s.write(func(ctx context.Context, tx *store.Tx) (err error) {
				ids, err = rows.RevokeLineage(ctx, tx, id, noon, "test")
				return err
			})
			return ids
		}
		require.ElementsMatch(s, []string{"child", "grandchild"}, end("child"), "never the ancestors")
		require.ElementsMatch(s, []string{"root", "sibling"}, end("root"), "those that were not revoked before")
		require.Empty(s, end("root"))
		require.Empty(s, end("unknown"))
		require.True(s, s.key("stranger").RevokedAt.IsZero())
	})
}

func TestAPIKeys_areDeletedAfterTheirEndAFewAtATime(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.APIKeys{}
		for _, id := range []string{"key_1", "key_2", "key_3"} {
			s.insertKey(userKey(id, "usr_1"))
		}
		late := userKey("late", "usr_1")
		late.ExpiresAt = keyEnd.Add(time.Hour)
		s.insertKey(late)
		sweep := func(before time.Time, limit int) (n int64) {
			s.write(func(ctx context.Context, tx *store.Tx) (err error) {
				n, err = rows.Sweep(ctx, tx, before, limit)
				return err
			})
			return n
		}
		require.Zero(s, sweep(keyEnd, 9))
		require.EqualValues(s, 2, sweep(keyEnd.Add(time.Second), 2))
		require.EqualValues(s, 1, sweep(keyEnd.Add(time.Second), 2))
		require.Zero(s, sweep(keyEnd.Add(time.Second), 2))
		require.True(s, s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
			return rows.Revoke(ctx, tx, "late", noon, "test")
		}))
		require.EqualValues(s, 1, sweep(noon.Add(time.Second), 2), "a revoked one ended when it was revoked")
	})
}

func TestAPIKeys_countUsesAndKeepTheLatest(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.APIKeys{}
		s.insertKey(userKey("key_1", "usr_1"))
		note := func(times int64, last time.Time) {
			s.write(func(ctx context.Context, tx *store.Tx) error {
				return rows.Used(ctx, tx, map[string]credential.Use{"key_1": {Times: times, Last: last}, "deleted": {Times: 1, Last: last}})
			})
		}
		note(2, noon.Add(time.Minute))
		note(3, noon)
		require.EqualValues(s, 5, s.key("key_1").Uses)
		require.Equal(s, noon.Add(time.Minute), s.key("key_1").LastUsedAt, "another replica's note may come late")
	})
}
