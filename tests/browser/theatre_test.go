//go:build browser

package browser

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/search"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/clients/twofactor"
	service "github.com/fountainai/fountain/impl/twofactor"
	"github.com/fountainai/fountain/tests/harness"
)

// theatre is a family that has one of everything that views show, whose clock is the test's: grace, an administrator, is at its console, and what a second factor gave has
// ended whenever the test says so, for the services and not for her page. ada, another one, does what somebody else does meanwhile.
type theatre struct {
	*person
	family  *house
	clock   *harness.Clock
	admin   *fountain.Client  // of ada
	own     *fountain.Client  // of grace, beside the browser
	seed    string            // of grace's authenticator
	engine  *engine           // of its search service
	dir     string            // of its data
	gateway string            // for clients beside the browser
	ids     map[string]string // of what there is, by its name
}

// opens runs a theatre whose mails go to box.
func opens(t *testing.T, _ *mailbox) *theatre {
	t.Helper()
	var delivery service.Delivery // as newMailbox has told
	delivery.SMTP.Addr, delivery.SMTP.From, delivery.SMTP.CAFile = os.Getenv("FOUNTAIN_TWOFACTOR_SMTP_ADDR"), os.Getenv("FOUNTAIN_TWOFACTOR_SMTP_FROM"), os.Getenv("FOUNTAIN_TWOFACTOR_SMTP_CA_FILE")
	site := freeSite(t)
	engine := newEngine(t)
	f := harness.StartAt(t, site, delivery, engine.EngineAt)
	f.Bootstrap()
	f.EnrolTOTP(f.Admin())
	h := &theatre{family: &house{site: site, pin: caddy(t, site, f.Info.GatewayURL)}, clock: f.Clock, admin: f.Admin(), engine: engine, dir: f.Dir, gateway: f.Info.GatewayURL, ids: map[string]string{}}
	h.furnish(t)
	made, err := h.admin.KMS.CreateUser(t.Context(), kms.UserCreate{Username: "grace", Password: password, Roles: []string{"admin"}})
	require.NoError(t, err)
	h.own, h.ids["grace"] = f.Client(fountain.WithUser("grace", password)), made.ID
	enrolled, err := h.own.Twofactor.EnrolTotp(t.Context(), twofactor.TotpEnrol{Label: fountain.Ptr("Phone"), Invitation: &made.Invitation.Token})
	require.NoError(t, err)
	h.seed = enrolled.Secret
	_, err = h.own.Twofactor.ConfirmTotp(t.Context(), enrolled.FactorID, twofactor.TotpConfirm{Code: h.code(t)})
	require.NoError(t, err)
	h.person = visit(t, h.family.browser(t), site+"/console")
	h.signsIn("grace", password)
	h.sees("My account")
	return h
}

// verse is the document of the collection verses: its id is a word of the contract's paths, and its number one that JavaScript does not hold.
const verse = `{"id":"sync","line":"Shall I compare thee","number":9007199254740993}`

