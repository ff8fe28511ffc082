package e2e

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/gateway"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/search"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/clients/twofactor"
	engine "github.com/fountainai/fountain/impl/search"
	"github.com/fountainai/fountain/impl/search/searchtest"
	"github.com/fountainai/fountain/openapi"
	"github.com/fountainai/fountain/tests/harness"
	"github.com/fountainai/fountain/tests/recorder"
)

// tour calls operations. A failure ends the test.
type tour struct {
	t     *testing.T
	f     *harness.Family
	admin *fountain.Client
}

// ok returns the value of a call that must succeed: ok(t)(c.KMS.GetJwks(ctx)).
func ok[T any](t *tour, what string) func(T, error) T {
	return func(v T, err error) T {
		t.t.Helper()
		require.NoError(t.t, err, what)
		return v
	}
}

// TestTour_everyOperationOfEveryContractSucceedsThroughTheGateway calls each operation once with the SDK. The recorder
// checks each response against its contract. A new operation that is not called here fails the test.
func TestTour_everyOperationOfEveryContractSucceedsThroughTheGateway(t *testing.T) {
	if harness.IsGiven() {
		tourGiven(t)
		return
	}
	phones := newPhones(t)
	const key = "the key of the engine"
	keyFile := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(keyFile, []byte(key), 0o600))
	f := harness.StartAt(t, "", phones.settings, engine.EngineAt{EngineURL: searchtest.Typesense(t, key), EngineKeyFile: keyFile})
	f.Bootstrap()
	tr := &tour{t: t, f: f, admin: f.Admin()}
	tr.gateway()
	tr.codes()
	tr.messages(phones)
	tr.passkeys()
	tr.people()
	tr.browsers()
	tr.services()
	tr.webapps()
	tr.elements()
	tr.policies()
	tr.documents()
	tr.everythingWasCalled(nil)
}

// tourGiven tours a given family, with everything that it can do.
func tourGiven(t *testing.T) {
	f := harness.Start(t)
	tr := &tour{t: t, f: f, admin: f.Admin()}
	tr.gateway()
	tr.codes()
	tr.passkeys()
	tr.people()
	tr.browsers()
	tr.services()
	tr.webapps()
	tr.elements()
	tr.policies()
	tr.documents()
	tr.everythingWasCalled(map[string]string{
		"enrolDelivery": noProvider, "confirmDelivery": noProvider, "createChallenge": noProvider, "getChallenge": noProvider, "resendChallenge": noProvider,
		"verifyChallenge": noProvider, "cancelChallenge": noProvider, "receiveTwilioStatus": noProvider, "listDeliveries": noProvider,
		"rotateRootKey": "another root key must lie beside both kms", "getDiagnosis": "no doctor has left a report",
		"archiveAudit": "no event is older than 90 days", "bootstrapAdmin": "there is an administrator",
	})
}

const noProvider = "it has no provider of codes"

// everythingWasCalled requires that each operation was called with success, except those that cannot be, for the given
// reason.
func (tr *tour) everythingWasCalled(but map[string]string) {
	t := tr.t
	t.Helper()
	seen := map[string]bool{}
	for _, line := range recorder.Ledger() {
		id, rest, _ := strings.Cut(line, " ")
		if strings.HasPrefix(rest, "2") || strings.HasPrefix(rest, "308") {
			seen[id] = true
		}
	}
	for _, id := range operationIDs(t) {
		if but[id] != "" {
			t.Logf("%s was not called: %s", id, but[id])
			continue
		}
		require.True(t, seen[id], "nobody has called %s with success", id)
	}
}

func operationIDs(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, word := range openapi.Words() {
		loader := openapi3.NewLoader()
		loader.IsExternalRefsAllowed = true
		loader.ReadFromURIFunc = func(_ *openapi3.Loader, u *url.URL) ([]byte, error) { return fs.ReadFile(openapi.Files, u.Path) }
		text, err := openapi.Read(word)
		require.NoError(t, err)
		doc, err := loader.LoadFromDataWithPath(text, &url.URL{Path: word + ".yaml"})
		require.NoError(t, err)
		for _, item := range doc.Paths.Map() {
			for _, op := range item.Operations() {
				out = append(out, op.OperationID)
			}
		}
	}
	require.Greater(t, len(out), 60)
	return out
}

func (tr *tour) gateway() {
	ctx, g := context.Background(), tr.admin.Gateway
	ok[any](tr, "health")(any2(g.GetGatewayHealth(ctx)))
	ok[any](tr, "ready")(any2(g.GetGatewayReadiness(ctx)))
	ok[any](tr, "services")(any2(g.ListGatewayServices(ctx)))
	var metadata struct{ Issuer string }
	require.NoError(tr.t, json.Unmarshal(ok[json.RawMessage](tr, "metadata")(g.GetAuthorizationServer(ctx)), &metadata))
	require.NotEmpty(tr.t, metadata.Issuer)
	var provider struct{ Issuer string }
	require.NoError(tr.t, json.Unmarshal(ok[json.RawMessage](tr, "openid provider")(g.GetOpenIDProvider(ctx)), &provider))
	require.Equal(tr.t, metadata, provider)
	ok[[]byte](tr, "contract")(g.GetContract(ctx, "kms.yaml"))
	for _, listed := range ok[*gateway.ProblemPageList](tr, "problems")(g.ListProblemPages(ctx)).Items {
		require.Equal(tr.t, &listed, ok[*gateway.ProblemPage](tr, "problem")(g.GetProblemPage(ctx, fountain.Code(listed.Code))))
	}
	ok[[]byte](tr, "start page")(g.GetStartPage(ctx))
	ok[[]byte](tr, "icon")(g.GetFavicon(ctx))
	ok[[]byte](tr, "docs")(g.GetDocs(ctx))
	redirected, err := recorder.New(tr.t, nil).Client().Get(tr.f.Info.GatewayURL + "/docs/")
	require.NoError(tr.t, err)
	require.NoError(tr.t, redirected.Body.Close())
	require.Equal(tr.t, http.StatusPermanentRedirect, redirected.StatusCode)
	ok[[]byte](tr, "asset")(g.GetDocsAsset(ctx, "init.js"))
	ok[[]byte](tr, "console")(g.GetConsole(ctx))
	ok[[]byte](tr, "file of the console")(g.GetConsoleAsset(ctx, "app.js"))
	k, tf, sq, se := tr.admin.KMS, tr.admin.Twofactor, tr.admin.Sequence, tr.admin.Search
	ok[any](tr, "health")(any2(k.GetKmsHealth(ctx)))
	ok[any](tr, "ready")(any2(k.GetKmsReadiness(ctx)))
	ok[any](tr, "health")(any2(tf.GetTwofactorHealth(ctx)))
	ok[any](tr, "ready")(any2(tf.GetTwofactorReadiness(ctx)))
	ok[[]byte](tr, "page")(tf.GetEnrolmentPage(ctx))
	ok[[]byte](tr, "file of the page")(tf.GetEnrolmentAsset(ctx, "signin.js"))
	ok[any](tr, "health")(any2(sq.GetSequenceHealth(ctx)))
	ok[any](tr, "ready")(any2(sq.GetSequenceReadiness(ctx)))
	ok[any](tr, "health")(any2(se.GetSearchHealth(ctx)))
	ok[any](tr, "ready")(any2(se.GetSearchReadiness(ctx)))
	ok[any](tr, "jwks")(any2(k.GetJwks(ctx)))
	ok[any](tr, "metadata")(any2(k.GetServerMetadata(ctx)))
	ok[any](tr, "openid provider")(any2(k.GetProviderMetadata(ctx)))
}

