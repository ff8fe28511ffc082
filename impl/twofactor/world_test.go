package twofactor

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/credential"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/servicetest"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(servicetest.Main(m, "twofactor")) }

// fakeKMS is a kms that accepts proof keys.
type fakeKMS struct {
	*servicetest.KMS
	mu          sync.Mutex
	proofKeys   auth.StaticKeys
	invitations map[string]string // invitation -> the factor that used it, "" while it is open
	mails       chan kms.ClaimedMail
	outcomes    chan kms.MailOutcome
	claims      atomic.Int64
}

func newKMS(t *testing.T) *fakeKMS {
	t.Helper()
	k := &fakeKMS{KMS: servicetest.NewKMS(t, "twofactor"), proofKeys: auth.StaticKeys{}, invitations: map[string]string{}, mails: make(chan kms.ClaimedMail, 16), outcomes: make(chan kms.MailOutcome, 16)}
	k.Handle("PUT /kms/v1/proof-keys/{kid}", k.putProofKey)
	k.Handle("POST /kms/v1/invitations/check", k.checkInvitation)
	k.Handle("POST /kms/v1/invitations/{id}/use", k.useInvitation)
	k.Handle("POST /kms/v1/mails/claim", k.claimMails)
	k.Handle("POST /kms/v1/mails/{id}/outcome", k.reportMail)
	return k
}

// claimMails returns one mail, and holds the request while there is none.
func (k *fakeKMS) claimMails(w http.ResponseWriter, r *http.Request) {
	k.claims.Add(1)
	select {
	case m := <-k.mails:
		servicetest.Send(w, http.StatusOK, kms.MailClaim{Items: []kms.ClaimedMail{m}})
	case <-r.Context().Done():
	}
}

func (k *fakeKMS) reportMail(w http.ResponseWriter, r *http.Request) {
	var body kms.MailOutcome
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	k.outcomes <- body
	w.WriteHeader(http.StatusNoContent)
}

// checkInvitation accepts the invitations of the test; the id of an invitation is its text.
func (k *fakeKMS) checkInvitation(w http.ResponseWriter, r *http.Request) {
	var body struct{ UserID, Token string }
	err := json.NewDecoder(r.Body).Decode(&body)
	k.mu.Lock()
	defer k.mu.Unlock()
	if used, known := k.invitations[body.Token]; err != nil || !known || used != "" {
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	servicetest.Send(w, http.StatusOK, map[string]string{"invitationId": body.Token})
}

func (k *fakeKMS) useInvitation(w http.ResponseWriter, r *http.Request) {
	var body struct{ UserID, FactorID string }
	err := json.NewDecoder(r.Body).Decode(&body)
	k.mu.Lock()
	defer k.mu.Unlock()
	used, known := k.invitations[r.PathValue("id")]
	if err != nil || !known || (used != "" && used != body.FactorID) {
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	k.invitations[r.PathValue("id")] = body.FactorID
	w.WriteHeader(http.StatusNoContent)
}

func (k *fakeKMS) putProofKey(w http.ResponseWriter, r *http.Request) {
	var body struct{ Kty, Crv, X string }
	err := json.NewDecoder(r.Body).Decode(&body)
	x, decodeErr := base64.RawURLEncoding.DecodeString(body.X)
	if errors.Join(err, decodeErr) != nil || len(x) != ed25519.PublicKeySize || body.Kty != "OKP" || body.Crv != "Ed25519" {
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.proofKeys[r.PathValue("kid")] = auth.PublicKey{Algorithm: "EdDSA", Key: ed25519.PublicKey(x)}
	w.WriteHeader(http.StatusNoContent)
}

// fakeIdentity stands in for the service's credential. Its data key survives restarts. Of tokens it knows what the test sets for their
// subjects. By default every session is valid and no subject is an administrator.
type fakeIdentity struct {
	dataKey []byte
	lost    atomic.Bool
	away    atomic.Bool // the kms does not answer
	ended   sync.Map    // subjects whose session has ended
	admins  sync.Map    // subjects who are administrators
}

func (f *fakeIdentity) Introspect(_ context.Context, token string) (credential.Introspection, error) {
	if f.away.Load() {
		return credential.Introspection{}, errors.New("the kms is away")
	}
	var claims jwt.RegisteredClaims
	if _, _, err := jwt.NewParser().ParseUnverified(token, &claims); err != nil {
		return credential.Introspection{}, err
	}
	if _, ended := f.ended.Load(claims.Subject); ended {
		return credential.Introspection{}, nil
	}
	known := credential.Introspection{Active: true, Subject: claims.Subject}
	if _, admin := f.admins.Load(claims.Subject); admin {
		known.Roles = []string{"admin"}
	}
	return known, nil
}

func (f *fakeIdentity) Ready() error {
	if f.lost.Load() {
		return errors.New("it has no credential")
	}
	return nil
}

func (f *fakeIdentity) Run(ctx context.Context) error { <-ctx.Done(); return nil }

func (f *fakeIdentity) Token(context.Context, string) (string, error) {
	return servicetest.ServiceToken, nil
}

func (f *fakeIdentity) Forget(string) {}

func (f *fakeIdentity) DataKey(context.Context, *store.DB) (*seal.Key, error) {
	return seal.FromDataKey(f.dataKey)
}

// world is the running service with the stand-ins for what it uses.
type world struct {
	*servicetest.Running
	kms      *fakeKMS
	identity *fakeIdentity
	now      *clock.Fake
	logs     *servicetest.Log
	client   *http.Client
	nameless bool // the service has no name that passkeys could be bound to
}

// each runs f against a ready service on every database.
func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		w := newWorld(t)
		w.start(t, c)
		w.WaitReady(t)
		f(t, w)
	})
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{
		kms: newKMS(t), identity: &fakeIdentity{dataKey: seal.NewDataKey()}, logs: &servicetest.Log{}, client: servicetest.Client(t, "twofactor"),
		now: clock.NewFake(time.Unix(1_800_000_000, 0)),
	}
}

