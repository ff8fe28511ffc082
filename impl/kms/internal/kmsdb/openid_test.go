package kmsdb_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/openid"
	"github.com/fountainai/fountain/impl/kms/internal/session"
	"github.com/fountainai/fountain/internal/store"
)

func webClient(id string) openid.Client {
	return openid.Client{
		ID: id, Name: "Reports of " + id, SecretHash: []byte("hash"), RedirectURIs: []string{"https://a.example/cb", "http://localhost/cb"},
		PostLogoutRedirectURIs: []string{"https://a.example/bye"}, Scopes: []string{"elements:read"}, Trusted: true, Version: 1, CreatedAt: noon, UpdatedAt: noon,
	}
}

func codeOf(clientID, sid string) openid.Code {
	return openid.Code{
		ClientID: clientID, SessionID: sid, UserID: "usr_1", RedirectURI: "https://a.example/cb", Challenge: "challenge", Nonce: "n", Scopes: []string{"openid", "profile"},
		Level: session.Level{ACR: "aal2", AMR: []string{"pwd", "otp"}, Factor: "totp", At: noon}, AuthTime: noon, CreatedAt: noon, ExpiresAt: noon.Add(time.Minute),
	}
}

// insertClients stores clients, ada and her session ses_1.
func (s suite) insertClients(ids ...string) {
	s.Helper()
	s.insertUser(ada("usr_1", "ada"))
	s.write(func(ctx context.Context, tx *store.Tx) error {
		for _, id := range ids {
			if _, err := (kmsdb.OpenID{}).Insert(ctx, tx, webClient(id), 10); err != nil {
				return err
			}
		}
		return kmsdb.Sessions{}.InsertFamily(ctx, tx, family("ses_1", "usr_1"))
	})
}

func (s suite) insertCode(hash string, c openid.Code) {
	s.Helper()
	s.write(func(ctx context.Context, tx *store.Tx) error {
		return kmsdb.OpenID{}.InsertCode(ctx, tx, []byte(hash), c)
	})
}

func (s suite) usedCode(hash, clientID, redirect, challenge, gave string, at time.Time) bool {
	s.Helper()
	return s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
		return kmsdb.OpenID{}.UseCode(ctx, tx, []byte(hash), clientID, redirect, challenge, gave, at)
	})
}

func TestClients_areKeptAsTheyAre(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.OpenID{}
		s.insertClients("cli_1", "cli_2")
		got, found, err := rows.Client(s.Context(), s.q(), "cli_1", authority.Unlocked)
		require.NoError(s, err)
		require.True(s, found)
		require.Equal(s, webClient("cli_1"), got)
		_, found, err = rows.Client(s.Context(), s.q(), "cli_3", authority.Unlocked)
		require.NoError(s, err)
		require.False(s, found)

		require.False(s, s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
			return rows.Insert(ctx, tx, webClient("cli_3"), 2)
		}), "there are enough")
		changed := webClient("cli_2")
		changed.Name, changed.SecretHash, changed.Trusted, changed.Scopes, changed.Version = "Other", nil, false, []string{}, 2
		update := func(from int64) bool {
			return s.did(func(ctx context.Context, tx *store.Tx) (bool, error) { return rows.Update(ctx, tx, changed, from) })
		}
		require.False(s, update(2), "not over another version")
		require.True(s, update(1))
		list, err := rows.List(s.Context(), s.q(), "", 10)
		require.NoError(s, err)
		require.Equal(s, []openid.Client{webClient("cli_1"), changed}, list)
		require.False(s, list[1].Confidential())
		list, err = rows.List(s.Context(), s.q(), "cli_1", 10)
		require.NoError(s, err)
		require.Len(s, list, 1)

		for lock, want := range map[authority.Lock]string{authority.Shared: "shared", authority.Exclusive: "exclusive"} {
			require.Equal(s, want, s.whatIsLocked(want, "SELECT 1 FROM clients WHERE id = 'cli_1'", func(ctx context.Context, tx *store.Tx) error {
				_, _, err := rows.Client(ctx, tx, "cli_1", lock)
				return err
			}))
		}
	})
}

