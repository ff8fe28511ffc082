package e2e

import (
	"context"
	"encoding/json"
	"net"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	fountain "github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/twofactor"
	"github.com/fountainai/fountain/tests/authenticator"
)

// passkeys enrols a passkey on the page of the family at localhost, raises the session with it, and signs in.
func (tr *tour) passkeys() {
	ctx, tf := context.Background(), tr.admin.Twofactor
	gateway, err := url.Parse(tr.f.Info.GatewayURL)
	require.NoError(tr.t, err)
	device := authenticator.New("localhost", gateway.Scheme+"://"+net.JoinHostPort("localhost", gateway.Port()))
	enrolment := ok[*twofactor.PasskeyEnrolment](tr, "enrol passkey")(tf.EnrolPasskey(ctx, twofactor.PasskeyEnrol{Label: fountain.Ptr("laptop")}))
	require.Equal(tr.t, "localhost", enrolment.Options.Rp.ID)
	made := answered[twofactor.PasskeyRegistration](tr.t, device.Create, enrolment.Options)
	f := ok[*twofactor.ConfirmedFactor](tr, "confirm passkey")(tf.ConfirmPasskey(ctx, enrolment.FactorID, twofactor.PasskeyConfirm{Credential: made}))
	require.Equal(tr.t, "passkey", f.Type)

	asked := ok[*twofactor.PasskeyChallenge](tr, "challenge of passkey")(tf.CreatePasskeyChallenge(ctx))
	signed := answered[twofactor.PasskeyAssertion](tr.t, device.Get, asked.Options)
	proof := ok[*twofactor.OtpProof](tr, "verify passkey")(tf.VerifyPasskey(ctx, asked.ChallengeID, twofactor.PasskeyVerify{Credential: signed}))
	require.Equal(tr.t, "phr", proof.Acr)
	ok[any](tr, "step up by passkey")(any2(tr.admin.KMS.CompleteStepUp(ctx, kms.StepUp{Proof: proof.Proof, Resource: "kms"})))

	nobody := tr.f.Client().Twofactor
	begun := ok[*twofactor.PasskeySignIn](tr, "sign-in by passkey")(nobody.CreatePasskeySignIn(ctx))
	signed = answered[twofactor.PasskeyAssertion](tr.t, device.Get, begun.Options)
	ok[any](tr, "verify sign-in by passkey")(any2(nobody.VerifyPasskeySignIn(ctx, begun.SignInID, twofactor.PasskeyVerify{Credential: signed})))
	_, err = nobody.VerifyPasskeySignIn(ctx, begun.SignInID, twofactor.PasskeyVerify{Credential: signed})
	require.ErrorIs(tr.t, err, fountain.CodeInvalidPasskey)
	require.NoError(tr.t, tf.RevokeFactor(ctx, enrolment.FactorID))
}

// answered returns the response of a device to options.
func answered[T any](t *testing.T, device func([]byte) (json.RawMessage, error), options any) (out T) {
	t.Helper()
	asked, err := json.Marshal(options)
	require.NoError(t, err)
	text, err := device(asked)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &out))
	return out
}
