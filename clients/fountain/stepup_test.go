package fountain_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/sequence"
)

// newStepUpFake is a server on which reordering requires a second factor. The correct code is 424242.
func newStepUpFake(t *testing.T) *fake { return refusingProofs(t, 0) }

// refusingProofs is newStepUpFake, where the kms does not accept the first n proofs.
func refusingProofs(t *testing.T, n int) *fake {
	f := newFake(t)
	f.on("POST "+reorderPath, func(w http.ResponseWriter, r *http.Request, _ int) {
		if r.Header.Get("Authorization") == "Bearer raised" || r.Header.Get("X-OTP") == "424242" {
			answer(w, 200, map[string]any{"changes": []any{map[string]any{"id": "b", "from": 2, "to": 1}}})
			return
		}
		challenge(w)
	})
	f.on("POST /twofactor/v1/verify", func(w http.ResponseWriter, r *http.Request, _ int) {
		var body struct{ Code string }
		all := f.requests("/twofactor/v1/verify")
		require.NoError(t, json.NewDecoder(strings.NewReader(all[len(all)-1].body)).Decode(&body))
		require.Equal(t, "Bearer plain", r.Header.Get("Authorization"))
		if body.Code != "424242" {
			refuse(w, http.StatusUnprocessableEntity, fountain.CodeInvalidCode)
			return
		}
		answer(w, 200, map[string]any{"proof": "proof", "acr": "aal2", "amr": []string{"otp"}, "authTime": time.Now(), "expiresAt": time.Now()})
	})
	f.on("POST /kms/v1/auth/step-up", func(w http.ResponseWriter, r *http.Request, call int) {
		if call <= n {
			refuse(w, http.StatusUnprocessableEntity, fountain.CodeInvalidProof)
			return
		}
		require.Equal(t, "Bearer plain", r.Header.Get("Authorization"))
		require.JSONEq(t, `{"proof":"proof","resource":"sequence"}`, f.requests("/kms/v1/auth/step-up")[0].body)
		answer(w, 200, tokens("raised", "", 300))
	})
	return f
}

var (
	plain      = fountain.WithTokenSource(fountain.TokenSourceFunc(func(context.Context, string) (string, error) { return "plain", nil }))
	twoSwapped = sequence.Reorder{Order: []string{"b", "a"}}
)

func codes(list ...string) (fountain.Option, *[]fountain.Challenge) {
	var asked []fountain.Challenge
	var mu sync.Mutex
	return fountain.WithStepUp(func(_ context.Context, c fountain.Challenge) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, c)
		return list[min(len(asked), len(list))-1], nil
	}), &asked
}

func TestStepUp_withoutCallbackReturnsTheChallenge(t *testing.T) {
	f := newStepUpFake(t)
	_, err := f.client(t, plain).Sequence.ReorderElements(t.Context(), "hamlet", "spokenWord", twoSwapped)
	require.ErrorIs(t, err, fountain.ErrStepUpRequired)
	require.ErrorIs(t, err, fountain.ErrUnauthenticated)
	var e *fountain.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, &fountain.Challenge{
		Operation: "reorderElements", Audience: "sequence", Error: "insufficient_user_authentication",
		ACRValues: []string{"aal2", "phr"}, MaxAge: 5 * time.Minute,
	}, e.Challenge)
}

// The session ends between the code and the exchange of its proof, and the client signs in again.
func TestStepUp_asksOnceMoreWhenTheSessionOfTheProofHasEnded(t *testing.T) {
	for refusals, want := range []error{nil, nil, fountain.CodeInvalidProof} {
		f := refusingProofs(t, refusals)
		option, asked := codes("424242")
		_, err := f.client(t, plain, option).Sequence.ReorderElements(t.Context(), "hamlet", "spokenWord", twoSwapped)
		require.ErrorIs(t, err, want)
		require.Len(t, *asked, min(refusals, 1)+1)
	}
}