// settings returns the configuration of a service on a database.
func (w *world) settings(t *testing.T, c store.Config) Config {
	t.Helper()
	settings := Config{Service: servicetest.Settings(t, w.kms.KMS, c, w.logs)}
	if w.nameless {
		settings.Issuer = nameless
	} else {
		settings.Passkeys.Origins = []string{origin}
	}
	return settings
}

// start runs the service on a database until the test ends or Stop is called.
func (w *world) start(t *testing.T, c store.Config) {
	t.Helper()
	settings := w.settings(t, c)
	settings.Clock = w.now
	require.NoError(t, settings.Validate())
	w.Running = servicetest.Start(t, &settings.Service, func(ctx context.Context) error {
		return run(ctx, settings, http.DefaultClient, w.identity)
	})
}

// someone is a user with a token; change it before token.
func (w *world) someone() *auth.Claims {
	c := servicetest.User("twofactor", w.now.Now())
	c.Scope, c.Roles = "factors:manage session:manage", []string{"editor"}
	return c
}

// raised is the same user after a step-up.
func (w *world) raised(c *auth.Claims) *auth.Claims {
	r := *c
	r.ACR, r.AMR, r.AuthTime = "aal2", []string{"pwd", "otp"}, w.now.Now().Unix()
	return &r
}

// call sends a request and checks the response against the contract.
func (w *world) call(t *testing.T, c *auth.Claims, method, path, body string, headers ...string) servicetest.Answer {
	t.Helper()
	token := ""
	if c != nil {
		token = w.kms.Token(t, c)
	}
	return servicetest.Call(t, w.client, token, method, w.URL+"/twofactor/v1"+path, body, headers...)
}

var refused = servicetest.Refused

// code returns the code of the step that is offset steps after the present one.
func (w *world) code(t *testing.T, secret string, offset int64) string {
	t.Helper()
	seed, err := base32NoPadding.DecodeString(secret)
	require.NoError(t, err)
	code, err := totp.Code(seed, totp.Default, totp.Default.Step(w.now.Now())+offset)
	require.NoError(t, err)
	return code
}

// enrolled gives the user an active factor.
func (w *world) enrolled(t *testing.T, c *auth.Claims) (factorID, secret string) {
	t.Helper()
	a := w.call(t, c, "POST", "/factors/totp", `{"label":"phone"}`)
	require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
	factorID, secret = a.Text(t, "factorId"), a.Text(t, "secret")
	a = w.call(t, c, "POST", "/factors/totp/"+factorID+"/confirm", `{"code":"`+w.code(t, secret, -1)+`"}`)
	require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
	return factorID, secret
}
