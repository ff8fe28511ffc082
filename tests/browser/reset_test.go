//go:build browser

package browser

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/tests/harness"
)

// resetPageOf is where people choose a new password with a reset token.
func resetPageOf(h *house) string { return h.site + "/kms/v1/auth/password-reset" }

// A person opens the link of a reset, learns what is wrong with the passwords that they try, and signs in with the new one. The token leaves the address at
// once, and works once.
func TestReset_aPersonChoosesAPasswordByALink(t *testing.T) {
	family, admin := household(t)
	t.Cleanup(family.Stop)
	made, err := admin.KMS.CreatePasswordReset(t.Context(), grace(t, admin).ID)
	require.NoError(t, err)
	p := visit(t, family.browser(t), resetPageOf(family)+"#"+made.Token)
	p.sees("Choose a new password")
	require.Equal(t, resetPageOf(family), p.js(`() => location.href`), "the token is not in the address")
	require.NotContains(t, p.js(`() => document.documentElement.outerHTML`), made.Token, "nor in the page")
	p.isAccessible()
	choose := func(password, repeated string) {
		p.fills("New password", password)
		p.fills("New password again", repeated)
		p.key("Enter", "\r")
	}
	choose("too short", "too short")
	p.reads("Choose a longer one: at least 12 characters.")
	choose("four terns at the harbour", "four terns at a harbour")
	p.reads("The new passwords do not match.")
	choose("passwordpassword", "passwordpassword")
	p.reads("It is little more than widely used passwords or words.")
	choose("four terns at the harbour", "four terns at the harbour")
	p.sees("Your password is changed")
	p.follows("Sign in")
	p.signsIn("grace", password)
	p.reads("The user name or password is incorrect.")
	p.signsInAgain("grace", "four terns at the harbour")
	p.sees("My account")

	p.browser.goTo(p.tab, resetPageOf(family))
	p.sees("Choose a new password")
	p.fills("Reset token", made.Token)
	choose("five terns at the harbour", "five terns at the harbour")
	p.reads("This reset token is not accepted.")
	require.Empty(t, p.faults())
}

// A person who has forgotten the password asks at the sign-in, gets a link by mail, chooses another password, and signs in; for somebody who does not exist
// the page looks the same. The mail about the change comes, too.
func TestForgotten_aPersonGetsBackInByMail(t *testing.T) {
	mails := newMailbox(t)
	family, admin := household(t)
	t.Cleanup(family.Stop)
	email := "grace@example.org"
	require.Eventually(t, func() bool { // twofactor asks for mails once it has started
		return admin.KMS.RequestPasswordReset(t.Context(), kms.PasswordResetRequest{Login: "nobody"}) == nil
	}, patience, 50*time.Millisecond)
	user := grace(t, admin)
	_, err := admin.KMS.UpdateUser(t.Context(), user.ID, fountain.IfMatch(user.Version), kms.UserUpdate{Email: &email})
	require.NoError(t, err)

	p := visit(t, family.browser(t), family.site+"/console")
	ask := func(login string) {
		p.sees("Sign in")
		p.presses("Forgotten password?")
		p.sees("Forgotten password")
		p.isAccessible()
		p.fills("User name or mail address", login)
		p.key("Enter", "\r")
		p.sees("Check your mailbox")
		p.isAccessible()
	}
	ask("mallory@example.org")
	same := p.text()
	p.presses("Back")
	ask("Grace@example.org")
	require.Equal(t, same, p.text())
	link := mails.link(1)
	require.True(t, strings.HasPrefix(link, resetPageOf(family)+"#pr_"), link)
	p.browser.goTo(p.tab, link)
	p.sees("Choose a new password")
	p.fills("New password", "four terns at the harbour")
	p.fills("New password again", "four terns at the harbour")
	p.key("Enter", "\r")
	p.sees("Your password is changed")
	require.Contains(t, mails.nth(2), "A new password was chosen for your account")
	p.follows("Sign in")
	p.signsIn("grace", "four terns at the harbour")
	p.sees("My account")
	require.Empty(t, p.faults())
	require.NotContains(t, family.Output(), "#pr_")

	// The used link offers another one.
	p.browser.goTo(p.tab, link)
	p.sees("Choose a new password")
	p.presses("Send me a new link")
	p.sees("Forgotten password")
	p.presses("Back")
	p.sees("Choose a new password")
}

// An invited administrator opens the link of the mail, which has the invitation already, and adds their first second factor.
func TestInvitation_aLinkByMailHasIt(t *testing.T) {
	mails := newMailbox(t)
	family, admin := household(t)
	t.Cleanup(family.Stop)
	email := "edsger@example.org"
	made, err := admin.KMS.CreateUser(t.Context(), kms.UserCreate{Username: "edsger", Password: password, Roles: []string{"admin"}, Email: &email})
	require.NoError(t, err)
	require.Eventually(t, func() bool { // twofactor asks for mails once it has started
		_, err := admin.KMS.MailInvitation(t.Context(), made.ID, kms.MailOrder{})
		return err == nil
	}, patience, 50*time.Millisecond)
	link := mails.link(1)
	require.True(t, strings.HasPrefix(link, pageOf(family)+"#in_"), link)
	p := visit(t, family.browser(t), link)
	require.Equal(t, pageOf(family), p.js(`() => location.href`), "the invitation is not in the address")
	p.signsIn("edsger", password)
	p.sees("Your second factors")
	p.presses("Add an authenticator app")
	p.presses("Continue")
	seed := p.scans()
	p.fills("Code shown by the app", harness.StepBefore(t, seed))
	p.key("Enter", "\r")
	p.keepsCodes()
	p.reads("Phone added.")
	require.Empty(t, p.faults())
}