// furnish makes what there is to see, and to write to.
func (h *theatre) furnish(t *testing.T) {
	t.Helper()
	ctx, email := t.Context(), "edsger@example.org"
	user, err := h.admin.KMS.CreateUser(ctx, kms.UserCreate{Username: "edsger", Password: password, Roles: []string{"admin"}, Email: &email})
	require.NoError(t, err)
	reports, err := h.admin.KMS.RegisterService(ctx, kms.ServiceCreate{Name: "reports", Scopes: []string{"elements:read"}, DeclaredScopes: &[]string{"reports:read"}})
	require.NoError(t, err)
	_, err = h.admin.KMS.PutContract(ctx, "reports", kms.ContractPut{
		File: "reports.yaml", Upstreams: &[]string{"http://127.0.0.1:9"}, Files: []kms.ContractFile{{Name: "reports.yaml", Text: adoptedDocument}},
	}, fountain.WithIfNoneMatch())
	require.NoError(t, err)
	_, err = h.admin.KMS.PutRole(ctx, "librarian", kms.RolePut{Scopes: []string{"elements:read"}}, fountain.WithIfNoneMatch())
	require.NoError(t, err)
	_, err = h.admin.KMS.PutSecret(ctx, "reports.mailbox", kms.SecretPut{Value: "heron"}, fountain.WithIfNoneMatch())
	require.NoError(t, err)
	_, err = h.admin.KMS.CreateKeyring(ctx, kms.KeyringCreate{Name: "receipts", Algorithm: kms.KeyringAlgorithmAES256GCM})
	require.NoError(t, err)
	_, err = h.admin.Search.PutSearchSet(ctx, search.SetKindStopwords, "articles", search.SearchSetPut{Stopwords: &[]string{"the"}}, fountain.WithIfNoneMatch())
	require.NoError(t, err)
	app, err := h.admin.KMS.RegisterClient(ctx, kms.ClientCreate{Name: "Programme", Type: kms.ClientCreateTypeConfidential, RedirectUris: []string{"https://app.example/callback"}})
	require.NoError(t, err)
	_, err = h.admin.Search.CreateCollection(ctx, search.CollectionCreate{Name: "plays", Fields: []search.Field{{Name: "title", Type: "string"}}})
	require.NoError(t, err)
	document := json.RawMessage(`{"title":"Hamlet"}`)
	_, err = h.admin.Search.SyncDocuments(ctx, "plays", search.DocumentSync{Items: []search.SyncItem{{Op: "upsert", ID: "hamlet", Document: &document}}})
	require.NoError(t, err)
	_, err = h.admin.Search.CreateCollection(ctx, search.CollectionCreate{Name: "verses", Versioned: fountain.Ptr(true), Fields: []search.Field{{Name: "line", Type: "string"}, {Name: "number", Type: "int64"}}})
	require.NoError(t, err)
	require.NoError(t, h.admin.Search.PutDocument(ctx, "verses", "sync", nil, json.RawMessage(verse)))
	scene, err := h.admin.Sequence.CreateElement(ctx, "play", "scene", sequence.ElementCreate{Data: json.RawMessage(`{"title":"here"}`)})
	require.NoError(t, err)
	h.ids["edsger"], h.ids["reports"], h.ids["Programme"], h.ids["scene"] = user.ID, reports.Service.ID, app.Client.ID, scene.ID
}

// replacesRootKey puts a new root key into the kms's file, and the one that seals into that of the previous one, as an operator does.
func replacesRootKey(h *theatre) {
	h.t.Helper()
	out, err := exec.Command(harness.Binary(h.t), "keygen", "--replace", filepath.Join(h.dir, "kms", "root.key")).CombinedOutput()
	require.NoError(h.t, err, string(out))
}

// consents has grace allow the web app to sign her in.
func (h *theatre) consents(t *testing.T) {
	t.Helper()
	request, granted := kms.AuthorizationRequest{
		ResponseType: fountain.Ptr("code"), ClientID: fountain.Ptr(h.ids["Programme"]), RedirectURI: fountain.Ptr("https://app.example/callback"), Scope: fountain.Ptr("openid profile"),
		CodeChallenge: fountain.Ptr("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"), CodeChallengeMethod: fountain.Ptr("S256"),
	}, kms.AuthorizationAnswerConsent("granted")
	_, err := h.own.KMS.AuthorizeClient(t.Context(), kms.AuthorizationAnswer{Request: request, Consent: &granted})
	require.NoError(t, err)
}

// code is grace's, of the next step of the clock.
func (h *theatre) code(t *testing.T) string {
	t.Helper()
	h.clock.Advance(30 * time.Second)
	code, err := totp.GenerateCode(h.seed, h.clock.Now())
	require.NoError(t, err)
	return code
}

// has gives grace these roles in the place of those that she has.
func (h *theatre) has(roles ...string) {
	h.t.Helper()
	user, err := h.admin.KMS.GetUser(h.t.Context(), h.ids["grace"])
	require.NoError(h.t, err)
	_, err = h.admin.KMS.UpdateUser(h.t.Context(), user.ID, fountain.IfMatch(user.Version), kms.UserUpdate{Roles: &roles})
	require.NoError(h.t, err)
}

// route is the address of a view behind "#/", with the ids of what stands in braces.
func (h *theatre) route(view string) string {
	for name, id := range h.ids {
		view = strings.ReplaceAll(view, "{"+name+"}", id)
	}
	return view
}

// turnsTo opens a view anew by its address.
func (h *theatre) turnsTo(view string) {
	h.t.Helper()
	heading := `document.querySelector("#views h1")?.textContent`
	require.Equal(h.t, true, h.js(`async (view) => {
		location.hash = "#/-";
		const left = await until(() => `+heading+` === "View not found");
		location.hash = "#/" + view;
		return left && !!await until(() => `+heading+` !== "View not found");
	}`, h.route(view)), "%s: %s", view, h.text())
}

// proves gives a new code of the authenticator where a second factor is asked for.
func (h *theatre) proves() {
	h.t.Helper()
	h.reads("This requires one of your second factors.")
	h.fills("Code of your authenticator app", h.code(h.t))
	h.key("Enter", "\r")
}