// any2 discards the type of a value that is not used.
func any2[T any](v T, err error) (any, error) { return v, err }

// codes enrols the administrator's authenticator and a second one, which is revoked.
func (tr *tour) codes() {
	ctx, tf := context.Background(), tr.admin.Twofactor
	tr.f.EnrolTOTP(tr.admin)
	second := ok[*twofactor.TotpEnrolment](tr, "second factor")(tf.EnrolTotp(ctx, twofactor.TotpEnrol{Label: fountain.Ptr("spare")}))
	ok[[]byte](tr, "png")(tf.GetTotpQrPng(ctx, second.FactorID, nil))
	ok[[]byte](tr, "svg")(tf.GetTotpQrSvg(ctx, second.FactorID, nil))
	require.Len(tr.t, ok[*twofactor.FactorList](tr, "factors")(tf.ListFactors(ctx, nil)).Items, 2)
	require.Equal(tr.t, "old", *ok[*twofactor.Factor](tr, "rename")(tf.UpdateFactor(ctx, second.FactorID, twofactor.FactorUpdate{Label: "old"})).Label)
	require.NoError(tr.t, tf.RevokeFactor(ctx, second.FactorID))
	first := ok[*twofactor.FactorList](tr, "factors")(tf.ListFactors(ctx, nil)).Items[0].ID
	ok[any](tr, "resync")(any2(tf.ResyncTotp(ctx, first, twofactor.TotpResync{First: tr.f.Code(), Second: tr.f.Code()})))
	made := ok[*twofactor.RecoveryCodes](tr, "recovery codes")(tf.CreateRecoveryCodes(ctx))
	ok[any](tr, "use recovery code")(any2(tf.UseRecoveryCode(ctx, twofactor.RecoveryCodeUse{Code: made.Codes[0]})))
	require.EqualValues(tr.t, 9, ok[*twofactor.RecoveryCodesLeft](tr, "recovery codes left")(tf.GetRecoveryCodes(ctx)).Remaining)
	proof := ok[*twofactor.OtpProof](tr, "verify")(tf.VerifyOtp(ctx, twofactor.OtpVerify{Code: tr.f.Code()}))
	ok[any](tr, "step up")(any2(tr.admin.KMS.CompleteStepUp(ctx, kms.StepUp{Proof: proof.Proof, Resource: "kms"})))
}

// people signs in and out, refreshes, revokes and reads.
func (tr *tour) people() {
	ctx, k := context.Background(), tr.admin.KMS
	tokens := ok[*kms.TokenResponse](tr, "login")(k.LoginUser(ctx, kms.Login{Username: harness.Username, Password: tr.f.Password}))
	tokens = ok[*kms.TokenResponse](tr, "refresh")(k.RefreshToken(ctx, kms.Refresh{RefreshToken: *tokens.RefreshToken}))
	require.NoError(tr.t, k.LogoutUser(ctx, fountain.WithBearer(tokens.AccessToken)))
	tokens = ok[*kms.TokenResponse](tr, "login")(k.LoginUser(ctx, kms.Login{Username: harness.Username, Password: tr.f.Password}))
	require.NoError(tr.t, k.RevokeToken(ctx, kms.TokenQuestion{Token: *tokens.RefreshToken, ClientID: fountain.Ptr("fountain")}))
	_, err := k.RefreshToken(ctx, kms.Refresh{RefreshToken: *tokens.RefreshToken})
	require.ErrorIs(tr.t, err, fountain.CodeSessionEnded)
	users := ok[*kms.UserList](tr, "users")(k.ListUsers(ctx, nil))
	ok[any](tr, "user")(any2(k.GetUser(ctx, users.Items[0].ID)))
}

// browsers makes the calls that only pages make, without the SDK.
func (tr *tour) browsers() {
	client, cookie := recorder.New(tr.t, nil).Client(), ""
	post := func(path, body string) {
		req, err := http.NewRequest(http.MethodPost, tr.f.Info.GatewayURL+"/kms/v1/auth/"+path, strings.NewReader(body))
		require.NoError(tr.t, err)
		for name, value := range map[string]string{"Content-Type": "application/json", "Origin": tr.f.Info.GatewayURL, "Cookie": cookie} {
			req.Header.Set(name, value)
		}
		res, err := client.Do(req)
		require.NoError(tr.t, err)
		require.NoError(tr.t, res.Body.Close())
		require.Equal(tr.t, http.StatusOK, res.StatusCode, path)
		require.Len(tr.t, res.Cookies(), 1, path)
		cookie = res.Cookies()[0].Name + "=" + res.Cookies()[0].Value
	}
	in, err := json.Marshal(map[string]string{"username": harness.Username, "password": tr.f.Password, "refreshIn": "cookie"})
	require.NoError(tr.t, err)
	post("login", string(in))
	post("browser-session/refresh", "{}")
	post("browser-session/refresh", `{"resource":["sequence"]}`)
}

// webapps registers a web app, signs in to it, and signs out with it.
func (tr *tour) webapps() {
	ctx, k := context.Background(), tr.admin.KMS
	const callback, verifier = "http://127.0.0.1:4999/callback", "a-verifier-of-the-tour-that-nobody-else-knows-0123"
	made := ok[*kms.ClientRegistration](tr, "register client")(k.RegisterClient(ctx, kms.ClientCreate{
		Name: "tour", Type: kms.ClientCreateTypeConfidential, RedirectUris: []string{callback}, Trusted: fountain.Ptr(true),
	}))
	id := made.Client.ID
	ok[any](tr, "clients")(any2(k.ListClients(ctx, nil)))
	seen := ok[*kms.WebClient](tr, "client")(k.GetClient(ctx, id))
	ok[any](tr, "update client")(any2(k.UpdateClient(ctx, id, fountain.IfMatch(seen.Version), kms.ClientUpdate{Name: fountain.Ptr("tour of apps")})))
	made = ok[*kms.ClientRegistration](tr, "rotate secret")(k.RotateClientSecret(ctx, id))

	sum := sha256.Sum256([]byte(verifier))
	request := kms.AuthorizationRequest{
		ResponseType: fountain.Ptr("code"), ClientID: &id, RedirectURI: fountain.Ptr(callback), Scope: fountain.Ptr("openid profile"),
		CodeChallenge: fountain.Ptr(base64.RawURLEncoding.EncodeToString(sum[:])), CodeChallengeMethod: fountain.Ptr("S256"),
	}
	ok[[]byte](tr, "authorization page")(k.GetAuthorizationPage(ctx, &kms.GetAuthorizationPageParams{ClientID: &id, State: fountain.Ptr("s")}))
	require.EqualValues(tr.t, "sign_in_required", ok[*kms.Authorization](tr, "check")(k.CheckAuthorization(ctx, request)).Status)
	answer := ok[*kms.Authorization](tr, "authorize")(k.AuthorizeClient(ctx, kms.AuthorizationAnswer{Request: request}))
	back, err := url.Parse(*answer.Redirect)
	require.NoError(tr.t, err)
	tokens := ok[*kms.TokenResponse](tr, "trade code")(k.IssueToken(ctx, kms.TokenRequest{
		GrantType: "authorization_code", ClientID: &id, ClientSecret: made.ClientSecret, Code: fountain.Ptr(back.Query().Get("code")),
		RedirectURI: fountain.Ptr(callback), CodeVerifier: fountain.Ptr(verifier),
	}))
	require.Equal(tr.t, tr.f.AdminID, ok[*kms.UserInfo](tr, "userinfo")(k.GetUserInfo(ctx, fountain.WithBearer(tokens.AccessToken))).Sub)

	ok[[]byte](tr, "sign-out page")(k.GetSignOutPage(ctx, nil))
	ok[any](tr, "allow")(any2(k.AuthorizeClient(ctx, kms.AuthorizationAnswer{Request: request, Consent: fountain.Ptr(kms.AuthorizationAnswerConsent("granted"))})))
	require.Equal(tr.t, id, ok[*kms.ConsentList](tr, "consents")(k.ListConsents(ctx, tr.f.AdminID, nil)).Items[0].Client.ID)
	ok[any](tr, "withdraw consent")(any2(k.WithdrawConsent(ctx, tr.f.AdminID, id)))
	ok[any](tr, "end session")(any2(k.EndSession(ctx, kms.SignOut{IDTokenHint: *tokens.IDToken})))
	require.NoError(tr.t, k.DeleteClient(ctx, id))
}