func TestConsents_areOfOneUserAndClientAndGoWithTheClient(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.OpenID{}
		s.insertClients("cli_1", "cli_2")
		put := func(client string, scopes ...string) {
			s.write(func(ctx context.Context, tx *store.Tx) error {
				return rows.PutConsent(ctx, tx, "usr_1", client, scopes, noon)
			})
		}
		given := func(client string) []string {
			scopes, err := rows.Consent(s.Context(), s.q(), "usr_1", client)
			require.NoError(s, err)
			return scopes
		}
		put("cli_1", "openid")
		put("cli_1", "openid", "profile")
		require.Equal(s, []string{"openid", "profile"}, given("cli_1"))
		require.Empty(s, given("cli_2"))
		put("cli_2", "openid")
		list := func(after string, limit int) []openid.Given {
			got, err := rows.Consents(s.Context(), s.q(), "usr_1", after, limit)
			require.NoError(s, err)
			return got
		}
		both := []openid.Given{
			{ClientID: "cli_1", ClientName: "Reports of cli_1", Scopes: []string{"openid", "profile"}, UpdatedAt: noon},
			{ClientID: "cli_2", ClientName: "Reports of cli_2", Scopes: []string{"openid"}, UpdatedAt: noon},
		}
		require.Equal(s, both, list("", 10))
		require.Equal(s, both[:1], list("", 1))
		require.Equal(s, both[1:], list("cli_1", 10))
		withdraw := func(user string) bool {
			return s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
				return rows.DeleteConsent(ctx, tx, user, "cli_2")
			})
		}
		require.False(s, withdraw("usr_2"), "another user's")
		require.True(s, withdraw("usr_1"))
		require.False(s, withdraw("usr_1"))
		require.Equal(s, both[:1], list("", 10))
		s.insertCode("a", codeOf("cli_1", "ses_1"))
		remove := func() bool {
			return s.did(func(ctx context.Context, tx *store.Tx) (bool, error) { return rows.Delete(ctx, tx, "cli_1") })
		}
		require.True(s, remove())
		require.False(s, remove())
		require.Empty(s, given("cli_1"))
		_, found, err := rows.Code(s.Context(), s.q(), []byte("a"))
		require.NoError(s, err)
		require.False(s, found)
	})
}

func TestUseCode_takesACodeOnceForWhatItIsBoundTo(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.OpenID{}
		s.insertClients("cli_1", "cli_2")
		code := codeOf("cli_1", "ses_1")
		s.insertCode("a", code)
		got, found, err := rows.Code(s.Context(), s.q(), []byte("a"))
		require.NoError(s, err)
		require.True(s, found)
		require.Equal(s, code, got)

		for name, used := range map[string]bool{
			"another client":    s.usedCode("a", "cli_2", code.RedirectURI, code.Challenge, "ses_2", noon),
			"another redirect":  s.usedCode("a", "cli_1", code.RedirectURI+"/", code.Challenge, "ses_2", noon),
			"another challenge": s.usedCode("a", "cli_1", code.RedirectURI, "Challenge", "ses_2", noon),
			"no challenge":      s.usedCode("a", "cli_1", code.RedirectURI, "", "ses_2", noon),
			"at its end":        s.usedCode("a", "cli_1", code.RedirectURI, code.Challenge, "ses_2", code.ExpiresAt),
			"unknown":           s.usedCode("b", "cli_1", code.RedirectURI, code.Challenge, "ses_2", noon),
		} {
			require.False(s, used, name)
		}
		require.True(s, s.usedCode("a", "cli_1", code.RedirectURI, code.Challenge, "ses_2", noon))
		require.False(s, s.usedCode("a", "cli_1", code.RedirectURI, code.Challenge, "ses_3", noon))
		got, _, err = rows.Code(s.Context(), s.q(), []byte("a"))
		require.NoError(s, err)
		require.Equal(s, "ses_2", got.Gave, "the first use says what it gave")

		s.insertCode("old", code)
		s.restoredAt(noon.Add(time.Second))
		require.False(s, s.usedCode("old", "cli_1", code.RedirectURI, code.Challenge, "ses_2", noon))
		_, found, err = rows.Code(s.Context(), s.q(), []byte("old"))
		require.NoError(s, err)
		require.False(s, found, "what is from before a restore is no code")
		s.write(func(ctx context.Context, tx *store.Tx) error { return rows.SweepCodes(ctx, tx, code.ExpiresAt) })
		require.EqualValues(s, 2, s.number("SELECT COUNT(*) FROM authorization_codes"))
		s.write(func(ctx context.Context, tx *store.Tx) error {
			return rows.SweepCodes(ctx, tx, code.ExpiresAt.Add(1000))
		})
		require.Zero(s, s.number("SELECT COUNT(*) FROM authorization_codes"))
	})
}

