package user_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/kmstest"
	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/store"
)

// house has the parts with a first administrator.
type house struct {
	*kmstest.Parts
	root  user.Created
	admin *auth.Principal
}

func newHouse(t *testing.T) *house {
	h := &house{Parts: kmstest.New(t)}
	h.root = h.First("root")
	h.admin = h.Caller(h.root.ID)
	return h
}

func (h *house) create(username string, roles ...string) (made user.Created, err error) {
	draft, err := h.Users.Draft(h.Context(), username, kmstest.Password, "", roles)
	require.NoError(h, err)
	err = h.DB.Write(h.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		made, err = h.Users.Create(ctx, tx, h.admin, draft)
		return err
	})
	return made, err
}

func (h *house) made(username string, roles ...string) user.User {
	made, err := h.create(username, roles...)
	require.NoError(h, err)
	return made.User
}

func to[T any](v T) *T { return &v }

func TestDraft_refusesWhatBreaksARule(t *testing.T) {
	p := kmstest.New(t)
	for name, c := range map[string]struct {
		username, password, tenant string
		roles                      []string
		want                       domain.Kind
		pointer                    string
	}{
		"a dot at the end":           {"ada.", kmstest.Password, "", nil, domain.ValidationFailed, "/username"},
		"an administrator's tenant":  {"ada", kmstest.Password, "acme", []string{"admin"}, domain.ValidationFailed, "/roles"},
		"a short password":           {"ada", "x9!", "", nil, domain.WeakPassword, "/password"},
		"a well-known password":      {"ada", "passw0rdpassw0rd", "", nil, domain.WeakPassword, "/password"},
		"the username as a password": {"adalovelace99", "adalovelace99", "", nil, domain.WeakPassword, "/password"},
	} {
		_, err := p.Users.Draft(p.Context(), c.username, c.password, c.tenant, c.roles)
		require.ErrorIs(t, err, c.want, name)
		var refusal *domain.Refusal
		require.ErrorAs(t, err, &refusal, name)
		require.Equal(t, c.pointer, refusal.Fields[0].Pointer, name)
		require.NotContains(t, err.Error(), c.password, name)
	}
}

func TestCreate_makesUsersOnceForAdministrators(t *testing.T) {
	h := newHouse(t)
	require.NotEmpty(t, h.root.Invitation.Token, "an administrator enrols a factor by it")
	ada, err := h.create("ada", "reader", "editor", "reader")
	require.NoError(t, err)
	require.Equal(t, []string{"editor", "reader"}, ada.Roles, "sorted, each once")
	require.Empty(t, ada.Invitation.Token)
	_, err = h.create("ada", "reader")
	require.ErrorIs(t, err, domain.AlreadyExists)
	_, err = h.create("bob", "nosuchrole")
	require.ErrorIs(t, err, domain.ValidationFailed)
	h.admin = h.Caller(ada.ID)
	_, err = h.create("bob", "reader")
	require.ErrorIs(t, err, domain.Forbidden)
}

func TestUpdate_ofRolesRaisesTheEpochAndOfNothingDoesNot(t *testing.T) {
	h := newHouse(t)
	ada := h.made("ada", "reader")
	caller := h.Caller(ada.ID)
	after, err := h.Users.Update(h.Context(), h.admin, ada.ID, etag.Exactly(1), user.Change{Roles: to([]string{"reader"})})
	require.NoError(t, err)
	require.EqualValues(t, 2, after.Version)
	require.True(t, h.Live(caller))
	_, err = h.Users.Update(h.Context(), h.admin, ada.ID, etag.Exactly(1), user.Change{Roles: to([]string{"editor"})})
	require.ErrorIs(t, err, domain.PreconditionFailed)
	require.True(t, h.Live(caller))
	_, err = h.Users.Update(h.Context(), h.admin, ada.ID, etag.Exactly(2), user.Change{Roles: to([]string{"editor"})})
	require.NoError(t, err)
	require.False(t, h.Live(caller), "the token carries the old roles")
	renewed := *caller
	renewed.Epoch++
	require.True(t, h.Live(&renewed), "the session goes on")
	_, err = h.Users.Update(h.Context(), h.admin, "usr_none", etag.Exactly(1), user.Change{})
	require.ErrorIs(t, err, domain.NotFound)
}

func TestUpdate_ofTheStatusEndsSessionsForEver(t *testing.T) {
	h := newHouse(t)
	ada := h.made("ada", "reader")
	caller := h.Caller(ada.ID)
	for i, status := range []string{user.Disabled, user.Active} {
		_, err := h.Users.Update(h.Context(), h.admin, ada.ID, etag.Exactly(int64(i+1)), user.Change{Status: to(status)})
		require.NoError(t, err)
	}
	caller.Epoch += 2
	require.False(t, h.Live(caller), "the session ended with the disabling")
	require.True(t, h.Live(h.Caller(ada.ID)))
}