// services makes the calls that require a second factor of an administrator, and what a service does with its own key.
func (tr *tour) services() {
	ctx, k := context.Background(), tr.admin.KMS
	user := ok[*kms.UserCreated](tr, "create user")(k.CreateUser(ctx, kms.UserCreate{Username: "grace", Password: "a quiet harbour at dawn", Roles: []string{"editor"}}))
	tr.account(user.ID)
	disabled := kms.UserUpdateStatus("disabled")
	ok[any](tr, "disable")(any2(k.UpdateUser(ctx, user.ID, fountain.IfMatch(user.Version), kms.UserUpdate{Status: &disabled})))

	made := ok[*kms.ServiceRegistration](tr, "register")(k.RegisterService(ctx, kms.ServiceCreate{Name: "tour",
		Scopes: []string{"factors:verify", "keyrings:use", "keys:verify", "secrets:read", "secrets:write"}}))
	ok[any](tr, "services")(any2(k.ListServices(ctx, nil)))
	ok[any](tr, "service")(any2(k.GetService(ctx, made.Service.ID)))
	fresh := ok[*kms.Enrolment](tr, "enrolment token")(k.CreateEnrolmentToken(ctx, made.Service.ID))
	own := ok[*kms.APIKeyWithSecret](tr, "enrol")(k.EnrolService(ctx, kms.Enrol{Token: fresh.Token}))
	shop := tr.f.Client(fountain.WithAPIKey(own.Key)).Twofactor
	ok[any](tr, "verify for")(any2(shop.VerifyOtpFor(ctx, tr.f.AdminID, twofactor.OtpVerifyFor{Code: tr.f.Code()})))
	ok[any](tr, "reset factors")(any2(tr.admin.Twofactor.ResetFactors(ctx, user.ID, twofactor.FactorReset{Reason: "a tour of all operations"})))
	tr.ownKey(own.Key)
	tr.twofactor()
	inactive := kms.ServiceUpdateStatus("disabled")
	ok[any](tr, "disable service")(any2(k.UpdateService(ctx, made.Service.ID, fountain.IfMatch(made.Service.Version), kms.ServiceUpdate{Status: &inactive})))

	require.NoError(tr.t, k.DeleteService(ctx, made.Service.ID))
	tr.roles()

	users := ok[*kms.UserList](tr, "users")(k.ListUsers(ctx, nil))
	key := ok[*kms.APIKeyWithSecret](tr, "key")(k.CreateAPIKey(ctx, kms.APIKeyCreate{Name: "tour", OwnerKind: new(kms.APIKeyCreateOwnerKind("user")), OwnerID: new(users.Items[0].ID), Scopes: []string{"elements:read"}}))
	ok[any](tr, "keys")(any2(k.ListAPIKeys(ctx, nil)))
	seen := ok[*kms.APIKey](tr, "key")(k.GetAPIKey(ctx, key.APIKey.ID))
	changed := ok[*kms.APIKey](tr, "update key")(k.UpdateAPIKey(ctx, seen.ID, fountain.IfMatch(seen.Version), kms.APIKeyUpdate{Metadata: &map[string]string{"team": "data"}}))
	require.Equal(tr.t, "data", (*changed.Metadata)["team"])
	who := ok[*kms.APIKeyIdentity](tr, "whoami")(tr.f.Client().KMS.WhoamiAPIKey(ctx, kms.APIKeyText{Key: key.Key}))
	require.Equal(tr.t, []string{"elements:read"}, who.Scopes)
	ok[any](tr, "rotate")(any2(k.RotateAPIKey(ctx, key.APIKey.ID, kms.APIKeyRotate{})))
	require.NoError(tr.t, k.RetireAPIKey(ctx, key.APIKey.ID))
	require.EqualValues(tr.t, 1, ok[*kms.APIKeyRevocation](tr, "revoke key")(k.RevokeAPIKey(ctx, key.APIKey.ID)).Revoked, "its successor")
	ok[any](tr, "secret")(any2(k.PutSecret(ctx, "tour.secret", kms.SecretPut{Value: "value"})))
	require.Equal(tr.t, "value", ok[*kms.Secret](tr, "secret")(k.GetSecret(ctx, "tour.secret")).Value)
	ok[any](tr, "secrets")(any2(k.ListSecrets(ctx, nil)))
	tr.secretVersions()
	tr.secretPolicies()
	signing := ok[*kms.SigningKeyList](tr, "signing keys")(k.ListSigningKeys(ctx, nil))
	named := ok[*kms.SigningKey](tr, "rotate signing key")(k.RotateSigningKey(ctx, kms.SigningKeyRotate{}))
	require.NotNil(tr.t, named.ActiveAt)
	require.NotEmpty(tr.t, signing.Items)
	require.Equal(tr.t, kms.SigningKeyStateGone, ok[*kms.SigningKey](tr, "revoke signing key")(k.RevokeSigningKey(ctx, named.Kid)).State)
	tr.rootKey()
	tr.upkeep()
	tr.keyrings()
	ok[any](tr, "audit events")(any2(k.ListAuditEvents(ctx, nil)))
	kept := kms.AuditCheckpoint(*ok[*kms.AuditCheckpoint](tr, "audit checkpoint")(k.GetAuditCheckpoint(ctx)))
	require.True(tr.t, ok[*kms.AuditReport](tr, "verify audit")(k.VerifyAudit(ctx, kms.AuditVerify{Checkpoint: &kept})).Intact)
	var export bytes.Buffer
	require.GreaterOrEqual(tr.t, ok[int64](tr, "audit export")(k.WriteAudit(ctx, &export, 0)), kept.Seq)
	if tr.f.Given {
		return
	}
	require.Equal(tr.t, "kms", ok[*kms.AuditRemoval](tr, "archive the kms's audit")(k.ArchiveAudit(ctx, kms.AuditArchive{Checkpoint: kept})).Service)
	other := signedCheckpoint(tr, "sequence")
	require.Equal(tr.t, "sequence", ok[*kms.AuditRemoval](tr, "archive audit")(k.ArchiveAudit(ctx, kms.AuditArchive{Checkpoint: other})).Service, "it judges the order itself")
}

