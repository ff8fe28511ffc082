package explain

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/keytext"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/openapi"
)

var (
	noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	key  = ed25519.NewKeyFromSeed(make([]byte, 32))
)

func explainer(t testing.TB) *Explainer {
	t.Helper()
	e, err := New()
	require.NoError(t, err)
	return e
}

// token returns an administrator's token for every service; change may make it worse.
func token(t testing.TB, change ...func(*auth.Claims)) string {
	t.Helper()
	c := &auth.Claims{
		RegisteredClaims: jwt.RegisteredClaims{Issuer: "iss", Subject: "usr_1", Audience: jwt.ClaimStrings{"kms"}, ID: "tok_1",
			IssuedAt: jwt.NewNumericDate(noon), ExpiresAt: jwt.NewNumericDate(noon.Add(10 * time.Minute))},
		ClientID: "fountain", Scope: "users:read users:write session:manage", Roles: []string{"admin"}, Principal: auth.KindUser, ACR: "aal2", AuthTime: noon.Unix(),
	}
	for _, f := range change {
		f(c)
	}
	text, err := auth.Sign(auth.TypeAccess, "k1", "EdDSA", key, c)
	require.NoError(t, err)
	return text
}

// find returns one check of an explanation.
func find(t testing.TB, x *Explanation, name string) Check {
	t.Helper()
	for _, c := range x.Checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("there is no check %s", name)
	return Check{}
}

// keyOf returns what the line that states a demand must contain; a referenced parameter has its name on a later line.
func keyOf(d Demand, op *contract.Operation) (text string, lines int) {
	parts := strings.Split(d.What, ".")
	switch {
	case d.What == "operation":
		return strings.ToLower(op.Method) + ":", 1
	case parts[0] == "parameters":
		return "name: " + strings.Join(parts[2:], "."), 3
	case parts[0] == "x-fountain" && parts[1] == "rate":
		return "name: " + strings.Join(parts[2:], "."), 1
	}
	return parts[len(parts)-1] + ":", 1
}

// hasDefault lists the keys that have a default, and may therefore be stated nowhere.
var hasDefault = map[string]bool{"x-fountain.principals": true, "x-fountain.timeout": true, "x-fountain.body": true, "x-fountain.response": true, "x-fountain.validate": true, "x-fountain.retry": true}

func TestDemands_nameALineThatSaysThem(t *testing.T) {
	text := map[string][]string{}
	e := explainer(t)
	said := 0
	for _, op := range e.operations {
		for check := range demandsAt {
			for _, d := range demandsOf(op, check) {
				require.NotEmpty(t, d.Requires, "%s: %s", op.ID, d.What)
				if d.Default {
					require.True(t, hasDefault[d.What] && d.Origin == "", "%s: %s", op.ID, d.What)
					continue
				}
				file, number, _ := strings.Cut(d.Origin, ":")
				if text[file] == nil {
					raw, err := openapi.Files.ReadFile(file)
					require.NoError(t, err, "%s: %s has no place", op.ID, d.What)
					text[file] = strings.Split(string(raw), "\n")
				}
				at, err := strconv.Atoi(number)
				require.NoError(t, err, "%s: %s", op.ID, d.What)
				key, lines := keyOf(d, op)
				require.Contains(t, strings.Join(text[file][at-1:at-1+lines], "\n"), key, "%s: %s at %s", op.ID, d.What, d.Origin)
				said++
			}
		}
	}
	require.Greater(t, said, 1000)
}

