//go:build browser

package browser

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/tests/harness"
)

// resetPageOf is where people choose a new password with a reset token.
func resetPageOf(p *harness.Process) string { return p.URL + "/kms/v1/auth/password-reset" }

// A person opens the link of a reset, learns what is wrong with the passwords that they try, and signs in with the new one. The token leaves the address at
// once, and works once.
func TestReset_aPersonChoosesAPasswordByALink(t *testing.T) {
	family, admin := household(t)
	t.Cleanup(family.Stop)
	made, err := admin.KMS.CreatePasswordReset(t.Context(), grace(t, admin).ID)
	require.NoError(t, err)
	p := visit(t, start(t), resetPageOf(family)+"#"+made.Token)
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
	p.reads("The two new passwords are not the same.")
	choose("passwordpassword", "passwordpassword")
	p.reads("It is little more than widely used passwords or words.")
	choose("four terns at the harbour", "four terns at the harbour")
	p.sees("Your password is changed")
	p.follows("Sign in")
	p.signsIn("grace", password)
	p.reads("The user name or the password is not right.")
	p.signsInAgain("grace", "four terns at the harbour")
	p.sees("My account")

	p.browser.goTo(p.tab, resetPageOf(family))
	p.sees("Choose a new password")
	p.fills("Reset token", made.Token)
	choose("five terns at the harbour", "five terns at the harbour")
	p.reads("This token for a new password is not accepted.")
	require.Empty(t, p.faults())
}
