package kms_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
)

// carrier is twofactor as it claims mails.
type carrier struct {
	h     *house
	token string
}

// postOffice is a house with an administrator, their raised token, and twofactor, which does not claim mails yet.
func (h *house) postOffice() (admin *api.UserCreated, raised string, c *carrier) {
	h.t.Helper()
	p := h.prover()
	admin = h.bootstrap()
	return admin, p.raise(h.login(adminName, adminPassword).AccessToken, "kms"), &carrier{h, h.token(p.key, "kms")}
}

// opens claims mails for the first time, which turns mails on.
func (c *carrier) opens() {
	c.h.t.Helper()
	require.Empty(c.h.t, c.claim())
}

func (c *carrier) claim() []api.ClaimedMail {
	c.h.t.Helper()
	got, err := c.h.client.ClaimMailsWithResponse(c.h.t.Context(), nil, bearer(c.token))
	require.NoError(c.h.t, err)
	require.Equal(c.h.t, http.StatusOK, got.StatusCode(), string(got.Body))
	return got.JSON200.Items
}

// one claims the only waiting mail.
func (c *carrier) one() api.ClaimedMail {
	c.h.t.Helper()
	claimed := c.claim()
	require.Len(c.h.t, claimed, 1)
	return claimed[0]
}

func (c *carrier) report(m api.ClaimedMail, outcome, reason string) {
	c.h.t.Helper()
	body := api.MailOutcome{Lease: m.Lease, Outcome: api.MailOutcomeOutcome(outcome)}
	if reason != "" {
		body.Reason = &reason
	}
	got, err := c.h.client.ReportMailWithResponse(c.h.t.Context(), m.ID, body, bearer(c.token))
	require.NoError(c.h.t, err)
	require.Equal(c.h.t, http.StatusNoContent, got.StatusCode(), string(got.Body))
}

// mailReset requests a mail and returns it, or the code of the refusal.
func (h *house) mailReset(userID string, to *string, token string) (*api.Mail, string) {
	h.t.Helper()
	got, err := h.client.MailPasswordResetWithResponse(h.t.Context(), userID, nil, api.MailOrder{To: to}, bearer(token))
	require.NoError(h.t, err)
	if got.JSON201 == nil {
		return nil, code(got.Body)
	}
	require.NotContains(h.t, string(got.Body), "pr_", "nobody is shown the token")
	return got.JSON201, ""
}

// mails returns the mails that an administrator sees, newest first.
func (h *house) mails(raised string) []api.Mail {
	h.t.Helper()
	got, err := h.client.ListMailsWithResponse(h.t.Context(), nil, bearer(raised))
	require.NoError(h.t, err)
	require.Equal(h.t, http.StatusOK, got.StatusCode(), string(got.Body))
	return got.JSON200.Items
}

// withEmail sets a user's address.
func (h *house) withEmail(userID, email, raised string) (int, string) {
	h.t.Helper()
	got, err := h.client.UpdateUserWithResponse(h.t.Context(), userID, &api.UpdateUserParams{IfMatch: "*"}, api.UserUpdate{Email: &email}, bearer(raised))
	require.NoError(h.t, err)
	return got.StatusCode(), code(got.Body)
}

// resetBy sets a password with the token of a link, and returns the status.
func (h *house) resetBy(link, password string) int {
	h.t.Helper()
	_, token, found := strings.Cut(link, "#")
	require.True(h.t, found, link)
	got, err := h.client.ResetPasswordWithResponse(h.t.Context(), api.PasswordResetUse{Token: token, NewPassword: password})
	require.NoError(h.t, err)
	return got.StatusCode()
}

func TestMailPasswordReset_isSentOnceAndForgotten(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised, c := h.postOffice()
		grace := h.user("grace", "editor", raised)
		to := "Grace@Example.org"
		_, why := h.mailReset(grace.ID, &to, raised)
		require.Equal(t, "mail_off", why, "nobody sends mails")
		c.opens()
		_, why = h.mailReset(grace.ID, nil, raised)
		require.Equal(t, "validation_failed", why, "she has no address")
		for _, wrong := range []string{"grace@localhost", "a@example.org,b@example.org", "Grace<grace@example.org>"} {
			_, why = h.mailReset(grace.ID, &wrong, raised)
			require.Contains(t, []string{"validation_failed", "invalid_body"}, why, wrong)
		}
		m, why := h.mailReset(grace.ID, &to, raised)
		require.Empty(t, why)
		require.Equal(t, []any{"G***@example.org", api.MailStatusWaiting, api.MailKindPasswordReset}, []any{m.To, m.Status, m.Kind})

		mine := c.one()
		require.Equal(t, "Grace@example.org", mine.To)
		require.True(t, strings.HasPrefix(*mine.Link, issuer+"/kms/v1/auth/password-reset#pr_"), *mine.Link)
		require.Empty(t, c.claim(), "it is taken up")
		c.report(mine, "sent", "")
		c.report(mine, "failed", "late") // the lease has ended
		listed := h.mails(raised)
		require.Len(t, listed, 1)
		require.Equal(t, api.MailStatusSent, listed[0].Status)
		require.Equal(t, http.StatusNoContent, h.resetBy(*mine.Link, nextPassword))
		require.Equal(t, http.StatusUnauthorized, h.resetBy(*mine.Link, "another lantern elsewhere"))
		require.Equal(t, http.StatusOK, h.loginStatus("grace", nextPassword))
		require.NotContains(t, h.log.String(), "pr_")
		require.NotContains(t, strings.ToLower(h.log.String()), "grace@")
	})
}