func TestDemands_leaveNothingOut(t *testing.T) {
	e := explainer(t)
	for _, op := range e.operations {
		p := op.Policy
		want := map[string]bool{
			"authenticate security": true, "permit security": !op.Public, "permit x-fountain.principals": !op.Public,
			"permit x-fountain.roles":        len(p.Roles.AnyOf)+len(p.Roles.AllOf) > 0,
			"authenticate x-fountain.apiKey": p.APIKey, "step-up x-fountain.stepUp": p.StepUp != nil, "concurrency x-fountain.concurrency": p.Concurrency > 0,
			"concurrency x-fountain.concurrencyPerSubject": p.PerSubject > 0 && !op.Public,
			"media requestBody":                            op.HasBody(), "body requestBody": op.HasBody(), "body x-fountain.body": op.HasBody(), "redeem code security": op.AcceptsOTP(),
			"serve x-fountain.timeout": p.Stream == nil, "serve x-fountain.response": p.Stream == nil, "serve x-fountain.stream": p.Stream != nil,
			"serve x-fountain.idempotency": p.Idempotency != "", "serve x-fountain.retry": p.Retry != nil || op.Idempotent(), "serve x-fountain.validate": true,
			"serve x-fountain.sensitive": p.Sensitive, "serve x-fountain.errors": p.Errors == contract.ErrorsOAuth,
			"route operation": true, "media responses": len(op.AnswerTypes()) > 0,
		}
		for _, q := range op.Parameters() {
			want["parameters parameters."+q.In+"."+q.Name] = true
		}
		for _, r := range p.Rate {
			phase := map[bool]string{true: "pre-auth limit", false: "subject limit"}[r.Preauth]
			want[phase+" x-fountain.rate."+r.Name] = !op.Public || r.Key == "ip" || r.Key == "operation"
		}
		got := map[string]bool{}
		for check := range demandsAt {
			for _, d := range demandsOf(op, check) {
				got[check+" "+d.What] = true
			}
		}
		for what, is := range want {
			require.Equal(t, is, got[what], "%s: %s", op.ID, what)
			delete(got, what)
		}
		require.Empty(t, got, op.ID)
	}
}

// A new station in the order must be explained, too.
func TestStations_areAllExplained(t *testing.T) {
	s := (&way{}).stations()
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		require.Equal(t, name == "Ready", v.Field(i).IsNil(), name)
	}
	for name := range s.All() {
		require.Contains(t, demandsAt, name)
	}
}

// sent is one request of a table.
type sent struct {
	method, target, body, token string
	header                      http.Header
}

func as(contentType string, more ...string) http.Header {
	h := http.Header{"Content-Type": {contentType}}
	for i := 0; i < len(more); i += 2 {
		h.Add(more[i], more[i+1])
	}
	return h
}