// keyrings uses a keyring of each algorithm.
func (tr *tour) keyrings() {
	ctx, k := context.Background(), tr.admin.KMS
	for name, algorithm := range map[string]kms.KeyringAlgorithm{"tour-seal": kms.KeyringAlgorithmAES256GCM, "tour-sum": kms.KeyringAlgorithmHMACSHA256, "tour-sign": kms.KeyringAlgorithmEdDSA} {
		ok[any](tr, "create keyring")(any2(k.CreateKeyring(ctx, kms.KeyringCreate{Name: name, Algorithm: algorithm})))
	}
	sealed := ok[*kms.KeyringCiphertext](tr, "encrypt")(k.EncryptData(ctx, "tour-seal", kms.KeyringPlaintext{Plaintext: []byte("plain")}))
	rotated := ok[*kms.Keyring](tr, "rotate keyring")(k.RotateKeyring(ctx, "tour-seal"))
	again := ok[*kms.KeyringCiphertext](tr, "rewrap")(k.RewrapData(ctx, "tour-seal", kms.KeyringCiphertextInContext{Ciphertext: sealed.Ciphertext}))
	require.EqualValues(tr.t, 2, again.KeyVersion)
	ok[any](tr, "update keyring")(any2(k.UpdateKeyring(ctx, "tour-seal", fountain.IfMatch(rotated.Version), kms.KeyringUpdate{MinVersion: new(int64(2))})))
	opened := ok[*kms.KeyringOpened](tr, "decrypt")(k.DecryptData(ctx, "tour-seal", kms.KeyringCiphertextInContext{Ciphertext: again.Ciphertext}))
	require.Equal(tr.t, "plain", string(opened.Plaintext))
	dataKey := ok[*kms.DataKey](tr, "data key")(k.CreateDataKey(ctx, "tour-seal"))
	require.Equal(tr.t, dataKey.Plaintext, ok[*kms.DataKey](tr, "unwrap")(k.UnwrapDataKey(ctx, "tour-seal", kms.WrappedDataKey{Wrapped: dataKey.Wrapped})).Plaintext)
	data := []byte("data")
	mac := ok[*kms.KeyringMac](tr, "mac")(k.ComputeMac(ctx, "tour-sum", kms.KeyringData{Data: data}))
	require.True(tr.t, ok[*kms.KeyringVerdict](tr, "verify mac")(k.VerifyMac(ctx, "tour-sum", kms.KeyringMacCheck{Data: data, Mac: mac.Mac, KeyVersion: 1})).Valid)
	signed := ok[*kms.KeyringSignature](tr, "sign")(k.SignData(ctx, "tour-sign", kms.KeyringData{Data: data}))
	require.True(tr.t, ok[*kms.KeyringVerdict](tr, "verify")(k.VerifySignature(ctx, "tour-sign", kms.KeyringSignatureCheck{Data: data, Signature: signed.Signature, KeyVersion: 1})).Valid)
	public := *(*ok[*kms.Keyring](tr, "keyring")(k.GetKeyring(ctx, "tour-sign")).Keys)[0].PublicKey
	require.True(tr.t, ed25519.Verify(public, data, signed.Signature), "by anybody who has the public key")
	require.NotNil(tr.t, ok[*kms.Keyring](tr, "delete keyring")(k.DeleteKeyring(ctx, "tour-sum")).DeleteAt)
	require.Nil(tr.t, ok[*kms.Keyring](tr, "restore keyring")(k.RestoreKeyring(ctx, "tour-sum")).DeleteAt)
	require.Len(tr.t, ok[*kms.KeyringList](tr, "keyrings")(k.ListKeyrings(ctx, nil)).Items, 3)
}

// rootKey puts a new root key next to that of the kms, as an operator does, and rotates to it.
func (tr *tour) rootKey() {
	ctx, k := context.Background(), tr.admin.KMS
	if tr.f.Given {
		ok[any](tr, "root key")(any2(k.GetRootKey(ctx)))
		return
	}
	file, next := filepath.Join(tr.f.Dir, "kms", "root.key"), make([]byte, 32)
	_, _ = rand.Read(next)
	require.NoError(tr.t, os.WriteFile(file+".next", next, 0o600))
	require.NoError(tr.t, os.Link(file, file+".previous"))
	require.NoError(tr.t, os.Rename(file+".next", file))
	before := ok[*kms.RootKey](tr, "root key")(k.GetRootKey(ctx))
	require.Equal(tr.t, before.Active, *ok[*kms.RootKey](tr, "rotate root key")(k.RotateRootKey(ctx)).Previous)
}

// upkeep reads what commands have written in the data directory of the kms.
func (tr *tour) upkeep() {
	ctx, k, dir := context.Background(), tr.admin.KMS, filepath.Join(tr.f.Dir, "kms")
	if tr.f.Given {
		ok[any](tr, "backups")(any2(k.ListBackups(ctx, nil)))
		return
	}
	require.NoError(tr.t, os.Mkdir(filepath.Join(dir, "backups"), 0o700))
	require.NoError(tr.t, os.WriteFile(filepath.Join(dir, "backups", "20261130T030000.000000000Z-bak_00.json"), []byte(`{"id":"bak_00","version":"0.1.0","madeAt":"2026-11-30T03:00:00Z","file":"/backups/one","bytes":1,"parts":[]}`), 0o600))
	require.NoError(tr.t, os.WriteFile(filepath.Join(dir, "doctor.json"), []byte(`{"at":"2026-11-30T03:00:00Z","version":"0.1.0","quick":false,"worst":"ok","findings":[]}`), 0o600))
	require.Equal(tr.t, "bak_00", ok[*kms.BackupList](tr, "backups")(k.ListBackups(ctx, nil)).Items[0].ID)
	require.Equal(tr.t, kms.FindingLevelOk, ok[*kms.Diagnosis](tr, "diagnosis")(k.GetDiagnosis(ctx)).Worst)
}