func TestStepUp_asksOnceAndKeepsTheRaisedToken(t *testing.T) {
	f := newStepUpFake(t)
	option, asked := codes("424242")
	c := f.client(t, plain, option)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			_, err := c.Sequence.ReorderElements(t.Context(), "hamlet", "spokenWord", twoSwapped)
			require.NoError(t, err)
		})
	}
	wg.Wait()
	before := len(f.requests(reorderPath))
	got, err := c.Sequence.ReorderElements(t.Context(), "hamlet", "spokenWord", twoSwapped)
	require.NoError(t, err)
	require.Equal(t, []sequence.NumberChange{{ID: "b", From: 2, To: 1}}, got.Changes)
	require.Equal(t, before+1, len(f.requests(reorderPath)), "the raised token is used at once")
	require.Len(t, *asked, 1)
	require.Equal(t, 1, (*asked)[0].Attempt)
	require.Len(t, f.requests("/kms/v1/auth/step-up"), 1)
}

// A token for other programs costs one code, and the client's calls use it too.
func TestRaisedToken_asksOnce(t *testing.T) {
	f := newStepUpFake(t)
	option, asked := codes("424242")
	c := f.client(t, plain, option)
	token, err := c.RaisedToken(t.Context(), "sequence")
	require.NoError(t, err)
	again, err := c.RaisedToken(t.Context(), "sequence")
	require.NoError(t, err)
	require.Equal(t, token, again)
	plainToken, err := c.Token(t.Context(), "sequence")
	require.NoError(t, err)
	require.NotEqual(t, plainToken, token)
	_, err = c.Sequence.ReorderElements(t.Context(), "hamlet", "spokenWord", twoSwapped)
	require.NoError(t, err)
	require.Equal(t, []fountain.Challenge{{Audience: "sequence", Attempt: 1}}, *asked)
	require.Len(t, f.requests("/kms/v1/auth/step-up"), 1)

	option, _ = codes("111111")
	_, err = f.client(t, plain, option).RaisedToken(t.Context(), "sequence")
	require.ErrorIs(t, err, fountain.CodeInvalidCode)
	require.NotContains(t, err.Error(), "111111")
	_, err = f.client(t, plain).RaisedToken(t.Context(), "sequence")
	require.Error(t, err, "nobody can be asked")
}

func TestStepUp_asksAgainAfterAWrongCodeButNotForTheSameOne(t *testing.T) {
	f := newStepUpFake(t)
	option, asked := codes("000000", "424242")
	_, err := f.client(t, plain, option).Sequence.ReorderElements(t.Context(), "hamlet", "spokenWord", twoSwapped)
	require.NoError(t, err)
	require.Len(t, *asked, 2)
	require.Equal(t, 2, (*asked)[1].Attempt)

	option, _ = codes("111111")
	verified := len(f.requests("/twofactor/v1/verify"))
	_, err = f.client(t, plain, option).Sequence.ReorderElements(t.Context(), "hamlet", "spokenWord", twoSwapped)
	require.ErrorIs(t, err, fountain.ErrStepUpRequired)
	require.ErrorIs(t, err, fountain.CodeInvalidCode)
	require.Equal(t, verified+1, len(f.requests("/twofactor/v1/verify")))
	require.NotContains(t, err.Error(), "111111")
}

func TestStepUp_thatTheCallerGivesUpKeepsBothErrors(t *testing.T) {
	f := newStepUpFake(t)
	gone := errors.New("nobody at the keyboard")
	c := f.client(t, plain, fountain.WithStepUp(func(context.Context, fountain.Challenge) (string, error) { return "", gone }))
	_, err := c.Sequence.ReorderElements(t.Context(), "hamlet", "spokenWord", twoSwapped)
	require.ErrorIs(t, err, gone)
	require.ErrorIs(t, err, fountain.ErrStepUpRequired)
}

func TestStepUp_isDoneOnceForACallThatStillIsRefused(t *testing.T) {
	f := newStepUpFake(t)
	f.on("POST /sequence/v1/scopes/other/spokenWord/reorder", func(w http.ResponseWriter, _ *http.Request, _ int) { challenge(w) })
	option, asked := codes("424242")
	_, err := f.client(t, plain, option).Sequence.ReorderElements(t.Context(), "other", "spokenWord", twoSwapped)
	require.ErrorIs(t, err, fountain.ErrStepUpRequired)
	require.Len(t, *asked, 1)
	require.Len(t, f.requests("/sequence/v1/scopes/other/spokenWord/reorder"), 2)
}