func requests(t testing.TB) map[string]sent {
	user := `{"username": "grace", "password": "a quiet harbour at dawn", "roles": ["editor"]}`
	good := token(t)
	return map[string]sent{
		"good":                 {"POST", "/kms/v1/users", user, good, as("application/json")},
		"good read":            {"GET", "/kms/v1/users?limit=5", "", good, nil},
		"public":               {"POST", "/kms/v1/auth/login", `{"username": "ada", "password": "x"}`, "", as("application/json")},
		"no path":              {"GET", "/kms/v1/nothing", "", good, nil},
		"no method":            {"PATCH", "/kms/v1/auth/login", "", "", nil},
		"unknown method":       {"BREW", "/kms/v1/users", "", good, nil},
		"dot segment":          {"GET", "/kms/v1/../users", "", good, nil},
		"long target":          {"GET", "/kms/v1/users?limit=" + strings.Repeat("1", 9<<10), "", good, nil},
		"connection":           {"GET", "/kms/v1/users", "", good, http.Header{"Connection": {"Idempotency-Key"}}},
		"no query":             {"GET", "/kms/v1/users?a=%zz", "", good, nil},
		"limit":                {"GET", "/kms/v1/users?limit=4711", "", good, nil},
		"undeclared":           {"GET", "/kms/v1/users?limit=5&what=1", "", good, nil},
		"expired":              {"GET", "/kms/v1/users", "", token(t, func(c *auth.Claims) { c.ExpiresAt = jwt.NewNumericDate(noon.Add(-time.Hour)) }), nil},
		"not yet":              {"GET", "/kms/v1/users", "", token(t, func(c *auth.Claims) { c.NotBefore = jwt.NewNumericDate(noon.Add(time.Hour)) }), nil},
		"other audience":       {"GET", "/kms/v1/users", "", token(t, func(c *auth.Claims) { c.Audience = jwt.ClaimStrings{"search"} }), nil},
		"no expiry":            {"GET", "/kms/v1/users", "", token(t, func(c *auth.Claims) { c.ExpiresAt = nil }), nil},
		"no subject":           {"GET", "/kms/v1/users", "", token(t, func(c *auth.Claims) { c.Subject = "" }), nil},
		"no token":             {"GET", "/kms/v1/users", "", "nonsense", nil},
		"two tokens":           {"GET", "/kms/v1/users", "", good + " " + good, nil},
		"scope":                {"POST", "/kms/v1/users", user, token(t, func(c *auth.Claims) { c.Scope = "users:read" }), as("application/json")},
		"role":                 {"POST", "/kms/v1/users", user, token(t, func(c *auth.Claims) { c.Roles = nil }), as("application/json")},
		"principal":            {"POST", "/kms/v1/users", user, token(t, func(c *auth.Claims) { c.Principal, c.Subject = auth.KindService, "svc_1" }), as("application/json")},
		"low acr":              {"POST", "/kms/v1/users", user, token(t, func(c *auth.Claims) { c.ACR = "aal1" }), as("application/json")},
		"old factor":           {"POST", "/kms/v1/users", user, token(t, func(c *auth.Claims) { c.AuthTime = noon.Add(-time.Hour).Unix() }), as("application/json")},
		"accept":               {"GET", "/kms/v1/users", "", good, http.Header{"Accept": {"image/png"}}},
		"media type":           {"POST", "/kms/v1/users", user, good, as("text/plain")},
		"coding":               {"POST", "/kms/v1/users", user, good, as("application/json", "Content-Encoding", "gzip")},
		"unexpected body":      {"GET", "/kms/v1/users", "x", good, nil},
		"malformed":            {"POST", "/kms/v1/users", `{"username": `, good, as("application/json")},
		"duplicate key":        {"POST", "/kms/v1/users", `{"username": "grace", "username": "ada"}`, good, as("application/json")},
		"schema":               {"POST", "/kms/v1/users", `{"username": 7}`, good, as("application/json")},
		"too large":            {"POST", "/kms/v1/users", `{"username": "` + strings.Repeat("x", 70<<10) + `"}`, good, as("application/json")},
		"header":               {"POST", "/kms/v1/users", user, good, as("application/json", "Idempotency-Key", "short")},
		"oauth form":           {"POST", "/kms/v1/oauth2/token", "grant_type=x&a[]=1", "", as("application/x-www-form-urlencoded")},
		"a key where none are": {"GET", "/kms/v1/users", "", aKey(), nil},
	}
}

func aKey() string {
	_, text := keytext.New(keytext.Live)
	return text
}

// door returns a handler with the checks that need only contract and token, as the gateway has them.
func door(e *Explainer) http.Handler {
	verifier := auth.NewVerifier(auth.VerifierConfig{
		Revocations: auth.NoRevocations{}, Issuer: func() string { return "iss" }, Clock: clock.NewFake(noon), Keys: auth.StaticKeys{"k1": {Algorithm: "EdDSA", Key: key.Public()}},
	})
	stations := httpserver.Checks(verifier)
	stations.StepUp = func(x *httpserver.Exchange) error {
		if x.Operation.Public {
			return nil
		}
		return auth.StepUp(x.Principal, x.Operation, noon)
	}
	stations.Serve = func(x *httpserver.Exchange) error {
		x.Writer.WriteHeader(http.StatusNoContent)
		return nil
	}
	return httpserver.NewDoor(httpserver.DoorOptions{
		ObserveOptions: httpserver.ObserveOptions{Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Clock: clock.NewFake(noon)},
		Routes:         e.table, Stations: stations,
	})
}