// A mail that could not be sent is tried again and finally fails, which administrators and the log show. A process that dies while sending loses no mail.
func TestMails_areTriedAgainAndGivenUp(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised, c := h.postOffice()
		grace := h.user("grace", "editor", raised)
		status, why := h.withEmail(grace.ID, "grace@example.org", raised)
		require.Equal(t, http.StatusOK, status, why)
		c.opens()
		_, why = h.mailReset(grace.ID, nil, raised)
		require.Empty(t, why)
		first := c.one()
		h.clock.Advance(61 * time.Second) // the lease of the process that died
		second := c.one()
		require.Equal(t, *first.Link, *second.Link)
		c.report(first, "failed", "rejected")
		require.Equal(t, api.MailStatusWaiting, h.mails(raised)[0].Status, "the lease was lost")
		c.report(second, "retry", "unreachable")
		require.Empty(t, c.claim())
		h.clock.Advance(20 * time.Second)
		third := c.one()
		c.report(third, "failed", "rejected")
		listed := h.mails(raised)[0]
		require.Equal(t, []any{api.MailStatusFailed, "rejected", int32(3)}, []any{listed.Status, *listed.Reason, listed.Tries})
		require.Contains(t, h.log.String(), "a mail was not sent")

		_, why = h.mailReset(grace.ID, nil, raised)
		require.Empty(t, why)
		one := c.one()
		_, why = h.mailReset(grace.ID, nil, raised)
		require.Empty(t, why)
		c.report(one, "retry", "unreachable")
		two := c.one()
		require.NotEqual(t, one.ID, two.ID, "the older one's link works no more")
		superseded := h.mails(raised)[1]
		require.Equal(t, []any{api.MailStatusFailed, "superseded"}, []any{superseded.Status, *superseded.Reason})
		require.Equal(t, http.StatusUnauthorized, h.resetBy(*one.Link, nextPassword))

		status, why = h.withEmail(grace.ID, "grace@elsewhere.example", raised)
		require.Equal(t, http.StatusOK, status, why)
		require.Equal(t, http.StatusUnauthorized, h.resetBy(*two.Link, nextPassword), "who reads the old address chooses no password")
		h.clock.Advance(3 * time.Minute)
		_, why = h.mailReset(grace.ID, nil, raised)
		require.Equal(t, "mail_off", why, "who sends mails has been away")
	})
}

// The audit trail has the masked address of a link, and never the link itself.
func TestMails_areInTheAuditTrailWithoutLinkAndAddress(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised, c := h.postOffice()
	c.opens()
	grace := h.user("grace", "editor", raised)
	status, why := h.withEmail(grace.ID, "grace@example.org", raised)
	require.Equal(t, http.StatusOK, status, why)
	m, why := h.mailReset(grace.ID, nil, raised)
	require.Empty(t, why)
	c.report(c.one(), "sent", "")
	require.Contains(t, h.forgets("grace"), "204")
	forgotten := c.eventually()
	seen := map[string]map[string]string{}
	records := h.records()
	for _, r := range records {
		seen[r.Action] = r.Detail
	}
	require.Equal(t, map[string]string{"mail": m.ID, "to": "g***@example.org"}, seen["mailPasswordReset"])
	require.Equal(t, map[string]string{"mail": forgotten.ID, "to": "g***@example.org"}, seen["requestPasswordReset"])
	all, err := json.Marshal(records)
	require.NoError(t, err)
	require.NotContains(t, string(all), "grace@")
	require.NotContains(t, string(all), "pr_")
}

