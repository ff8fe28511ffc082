package session_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/kmstest"
	"github.com/fountainai/fountain/impl/kms/internal/session"
	"github.com/fountainai/fountain/impl/kms/internal/signing"
	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
)

const another = "another lantern above the river"

// house has the parts with sessions and two users: root, an administrator, and ada.
type house struct {
	*kmstest.Parts
	sessions  *session.Sessions
	root, ada user.User
	admin     *auth.Principal
}

func newHouse(t *testing.T) *house {
	h := &house{Parts: kmstest.New(t)}
	keyset, err := seal.NewAEAD()
	require.NoError(t, err)
	ring, err := signing.Open(t.Context(), h.DB, kmsdb.SigningKeys{}, keyset, h.Clock)
	require.NoError(t, err)
	h.sessions = session.New(session.Config{
		DB: h.DB, Rows: kmsdb.Sessions{}, Users: kmsdb.Users{}, Accounts: h.Users, Standing: h.Standing, Feed: h.Feed, Hasher: h.Hasher,
		Mint:   &signing.Mint{Issuer: kmstest.Issuer, Signer: ring, Catalogue: h.Catalogue, Clock: h.Clock},
		Sealer: keyset, Refusals: auditlog.NewRefusals(auditlog.Log{Clock: h.Clock}), Clock: h.Clock,
	})
	h.root = h.First("root").User
	h.admin = h.Caller(h.root.ID)
	draft, err := h.Users.Draft(t.Context(), "ada", kmstest.Password, "", []string{"reader"})
	require.NoError(t, err)
	h.Write(func(ctx context.Context, tx *store.Tx) error {
		made, err := h.Users.Create(ctx, tx, h.admin, draft)
		h.ada = made.User
		return err
	})
	return h
}

func (h *house) login(secret string) (string, error) {
	issued, err := h.sessions.Login(h.Context(), "ada", secret)
	return issued.Refresh, err
}

func (h *house) signIn() (refresh string) {
	h.Helper()
	refresh, err := h.login(kmstest.Password)
	require.NoError(h, err)
	return refresh
}

func (h *house) refresh(token string) (string, error) {
	issued, err := h.sessions.Refresh(h.Context(), token, signing.Request{})
	return issued.Refresh, err
}

// self is a caller without a second-factor requirement.
func self(p *auth.Principal) session.Caller {
	return session.Caller{Principal: p, StepUp: func() error { return nil }}
}

func TestRefresh_usesATokenOnceAndRepeatsItsSuccessorWithinTheGrace(t *testing.T) {
	h := newHouse(t)
	first := h.signIn()
	second, err := h.refresh(first)
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	h.Clock.Advance(10 * time.Second)
	again, err := h.refresh(first)
	require.NoError(t, err)
	require.Equal(t, second, again, "the answer may have been lost")
	third, err := h.refresh(second)
	require.NoError(t, err)
	require.NotEqual(t, second, third)
}

func TestRefresh_endsTheSessionWhenATokenComesBackAfterTheGrace(t *testing.T) {
	h := newHouse(t)
	first := h.signIn()
	second, err := h.refresh(first)
	require.NoError(t, err)
	other := h.signIn()
	h.Clock.Advance(10*time.Second + time.Microsecond)
	_, err = h.refresh(first)
	require.ErrorIs(t, err, domain.SessionEnded)
	_, err = h.refresh(second)
	require.ErrorIs(t, err, domain.SessionEnded, "whoever has it may be the thief")
	_, err = h.refresh(other)
	require.NoError(t, err, "another session of the user goes on")
}