// through sends a request through a door.
func (s sent) through(t testing.TB, to http.Handler) *httptest.ResponseRecorder {
	t.Helper()
	head := s.request().head()
	r, err := http.ReadRequest(bufio.NewReader(io.MultiReader(bytes.NewReader(head), strings.NewReader(s.body))))
	require.NoError(t, err)
	if s.token != "" {
		r.Header.Set("Authorization", "Bearer "+s.token)
	}
	got := httptest.NewRecorder()
	to.ServeHTTP(got, r)
	return got
}

func (s sent) request() Request {
	r := Request{Method: s.method, Target: s.target, Header: s.header, Token: s.token, Now: noon}
	if s.body != "" {
		r.Body = []byte(s.body)
	}
	return r
}

// The verdicts are those of a real server, including status, code and violations.
func TestExplain_saysWhatADoorAnswers(t *testing.T) {
	e := explainer(t)
	to := door(e)
	codes := map[problem.Code]bool{}
	for name, s := range requests(t) {
		x := e.Explain(s.request())
		got := s.through(t, to)
		if got.Code == http.StatusNoContent {
			require.Equal(t, Passes, x.Verdict, name)
			require.Nil(t, x.Answer, name)
			continue
		}
		require.Equal(t, Refused, x.Verdict, name)
		require.Equal(t, got.Code, x.Answer.Status, name)
		if got.Header().Get("Content-Type") != problem.MediaType {
			require.Equal(t, "oauth form", name)
			continue
		}
		var answered problem.Document
		require.NoError(t, json.Unmarshal(got.Body.Bytes(), &answered), name)
		require.Equal(t, answered.Code, x.Answer.Code, name)
		require.Equal(t, answered.Errors, x.Answer.Errors, name)
		require.Equal(t, got.Header().Get("Allow"), x.Answer.Allow, name)
		codes[answered.Code] = true
	}
	require.Len(t, codes, 19, "%v", codes)
}

func TestExplain_repeatsNoTokenAndNoValue(t *testing.T) {
	e := explainer(t)
	for name, s := range requests(t) {
		raw, err := json.Marshal(e.Explain(s.request()))
		require.NoError(t, err)
		if s.token != "" {
			require.NotContains(t, string(raw), s.token, name)
		}
		require.NotContains(t, string(raw), "quiet harbour", name)
		require.NotContains(t, string(raw), "4711", name)
	}
}

func TestExplain_leavesOpenWhatIsNotKnown(t *testing.T) {
	e := explainer(t)
	x := e.Explain(Request{Method: "POST", Target: "/kms/v1/users", Now: noon})
	require.Equal(t, Undecided, x.Verdict)
	for check, want := range map[string]Verdict{
		"route": Passes, "authenticate": Undecided, "permit": Undecided, "step-up": Undecided, "media": Undecided, "parameters": Passes, "body": Undecided,
		"pre-auth limit": Depends, "target": Depends, "redeem code": Depends, "serve": Depends, "host": Depends,
	} {
		require.Equal(t, want, find(t, x, check).Verdict, check)
	}
	x = e.Explain(Request{Method: "PATCH", Target: "/kms/v1/users/usr_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", Now: noon})
	require.Equal(t, Undecided, find(t, x, "parameters").Verdict, "If-Match may come with it")
	x = e.Explain(Request{Method: "PATCH", Target: "/kms/v1/users/usr_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", Header: http.Header{"Accept": {"*/*"}}, Now: noon})
	require.Equal(t, Refused, find(t, x, "parameters").Verdict, "these are all its headers")
	require.Equal(t, 428, x.Answer.Status)
	x = e.Explain(Request{Method: "GET", Target: "/sequence/v1/scopes/a/line/elements", Token: aKey(), Now: noon})
	require.Equal(t, Undecided, find(t, x, "authenticate").Verdict, "the gateway trades the key")
	require.Equal(t, Passes, e.Explain(Request{Method: "OPTIONS", Target: "/kms/v1/users"}).Verdict)
}