// secretVersions takes a secret through its stages.
func (tr *tour) secretVersions() {
	ctx, k := context.Background(), tr.admin.KMS
	ok[any](tr, "propose secret")(any2(k.ProposeSecret(ctx, "tour.secret", kms.SecretPut{Value: "another"}, fountain.WithIfMatch(fountain.IfMatch(1)))))
	require.Equal(tr.t, "another", ok[*kms.SecretVersionValue](tr, "secret version")(k.GetSecretVersion(ctx, "tour.secret", fountain.PendingVersion)).Value)
	require.EqualValues(tr.t, 2, ok[*kms.SecretMetadata](tr, "promote")(k.PromoteSecretVersion(ctx, "tour.secret", fountain.PendingVersion)).Version)
	require.NoError(tr.t, k.DeleteSecretVersion(ctx, "tour.secret", fountain.PreviousVersion))
	ok[any](tr, "undelete")(any2(k.UndeleteSecretVersion(ctx, "tour.secret", "1")))
	require.NotEmpty(tr.t, ok[*kms.SecretDestruction](tr, "destroy")(k.DestroySecretVersion(ctx, "tour.secret", "1")).Remains)
	ok[any](tr, "put rotation")(any2(k.PutSecretRotation(ctx, "tour.secret", kms.SecretRotationPut{Driver: kms.SecretRotationPutDriverRandom})))
	ok[any](tr, "rotation")(any2(k.GetSecretRotation(ctx, "tour.secret")))
	require.NoError(tr.t, k.DeleteSecretRotation(ctx, "tour.secret"))
	ok[any](tr, "put rotation")(any2(k.PutSecretRotation(ctx, "tour.secret", kms.SecretRotationPut{Driver: kms.SecretRotationPutDriverRandom})))
	ok[any](tr, "secret versions")(any2(k.ListSecretVersions(ctx, "tour.secret", nil)))
	require.EqualValues(tr.t, 2, ok[int64](tr, "watch")(k.WatchSecret(ctx, "tour.secret", 1, 20*time.Second)))
	require.EqualValues(tr.t, 2, ok[int64](tr, "watch")(k.WatchSecret(ctx, "tour.secret", 2, 0)))
	ok[any](tr, "rotate secret")(any2(k.RotateSecret(ctx, "tour.secret")))
	require.Eventually(tr.t, func() bool {
		return ok[*kms.SecretRotation](tr, "rotation")(k.GetSecretRotation(ctx, "tour.secret")).State == kms.SecretRotationStateIdle
	}, time.Minute, 50*time.Millisecond)
	ok[any](tr, "roll back secret")(any2(k.RollbackSecretRotation(ctx, "tour.secret")))
}

// secretPolicies gives a role access to a secret.
func (tr *tour) secretPolicies() {
	ctx, k := context.Background(), tr.admin.KMS
	reads := kms.SecretPolicyPut{Subject: kms.SecretPolicySubject{Kind: kms.SecretPolicySubjectKindRole, ID: "reader"}, Path: "tour", Capabilities: []kms.SecretCapability{kms.SecretCapabilityRead}}
	ok[any](tr, "put policy")(any2(k.PutSecretPolicy(ctx, "tour-reads", reads, fountain.WithIfNoneMatch())))
	_, err := k.PutSecretPolicy(ctx, "tour-reads", reads, fountain.WithIfNoneMatch())
	require.ErrorIs(tr.t, err, fountain.ErrStale)
	require.Equal(tr.t, "tour", ok[*kms.SecretPolicy](tr, "policy")(k.GetSecretPolicy(ctx, "tour-reads")).Path)
	access := ok[*kms.SecretAccess](tr, "access")(k.ExplainSecretAccess(ctx, "tour.secret", &kms.ExplainSecretAccessParams{Role: new("reader")}))
	require.Equal(tr.t, reads.Capabilities, access.Capabilities)
	require.Equal(tr.t, []string{"secrets:read"}, access.MissingScopes)
	var names []string
	for p, err := range k.SecretPolicies(ctx) {
		require.NoError(tr.t, err)
		names = append(names, p.Name)
	}
	require.Equal(tr.t, []string{"administrators", "own-secrets", "tour-reads"}, names)
	require.NoError(tr.t, k.DeleteSecretPolicy(ctx, "tour-reads"))
}

// roles registers a resource server and grants its scopes.
func (tr *tour) roles() {
	ctx, k := context.Background(), tr.admin.KMS
	ok[any](tr, "register")(any2(k.RegisterService(ctx, kms.ServiceCreate{Name: "atlas", Scopes: []string{}, DeclaredScopes: &[]string{"atlas:read"}})))
	ok[any](tr, "put role")(any2(k.PutRole(ctx, "navigator", kms.RolePut{Scopes: []string{"atlas:read"}}, fountain.WithIfNoneMatch())))
	require.Equal(tr.t, []string{"atlas:read"}, ok[*kms.Role](tr, "role")(k.GetRole(ctx, "navigator")).Scopes)
	var roles, scopes []string
	for r, err := range k.Roles(ctx) {
		require.NoError(tr.t, err)
		roles = append(roles, r.Name)
	}
	for s, err := range k.Scopes(ctx) {
		require.NoError(tr.t, err)
		scopes = append(scopes, s.Scope)
	}
	require.Subset(tr.t, roles, []string{"admin", "editor", "navigator", "reader"})
	require.Subset(tr.t, scopes, []string{"atlas:read", "elements:read"})
	token, err := tr.admin.Token(ctx, "atlas")
	require.NoError(tr.t, err)
	var claims struct {
		Audience jwt.ClaimStrings `json:"aud"`
		jwt.RegisteredClaims
	}
	_, _, err = jwt.NewParser().ParseUnverified(token, &claims)
	require.NoError(tr.t, err)
	require.Equal(tr.t, jwt.ClaimStrings{"atlas"}, claims.Audience, "the SDK asks for a token for this service alone")
	_, err = k.ListRoles(ctx, nil, fountain.WithBearer(token))
	require.ErrorIs(tr.t, err, fountain.ErrUnauthenticated)
	require.NoError(tr.t, k.DeleteRole(ctx, "navigator"))
	tr.contracts()
}

// contracts adopts the resource server with a document, changes the document and retires it.
func (tr *tour) contracts() {
	ctx, k := context.Background(), tr.admin.KMS
	body := func(summary string) kms.ContractPut {
		return kms.ContractPut{File: "atlas.yaml", Upstreams: &[]string{"http://127.0.0.1:1"}, Files: []kms.ContractFile{{Name: "atlas.yaml", Text: `openapi: 3.0.3
info: {title: Atlas, version: 1.0.0}
paths:
  /maps:
    get: {operationId: listMaps, summary: ` + summary + `, responses: {'200': {description: All.}}}
`}}}
	}
	made := ok[*kms.Contract](tr, "adopt")(k.PutContract(ctx, "atlas", body("Maps"), fountain.WithIfNoneMatch()))
	require.NotEmpty(tr.t, *made.Warnings, "it has no security schemes")
	_, err := k.PutContract(ctx, "atlas", body("Maps"), fountain.WithIfNoneMatch())
	require.ErrorIs(tr.t, err, fountain.ErrStale)
	ok[any](tr, "replace contract")(any2(k.PutContract(ctx, "atlas", body("All maps"), fountain.WithIfMatch(fountain.IfMatch(made.Version)))))
	_, err = k.PutContract(ctx, "atlas", kms.ContractPut{File: "a.yaml", Upstreams: &[]string{"http://127.0.0.1:1"}, Files: []kms.ContractFile{{Name: "a.yaml", Text: "{}"}}})
	require.ErrorIs(tr.t, err, fountain.CodeInvalidContract)
	var names []string
	for c, err := range k.Contracts(ctx) {
		require.NoError(tr.t, err)
		names = append(names, c.Name)
	}
	require.Equal(tr.t, []string{"atlas"}, names)
	found := ok[*kms.ContractWithFiles](tr, "contract")(k.GetServiceContract(ctx, "atlas"))
	require.Equal(tr.t, body("All maps").Files, found.Document.Files)
	require.NoError(tr.t, k.RetireContract(ctx, "atlas"))
}

