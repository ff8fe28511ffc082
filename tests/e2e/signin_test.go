package e2e

import (
	"context"
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/twofactor"
	"github.com/fountainai/fountain/tests/harness"
)

// passkeyProof returns the proof that twofactor issues for a user's passkey alone, signed with a registered proof key.
func passkeyProof(t *testing.T, private ed25519.PrivateKey, kid, userID string, now time.Time) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"iss": "twofactor", "aud": []string{"kms"}, "sub": userID, "jti": "prf_" + now.Format("150405.000000"), "azp": "fountain",
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "auth_time": now.Unix(), "acr": "phr", "amr": []string{"hwk", "user"}, "factor": "passkey",
	})
	token.Header = map[string]any{"alg": "EdDSA", "kid": kid, "typ": "2fa-sign-in+jwt"}
	text, err := token.SignedString(private)
	require.NoError(t, err)
	return text
}

// policies requires a second factor of readers at sign-in, and signs one in who has none yet: the reader enrols one
// with the token of the waiting sign-in, and completes the sign-in with one of the recovery codes.
func (tr *tour) policies() {
	ctx, k := context.Background(), tr.admin.KMS
	const password = "a kettle on the far shore"
	user := ok[*kms.UserCreated](tr, "create user")(k.CreateUser(ctx, kms.UserCreate{Username: "hedy", Password: password, Roles: []string{"reader"}}))
	set := ok[*kms.Role](tr, "policy")(k.PutSecondFactorPolicy(ctx, "reader", kms.SecondFactorPolicyPut{Required: kms.SecondFactorPolicyPutRequiredAlways}))
	require.EqualValues(tr.t, 2, *set.Version)

	anonymous := tr.f.Client()
	_, err := anonymous.KMS.LoginUser(ctx, kms.Login{Username: "hedy", Password: password})
	var waits *fountain.MfaRequiredError
	require.ErrorAs(tr.t, err, &waits)
	require.ErrorIs(tr.t, err, fountain.ErrMfaRequired)
	carried := fountain.WithBearer(waits.MfaToken)
	_, err = anonymous.Sequence.ListElements(ctx, "tour", "line", nil, carried)
	require.ErrorIs(tr.t, err, fountain.ErrUnauthenticated, "it is for no other service")
	_, err = anonymous.KMS.GetUser(ctx, user.ID, carried)
	require.ErrorIs(tr.t, err, fountain.CodeInsufficientScope)

	enrolment := ok[*twofactor.TotpEnrolment](tr, "enrol")(anonymous.Twofactor.EnrolTotp(ctx, twofactor.TotpEnrol{}, carried))
	code := func() string { return tr.f.CodeOf(enrolment.Secret) }
	confirmed := ok[*twofactor.ConfirmedFactor](tr, "confirm")(anonymous.Twofactor.ConfirmTotp(ctx, enrolment.FactorID, twofactor.TotpConfirm{Code: code()}, carried))
	_, err = anonymous.Twofactor.CreateRecoveryCodes(ctx, carried)
	require.ErrorIs(tr.t, err, fountain.ErrStepUpRequired, "a password is not enough for that")
	proof := ok[*twofactor.OtpProof](tr, "recovery code")(anonymous.Twofactor.UseRecoveryCode(ctx, twofactor.RecoveryCodeUse{Code: (*confirmed.RecoveryCodes)[0]}, carried))
	tokens := ok[*kms.TokenResponse](tr, "complete")(anonymous.KMS.CompleteSignIn(ctx, kms.SignInProof{Proof: proof.Proof}, carried))
	require.Equal(tr.t, "hedy", ok[*kms.User](tr, "own account")(anonymous.KMS.GetUser(ctx, user.ID, fountain.WithBearer(tokens.AccessToken))).Username)

	// The SDK does the same by itself, including wrong codes, and does not ask again for an operation.
	var asked []fountain.Challenge
	hedy := tr.f.Client(fountain.WithUser("hedy", password), fountain.WithStepUp(func(_ context.Context, c fountain.Challenge) (string, error) {
		if asked = append(asked, c); len(asked) == 1 {
			return "000000", nil
		}
		return code(), nil
	}))
	ok[any](tr, "recovery codes")(any2(hedy.Twofactor.CreateRecoveryCodes(ctx)))
	require.Equal(tr.t, []fountain.Challenge{
		{Operation: "loginUser", Audience: "kms", Error: "mfa_required", ACRValues: []string{"aal2"}, Attempt: 1},
		{Operation: "loginUser", Audience: "kms", Error: "mfa_required", ACRValues: []string{"aal2"}, Attempt: 2},
	}, asked)
	require.NoError(tr.t, hedy.SignOut(ctx))
	ok[any](tr, "policy as before")(any2(k.PutSecondFactorPolicy(ctx, "reader", kms.SecondFactorPolicyPut{Required: kms.SecondFactorPolicyPutRequiredOnOperations}))) // other tests use a given family next
}

// Administrators whose role requires a second factor at sign-in can do all their work, from the sign-in on, through the
// gateway.
func TestSignIn_ofAnAdministratorWhoseRoleAsksForASecondFactor(t *testing.T) {
	harness.Own(t, "its clock is the machine's")
	f := harness.Start(t)
	f.Bootstrap()
	first := f.Admin()
	f.EnrolTOTP(first)
	ctx := context.Background()
	_, err := first.KMS.PutSecondFactorPolicy(ctx, "admin", kms.SecondFactorPolicyPut{Required: kms.SecondFactorPolicyPutRequiredAlways, MaxAge: fountain.Ptr(int64(3600))})
	require.NoError(t, err)
	_, err = f.Client(fountain.WithUser(harness.Username, f.Password)).KMS.ListUsers(ctx, nil)
	require.ErrorIs(t, err, fountain.ErrMfaRequired)

	asked := 0
	admin := f.Client(fountain.WithUser(harness.Username, f.Password), fountain.WithStepUp(func(context.Context, fountain.Challenge) (string, error) {
		asked++
		return f.Code(), nil
	}))
	_, err = admin.KMS.ListUsers(ctx, nil)
	require.NoError(t, err)
	_, err = admin.KMS.CreateUser(ctx, kms.UserCreate{Username: "grace", Password: "a quiet harbour at dawn", Roles: []string{"editor"}})
	require.NoError(t, err)
	require.Equal(t, 1, asked, "the code of the sign-in counts for what it is recent enough for")
	f.Clock.Advance(11 * time.Minute)
	_, err = admin.KMS.ListUsers(ctx, nil)
	require.NoError(t, err)
	require.Equal(t, 2, asked, "the session goes on, and the operation asks for a recent code")
	f.Clock.Advance(time.Hour)
	_, err = admin.KMS.ListUsers(ctx, nil)
	require.NoError(t, err)
	require.Equal(t, 3, asked, "after an hour the person signs in again")
}
