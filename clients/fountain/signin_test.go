package fountain_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
)

// newMfaFake is a server whose sign-in requires a second factor of these types. The correct code is 424242.
func newMfaFake(t *testing.T, factors ...string) *fake {
	f := newFake(t)
	f.guardedList(holding("signed-in"))
	f.on("POST /kms/v1/auth/login", func(w http.ResponseWriter, _ *http.Request, _ int) {
		body := map[string]any{"status": "mfa_required", "mfaToken": "waits", "expiresIn": 300, "expiresAt": time.Now().Add(5 * time.Minute)}
		if len(factors) > 0 {
			body["factors"] = factors
		}
		answer(w, http.StatusAccepted, body)
	})
	proof := map[string]any{"proof": "proof-of-a-factor", "acr": "aal2", "amr": []string{"otp"}, "authTime": time.Now(), "expiresAt": time.Now()}
	f.on("POST /twofactor/v1/verify", func(w http.ResponseWriter, r *http.Request, _ int) {
		all := f.requests("/twofactor/v1/verify")
		var body struct{ Code string }
		require.NoError(t, json.NewDecoder(strings.NewReader(all[len(all)-1].body)).Decode(&body))
		require.Equal(t, "Bearer waits", r.Header.Get("Authorization"))
		if body.Code != "424242" {
			refuse(w, http.StatusUnprocessableEntity, fountain.CodeInvalidCode)
			return
		}
		answer(w, 200, proof)
	})
	f.on("POST /twofactor/v1/recovery-codes/use", func(w http.ResponseWriter, r *http.Request, _ int) {
		require.Equal(t, "Bearer waits", r.Header.Get("Authorization"))
		answer(w, 200, proof)
	})
	f.on("POST /kms/v1/auth/login/complete", func(w http.ResponseWriter, r *http.Request, _ int) {
		require.Equal(t, "Bearer waits", r.Header.Get("Authorization"))
		require.JSONEq(t, `{"proof":"proof-of-a-factor"}`, f.requests("/kms/v1/auth/login/complete")[0].body)
		answer(w, 200, tokens("signed-in", "rt1", 600))
	})
	return f
}

var ada = fountain.WithUser("ada", "correct horse battery")

func list(t *testing.T, c *fountain.Client) error {
	t.Helper()
	_, err := c.Sequence.ListElements(t.Context(), "hamlet", "spokenWord", nil)
	return err
}

func TestSignIn_withoutCallbackSaysWhatIsMissing(t *testing.T) {
	f := newMfaFake(t, "totp", "passkey")
	err := list(t, f.client(t, ada))
	require.ErrorIs(t, err, fountain.ErrMfaRequired)
	var waits *fountain.MfaRequiredError
	require.ErrorAs(t, err, &waits)
	require.Equal(t, "waits", waits.MfaToken)
	require.Equal(t, []kms.FactorWord{"totp", "passkey"}, *waits.Factors)
	require.NotContains(t, err.Error(), "waits\"", "the token is in no message")
	require.Contains(t, err.Error(), "WithStepUp")
	require.Empty(t, f.requests("/twofactor/v1/verify"))
}

func TestSignIn_asksForACodeUntilOneIsRight(t *testing.T) {
	f := newMfaFake(t)
	option, asked := codes("111111", "222222", "424242")
	c := f.client(t, ada, option)
	require.NoError(t, list(t, c))
	require.NoError(t, list(t, c))
	require.Len(t, *asked, 3, "the session is kept")
	require.Equal(t, fountain.Challenge{Operation: "loginUser", Audience: "kms", Error: "mfa_required", ACRValues: []string{"aal2"}, Attempt: 3}, (*asked)[2])
	require.Len(t, f.requests("/kms/v1/auth/login"), 1)
	require.Len(t, f.requests("/kms/v1/auth/login/complete"), 1)
}

func TestSignIn_takesARecoveryCodeInThePlaceOfACode(t *testing.T) {
	f := newMfaFake(t)
	option, _ := codes("0123-4567-89AB-CDEF-GHJK-MNPQ")
	require.NoError(t, list(t, f.client(t, ada, option)))
	require.Len(t, f.requests("/twofactor/v1/recovery-codes/use"), 1)
}

func TestSignIn_endsWithTheRefusalAfterThreeWrongCodesAndWithTheCallbacksError(t *testing.T) {
	f := newMfaFake(t)
	option, asked := codes("1", "2", "3", "424242")
	require.ErrorIs(t, list(t, f.client(t, ada, option)), fountain.CodeInvalidCode)
	require.Len(t, *asked, 3)
	option, asked = codes("1", "1")
	require.ErrorIs(t, list(t, f.client(t, ada, option)), fountain.CodeInvalidCode)
	require.Len(t, *asked, 2, "the same code again is no other")
	gone := errors.New("nobody is there")
	refusing := fountain.WithStepUp(func(context.Context, fountain.Challenge) (string, error) { return "", gone })
	require.ErrorIs(t, list(t, f.client(t, ada, refusing)), gone)
	require.Empty(t, f.requests("/kms/v1/auth/login/complete"))
}