// account does what a user does with their own account, and what an administrator does for them.
func (tr *tour) account(userID string) {
	ctx, k := context.Background(), tr.admin.KMS
	const first, second, third = "a quiet harbour at dawn", "a lantern over the river", "another lantern elsewhere"
	grace := tr.f.Client(fountain.WithUser("grace", first)).KMS
	require.NotEmpty(tr.t, ok[*kms.SessionList](tr, "sessions")(grace.ListSessions(ctx, userID, nil)).Items)
	require.NoError(tr.t, grace.ChangePassword(ctx, userID, kms.PasswordChange{CurrentPassword: first, NewPassword: second}))
	sessions := ok[*kms.SessionList](tr, "sessions")(k.ListSessions(ctx, userID, nil))
	require.NoError(tr.t, k.RevokeSession(ctx, userID, sessions.Items[0].ID))
	ok[any](tr, "revoke sessions")(any2(k.RevokeSessions(ctx, userID)))
	require.NoError(tr.t, k.UnlockUser(ctx, userID))
	ok[[]byte](tr, "reset page")(k.GetPasswordResetPage(ctx))
	reset := ok[*kms.PasswordReset](tr, "reset")(k.CreatePasswordReset(ctx, userID))
	require.NoError(tr.t, k.ResetPassword(ctx, kms.PasswordResetUse{Token: reset.Token, NewPassword: third}))
	_, err := k.LoginUser(ctx, kms.Login{Username: "grace", Password: third}, fountain.WithoutAuth())
	require.NoError(tr.t, err)
	gone := ok[*kms.UserCreated](tr, "create user")(k.CreateUser(ctx, kms.UserCreate{Username: "barbara", Password: first, Roles: []string{"reader"}}))
	require.NoError(tr.t, k.DeleteUser(ctx, gone.ID))
}

// signedCheckpoint returns a signed checkpoint of a service without a stored audit trail.
func signedCheckpoint(tr *tour, service string) kms.AuditCheckpoint {
	own, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(tr.t, err)
	at, sum := tr.f.Clock.Now().UTC().Truncate(time.Microsecond), make([]byte, 32)
	named := sha256.Sum256(own)
	return kms.AuditCheckpoint{
		Service: service, Seq: 1, Hash: sum, At: at, KeyID: hex.EncodeToString(named[:8]), PublicKey: own,
		Signature: ed25519.Sign(private, fmt.Appendf(nil, "fountain audit checkpoint v1\n%s\n1\n%x\n%s\n", service, sum, at.Format("2006-01-02T15:04:05.000000Z"))),
	}
}

// ownKey does what a service does with its own API key.
func (tr *tour) ownKey(text string) {
	ctx := context.Background()
	k := tr.f.Client(fountain.WithAPIKey(text)).KMS
	own := signedCheckpoint(tr, "tour")
	ok[any](tr, "witness audit")(any2(k.WitnessAudit(ctx, kms.AuditWitness{
		Service: own.Service, Seq: own.Seq, Hash: own.Hash, At: own.At, KeyID: own.KeyID, PublicKey: own.PublicKey, Signature: own.Signature, KeptSeconds: new(int64(60)),
	})))
	require.Nil(tr.t, ok[*kms.AuditOrders](tr, "audit order")(k.GetAuditOrder(ctx)).Order)
	data := ok[*kms.DataKey](tr, "data key")(k.CreateDataKey(ctx, "tour"))
	again := ok[*kms.DataKey](tr, "unwrap")(k.UnwrapDataKey(ctx, "tour", kms.WrappedDataKey{Wrapped: data.Wrapped}))
	require.Equal(tr.t, data.Plaintext, again.Plaintext)
	verdict := ok[*kms.APIKeyVerdict](tr, "verify")(k.VerifyAPIKey(ctx, kms.APIKeyVerify{Key: text}))
	require.True(tr.t, verdict.Valid)
	ok[any](tr, "rotate own")(any2(k.RotateCurrentAPIKey(ctx, kms.APIKeyRotate{})))
}

// mails sends mails in place of twofactor, which has no mail server here.
func (tr *tour) mails(carrier *fountain.KMS) {
	ctx, k := context.Background(), tr.admin.KMS
	wait := "wait=0"
	ok[any](tr, "no mails yet")(any2(carrier.ClaimMails(ctx, &kms.ClaimMailsParams{Prefer: &wait})))
	to := kms.MailOrder{To: new("ada@example.org")}
	ok[any](tr, "mail a reset")(any2(k.MailPasswordReset(ctx, tr.f.AdminID, to)))
	ok[any](tr, "mail an invitation")(any2(k.MailInvitation(ctx, tr.f.AdminID, to)))
	claimed := ok[*kms.MailClaim](tr, "claim mails")(carrier.ClaimMails(ctx, nil)).Items
	require.Len(tr.t, claimed, 2)
	require.NoError(tr.t, carrier.ReportMail(ctx, claimed[0].ID, kms.MailOutcome{Lease: claimed[0].Lease, Outcome: kms.MailOutcomeOutcomeSent}))
	require.Len(tr.t, ok[*kms.MailList](tr, "mails")(k.ListMails(ctx, nil)).Items, 2)
	require.NoError(tr.t, k.RequestPasswordReset(ctx, kms.PasswordResetRequest{Login: "nobody@example.org"}, fountain.WithoutAuth()))
}

// twofactor does what only the twofactor service may do, with its own key.
func (tr *tour) twofactor() {
	ctx, key := context.Background(), tr.f.ServiceKey("twofactor")
	k := tr.f.Client(fountain.WithAPIKey(key)).KMS
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(tr.t, err)
	x := base64.RawURLEncoding.EncodeToString(public)
	thumbprint := sha256.Sum256([]byte(fmt.Sprintf(`{"crv":"Ed25519","kty":"OKP","x":%q}`, x)))
	kid := base64.RawURLEncoding.EncodeToString(thumbprint[:])
	require.NoError(tr.t, k.PutProofKey(ctx, kid, kms.ProofKey{Kty: "OKP", Crv: "Ed25519", X: x}))
	ok[any](tr, "passkey")(any2(k.SignInWithPasskey(ctx, kms.SignInProof{Proof: passkeyProof(tr.t, private, kid, tr.f.AdminID, tr.f.Clock.Now())})))

	made := ok[*kms.Invitation](tr, "invitation")(tr.admin.KMS.CreateInvitation(ctx, tr.f.AdminID))
	checked := ok[*kms.InvitationChecked](tr, "check invitation")(k.CheckInvitation(ctx, kms.InvitationCheck{UserID: tr.f.AdminID, Token: made.Token}))
	require.NoError(tr.t, k.UseInvitation(ctx, checked.InvitationID, kms.InvitationUse{UserID: tr.f.AdminID, FactorID: "fac_01KBB6Q3Y5W1V9T2ZD0G7M4N8P"}))

	tr.mails(k)

	page := ok[*kms.RevocationPage](tr, "revocations")(k.ListRevocations(ctx, nil))
	require.NotEmpty(tr.t, page.Items, "people have signed out")
	token, err := tr.admin.Token(ctx, "twofactor")
	require.NoError(tr.t, err)
	id := "key_" + strings.Split(key, "_")[2]
	known := ok[*kms.Introspection](tr, "introspect")(k.IntrospectToken(ctx, kms.TokenQuestion{Token: token, ClientID: &id, ClientSecret: &key}))
	require.True(tr.t, known.Active)
	require.Equal(tr.t, tr.f.AdminID, *known.Sub)
}