func TestExplain_tellsTheWholeWayAfterARefusal(t *testing.T) {
	e := explainer(t)
	expired := token(t, func(c *auth.Claims) { c.ExpiresAt, c.Roles = jwt.NewNumericDate(noon.Add(-time.Hour)), nil })
	x := e.Explain(Request{Method: "POST", Target: "/kms/v1/users", Body: []byte(`{}`), Header: as("application/json"), Token: expired, Now: noon})
	require.Equal(t, "authenticate", x.RefusedBy)
	require.Equal(t, problem.InvalidToken, x.Answer.Code)
	require.Contains(t, find(t, x, "authenticate").Note, "expired")
	require.Equal(t, problem.InsufficientRole, find(t, x, "permit").Answer.Code)
	require.Equal(t, problem.InvalidBody, find(t, x, "body").Answer.Code)
	require.False(t, x.Token.Verified)
}

func access(service string, second int, more string) string {
	return fmt.Sprintf(`{"time":"2026-11-23T10:00:%02dZ","level":"INFO","msg":"request","service":%q,"requestId":"req_A","method":"POST","route":"/kms/v1/users",`+
		`"operationId":"createUser","status":403,"client":"127.0.0.1","bytes":10,"tookMs":1.5%s}`, second, service, more)
}

func TestReadLog_tellsTheRequestOfAllServices(t *testing.T) {
	e := explainer(t)
	log := strings.Join([]string{
		access("gateway", 3, `,"upstreamMs":1,"ownMs":0.5`),
		`{"time":"2026-11-23T10:00:01Z","level":"INFO","msg":"request","requestId":"req_B","status":200,"note":"req_A"}`,
		"no JSON",
		"no JSON of req_A", "[\"req_A\"]",
		`{"time":"2026-11-23T10:00:01Z","level":"WARN","msg":"something happened","service":"kms","requestId":"req_A","n":1}`,
		`{"requestId":"req_A","long":"` + strings.Repeat("x", maxLine) + `"}`,
		access("kms", 2, `,"refusedBy":"permit","code":"insufficient_role"`),
	}, "\n")
	s, err := e.ReadLog(strings.NewReader(log), "req_A")
	require.NoError(t, err)
	require.Len(t, s.Lines, 3)
	require.Equal(t, "something happened", s.Lines[0].Message)
	require.Equal(t, json.RawMessage("1"), s.Lines[0].Fields["n"])
	require.Equal(t, "kms", s.Lines[1].Service)
	require.Equal(t, "gateway", s.Lines[2].Service)
	require.InDelta(t, 0.5, *s.Lines[2].Access.OwnMS, 0)
	require.Equal(t, 3, s.Unread)
	require.Equal(t, "kms", s.Refusal.Service)
	require.Equal(t, "permit", s.Refusal.RefusedBy)
	require.Equal(t, demandsOf(e.operations["createUser"], "permit"), s.Refusal.Demands)
	require.NotEmpty(t, s.Refusal.Demands)
}

func TestReadLog_keepsABoundedPart(t *testing.T) {
	e := explainer(t)
	one := access("kms", 1, "") + "\n"
	s, err := e.ReadLog(strings.NewReader(strings.Repeat(one, maxLines+7)), "req_A")
	require.NoError(t, err)
	require.Len(t, s.Lines, maxLines)
	require.Equal(t, 7, s.Dropped)
	large := access("kms", 1, `,"x":"`+strings.Repeat("x", maxLine-1000)+`"`) + "\n"
	s, err = e.ReadLog(strings.NewReader(strings.Repeat(large, 40)), "req_A")
	require.NoError(t, err)
	require.LessOrEqual(t, len(s.Lines)*len(large), maxKept+len(large))
	require.Equal(t, 40, len(s.Lines)+s.Dropped)
	require.Positive(t, s.Dropped)
}
