package kms_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
)

// forgets requests a link and returns everything of the answer that could reveal something.
func (h *house) forgets(login string) string {
	h.t.Helper()
	got, err := h.client.RequestPasswordResetWithResponse(h.t.Context(), api.PasswordResetRequest{Login: login})
	require.NoError(h.t, err)
	header := got.HTTPResponse.Header.Clone()
	body := strings.ReplaceAll(string(got.Body), header.Get("X-Request-Id"), "")
	for _, name := range []string{"Date", "X-Request-Id"} {
		header.Del(name)
	}
	return fmt.Sprint(got.StatusCode(), header, body)
}

// eventually waits for the mail that a request causes.
func (c *carrier) eventually() (m api.ClaimedMail) {
	c.h.t.Helper()
	wait := "wait=25"
	require.Eventually(c.h.t, func() bool {
		got, err := c.h.client.ClaimMailsWithResponse(c.h.t.Context(), &api.ClaimMailsParams{Prefer: &wait}, bearer(c.token))
		if err != nil || got.JSON200 == nil || len(got.JSON200.Items) == 0 {
			return false
		}
		m = got.JSON200.Items[0]
		return true
	}, time.Minute, time.Millisecond)
	return m
}

// forgetful is a house with grace, who has a mail address.
func forgetful(h *house) (raised string, c *carrier, grace *api.UserCreated) {
	_, raised, c = h.postOffice()
	grace = h.user("grace", "editor", raised)
	status, why := h.withEmail(grace.ID, "grace@example.org", raised)
	require.Equal(h.t, http.StatusOK, status, why)
	return raised, c, grace
}

// The link goes only to the person's address and lets them choose a password. It ends their sessions, and the second factor that a role requires is still
// required.
func TestRequestPasswordReset_sendsALinkThatResetsNoSecondFactor(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		raised, c, grace := forgetful(h)
		require.Contains(t, h.forgets("grace"), "mail_off")
		require.Equal(t, h.forgets("grace"), h.forgets("nobody"), "also where mails are off")
		c.opens()
		session := h.login("grace", userPassword)
		policy, err := h.client.PutSecondFactorPolicyWithResponse(t.Context(), "editor", nil, api.SecondFactorPolicyPut{Required: "always"}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, policy.StatusCode(), string(policy.Body))

		require.Contains(t, h.forgets(" GRACE@example.org "), "204")
		m := c.eventually()
		require.Equal(t, []any{"grace@example.org", api.MailKindForgottenPassword}, []any{m.To, m.Kind})
		c.report(m, "sent", "")
		require.Equal(t, http.StatusNoContent, h.resetBy(*m.Link, nextPassword))
		require.Equal(t, "session_ended", code(h.refresh(*session.RefreshToken).Body))
		require.Equal(t, http.StatusAccepted, h.loginStatus("grace", nextPassword), "the second factor is asked for as before")
		told := c.eventually()
		require.Equal(t, []any{api.MailKindPasswordChanged, "grace@example.org"}, []any{told.Kind, told.To})
		require.Nil(t, told.Link)
		require.Equal(t, http.StatusUnauthorized, h.resetBy(*m.Link, "another lantern elsewhere"), "it works once")
		require.NotContains(t, h.log.String(), "pr_")
		require.Equal(t, grace.ID, h.mails(raised)[0].UserID)
	})
}

// The answer reveals nothing. No mail is sent for users who do not exist, are disabled or have no address, or to an address that is not exactly the user's.
func TestRequestPasswordReset_tellsAndSendsStrangersNothing(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		raised, c, _ := forgetful(h)
		c.opens()
		barbara := h.user("barbara", "editor", raised) // without an address
		eve := h.user("eve", "editor", raised)
		status, why := h.withEmail(eve.ID, "eve@example.org", raised)
		require.Equal(t, http.StatusOK, status, why)
		disabled := api.UserUpdateStatus("disabled")
		off, err := h.client.UpdateUserWithResponse(t.Context(), eve.ID, &api.UpdateUserParams{IfMatch: "*"}, api.UserUpdate{Status: &disabled}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, off.StatusCode())
		same := h.forgets("nobody")
		require.Contains(t, same, "204")
		for _, login := range []string{barbara.Username, "eve", "eve@example.org", "nobody@example.org", "grace@example.org, mallory@example.org", "grace@example.org\r\nBcc: mallory@example.org", "%", "' OR 1=1 --"} {
			require.Equal(t, same, h.forgets(login), login)
		}
		h.clock.Advance(time.Second) // who asks later is answered later
		require.Equal(t, same, h.forgets("grace"))
		require.Equal(t, "grace@example.org", c.eventually().To)
		require.Len(t, h.mails(raised), 1)
	})
}

// Only the newest link works, for 30 minutes. A user gets at most three mails an hour, whoever requests them and by whichever login.
func TestRequestPasswordReset_hasOneLinkForHalfAnHourAndThreeAnHour(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		raised, c, _ := forgetful(h)
		c.opens()
		status, why := h.withEmail(h.user("heidi", "reader", raised).ID, "heidi@example.org", raised)
		require.Equal(t, http.StatusOK, status, why)
		ask := func(login string) api.ClaimedMail {
			require.Contains(t, h.forgets(login), "204")
			m := c.eventually()
			c.report(m, "sent", "")
			return m
		}
		first, second := ask("grace"), ask("grace@example.org")
		require.Equal(t, http.StatusUnauthorized, h.resetBy(*first.Link, nextPassword))
		third := ask("Grace")
		require.Equal(t, http.StatusUnauthorized, h.resetBy(*second.Link, nextPassword))
		require.Contains(t, h.forgets("grace"), "204")
		h.clock.Advance(time.Second)
		require.Contains(t, h.forgets("heidi"), "204")
		require.Equal(t, "heidi@example.org", c.eventually().To, "who asks later is answered later")
		require.Len(t, h.mails(raised), 4, "three of them to grace")
		h.clock.Advance(30 * time.Minute)
		require.Equal(t, http.StatusUnauthorized, h.resetBy(*third.Link, nextPassword), "its time is over")
	})
}

// Of concurrent uses of one link, also at two replicas, only one changes the password.
func TestResetPassword_hasOneWinnerOfManyUses(t *testing.T) {
	race := func(t *testing.T, houses ...*house) {
		raised, c, grace := forgetful(houses[0])
		c.opens()
		for round := range 3 {
			_, why := houses[0].mailReset(grace.ID, nil, raised)
			require.Empty(t, why)
			m := c.eventually()
			c.report(m, "sent", "")
			statuses := make([]int, 8)
			var group sync.WaitGroup
			for i := range statuses {
				group.Go(func() {
					statuses[i] = houses[i%len(houses)].resetBy(*m.Link, fmt.Sprintf("lantern %d above the river %d", round, i))
				})
			}
			group.Wait()
			won, winner := 0, 0
			for i, status := range statuses {
				if status == http.StatusNoContent {
					won, winner = won+1, i
				}
			}
			require.Equal(t, 1, won, "%v", statuses)
			require.Equal(t, http.StatusOK, houses[0].loginStatus("grace", fmt.Sprintf("lantern %d above the river %d", round, winner)))
			c.report(c.eventually(), "sent", "") // that the password was changed
		}
	}
	each(t, func(h *house) { race(h.t, h) })
	replicas(t, func(a, b *house) { race(a.t, a, b) })
}
