package kmsdb_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/internal/store"
)

func TestUsers_areFoundAsTheyWereStored(t *testing.T) {
	each(t, func(s suite) {
		rows, want := kmsdb.Users{}, ada("usr_1", "ada", "admin", "reader")
		want.Tenant = "acme"
		s.insertUser(want)
		got, found, err := rows.Get(s.Context(), s.q(), "usr_1")
		require.NoError(s, err)
		require.True(s, found)
		require.Equal(s, want, got)
		got, found, err = rows.ByName(s.Context(), s.q(), "ada")
		require.NoError(s, err)
		require.True(s, found)
		require.Equal(s, want, got)
		got, hash, found, err := rows.Credentials(s.Context(), s.q(), "ada")
		require.NoError(s, err)
		require.True(s, found)
		require.Equal(s, want, got)
		require.Equal(s, "hash of ada", hash)

		_, found, err = rows.Get(s.Context(), s.q(), "usr_2")
		require.NoError(s, err)
		require.False(s, found)
		_, found, err = rows.ByName(s.Context(), s.q(), "Ada")
		require.NoError(s, err)
		require.False(s, found, "names are exact")
		_, hash, found, err = rows.Credentials(s.Context(), s.q(), "Ada")
		require.NoError(s, err)
		require.False(s, found)
		require.Empty(s, hash)
	})
}

func TestUsers_haveANameThatNobodyElseHas(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.Users{}
		s.insertUser(ada("usr_1", "ada"))
		insert := func(id, name string) func(context.Context, *store.Tx) (bool, error) {
			return func(ctx context.Context, tx *store.Tx) (bool, error) { return rows.Insert(ctx, tx, ada(id, name), "") }
		}
		require.False(s, s.did(insert("usr_2", "ada")))
		_ = s.fails(func(ctx context.Context, tx *store.Tx) error { _, err := insert("usr_1", "eve")(ctx, tx); return err })
		require.True(s, s.did(func(ctx context.Context, tx *store.Tx) (bool, error) { return rows.Delete(ctx, tx, "usr_1", noon) }))
		require.False(s, s.did(insert("usr_3", "ada")), "the name of a deleted user stays taken")
	})
}

func TestUsers_areChangedOverOneVersionOnly(t *testing.T) {
	each(t, func(s suite) {
		rows, u := kmsdb.Users{}, ada("usr_1", "ada", "reader")
		s.insertUser(u)
		u.Roles, u.Status, u.Version, u.UpdatedAt = []string{"editor"}, user.Disabled, 2, noon.Add(time.Second)
		update := func(ctx context.Context, tx *store.Tx) (bool, error) { return rows.Update(ctx, tx, u, 1) }
		require.True(s, s.did(update))
		require.False(s, s.did(update), "version 1 is gone")
		got, _, err := rows.Get(s.Context(), s.q(), "usr_1")
		require.NoError(s, err)
		require.Equal(s, u, got)
	})
}

func TestUsers_areListedByNameInPages(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.Users{}
		for _, name := range []string{"cyd", "ada", "bob", "dan"} {
			s.insertUser(ada("usr_"+name, name))
		}
		require.True(s, s.did(func(ctx context.Context, tx *store.Tx) (bool, error) { return rows.Delete(ctx, tx, "usr_bob", noon) }))
		names := func(after string, limit int) (out []string) {
			users, err := rows.List(s.Context(), s.q(), after, limit)
			require.NoError(s, err)
			for _, u := range users {
				out = append(out, u.Username)
			}
			return out
		}
		require.Equal(s, []string{"ada", "cyd"}, names("", 2), "without the deleted one")
		require.Equal(s, []string{"dan"}, names("cyd", 2))
		require.Empty(s, names("dan", 2))
	})
}

func TestUsers_areDeletedOnce(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.Users{}
		s.insertUser(ada("usr_1", "ada", "admin"))
		remove := func(ctx context.Context, tx *store.Tx) (bool, error) { return rows.Delete(ctx, tx, "usr_1", noon) }
		require.True(s, s.did(remove))
		require.False(s, s.did(remove))
		_, found, err := rows.Get(s.Context(), s.q(), "usr_1")
		require.NoError(s, err)
		require.False(s, found)
		_, hash, found, err := rows.Credentials(s.Context(), s.q(), "ada")
		require.NoError(s, err)
		require.False(s, found)
		require.Empty(s, hash)
		require.EqualValues(s, 1, s.number("SELECT COUNT(*) FROM users WHERE status = 'disabled' AND password_hash = '' AND roles = '' AND version = 2"))
	})
}

func TestUsers_countAdministratorsAndKeepTheLast(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.Users{}
		require.False(s, s.did(rows.FewerAdministrators), "there is none")
		require.True(s, s.did(rows.FirstAdministrator))
		require.False(s, s.did(rows.FirstAdministrator))
		s.write(rows.MoreAdministrators)
		require.True(s, s.did(rows.FewerAdministrators))
		require.False(s, s.did(rows.FewerAdministrators), "one is all there are")
		n, err := rows.Administrators(s.Context(), s.q())
		require.NoError(s, err)
		require.EqualValues(s, 1, n)
		require.Equal(s, "exclusive", s.whatIsLocked("exclusive", "SELECT 1 FROM administration WHERE id = 1", rows.MoreAdministrators))
	})
}

func TestUsers_raiseTheEpochOfWhoIsThere(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.Users{}
		s.insertUser(ada("usr_1", "ada"))
		for want := range int64(2) {
			s.write(func(ctx context.Context, tx *store.Tx) error {
				epoch, err := rows.RaiseEpoch(ctx, tx, "usr_1")
				require.Equal(s, want+1, epoch)
				return err
			})
		}
		require.ErrorIs(s, s.fails(func(ctx context.Context, tx *store.Tx) error {
			_, err := rows.RaiseEpoch(ctx, tx, "usr_2")
			return err
		}), sql.ErrNoRows)
	})
}

