package kmsdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/session"
	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/revocation"
	"github.com/fountainai/fountain/internal/store"
)

// sessionEnd is the expiry of the sessions in the tests.
var sessionEnd = noon.Add(7 * 24 * time.Hour)

func family(sid, userID string) session.Family {
	return session.Family{ID: sid, UserID: userID, ClientID: "fountain", AuthTime: noon, CreatedAt: noon, ExpiresAt: sessionEnd}
}

func (s suite) insertFamily(sid, userID string) {
	s.Helper()
	s.write(func(ctx context.Context, tx *store.Tx) error {
		return kmsdb.Sessions{}.InsertFamily(ctx, tx, family(sid, userID))
	})
}

func TestStanding_readsOwnersAsTheyAre(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.Standing{}
		u, one := ada("usr_1", "ada", "printer"), printer("svc_1", "press", "documents:read")
		u.Tenant, one.Tenant, one.Family = "acme", "acme", true
		s.insertUser(u)
		s.insertService(one)
		require.True(s, s.insertRole(printing("printer", "press:print")))
		read := func(kind, id string) (authority.Owner, bool) {
			owner, found, err := rows.Owner(s.Context(), s.q(), authority.Ref{Kind: kind, ID: id}, authority.Unlocked)
			require.NoError(s, err)
			return owner, found
		}
		owner, found := read(auth.KindUser, "usr_1")
		require.True(s, found)
		require.Equal(s, authority.Owner{
			Ref: authority.Ref{Kind: auth.KindUser, ID: "usr_1"}, Name: "ada", Active: true, Roles: []string{"printer"}, Tenant: "acme",
			Scopes: authority.ScopesOf(u.Roles, authority.Definitions{Roles: map[string][]string{"printer": {"press:print"}}}),
		}, owner)
		owner, found = read(auth.KindService, "svc_1")
		require.True(s, found)
		require.Equal(s, authority.Owner{
			Ref: authority.Ref{Kind: auth.KindService, ID: "svc_1"}, Name: "press", Active: true, Scopes: []string{"documents:read"}, Family: true, Tenant: "acme",
		}, owner)
		_, found = read(auth.KindUser, "svc_1")
		require.False(s, found)
		_, found = read(auth.KindService, "usr_1")
		require.False(s, found)
		require.True(s, s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
			return kmsdb.Users{}.Delete(ctx, tx, "usr_1", noon)
		}))
		owner, _ = read(auth.KindUser, "usr_1")
		require.False(s, owner.Active, "a deleted one is not active")
		require.Empty(s, owner.Roles)
	})
}

func TestStanding_locksOwnersAsAskedFor(t *testing.T) {
	each(t, func(s suite) {
		s.insertUser(ada("ada", "ada"))
		s.insertService(printer("press", "press"))
		for want, lock := range map[string]authority.Lock{"none": authority.Unlocked, "shared": authority.Shared, "exclusive": authority.Exclusive} {
			for query, ref := range map[string]authority.Ref{
				"SELECT 1 FROM users":    {Kind: auth.KindUser, ID: "ada"},
				"SELECT 1 FROM services": {Kind: auth.KindService, ID: "press"},
			} {
				require.Equal(s, want, s.whatIsLocked(want, query, func(ctx context.Context, tx *store.Tx) error {
					_, found, err := kmsdb.Standing{}.Owner(ctx, tx, ref, lock)
					require.True(s, found)
					return err
				}), query)
			}
		}
	})
}

func TestStanding_locksALiveSessionOfItsUser(t *testing.T) {
	each(t, func(s suite) {
		s.insertUser(ada("usr_1", "ada"))
		s.insertFamily("ses_1", "usr_1")
		live := func(userID string, at time.Time) bool {
			return s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
				return kmsdb.Standing{}.LiveSession(ctx, tx, "ses_1", userID, at)
			})
		}
		require.True(s, live("usr_1", sessionEnd.Add(-time.Microsecond)))
		require.False(s, live("usr_1", sessionEnd))
		require.False(s, live("usr_2", noon))
		require.Equal(s, "shared", s.whatIsLocked("shared", "SELECT 1 FROM refresh_families", func(ctx context.Context, tx *store.Tx) error {
			_, err := kmsdb.Standing{}.LiveSession(ctx, tx, "ses_1", "usr_1", noon)
			return err
		}))
		s.restoredAt(noon.Add(time.Second))
		require.False(s, live("usr_1", noon), "from before a restore")
		s.exec("UPDATE restore_mark SET not_before = 0")
		require.True(s, s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
			return kmsdb.Sessions{}.Revoke(ctx, tx, "ses_1", noon, "test")
		}))
		require.False(s, live("usr_1", noon), "revoked")
	})
}