func TestWithoutStepUp_returnsTheChallengeThoughARaisedTokenLives(t *testing.T) {
	f := newStepUpFake(t)
	option, asked := codes("424242")
	c := f.client(t, plain, option)
	_, err := c.Sequence.ReorderElements(t.Context(), "hamlet", "spokenWord", twoSwapped)
	require.NoError(t, err)
	_, err = c.Sequence.ReorderElements(t.Context(), "hamlet", "spokenWord", twoSwapped, fountain.WithoutStepUp())
	require.ErrorIs(t, err, fountain.ErrStepUpRequired)
	require.Len(t, *asked, 1)
}

func TestWithOTP_sendsTheCodeAlong(t *testing.T) {
	f := newStepUpFake(t)
	option, asked := codes("424242")
	c := f.client(t, plain, option)
	_, err := c.Sequence.ReorderElements(t.Context(), "hamlet", "spokenWord", twoSwapped, fountain.WithOTP("424242"))
	require.NoError(t, err)
	_, err = c.Sequence.ReorderElements(t.Context(), "hamlet", "spokenWord", twoSwapped, fountain.WithOTP("000000"))
	require.ErrorIs(t, err, fountain.ErrStepUpRequired)
	require.Empty(t, *asked)
}

func TestStepUp_doesNotAskForACodeWhereAFreshSignInIsWanted(t *testing.T) {
	f := newFake(t)
	f.on("POST "+reorderPath, func(w http.ResponseWriter, _ *http.Request, _ int) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="fountain", error="insufficient_user_authentication", acr_values="aal1", max_age="900"`)
		refuse(w, http.StatusUnauthorized, fountain.CodeInsufficientUserAuthentication)
	})
	withCodes, asked := codes("424242")
	_, err := f.client(t, plain, withCodes).Sequence.ReorderElements(t.Context(), "hamlet", "spokenWord", twoSwapped)
	require.ErrorIs(t, err, fountain.ErrStepUpRequired)
	require.Empty(t, *asked)
}

func TestStepUp_takesARecoveryCode(t *testing.T) {
	f := newStepUpFake(t)
	const recovery = "0123-4567-89AB-CDEF-GHJK-MNPQ"
	f.on("POST /twofactor/v1/recovery-codes/use", func(w http.ResponseWriter, r *http.Request, _ int) {
		require.Equal(t, "Bearer plain", r.Header.Get("Authorization"))
		require.JSONEq(t, `{"code":"`+recovery+`"}`, f.requests("/twofactor/v1/recovery-codes/use")[0].body)
		answer(w, 200, map[string]any{"proof": "proof", "acr": "aal2", "amr": []string{"otp"}, "authTime": time.Now(), "expiresAt": time.Now()})
	})
	give, _ := codes(recovery)
	_, err := f.client(t, plain, give).Sequence.ReorderElements(t.Context(), "hamlet", "spokenWord", twoSwapped)
	require.NoError(t, err)
	require.Empty(t, f.requests("/twofactor/v1/verify"))
}

// The proof of a confirmation replaces a code: no code is asked for, in this call and in the next.
func TestUseProof_raisesWithoutACode(t *testing.T) {
	f := newStepUpFake(t)
	option, asked := codes("424242")
	c := f.client(t, plain, option)
	require.NoError(t, c.UseProof(t.Context(), "sequence", "proof"))
	for range 2 {
		_, err := c.Sequence.ReorderElements(t.Context(), "hamlet", "spokenWord", twoSwapped)
		require.NoError(t, err)
	}
	require.Empty(t, *asked)
	require.Empty(t, f.requests("/twofactor/v1/verify"))
	require.Len(t, f.requests("/kms/v1/auth/step-up"), 1)
	require.Error(t, f.client(t, plain).UseProof(t.Context(), "sequence", "proof"), "such a client answers no challenge")
}