func (tr *tour) elements() {
	ctx, s := context.Background(), tr.admin.Sequence
	data := json.RawMessage(`{"text":"a tour","scene":"one"}`)
	first := ok[*sequence.Element](tr, "create")(s.CreateElement(ctx, "tour", "line", sequence.ElementCreate{Data: data}))
	batch := ok[*sequence.ElementBatchResult](tr, "batch")(s.CreateElements(ctx, "tour", "line", sequence.ElementBatch{Elements: []sequence.ElementCreate{{Data: data}}}))
	ok[any](tr, "list")(any2(s.ListElements(ctx, "tour", "line", nil)))
	var read fountain.Response
	ok[any](tr, "get")(any2(s.GetElement(ctx, "tour", "line", first.ID, fountain.WithResponse(&read))))
	_, err := s.GetElement(ctx, "tour", "line", first.ID, fountain.WithIfChanged(read.ETag))
	require.ErrorIs(tr.t, err, fountain.ErrNotModified)
	require.NotErrorIs(tr.t, err, fountain.ErrUnexpectedResponse)
	ok[any](tr, "version")(any2(s.CreateVersion(ctx, "tour", "line", first.ID, fountain.IfMatch(1), sequence.VersionCreate{Data: data})))
	ok[any](tr, "versions")(any2(s.ListVersions(ctx, "tour", "line", first.ID, nil)))
	ok[any](tr, "version")(any2(s.GetVersion(ctx, "tour", "line", first.ID, 1)))
	ok[any](tr, "reorder")(any2(s.ReorderElements(ctx, "tour", "line", sequence.Reorder{Order: []string{batch.Items[0].ID, first.ID}})))
	ok[any](tr, "omit")(any2(s.OmitElement(ctx, "tour", "line", first.ID)))
	ok[any](tr, "restore")(any2(s.RestoreElement(ctx, "tour", "line", first.ID)))
	ok[any](tr, "merge patch")(any2(s.UpdateElement(ctx, "tour", "line", first.ID, fountain.IfMatch(2), data)))
	ok[any](tr, "restore version")(any2(s.RestoreVersion(ctx, "tour", "line", first.ID, 1, fountain.IfMatch(3), sequence.VersionRestore{})))
	ok[any](tr, "compare")(any2(s.CompareVersions(ctx, "tour", "line", first.ID, 1, 2)))
	before := sequence.Move{Before: &batch.Items[0].ID}
	ok[any](tr, "preview of a move")(any2(s.PreviewMove(ctx, "tour", "line", first.ID, before)))
	ok[any](tr, "move")(any2(s.MoveElement(ctx, "tour", "line", first.ID, before)))
	ok[any](tr, "preview of an order")(any2(s.PreviewReorder(ctx, "tour", "line", sequence.Reorder{Order: []string{batch.Items[0].ID, first.ID}})))
	ok[any](tr, "scopes")(any2(s.ListElementScopes(ctx, nil)))
	ok[any](tr, "scope")(any2(s.GetElementScope(ctx, "tour")))
	ok[any](tr, "changes")(any2(s.ListChanges(ctx, "tour", &sequence.ListChangesParams{})))
	all, err := fountain.Collect(s.Changes(ctx, "tour", nil))
	require.NoError(tr.t, err)
	for followed, err := range s.FollowChanges(ctx, "tour", &fountain.FeedPlace{Position: all[len(all)-2].Position}) {
		require.NoError(tr.t, err)
		require.Equal(tr.t, all[len(all)-1].Position, followed.Position)
		break
	}
	file := ok[[]byte](tr, "export scope")(s.ExportScope(ctx, "tour"))
	for _, isNew := range []bool{true, false} {
		brought := ok[*sequence.ScopeImport](tr, "import scope")(s.ImportScope(ctx, "tour-again", bytes.NewReader(file)))
		require.Equal(tr.t, isNew, brought.Imported)
	}
	var copied bytes.Buffer
	last := ok[*sequence.ScopeLineChecksum](tr, "write scope")(s.WriteScope(ctx, "tour-again", &copied))
	require.Positive(tr.t, last.Elements)
	require.Equal(tr.t, strings.SplitN(string(file), "\n", 2)[1][:40], strings.SplitN(copied.String(), "\n", 2)[1][:40])
	ok[any](tr, "events")(any2(s.StreamChanges(ctx, "tour", &sequence.StreamChangesParams{Limit: new(int32(2))})))
	ok[any](tr, "search")(any2(s.SearchElements(ctx, "tour", sequence.ElementSearch{Q: "*"})))
	format := ok[*sequence.NumberFormat](tr, "put number format")(s.PutNumberFormat(ctx, "tour", "invoice", sequence.NumberFormatPut{Prefix: "INV-", Padding: 5, Resets: sequence.NumberFormatPutResetsYear, TimeZone: "UTC"}))
	require.Regexp(tr.t, `^INV-20[0-9]{2}-00001$`, format.Next)
	ok[any](tr, "number format")(any2(s.GetNumberFormat(ctx, "tour", "invoice")))
	ok[any](tr, "reindex")(any2(s.ReindexScope(ctx, "tour")))
	ok[any](tr, "dead letters")(any2(s.ListDeadLetters(ctx, nil)))
	ok[any](tr, "retry dead letters")(any2(s.RetryDeadLetters(ctx, sequence.DeadLetterRetry{})))
}

// jobs writes documents in the background.
func (tr *tour) jobs() {
	ctx, s := context.Background(), tr.admin.Search
	lines := `{"op":"upsert","id":"job","document":{"text":"in the background"}}` + "\n" + `{"op":"upsert","id":"refused","document":{"text":7}}` + "\n" + `{"op":"delete","id":"job"}`
	j := ok[*search.Job](tr, "start a job")(s.StartSync(ctx, "tour", strings.NewReader(lines)))
	done := ok[*search.Job](tr, "await a job")(s.AwaitJob(ctx, "tour", j.ID, nil))
	require.Equal(tr.t, search.JobStateDone, done.State)
	require.EqualValues(tr.t, 1, done.Failed)
	failures, err := fountain.Collect(s.JobFailures(ctx, "tour", j.ID))
	require.NoError(tr.t, err)
	require.Len(tr.t, failures, 1)
	require.EqualValues(tr.t, 2, *failures[0].Item)
	list := ok[*search.JobList](tr, "jobs")(s.ListJobs(ctx, "tour", nil))
	require.Len(tr.t, list.Items, 1)
	lines = strings.Repeat(`{"op":"delete","id":"job"}`+"\n", 1000)
	for range 100 {
		next := ok[*search.Job](tr, "start another job")(s.StartSync(ctx, "tour", strings.NewReader(lines)))
		if _, err := s.CancelJob(ctx, "tour", next.ID); err != nil { // it has already finished
			require.ErrorIs(tr.t, err, fountain.ErrConflict)
			continue
		}
		break
	}
}