func TestUseCode_hasOneWinner(t *testing.T) {
	each(t, func(s suite) {
		s.insertClients("cli_1")
		code := codeOf("cli_1", "ses_1")
		for round := range 5 {
			hash := fmt.Sprint(round)
			s.insertCode(hash, code)
			var won atomic.Int64
			var all sync.WaitGroup
			for i := range 50 {
				all.Go(func() {
					err := s.db.Write(context.WithoutCancel(s.Context()), func(ctx context.Context, tx *store.Tx) error {
						used, err := kmsdb.OpenID{}.UseCode(ctx, tx, []byte(hash), "cli_1", code.RedirectURI, code.Challenge, fmt.Sprint("ses_", i), noon)
						if used {
							won.Add(1)
						}
						return err
					})
					if err != nil {
						s.Error(err)
					}
				})
			}
			all.Wait()
			require.EqualValues(s, 1, won.Load())
		}
	})
}

func TestRevokeChildren_endsTheSessionsOfAppsBeyondTheNewest(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.Sessions{}
		s.insertClients("cli_1")
		child := func(sid, parent string) {
			f := family(sid, "usr_1")
			f.ClientID, f.Parent, f.Scopes = "cli_1", parent, []string{"openid"}
			s.write(func(ctx context.Context, tx *store.Tx) error { return rows.InsertFamily(ctx, tx, f) })
			got, found, err := rows.Find(s.Context(), s.q(), sid)
			require.NoError(s, err)
			require.True(s, found)
			require.Equal(s, f, got)
		}
		for _, sid := range []string{"ses_a", "ses_b", "ses_c"} {
			child(sid, "ses_1")
		}
		child("ses_d", "ses_2")
		revoke := func(keep int) (ended []string) {
			s.write(func(ctx context.Context, tx *store.Tx) (err error) {
				ended, err = rows.RevokeChildren(ctx, tx, "ses_1", keep, noon, "test")
				return err
			})
			return ended
		}
		require.Empty(s, revoke(3))
		require.Equal(s, []string{"ses_a"}, revoke(2))
		require.ElementsMatch(s, []string{"ses_b", "ses_c"}, revoke(0))
		require.Empty(s, revoke(0))
		s.write(func(ctx context.Context, tx *store.Tx) error {
			ended, err := rows.RevokeOfClient(ctx, tx, "cli_1", noon, "test")
			require.Equal(s, []string{"ses_d"}, ended)
			return err
		})
		require.True(s, s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
			return kmsdb.Standing{}.LiveSession(ctx, tx, "ses_1", "usr_1", noon)
		}), "the person's own session goes on")
	})
}

func TestDropCodes_leavesUsedOnesAndThoseOfOthers(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.OpenID{}
		s.insertClients("cli_1", "cli_2")
		s.insertUser(ada("usr_2", "lin"))
		s.write(func(ctx context.Context, tx *store.Tx) error {
			return kmsdb.Sessions{}.InsertFamily(ctx, tx, family("ses_2", "usr_2"))
		})
		s.insertCode("unused", codeOf("cli_1", "ses_1"))
		s.insertCode("used", codeOf("cli_1", "ses_1"))
		require.True(s, s.usedCode("used", "cli_1", "https://a.example/cb", "challenge", "ses_3", noon))
		s.insertCode("another client's", codeOf("cli_2", "ses_1"))
		s.insertCode("another user's", codeOf("cli_1", "ses_2"))
		s.write(func(ctx context.Context, tx *store.Tx) error { return rows.DropCodes(ctx, tx, "usr_1", "cli_1") })
		for hash, there := range map[string]bool{"unused": false, "used": true, "another client's": true, "another user's": true} {
			_, found, err := rows.Code(s.Context(), s.q(), []byte(hash))
			require.NoError(s, err)
			require.Equal(s, there, found, hash)
		}
	})
}

func TestRevokeOfUserAtClient_endsTheSessionsOfBothAlone(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.Sessions{}
		s.insertClients("cli_1", "cli_2")
		s.insertUser(ada("usr_2", "lin"))
		for sid, of := range map[string][]string{"ses_a": {"usr_1", "cli_1"}, "ses_b": {"usr_1", "cli_2"}, "ses_c": {"usr_2", "cli_1"}, "ses_d": {"usr_1", "cli_1"}} {
			f := family(sid, of[0])
			f.ClientID, f.Parent, f.Scopes = of[1], "ses_1", []string{"openid"}
			s.write(func(ctx context.Context, tx *store.Tx) error { return rows.InsertFamily(ctx, tx, f) })
		}
		revoke := func() (ended []string) {
			s.write(func(ctx context.Context, tx *store.Tx) (err error) {
				ended, err = rows.RevokeOfUserAtClient(ctx, tx, "usr_1", "cli_1", noon, "test")
				return err
			})
			return ended
		}
		require.ElementsMatch(s, []string{"ses_a", "ses_d"}, revoke())
		require.Empty(s, revoke(), "once")
	})
}