func TestMailInvitation_leadsToThePageOfFactors(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	ada, raised, c := h.postOffice()
	c.opens()
	to := "ada@example.org"
	got, err := h.client.MailInvitationWithResponse(t.Context(), ada.ID, nil, api.MailOrder{To: &to}, bearer(raised))
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, got.StatusCode(), string(got.Body))
	m := c.one()
	require.True(t, strings.HasPrefix(*m.Link, issuer+"/twofactor/v1/enroll#in_"), *m.Link)
	_, token, _ := strings.Cut(*m.Link, "#")
	checked, err := h.client.CheckInvitationWithResponse(t.Context(), api.InvitationCheck{UserID: ada.ID, Token: token}, bearer(c.token))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, checked.StatusCode(), string(checked.Body))

	grace := h.user("grace", "editor", raised)
	refused, err := h.client.MailInvitationWithResponse(t.Context(), grace.ID, nil, api.MailOrder{To: &to}, bearer(raised))
	require.NoError(t, err)
	require.Equal(t, "state_conflict", code(refused.Body), "she needs none")
}

// invited mails an invitation to an administrator and returns its token.
func (h *house) invited(c *carrier, userID, raised string) string {
	h.t.Helper()
	to := "ada@example.org"
	got, err := h.client.MailInvitationWithResponse(h.t.Context(), userID, nil, api.MailOrder{To: &to}, bearer(raised))
	require.NoError(h.t, err)
	require.Equal(h.t, http.StatusCreated, got.StatusCode(), string(got.Body))
	m := c.eventually()
	c.report(m, "sent", "")
	_, token, _ := strings.Cut(*m.Link, "#")
	require.Equal(h.t, http.StatusOK, h.invitation(c, userID, token))
	return token
}

// invitation returns the status of the check of an invitation.
func (h *house) invitation(c *carrier, userID, token string) int {
	h.t.Helper()
	got, err := h.client.CheckInvitationWithResponse(h.t.Context(), api.InvitationCheck{UserID: userID, Token: token}, bearer(c.token))
	require.NoError(h.t, err)
	return got.StatusCode()
}

// A reader of the mailbox has both links: the password set with one must not combine with the other.
func TestResetPassword_endsInvitations(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised, c := h.postOffice()
		c.opens()
		grace := h.user("grace", "admin", raised)
		token := h.invited(c, grace.ID, raised)
		to := "ada@example.org"
		_, why := h.mailReset(grace.ID, &to, raised)
		require.Empty(t, why)
		reset := c.one()
		require.Equal(t, http.StatusNoContent, h.resetBy(*reset.Link, nextPassword))
		require.Equal(t, http.StatusUnprocessableEntity, h.invitation(c, grace.ID, token))
		h.invited(c, grace.ID, raised) // an administrator invites again
	})
}

// An invitation is valid only for the invited administrator at their address at that time: not for readers of the old address, nor if they become an
// administrator again.
func TestUpdateUser_endsInvitations(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised, c := h.postOffice()
		c.opens()
		grace := h.user("grace", "admin", raised)
		change := func(u api.UserUpdate) {
			got, err := h.client.UpdateUserWithResponse(t.Context(), grace.ID, &api.UpdateUserParams{IfMatch: "*"}, u, bearer(raised))
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
		}
		address, none := "grace@example.org", ""
		disabled, active := api.UserUpdateStatusDisabled, api.UserUpdateStatusActive
		reader, admin := []string{"reader"}, []string{"admin"}
		for _, one := range []struct{ there, back api.UserUpdate }{
			{api.UserUpdate{Email: &address}, api.UserUpdate{}},
			{api.UserUpdate{Status: &disabled}, api.UserUpdate{Status: &active}},
			{api.UserUpdate{Roles: &reader}, api.UserUpdate{Roles: &admin}},
			{api.UserUpdate{Email: &none}, api.UserUpdate{Email: &address}},
		} {
			token := h.invited(c, grace.ID, raised)
			change(api.UserUpdate{Roles: &admin}) // the same as before
			require.Equal(t, http.StatusOK, h.invitation(c, grace.ID, token))
			change(one.there)
			if one.back.Status != nil || one.back.Roles != nil || one.back.Email != nil {
				change(one.back)
			}
			require.Equal(t, http.StatusUnprocessableEntity, h.invitation(c, grace.ID, token), "%+v", one.there)
		}
	})
}

// The old address is told once, without a link. Setting a first address sends nothing.
func TestUpdateUser_tellsTheOldAddress(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised, c := h.postOffice()
		c.opens()
		grace := h.user("grace", "editor", raised)
		for _, address := range []string{"grace@example.org", "grace@example.org", "hopper@example.org", ""} {
			status, why := h.withEmail(grace.ID, address, raised)
			require.Equal(t, http.StatusOK, status, why)
		}
		var told []any
		for _, m := range c.claim() {
			require.Nil(t, m.Link)
			told = append(told, m.Kind, m.To)
		}
		require.Equal(t, []any{api.MailKindAddressChanged, "grace@example.org", api.MailKindAddressChanged, "hopper@example.org"}, told)
	})
}