func TestStanding_locksAWorkingKeyOfItsOwner(t *testing.T) {
	each(t, func(s suite) {
		s.insertKey(serviceKey("key_1", "svc_1"))
		works := func(kind, id string, at time.Time) bool {
			return s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
				return kmsdb.Standing{}.WorkingKey(ctx, tx, "key_1", authority.Ref{Kind: kind, ID: id}, at)
			})
		}
		require.True(s, works(auth.KindService, "svc_1", noon))
		require.False(s, works(auth.KindService, "svc_1", keyEnd))
		require.False(s, works(auth.KindUser, "svc_1", noon))
		require.False(s, works(auth.KindService, "svc_2", noon))
		require.Equal(s, "shared", s.whatIsLocked("shared", "SELECT 1 FROM api_keys", func(ctx context.Context, tx *store.Tx) error {
			_, err := kmsdb.Standing{}.WorkingKey(ctx, tx, "key_1", authority.Ref{Kind: auth.KindService, ID: "svc_1"}, noon)
			return err
		}))
		require.True(s, s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
			return kmsdb.APIKeys{}.Revoke(ctx, tx, "key_1", noon, "test")
		}))
		require.False(s, works(auth.KindService, "svc_1", noon))
	})
}

func TestStanding_knowsTheTokensThatWereEnded(t *testing.T) {
	each(t, func(s suite) {
		s.write(func(ctx context.Context, tx *store.Tx) error {
			for id, kind := range map[string]string{"a": revocation.Token, "b": revocation.Session} {
				if _, err := (kmsdb.Revocations{}).Append(ctx, tx, revocation.Entry{Kind: kind, ID: id, At: noon, Until: sessionEnd}); err != nil {
					return err
				}
			}
			return nil
		})
		for jti, want := range map[string]bool{"a": true, "b": false, "c": false} {
			ended, err := kmsdb.Standing{}.TokenEnded(s.Context(), s.q(), jti)
			require.NoError(s, err)
			require.Equal(s, want, ended, jti)
		}
	})
}

// Family and Families do not return sessions of a disabled user.
func TestSessions_areOfActiveUsers(t *testing.T) {
	each(t, func(s suite) {
		rows, u := kmsdb.Sessions{}, ada("usr_1", "ada")
		s.insertUser(u)
		for _, sid := range []string{"ses_1", "ses_2", "ses_3"} {
			s.insertFamily(sid, "usr_1")
		}
		list := func(before string, at time.Time, limit int) (out []string) {
			families, err := rows.Families(s.Context(), s.q(), "usr_1", before, at, limit)
			require.NoError(s, err)
			for _, f := range families {
				out = append(out, f.ID)
			}
			return out
		}
		require.Equal(s, []string{"ses_3", "ses_2"}, list("", noon, 2))
		require.Equal(s, []string{"ses_1"}, list("ses_2", noon, 2))
		require.Empty(s, list("", sessionEnd, 9))
		got, found, err := rows.Family(s.Context(), s.q(), "ses_1", noon)
		require.NoError(s, err)
		require.True(s, found)
		require.Equal(s, family("ses_1", "usr_1"), got)
		u.Status, u.Version = user.Disabled, 2
		require.True(s, s.did(func(ctx context.Context, tx *store.Tx) (bool, error) { return kmsdb.Users{}.Update(ctx, tx, u, 1) }))
		require.Empty(s, list("", noon, 9))
		_, found, err = rows.Family(s.Context(), s.q(), "ses_1", noon)
		require.NoError(s, err)
		require.False(s, found)
		id, found, err := rows.UserOf(s.Context(), s.q(), "ses_1")
		require.NoError(s, err)
		require.True(s, found, "whatever its state")
		require.Equal(s, "usr_1", id)
	})
}