func TestUsers_endTheirSessionsButOneAndTheirKeys(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.Users{}
		s.insertUser(ada("usr_1", "ada"))
		s.insertUser(ada("usr_2", "bob"))
		s.insertFamily("ses_1", "usr_1")
		s.insertFamily("ses_2", "usr_1")
		s.insertFamily("ses_3", "usr_2")
		s.insertKey(userKey("key_1", "usr_1"))
		s.insertKey(userKey("key_2", "usr_2"))
		end := func(but string) (n int64) {
			s.write(func(ctx context.Context, tx *store.Tx) (err error) {
				n, err = rows.EndSessions(ctx, tx, "usr_1", but, noon, "test")
				return err
			})
			return n
		}
		require.EqualValues(s, 1, end("ses_2"))
		require.EqualValues(s, 1, end(""), "the other one")
		require.Zero(s, end(""))
		s.write(func(ctx context.Context, tx *store.Tx) error { return rows.EndKeys(ctx, tx, "usr_1", noon, "test") })
		require.EqualValues(s, 1, s.number("SELECT COUNT(*) FROM refresh_families WHERE revoked_at IS NULL"))
		require.EqualValues(s, 1, s.number("SELECT COUNT(*) FROM api_keys WHERE revoked_at IS NULL"))
	})
}

func TestUsers_replaceThePassword(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.Users{}
		s.insertUser(ada("usr_1", "ada"))
		s.write(func(ctx context.Context, tx *store.Tx) error {
			return rows.SetPassword(ctx, tx, "usr_1", "another", noon.Add(time.Second))
		})
		u, hash, _, err := rows.Credentials(s.Context(), s.q(), "ada")
		require.NoError(s, err)
		require.Equal(s, "another", hash)
		require.Equal(s, noon.Add(time.Second), u.UpdatedAt)
		require.EqualValues(s, 1, u.Version, "an ETag of the user does not tell that the password was changed")
	})
}

func TestResets_workOnceUntilTheirEndOrTheNext(t *testing.T) {
	each(t, func(s suite) {
		rows, end := kmsdb.Users{}, noon.Add(time.Hour)
		s.insertUser(ada("usr_1", "ada"))
		insert := func(hash string) {
			s.write(func(ctx context.Context, tx *store.Tx) error {
				return rows.InsertReset(ctx, tx, []byte(hash), "usr_1", hash == "second", noon, end)
			})
		}
		open := func(hash string, at time.Time) bool {
			id, open, err := rows.ResetUser(s.Context(), s.q(), []byte(hash), at)
			require.NoError(s, err)
			require.Equal(s, open, id == "usr_1")
			return open
		}
		use := func(hash string, at time.Time) bool {
			return s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
				mailed, used, err := rows.UseReset(ctx, tx, []byte(hash), at)
				require.Equal(s, used && hash == "second", mailed, "it tells which tokens went by mail")
				return used, err
			})
		}
		insert("first")
		require.True(s, open("first", end.Add(-time.Microsecond)))
		require.False(s, open("first", end))
		require.False(s, use("first", end))
		insert("second")
		require.False(s, open("first", noon), "superseded")
		require.False(s, use("first", noon))
		require.True(s, use("second", noon))
		require.False(s, use("second", noon))
		require.False(s, open("second", noon))
		require.False(s, use("unknown", noon))
		insert("third")
		s.restoredAt(noon.Add(time.Second))
		require.False(s, open("third", noon), "from before a restore")

		s.write(func(ctx context.Context, tx *store.Tx) error { return rows.SweepTokens(ctx, tx, end) })
		require.EqualValues(s, 3, s.number("SELECT COUNT(*) FROM password_resets"))
		s.write(func(ctx context.Context, tx *store.Tx) error { return rows.SweepTokens(ctx, tx, end.Add(time.Second)) })
		require.Zero(s, s.number("SELECT COUNT(*) FROM password_resets"))
	})
}

func TestBootstrapTokens_workOnceUntilTheirEndOrTheNext(t *testing.T) {
	each(t, func(s suite) {
		rows, end := kmsdb.Users{}, noon.Add(time.Hour)
		insert := func(hash, replaces string, at time.Time) {
			s.write(func(ctx context.Context, tx *store.Tx) error {
				return rows.InsertToken(ctx, tx, []byte(hash), []byte(replaces), at, at.Add(time.Hour))
			})
		}
		open := func(hash string, at time.Time) bool {
			open, err := rows.TokenOpen(s.Context(), s.q(), []byte(hash), at)
			require.NoError(s, err)
			return open
		}
		use := func(hash string, at time.Time) bool {
			return s.did(func(ctx context.Context, tx *store.Tx) (bool, error) { return rows.UseToken(ctx, tx, []byte(hash), at) })
		}
		insert("first", "", noon)
		insert("replica's", "", noon)
		require.True(s, open("first", noon), "every replica has one")
		require.False(s, open("first", end))
		require.False(s, use("first", end))
		insert("second", "first", noon)
		require.False(s, open("first", noon))
		require.True(s, open("replica's", noon))
		require.True(s, use("second", noon))
		require.False(s, use("second", noon))
		require.False(s, open("second", noon))
		insert("third", "", end)
		require.EqualValues(s, 2, s.number("SELECT COUNT(*) FROM bootstrap_tokens"), "the used one and the third: those that are over are deleted")
		s.restoredAt(end.Add(time.Second))
		require.False(s, open("third", end), "from before a restore")
	})
}