func TestRefresh_endsWithIdlenessWithTheSessionAndWithItsUser(t *testing.T) {
	for name, end := range map[string]func(h *house, refresh string) string{
		"unknown": func(*house, string) string { return "rt_unknown" },
		"idle": func(h *house, refresh string) string {
			h.Clock.Advance(12 * time.Hour)
			return refresh
		},
		"the session's longest life": func(h *house, refresh string) string {
			for range 15 {
				h.Clock.Advance(11 * time.Hour)
				next, err := h.refresh(refresh)
				require.NoError(h, err)
				refresh = next
			}
			h.Clock.Advance(3 * time.Hour) // 168 hours
			return refresh
		},
		"revoked by its holder": func(h *house, refresh string) string {
			require.NoError(h, h.sessions.RevokeRefresh(h.Context(), "fountain", refresh))
			require.NoError(h, h.sessions.RevokeRefresh(h.Context(), "fountain", refresh), "repeating is safe")
			return refresh
		},
		"user disabled": func(h *house, refresh string) string {
			status := user.Disabled
			_, err := h.Users.Update(h.Context(), h.admin, h.ada.ID, etag.ParseMatch("*"), user.Change{Status: &status})
			require.NoError(h, err)
			return refresh
		},
		"password reset": func(h *house, refresh string) string {
			var made user.Reset
			h.Write(func(ctx context.Context, tx *store.Tx) (err error) {
				made, err = h.Users.CreateReset(ctx, tx, h.admin, h.ada.ID, false)
				return err
			})
			require.NoError(h, h.sessions.ResetPassword(h.Context(), made.Token, another))
			return refresh
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			_, err := h.refresh(end(h, h.signIn()))
			require.ErrorIs(t, err, domain.SessionEnded)
		})
	}
}

func TestRefresh_usesNothingUpWhenTooMuchIsAskedFor(t *testing.T) {
	h := newHouse(t)
	first := h.signIn()
	_, err := h.sessions.Refresh(h.Context(), first, signing.Request{Scopes: []string{"users:write"}})
	require.ErrorIs(t, err, domain.InvalidScope)
	h.Clock.Advance(time.Minute)
	_, err = h.refresh(first)
	require.NoError(t, err)
}

func TestLogin_locksANameAfterFailuresAndForgivesThemAfterASuccess(t *testing.T) {
	h := newHouse(t)
	for range 4 {
		_, err := h.login("a wrong password")
		require.ErrorIs(t, err, domain.InvalidCredentials)
	}
	h.signIn() // forgives
	for range 5 {
		_, err := h.login("a wrong password")
		require.ErrorIs(t, err, domain.InvalidCredentials)
	}
	_, err := h.login(kmstest.Password)
	require.ErrorIs(t, err, domain.InvalidCredentials, "locked, and it does not say so")
	h.Clock.Advance(30 * time.Second)
	h.signIn()
}

func TestUnlock_isForAdministrators(t *testing.T) {
	h := newHouse(t)
	for range 5 {
		_, err := h.login("a wrong password")
		require.ErrorIs(t, err, domain.InvalidCredentials)
	}
	require.ErrorIs(t, h.sessions.Unlock(h.Context(), h.Caller(h.ada.ID), h.ada.ID), domain.Forbidden)
	require.ErrorIs(t, h.sessions.Unlock(h.Context(), h.admin, "usr_none"), domain.NotFound)
	require.NoError(t, h.sessions.Unlock(h.Context(), h.admin, h.ada.ID))
	h.signIn()
}

