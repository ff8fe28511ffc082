package sequence

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpclient"
	"github.com/fountainai/fountain/internal/lifecycle"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/servicetest"
	database "github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// family stands in for the other services: it has keys to verify tokens with, and an identity that needs no kms.
type family struct {
	kms     *servicetest.KMS
	search  *searchService
	dataKey []byte
	log     *servicetest.Log // of its instances
}

func newFamily(t testing.TB) *family {
	return &family{kms: servicetest.NewKMS(t, word), search: newSearchService(t), dataKey: seal.NewDataKey(), log: &servicetest.Log{}}
}

// Token, Forget, DataKey, Ready and Run implement lifecycle.Identity.
func (f *family) Token(_ context.Context, audience string) (string, error) {
	if audience == "kms" {
		return servicetest.ServiceToken, nil // what the stand-in for the kms takes
	}
	return "token of sequence for " + audience, nil
}

func (f *family) Forget(string) {}

func (f *family) DataKey(context.Context, *database.DB) (*seal.Key, error) {
	return seal.FromDataKey(f.dataKey)
}

func (f *family) Ready() error { return nil }

func (f *family) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// caller is the subject that a token is for.
type caller struct {
	subject, kind string
	scopes        string
	roles         []string
	acr           string
}

var (
	editor  = caller{subject: "usr_editor", kind: auth.KindUser, scopes: "elements:read elements:write", roles: []string{"editor"}, acr: contract.ACRPassword}
	stepped = caller{subject: "usr_editor", kind: auth.KindUser, scopes: "elements:read elements:write", roles: []string{"editor"}, acr: contract.ACRSecondFactor}
	admin   = caller{subject: "usr_admin", kind: auth.KindUser, scopes: "elements:read elements:write", roles: []string{"admin"}, acr: contract.ACRPassword}
	reader  = caller{subject: "usr_reader", kind: auth.KindUser, scopes: "elements:read", roles: []string{"reader"}, acr: contract.ACRPassword}
	program = caller{subject: "svc_import", kind: auth.KindService, scopes: "elements:read elements:write"}
)

func (f *family) token(t testing.TB, c caller) string {
	claims := servicetest.User(word, time.Now())
	claims.Subject, claims.Principal, claims.Scope, claims.Roles, claims.ACR = c.subject, c.kind, c.scopes, c.roles, c.acr
	if c.acr == "" {
		claims.AMR, claims.AuthTime, claims.SessionID = nil, 0, ""
	}
	return f.kms.Token(t, claims)
}

// settings returns the configuration of a service on a database.
func (f *family) settings(t testing.TB, db database.Config) Config {
	return Config{SearchURL: f.search.server.URL, Version: "test", Service: servicetest.Settings(t, f.kms, db, f.log)}
}

// instance is a running service.
type instance struct {
	*servicetest.Running
	family *family
	client *http.Client
}

// start runs the service on a database and waits until it is ready.
func (f *family) start(t testing.TB, db database.Config) *instance {
	i := f.launch(t, f.settings(t, db), f)
	i.WaitReady(t)
	return i
}

// launch runs the service with an identity.
func (f *family) launch(t testing.TB, c Config, who lifecycle.Identity) *instance {
	require.NoError(t, c.Validate())
	client, err := httpclient.New("", callTimeout, nil)
	require.NoError(t, err)
	running := servicetest.Start(t, &c.Service, func(ctx context.Context) error { return run(ctx, c, client, who) })
	return &instance{Running: running, family: f, client: servicetest.Client(t, word)}
}

// eachDatabase runs f on SQLite, and on PostgreSQL where there is one.
func eachDatabase(t *testing.T, f func(t *testing.T, family *family, db database.Config)) {
	storetest.EachConfig(t, nil, func(t *testing.T, db database.Config) { f(t, newFamily(t), db) })
}

// reply is a response of the service.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) into(t testing.TB, out any) {
	require.NoError(t, json.Unmarshal(r.body, out), string(r.body))
}

// problem returns the code and the pointers of a problem.
func (r reply) problem(t testing.TB) (code string, pointers []string) {
	var p struct {
		Code   string
		Errors []struct{ Pointer string }
	}
	r.into(t, &p)
	for _, e := range p.Errors {
		pointers = append(pointers, e.Pointer)
	}
	return p.Code, pointers
}

// do sends a request and checks that the contract allows the response.
func (i *instance) do(t testing.TB, who caller, method, path string, body any, headers ...string) reply {
	return i.send(t, i.family.token(t, who), method, path, body, headers...)
}

func (i *instance) send(t testing.TB, token, method, path string, body any, headers ...string) reply {
	content, isText := body.(string)
	if body != nil && !isText {
		text, err := json.Marshal(body)
		require.NoError(t, err)
		content = string(text)
	}
	a := servicetest.Call(t, i.client, token, method, i.URL+"/sequence/v1"+path, content, headers...)
	return reply{status: a.Status, header: a.Header, body: a.Body}
}

// element is the part of an element that tests check.
type element struct {
	ID, Scope, ElementType, Status string
	Comment                        *string
	Number, Version                int64
	Data                           json.RawMessage
	CreatedAt, UpdatedAt           time.Time
}

const linesPath = "/scopes/hamlet/spokenWord/elements"

// create appends an element and returns it.
func (i *instance) create(t testing.TB, path string, body any) (out element) {
	r := i.do(t, editor, http.MethodPost, path, body)
	require.Equal(t, http.StatusCreated, r.status, string(r.body))
	r.into(t, &out)
	return out
}
