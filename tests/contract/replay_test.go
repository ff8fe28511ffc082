package contract

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/twofactor"
	"github.com/fountainai/fountain/tests/harness"
)

// greedy is the document of a service that asks for everything that it could use elsewhere.
const greedy = `openapi: 3.0.3
info: {title: Greedy, version: 1.0.0}
servers: [{url: /v1}]
x-fountain: {apiKey: true}
paths:
  /notes:
    parameters:
      - {name: X-OTP, in: header, schema: {type: string}}
      - {name: Authorization, in: header, schema: {type: string}}
      - {name: Cookie, in: header, schema: {type: string}}
      - {name: X-Fountain-Key, in: header, schema: {type: string}}
      - {name: fountain_session, in: cookie, schema: {type: string}}
      - {name: own, in: cookie, schema: {type: string}}
    get: {operationId: listNotes, responses: {'204': {description: None.}}}
    delete:
      operationId: deleteNotes
      x-fountain: {stepUp: {acr: aal2, maxAge: 300}}
      responses: {'204': {description: Gone.}}
  /status:
    get: {operationId: getStatus, security: [], responses: {'204': {description: It lives.}}}
`

// listener is the upstream of an adopted service, which records what it receives.
type listener struct {
	*httptest.Server
	mu    sync.Mutex
	heard []http.Header
}

func listen(t *testing.T) *listener {
	l := &listener{}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.heard = append(l.heard, r.Header.Clone())
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *listener) all() []http.Header {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]http.Header(nil), l.heard...)
}

// adopt adopts the greedy service under a name.
func adopt(t *testing.T, f *harness.Family, admin *fountain.Client, name, upstream string) {
	t.Helper()
	ctx := context.Background()
	_, err := admin.KMS.RegisterService(ctx, kms.ServiceCreate{Name: name, Scopes: []string{}, DeclaredScopes: &[]string{name + ":read", name + ":write"}})
	require.NoError(t, err)
	_, err = admin.KMS.PutContract(ctx, name, kms.ContractPut{File: "a.yaml", Files: []kms.ContractFile{{Name: "a.yaml", Text: greedy}}, Upstreams: &[]string{upstream}, Public: &[]string{"getStatus"}})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return send(t, "GET", f.Info.GatewayURL+"/"+name+"/v1/status", nil, "").status == 204 }, time.Minute, 50*time.Millisecond)
}

type reply struct {
	status int
	code   string // code of the problem, or the error of RFC 6749
}

// send sends a request with these headers and no others.
func send(t *testing.T, method, address string, header http.Header, body string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, address, strings.NewReader(body))
	require.NoError(t, err)
	for name, values := range header {
		r.Header[name] = values
	}
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	var said struct{ Code, Error string }
	_ = json.Unmarshal(text, &said) // not every response has a body
	return reply{res.StatusCode, said.Code + said.Error}
}

// What an adopted service receives is useless outside its own mount: replayed with all its headers, it is refused by
// every operation that requires a token, at the gateway and at each service, and its parts are not valid as another
// kind of credential.
func TestReplay_ofWhatAnAdoptedServiceHeardIsRefusedElsewhere(t *testing.T) {
	f := harness.Start(t)
	f.Bootstrap()
	admin := f.Admin()
	f.EnrolTOTP(admin)
	service := listen(t)
	adopt(t, f, admin, "greedy", service.URL)
	adopt(t, f, admin, "other", listen(t).URL)
	others := callGreedy(t, f, admin)
	heard := service.all()
	var tokens []string
	for _, header := range heard {
		text := fmt.Sprint(header)
		for what, secret := range others {
			require.NotContains(t, text, secret, "the service got %s", what)
		}
		if token, found := strings.CutPrefix(header.Get("Authorization"), "Bearer "); found {
			tokens = append(tokens, token)
			require.Equal(t, 204, send(t, "GET", f.Info.GatewayURL+"/greedy/v1/notes", header, "").status, "at its own mount it is good")
		}
		require.Equal(t, 401, send(t, "GET", f.Info.GatewayURL+"/other/v1/notes", header, "").status, "at another service of others")
	}
	require.Len(t, tokens, 4, "of a user, raised, of an API key and of a service")
	operations := protectedOperations(t)
	for _, header := range heard {
		for _, op := range operations {
			for _, at := range []string{f.Info.GatewayURL, f.Info.Services[op.word]} {
				got := send(t, op.method, at+op.path, header, "")
				require.Equal(t, 401, got.status, "%s at %s: %s", op.id, at, got.code)
			}
		}
	}
	for _, token := range tokens {
		noOtherCredential(t, f, token)
	}
}