// sets adds synonyms to the collection and removes them.
func (tr *tour) sets() {
	ctx, s := context.Background(), tr.admin.Search
	kind := search.SetKindSynonyms
	put := ok[*search.SearchSet](tr, "put a set")(s.PutSearchSet(ctx, kind, "tour", search.SearchSetPut{Synonyms: &[]search.Synonym{{Words: []string{"tour", "trip"}}}}, fountain.WithIfNoneMatch()))
	require.Equal(tr.t, put.Version, ok[*search.SearchSet](tr, "a set")(s.GetSearchSet(ctx, kind, "tour")).Version)
	list := ok[*search.SearchSetList](tr, "sets")(s.ListSearchSets(ctx, kind, nil))
	require.Len(tr.t, list.Items, 1)
	before := ok[*search.CollectionSets](tr, "sets of a collection")(s.GetCollectionSets(ctx, "tour"))
	after := ok[*search.CollectionSets](tr, "give a collection sets")(s.PutCollectionSets(ctx, "tour", fountain.IfMatch(before.Version), search.CollectionSetsPut{SynonymSets: []string{"tour"}, CurationSets: []string{}}))
	require.Equal(tr.t, []string{"tour"}, after.SynonymSets)
	require.NoError(tr.t, s.DeleteSearchSet(ctx, kind, "tour"))
	ok[any](tr, "search key")(any2(s.CreateSearchKey(ctx, "tour", search.SearchKeyCreate{})))
}

// reindex changes the schema of the collection and back.
func (tr *tour) reindex() {
	ctx, s := context.Background(), tr.admin.Search
	schema := ok[*search.CollectionSchema](tr, "schema")(s.GetCollectionSchema(ctx, "tour"))
	yes := true
	wanted := search.CollectionSchemaPut{Fields: []search.Field{{Name: "text", Type: "string", Facet: &yes}}}
	begun := ok[*search.CollectionSchemaOutcome](tr, "reindex to a schema")(s.PutCollectionSchema(ctx, "tour", fountain.IfMatch(schema.Version), wanted))
	await := func(id string, state search.ReindexState) {
		require.Eventually(tr.t, func() bool {
			now := ok[*search.Reindex](tr, "reindex")(s.GetReindex(ctx, "tour", id))
			return now.State == state
		}, time.Minute, 20*time.Millisecond)
	}
	await(begun.Reindex.ID, search.ReindexStateDone)
	ok[any](tr, "roll back")(any2(s.RollbackReindex(ctx, "tour", begun.Reindex.ID)))
	await(begun.Reindex.ID, search.ReindexStateRolledBack)
	second := ok[*search.Reindex](tr, "start a reindex")(s.StartReindex(ctx, "tour", search.ReindexStart{}))
	if _, err := s.AbortReindex(ctx, "tour", second.ID); err != nil { // it may have finished already
		require.ErrorIs(tr.t, err, fountain.ErrConflict)
	}
	list := ok[*search.ReindexList](tr, "reindexes")(s.ListReindexes(ctx, "tour", nil))
	require.Len(tr.t, list.Items, 2)
}

func (tr *tour) documents() {
	ctx, s := context.Background(), tr.admin.Search
	ok[any](tr, "create")(any2(s.CreateCollection(ctx, search.CollectionCreate{Name: "tour", Fields: []search.Field{{Name: "text", Type: "string"}}})))
	ok[any](tr, "engine")(any2(s.GetEngine(ctx)))
	ok[any](tr, "list")(any2(s.ListCollections(ctx, nil)))
	ok[any](tr, "get")(any2(s.GetCollection(ctx, "tour")))
	tr.jobs()
	tr.reindex()
	doc := json.RawMessage(`{"text":"a tour"}`)
	done := ok[*search.DocumentSyncResult](tr, "sync")(s.SyncDocuments(ctx, "tour", search.DocumentSync{Items: []search.SyncItem{{Op: "upsert", ID: "1", Document: &doc}}}))
	require.EqualValues(tr.t, 1, done.Succeeded)
	found := ok[*search.DocumentSearchResult](tr, "search")(s.SearchDocuments(ctx, "tour", search.DocumentSearch{Q: "tuor", QueryBy: []string{"text"}}))
	require.EqualValues(tr.t, 1, found.Found)
	pair := []search.CollectionSearch{{Collection: "tour", Search: search.DocumentSearch{Q: "tour", QueryBy: []string{"text"}}}, {Collection: "tour", Search: search.DocumentSearch{Q: "*", QueryBy: []string{"text"}}}}
	each := ok[*search.SearchOutcomes](tr, "multi-search")(s.MultiSearch(ctx, search.MultiSearch{Searches: pair}))
	require.EqualValues(tr.t, 2, each.Succeeded)
	union := ok[*search.SearchUnion](tr, "union")(s.UnionSearch(ctx, search.UnionSearch{Searches: pair}))
	require.EqualValues(tr.t, 2, union.Found)
	ok[any](tr, "document")(any2(s.GetDocument(ctx, "tour", "1", nil)))
	for _, id := range []string{"sync", "export", "delete-by-query"} { // also names of operations
		require.NoError(tr.t, s.PutDocument(ctx, "tour", id, nil, doc))
		require.NoError(tr.t, s.PatchDocument(ctx, "tour", id, nil, json.RawMessage(`{"text":"another"}`)))
		changed := ok[*json.RawMessage](tr, id)(s.GetDocument(ctx, "tour", id, nil))
		require.JSONEq(tr.t, `{"id":"`+id+`","text":"another"}`, string(*changed))
	}
	lines := 0
	for line, err := range s.Documents(ctx, "tour", search.DocumentExport{Fields: &[]string{"text"}}) {
		require.NoError(tr.t, err)
		require.Contains(tr.t, string(*line.Document), `"text"`)
		lines++
	}
	require.Equal(tr.t, 4, lines)
	whole, err := s.ExportDocuments(ctx, "tour", search.DocumentExport{})
	require.NoError(tr.t, err)
	require.Contains(tr.t, string(whole), `{"documents":4}`)
	for _, id := range []string{"sync", "export", "delete-by-query"} {
		require.NoError(tr.t, s.DeleteDocument(ctx, "tour", id, nil))
	}
	require.ErrorIs(tr.t, s.DeleteDocument(ctx, "tour", "sync", nil), fountain.ErrNotFound)
	for _, err := range s.Documents(ctx, "nowhere", search.DocumentExport{}) {
		require.ErrorIs(tr.t, err, fountain.ErrNotFound)
	}
	field, op := "text", search.FilterOpMatch
	filter := search.Filter{Field: &field, Op: &op, Texts: &[]string{"tour"}}
	gone := ok[*search.DocumentDeletionResult](tr, "delete by query")(s.DeleteDocumentsByQuery(ctx, "tour", search.DocumentDeletion{Filter: filter}))
	require.EqualValues(tr.t, 1, gone.Documents)
	tr.sets()
	ok[any](tr, "grant")(any2(s.PutCollectionGrant(ctx, "tour", "role:reader", search.GrantPut{Access: search.GrantPutAccessRead})))
	grants := ok[*search.GrantList](tr, "grants")(s.ListCollectionGrants(ctx, "tour", nil))
	require.Len(tr.t, grants.Items, 1)
	require.NoError(tr.t, s.DeleteCollectionGrant(ctx, "tour", "role:reader"))
	require.EventuallyWithT(tr.t, func(c *assert.CollectT) { // a worker of the aborted reindex may still be in its last step
		assert.NoError(c, s.DeleteCollection(ctx, "tour"))
	}, time.Minute, time.Second)
}