// If no accepted factor has a code, the callback is not called.
func TestSignIn_asksForNoCodeWhereNoneIsAccepted(t *testing.T) {
	f := newMfaFake(t, "passkey")
	option, asked := codes("424242")
	err := list(t, f.client(t, ada, option))
	require.ErrorIs(t, err, fountain.ErrMfaRequired)
	require.Contains(t, err.Error(), "/twofactor/v1/enroll")
	require.Empty(t, *asked)
}

// sending makes the fake send codes to an address. The correct code is 424242.
func (f *fake) sending(t *testing.T) {
	t.Helper()
	sent := map[string]any{
		"challengeId": "chl_1", "status": "open", "purpose": "signing in", "delivery": "queued", "attemptsLeft": 5, "maskedTarget": "a***@example.org",
		"createdAt": time.Now(), "expiresAt": time.Now(), "resendAfter": time.Now(),
	}
	proof := map[string]any{"proof": "proof-of-a-factor", "acr": "aal2", "amr": []string{"otp"}, "authTime": time.Now(), "expiresAt": time.Now()}
	f.on("POST /twofactor/v1/challenges", func(w http.ResponseWriter, r *http.Request, _ int) {
		require.Equal(t, "Bearer waits", r.Header.Get("Authorization"))
		answer(w, http.StatusCreated, sent)
	})
	f.on("POST /twofactor/v1/challenges/chl_1/resend", func(w http.ResponseWriter, _ *http.Request, _ int) { answer(w, 200, sent) })
	f.on("POST /twofactor/v1/challenges/chl_1/verify", func(w http.ResponseWriter, r *http.Request, _ int) {
		require.Equal(t, "Bearer waits", r.Header.Get("Authorization"))
		all := f.requests("/twofactor/v1/challenges/chl_1/verify")
		if !strings.Contains(all[len(all)-1].body, "424242") {
			refuse(w, http.StatusUnprocessableEntity, fountain.CodeInvalidCode)
			return
		}
		answer(w, 200, map[string]any{"challengeId": "chl_1", "subject": "usr_1", "purpose": "signing in", "proof": proof})
	})
}

func TestSignIn_hasACodeSentWhereTheRolesAcceptIt(t *testing.T) {
	for name, c := range map[string]struct {
		factors []string
		channel string
		want    string // the channel that is used; "" for an authenticator
	}{
		"asked for and accepted":             {[]string{"totp", "email", "sms"}, "email", "email"},
		"asked for and not accepted":         {[]string{"totp", "sms"}, "email", ""},
		"asked for where nothing is named":   {nil, "email", ""},
		"not asked for":                      {[]string{"totp", "email"}, "", ""},
		"nothing else can be typed":          {[]string{"passkey", "email"}, "", "email"},
		"nothing else, and another was said": {[]string{"sms"}, "email", "sms"},
	} {
		f := newMfaFake(t, c.factors...)
		f.sending(t)
		option, asked := codes("424242")
		options := []fountain.Option{ada, option}
		if c.channel != "" {
			options = append(options, fountain.WithSentCode(c.channel))
		}
		require.NoError(t, list(t, f.client(t, options...)), name)
		require.Equal(t, c.want, (*asked)[0].Channel, name)
		if c.want != "" {
			require.Equal(t, "a***@example.org", (*asked)[0].SentTo)
			require.JSONEq(t, `{"channel":"`+c.want+`","purpose":"signing in"}`, f.requests("/twofactor/v1/challenges")[0].body)
		}
	}
	_, err := fountain.New("http://localhost", fountain.WithSentCode("pigeon"))
	require.ErrorContains(t, err, "email or sms")
}

func TestSignIn_sendsAnotherCodeWhenItIsAskedTo(t *testing.T) {
	f := newMfaFake(t, "email")
	f.sending(t)
	var asked []fountain.Challenge
	answers := []string{"", "111111", "", "424242"}
	c := f.client(t, ada, fountain.WithStepUp(func(_ context.Context, challenge fountain.Challenge) (string, error) {
		asked = append(asked, challenge)
		if answers[len(asked)-1] == "" {
			return "", fountain.ErrResend
		}
		return answers[len(asked)-1], nil
	}))
	require.NoError(t, list(t, c))
	require.Len(t, f.requests("/twofactor/v1/challenges/chl_1/resend"), 2)
	require.Len(t, f.requests("/twofactor/v1/challenges"), 1)
	require.Equal(t, []int{1, 1, 2, 2}, []int{asked[0].Attempt, asked[1].Attempt, asked[2].Attempt, asked[3].Attempt})
}

// Neither wrong codes nor messages are unlimited.
func TestSignIn_givesUpAfterThreeWrongCodesAndFiveMessages(t *testing.T) {
	f := newMfaFake(t, "email")
	f.sending(t)
	option, asked := codes("111111", "222222", "333333", "444444")
	require.ErrorIs(t, list(t, f.client(t, ada, option)), fountain.CodeInvalidCode)
	require.Len(t, *asked, 3)
	f = newMfaFake(t, "email")
	f.sending(t)
	always := fountain.WithStepUp(func(context.Context, fountain.Challenge) (string, error) { return "", fountain.ErrResend })
	require.ErrorIs(t, list(t, f.client(t, ada, always)), fountain.ErrResend)
	require.Len(t, f.requests("/twofactor/v1/challenges/chl_1/resend"), 4, "five codes in all")
}