func TestChangePassword_isForASessionOfOnesOwnThatKnowsTheOldOne(t *testing.T) {
	h := newHouse(t)
	caller, other := h.Caller(h.ada.ID), h.Caller(h.ada.ID)
	byKey := *caller
	byKey.SessionID = ""
	for name, c := range map[string]struct {
		caller        *auth.Principal
		userID        string
		current, next string
		want          domain.Kind
	}{
		"somebody else's":     {caller, h.root.ID, kmstest.Password, another, domain.NotFound},
		"a key's token":       {&byKey, h.ada.ID, kmstest.Password, another, domain.Forbidden},
		"a wrong current one": {caller, h.ada.ID, "a wrong password", another, domain.InvalidCredentials},
		"a weak new one":      {caller, h.ada.ID, kmstest.Password, "passw0rdpassw0rd", domain.WeakPassword},
	} {
		require.ErrorIs(t, h.sessions.ChangePassword(h.Context(), c.caller, c.userID, c.current, c.next), c.want, name)
	}
	require.NoError(t, h.sessions.ChangePassword(h.Context(), caller, h.ada.ID, kmstest.Password, another))
	caller.Epoch++
	other.Epoch++
	require.True(t, h.Live(caller), "its own session goes on")
	require.False(t, h.Live(other))
	_, err := h.login(kmstest.Password)
	require.ErrorIs(t, err, domain.InvalidCredentials)
	_, err = h.login(another)
	require.NoError(t, err)
}

func TestSessions_areEndedByTheirUserAndByAdministrators(t *testing.T) {
	h := newHouse(t)
	first, second, third := h.Caller(h.ada.ID), h.Caller(h.ada.ID), h.Caller(h.ada.ID)
	require.ErrorIs(t, h.sessions.RevokeOne(h.Context(), self(first), h.ada.ID, h.admin.SessionID), domain.NotFound, "another user's session")
	require.ErrorIs(t, h.sessions.RevokeOne(h.Context(), self(first), h.root.ID, h.admin.SessionID), domain.NotFound, "another user")
	require.NoError(t, h.sessions.RevokeOne(h.Context(), self(first), h.ada.ID, second.SessionID))
	require.NoError(t, h.sessions.RevokeOne(h.Context(), self(first), h.ada.ID, second.SessionID), "repeating is safe")
	require.False(t, h.Live(second))
	require.True(t, h.Live(first))
	require.NoError(t, h.sessions.Logout(h.Context(), third))
	require.False(t, h.Live(third))
	require.ErrorIs(t, h.sessions.Logout(h.Context(), &auth.Principal{Subject: h.ada.ID}), domain.Forbidden)

	asked := session.Caller{Principal: h.admin, StepUp: func() error { return domain.Refuse(domain.InsufficientScope, "A second factor is asked for.") }}
	_, err := h.sessions.RevokeAll(h.Context(), asked, h.ada.ID)
	require.ErrorIs(t, err, domain.InsufficientScope)
	n, err := h.sessions.RevokeAll(h.Context(), self(h.admin), h.ada.ID)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	require.False(t, h.Live(first))
}

func TestList_givesPagesOfSessionsThatAreNotOver(t *testing.T) {
	h := newHouse(t)
	first, second, third := h.Caller(h.ada.ID), h.Caller(h.ada.ID), h.Caller(h.ada.ID)
	require.NoError(t, h.sessions.Logout(h.Context(), second))
	page, cursor, err := h.sessions.List(h.Context(), self(first), h.ada.ID, "", 1)
	require.NoError(t, err)
	require.Len(t, page, 1)
	rest, end, err := h.sessions.List(h.Context(), self(first), h.ada.ID, cursor, 1)
	require.NoError(t, err)
	require.Empty(t, end)
	require.ElementsMatch(t, []string{first.SessionID, third.SessionID}, []string{page[0].ID, rest[0].ID})
	_, _, err = h.sessions.List(h.Context(), self(first), h.root.ID, "", 1)
	require.ErrorIs(t, err, domain.NotFound)
}

// The next token after a change of roles has the scopes of the new roles; the session continues.
func TestRefresh_givesTheScopesOfNow(t *testing.T) {
	h := newHouse(t)
	first := h.signIn()
	roles := []string{authority.RoleAdmin}
	_, err := h.Users.Update(h.Context(), h.admin, h.ada.ID, etag.ParseMatch("*"), user.Change{Roles: &roles})
	require.NoError(t, err)
	issued, err := h.sessions.Refresh(h.Context(), first, signing.Request{})
	require.NoError(t, err)
	require.Contains(t, issued.Scopes, "users:write")
}