// callGreedy calls the service in every permitted way, and returns what the service must not have received.
func callGreedy(t *testing.T, f *harness.Family, admin *fountain.Client) map[string]string {
	t.Helper()
	ctx, base := context.Background(), f.Info.GatewayURL+"/greedy/v1"
	made := func(text string, err error) string {
		t.Helper()
		require.NoError(t, err)
		require.NotEmpty(t, text)
		return text
	}
	familys := made(admin.Token(ctx, "sequence"))
	key, err := admin.KMS.CreateAPIKey(ctx, kms.APIKeyCreate{Name: "program", Scopes: []string{"greedy:read"}})
	require.NoError(t, err)
	robot, err := admin.KMS.RegisterService(ctx, kms.ServiceCreate{Name: "robot", Scopes: []string{"greedy:read"}})
	require.NoError(t, err)
	own, err := f.Client().KMS.EnrolService(ctx, kms.Enrol{Token: robot.Enrolment.Token})
	require.NoError(t, err)
	plain := made(admin.Token(ctx, "greedy"))
	code := f.Code()
	proof, err := admin.Twofactor.VerifyOtp(ctx, twofactor.OtpVerify{Code: code})
	require.NoError(t, err)
	raised, err := admin.KMS.CompleteStepUp(ctx, kms.StepUp{Proof: proof.Proof, Resource: "greedy"})
	require.NoError(t, err)
	next := f.Code() // a code that would still be valid
	as := func(bearer string) http.Header {
		return http.Header{"Authorization": {"Bearer " + bearer}, "X-Otp": {next}, "Cookie": {"fountain_session=the-familys-cookie; own=1"}, "X-Fountain-Key": {"declared"}}
	}
	for _, bearer := range []string{plain, key.Key, made(f.Client(fountain.WithAPIKey(own.Key)).Token(ctx, "greedy"))} {
		require.Equal(t, 204, send(t, "GET", base+"/notes", as(bearer), "").status)
	}
	require.Equal(t, reply{401, "insufficient_user_authentication"}, send(t, "DELETE", base+"/notes", http.Header{"Authorization": {"Bearer " + plain}}, ""))
	require.Equal(t, 204, send(t, "DELETE", base+"/notes", as(raised.AccessToken), "").status)
	require.Equal(t, 401, send(t, "GET", base+"/notes", as(familys), "").status)
	require.Equal(t, 204, send(t, "GET", base+"/status", as(familys), "").status, "it is open: nobody looks at the token, and nobody gets it")
	return map[string]string{
		"a token of the family": familys, "an API key": key.Key, "an API key of a service": own.Key, "a code": next, "a cookie of the family": "the-familys-cookie", "a proof": proof.Proof,
	}
}

// noOtherCredential presents a token where credentials of other kinds are accepted.
func noOtherCredential(t *testing.T, f *harness.Family, token string) {
	t.Helper()
	asJSON, asForm := http.Header{"Content-Type": {"application/json"}}, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	form := func(pairs ...string) string {
		values := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			values.Set(pairs[i], pairs[i+1])
		}
		return values.Encode()
	}
	for _, at := range []string{f.Info.GatewayURL, f.Info.Services["kms"]} {
		for _, x := range []struct {
			path, body string
			header     http.Header
		}{
			{"/kms/v1/auth/refresh", fmt.Sprintf(`{"refreshToken":%q}`, token), asJSON},
			{"/kms/v1/auth/password-reset", fmt.Sprintf(`{"token":%q,"newPassword":"a lantern over the river"}`, token), asJSON},
			{"/kms/v1/services/enrol", fmt.Sprintf(`{"token":%q}`, token), asJSON},
			{"/kms/v1/keys/whoami", fmt.Sprintf(`{"key":%q}`, token), asJSON},
			{"/kms/v1/oauth2/token", form("grant_type", "refresh_token", "client_id", "fountain", "refresh_token", token), asForm},
			{"/kms/v1/oauth2/token", form("grant_type", "client_credentials", "client_id", "greedy", "client_secret", token), asForm},
			{"/kms/v1/oauth2/token", form("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token", token, "resource", "sequence"), asForm},
			{"/kms/v1/oauth2/token", form("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion", token, "resource", "sequence"), asForm},
			{"/kms/v1/oauth2/introspect", form("token", token, "client_id", "greedy", "client_secret", token), asForm},
		} {
			got := send(t, "POST", at+x.path, x.header, x.body)
			require.Contains(t, []int{400, 401, 403, 422}, got.status, "%s: %s", x.path, got.code)
		}
	}
}