// Only administrators with a second factor can request and see mails, and only twofactor can claim them.
func TestMails_areForAdministratorsAndTwofactorAlone(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised, c := h.postOffice()
	c.opens()
	grace := h.user("grace", "editor", raised)
	hers, plain := h.login("grace", userPassword).AccessToken, h.login(adminName, adminPassword).AccessToken
	search := h.token(h.enrol("search"), "kms")
	to := "grace@example.org"
	for token, want := range map[string]string{hers: "insufficient_scope", plain: "insufficient_user_authentication", c.token: "insufficient_scope"} {
		_, why := h.mailReset(grace.ID, &to, token)
		require.Equal(t, want, why)
	}
	for _, token := range []string{hers, raised, search} {
		got, err := h.client.ClaimMailsWithResponse(t.Context(), nil, bearer(token))
		require.NoError(t, err)
		require.Equal(t, http.StatusForbidden, got.StatusCode(), string(got.Body))
		reported, err := h.client.ReportMailWithResponse(t.Context(), "mail_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", api.MailOutcome{Lease: "lease_1", Outcome: "sent"}, bearer(token))
		require.NoError(t, err)
		require.Equal(t, http.StatusForbidden, reported.StatusCode())
	}
	got, err := h.client.ListMailsWithResponse(t.Context(), nil, bearer(plain))
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, got.StatusCode())
}

// Mail addresses are unique, so that a link goes to one person.
func TestUsers_shareNoMailAddress(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		ada, raised := h.administrator()
		grace := h.user("grace", "editor", raised)
		status, why := h.withEmail(grace.ID, "grace@example.org", raised)
		require.Equal(t, http.StatusOK, status, why)
		status, why = h.withEmail(ada.ID, "GRACE@example.org", raised)
		require.Equal(t, []any{http.StatusConflict, "already_exists"}, []any{status, why})
		status, why = h.withEmail(ada.ID, "ada", raised)
		require.Equal(t, http.StatusUnprocessableEntity, status, why)
		email := "grace@EXAMPLE.org"
		got, err := h.client.CreateUserWithResponse(t.Context(), nil, api.UserCreate{Username: "eve", Password: userPassword, Roles: []string{"reader"}, Email: &email}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, "already_exists", code(got.Body))
		status, why = h.withEmail(grace.ID, "", raised)
		require.Equal(t, http.StatusOK, status, why)
		got, err = h.client.CreateUserWithResponse(t.Context(), nil, api.UserCreate{Username: "eve", Password: userPassword, Roles: []string{"reader"}, Email: &email}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusCreated, got.StatusCode(), string(got.Body))
		require.Equal(t, "grace@example.org", *got.JSON201.Email)
	})
}

// The base URL of links is configured; a request's host does not affect it.
func TestMails_linkToTheConfiguredPlaceAlone(t *testing.T) {
	config := databaseOfSQLite(t)
	config.PublicURL = "https://fountain.example"
	h := start(t, config)
	_, raised, c := h.postOffice()
	c.opens()
	grace := h.user("grace", "editor", raised)
	to := "grace@example.org"
	got, err := h.client.MailPasswordResetWithResponse(t.Context(), grace.ID, nil, api.MailOrder{To: &to}, bearer(raised), func(_ context.Context, r *http.Request) error {
		r.Header.Set("X-Forwarded-Host", "evil.example")
		r.Header.Set("Origin", "https://evil.example")
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, got.StatusCode(), string(got.Body))
	require.True(t, strings.HasPrefix(*c.one().Link, "https://fountain.example/kms/v1/auth/password-reset#"))
}

// Of many concurrent claims, also at two replicas, one gets the mail.
func TestClaimMails_givesEachMailToOneSender(t *testing.T) {
	race := func(houses ...*house) {
		t := houses[0].t
		_, raised, c := houses[0].postOffice()
		c.opens()
		const mails = 4
		for i := range mails {
			to := fmt.Sprintf("someone%d@example.org", i)
			_, why := houses[0].mailReset(houses[0].user(fmt.Sprintf("someone%d", i), "reader", raised).ID, &to, raised)
			require.Empty(t, why)
		}
		var mu sync.Mutex
		got := map[string]int{}
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				claimed := (&carrier{houses[i%len(houses)], c.token}).claim()
				mu.Lock()
				defer mu.Unlock()
				for _, m := range claimed {
					got[m.To]++
				}
			})
		}
		group.Wait()
		require.Len(t, got, mails)
		for to, times := range got {
			require.Equal(t, 1, times, to)
		}
	}
	each(t, func(h *house) { race(h) })
	replicas(t, func(a, b *house) { race(a, b) })
}