func TestUsers_keepTheLastAdministrator(t *testing.T) {
	h := newHouse(t)
	last := func() {
		t.Helper()
		_, err := h.Users.Update(h.Context(), h.admin, h.root.ID, etag.ParseMatch("*"), user.Change{Roles: to([]string{"reader"})})
		require.ErrorIs(t, err, domain.LastAdministrator)
		_, err = h.Users.Update(h.Context(), h.admin, h.root.ID, etag.ParseMatch("*"), user.Change{Status: to(user.Disabled)})
		require.ErrorIs(t, err, domain.LastAdministrator)
		require.ErrorIs(t, h.Users.Delete(h.Context(), h.admin, h.root.ID), domain.LastAdministrator)
		require.True(t, h.Live(h.admin), "a refusal changes nothing")
	}
	last()
	second := h.made("second", authority.RoleAdmin)
	require.NoError(t, h.Users.Delete(h.Context(), h.admin, second.ID))
	last()
	require.ErrorIs(t, h.Users.Delete(h.Context(), h.admin, second.ID), domain.NotFound)
	h.made("third", authority.RoleAdmin)
	require.NoError(t, h.Users.Delete(h.Context(), h.admin, h.root.ID))
	require.False(t, h.Live(h.admin))
}

func TestCreateFirst_isClosedByTheFirst(t *testing.T) {
	h := newHouse(t)
	draft, err := h.Users.Draft(h.Context(), "eve", kmstest.Password, "", []string{authority.RoleAdmin})
	require.NoError(t, err)
	require.ErrorIs(t, h.DB.Write(h.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := h.Users.CreateFirst(ctx, tx, draft)
		return err
	}), domain.BootstrapClosed)
}

func TestList_givesPagesByName(t *testing.T) {
	h := newHouse(t)
	h.made("ada")
	h.made("bob")
	first, cursor, err := h.Users.List(h.Context(), "", 2)
	require.NoError(t, err)
	require.Equal(t, []string{"ada", "bob"}, []string{first[0].Username, first[1].Username})
	rest, end, err := h.Users.List(h.Context(), cursor, 2)
	require.NoError(t, err)
	require.Len(t, rest, 1)
	require.Empty(t, end)
	_, _, err = h.Users.List(h.Context(), "nonsense", 2)
	require.Error(t, err)
}

func TestResetPassword_worksOnceForAnHourAndEndsSessions(t *testing.T) {
	h := newHouse(t)
	ada := h.made("ada", "reader")
	reset := func() (made user.Reset) {
		h.Write(func(ctx context.Context, tx *store.Tx) (err error) {
			made, err = h.Users.CreateReset(ctx, tx, h.admin, ada.ID, false)
			return err
		})
		return made
	}
	choose := func(token, secret string) (forgiven string, err error) {
		err = h.Users.ResetPassword(h.Context(), token, secret, func(_ context.Context, _ *store.Tx, u user.User) error {
			forgiven = u.Username
			return nil
		})
		return forgiven, err
	}
	caller, expired := h.Caller(ada.ID), reset()
	h.Clock.Advance(user.ResetLife)
	_, err := choose(expired.Token, "another lantern above the river")
	require.ErrorIs(t, err, domain.InvalidResetToken)
	made := reset()
	_, err = choose(made.Token, "passw0rdpassw0rd")
	require.ErrorIs(t, err, domain.WeakPassword)
	var refusal *domain.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, "/newPassword", refusal.Fields[0].Pointer)
	require.True(t, h.Live(caller), "a refused password uses nothing up")
	forgiven, err := choose(made.Token, "another lantern above the river")
	require.NoError(t, err)
	require.Equal(t, "ada", forgiven)
	require.False(t, h.Live(caller))
	_, err = choose(made.Token, "another lantern above the river")
	require.ErrorIs(t, err, domain.InvalidResetToken)
}

func TestInvitations_areForAdministratorsAndAskedForByTwofactorAlone(t *testing.T) {
	h := newHouse(t)
	ada := h.made("ada", "reader")
	require.ErrorIs(t, h.DB.Write(h.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := h.Users.Invite(ctx, tx, h.admin, ada.ID)
		return err
	}), domain.StateConflict)
	_, err := h.Users.CheckInvitation(h.Context(), h.admin, h.root.ID, h.root.Invitation.Token)
	require.ErrorIs(t, err, domain.Forbidden)
	require.Equal(t, user.InvitationLife, h.root.Invitation.ExpiresAt.Sub(h.Clock.Now().Truncate(time.Microsecond)))
}
