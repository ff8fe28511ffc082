package main

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/gateway"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/cmd/fountain/internal/session"
)

// A refusal that a service cannot explain, because it does not know the command line, is printed with the next step. It
// remains the same error.
func TestHinted_tellsWhatToDo(t *testing.T) {
	scope := &fountain.Error{Operation: "listNotes", Status: http.StatusForbidden, Code: fountain.CodeInsufficientScope, Challenge: &fountain.Challenge{Scope: "notes:write"}}
	require.Contains(t, hinted(scope).Error(), scope.Error()+"; it requires notes:write")
	require.ErrorIs(t, hinted(scope), fountain.CodeInsufficientScope)
	scope.Challenge.Scope = "notes:\x1b[2Jwrite"
	require.Equal(t, scope.Error(), hinted(scope).Error(), "what a terminal would obey is not printed")
	scope.Challenge = nil
	require.Equal(t, scope.Error(), hinted(scope).Error())

	target := &fountain.Error{Operation: "issueToken", Status: http.StatusBadRequest, Code: fountain.CodeInvalidTarget}
	require.Contains(t, hinted(target).Error(), "fountain whoami")
	require.Contains(t, hinted(&fountain.Error{Status: http.StatusForbidden, Code: fountain.CodeInvitationRequired}).Error(), "--invitation-file")

	client, raised := &fountain.Error{Code: fountain.CodeInvalidClient}, &fountain.Error{Code: fountain.CodeInsufficientUserAuthentication}
	require.Equal(t, client.Error(), hinted(client).Error())
	require.Equal(t, raised.Error(), hinted(raised).Error(), "people are asked for a code")
	t.Setenv("FOUNTAIN_API_KEY", "a key")
	require.Contains(t, hinted(client).Error(), "FOUNTAIN_API_KEY has expired")
	require.Contains(t, hinted(raised).Error(), "the key of a service")

	require.NoError(t, hinted(nil))
	other := errors.New("another one")
	require.Equal(t, other, hinted(other))
}

// A name in place of an ID is reported as such, with the command that lists the IDs, instead of the pattern in the
// contract.
func TestInWords_tellsWhereTheIDsAre(t *testing.T) {
	keys := &cobra.Command{Use: "keys"}
	revoke := &cobra.Command{Use: "revoke"}
	keys.AddCommand(revoke)
	refused := &fountain.Error{Code: fountain.CodeInvalidParameter, RequestID: "req_1", Errors: []fountain.FieldError{
		{In: "path", Pointer: "keyId", Keyword: "minLength", Message: "must have at least 30 characters"}, {In: "path", Pointer: "keyId", Keyword: "pattern", Message: "must match"},
	}}
	require.EqualError(t, rewordRefusal(revoke, refused), "not a valid key ID: see `keys list` [req_1]")
	refused.Errors[0].In = "query"
	require.Equal(t, error(refused), rewordRefusal(revoke, refused), "not only the ID is wrong")
}

// A service that the gateway does not reach is not shown as just active.
func TestAdopted_tellsWhatIsNotReached(t *testing.T) {
	one := listedContract{kms.Contract{Status: kms.ContractStatusActive}, gatewayState{State: gatewayReady, Revision: 3}}
	require.Equal(t, "active", one.status())
	one.Gateway.State = string(gateway.ServiceStatusStatusDown)
	require.Equal(t, "active, not reached", one.status())
}

// An API key is used at the address where its user is signed in, as the help of --url says, unless a flag or the
// environment names another address. It needs no session.
func TestConnection_aKeyGoesWhereItsUserIsSignedIn(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("FOUNTAIN_URL", "")
	var c connection
	require.Equal(t, defaultURL, c.address(c.sessionForKey()))
	file, err := session.Default()
	require.NoError(t, err)
	require.NoError(t, file.Save(&session.Session{URL: "http://localhost:8502", Username: "ada", RefreshToken: "a token", CAFile: "/ca.pem"}))
	require.Equal(t, "http://localhost:8502", c.address(c.sessionForKey()))
	require.Equal(t, "/ca.pem", c.keptCA, "trusted by whom the session is")

	t.Setenv("FOUNTAIN_URL", "http://localhost:9000")
	c = connection{}
	require.Equal(t, "http://localhost:9000", c.address(c.sessionForKey()))
	require.Empty(t, c.keptCA, "another address is not trusted by the session's authorities")
	c.url = "http://localhost:9001"
	require.Equal(t, "http://localhost:9001", c.address(c.sessionForKey()))
}

// An API key cannot be raised with a code: --step-up says so before it asks for one.
func TestToken_stepUpTakesNoAPIKey(t *testing.T) {
	cmd := newToken()
	cmd.SetArgs([]string{"notes", "--step-up"})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	t.Setenv("FOUNTAIN_API_KEY", "a key")
	require.ErrorContains(t, cmd.Execute(), "unset FOUNTAIN_API_KEY")
}

// Without an authenticator every code is wrong, and the service does not say which is the case. After a refusal, both
// ways of asking suggest enrolment, but not at a sign-in, which asks only users with an authenticator.
func TestCodes_ofNobodysAuthenticatorLeadToEnrolment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "code")
	require.NoError(t, os.WriteFile(file, []byte("123456\n"), 0o600))
	o := &operator{codeFile: file}
	for name, one := range map[string]struct {
		challenge fountain.Challenge
		told      bool
	}{
		"first":   {fountain.Challenge{Operation: "putRole", Attempt: 1}, false},
		"refused": {fountain.Challenge{Operation: "putRole", Attempt: 2}, true},
		"sign-in": {fountain.Challenge{Error: string(kms.MfaRequiredStatusMfaRequired), Attempt: 2}, false},
		"sent":    {fountain.Challenge{Operation: "putRole", Channel: "email", SentTo: "a***@example.org", Attempt: 2}, false},
	} {
		require.Equal(t, one.told, strings.Contains(codePrompt(one.challenge), "fountain otp enrol"), name)
		require.Equal(t, raises(one.challenge), strings.Contains(noPromptError(one.challenge).Error(), "fountain otp enrol"), name+": without a terminal it is said at once")
		code, err := o.code(t.Context(), one.challenge)
		if one.challenge.Attempt == 1 {
			require.NoError(t, err)
			require.Equal(t, "123456", code)
			continue
		}
		require.ErrorContains(t, err, "wait for the next one", name)
		require.Equal(t, one.told, strings.Contains(err.Error(), "fountain otp enrol"), name)
	}
}
