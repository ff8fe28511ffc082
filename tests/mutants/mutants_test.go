// Package mutants proves that the tests of the gateway notice when a check is gone: it takes each one out, by an overlay of the compiler and never in the
// tree, and demands that the tests fail.
package mutants

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// gate are the packages whose tests must notice.
var gate = []string{"./impl/gateway/...", "./internal/httpserver", "./internal/auth", "./internal/contract"}

// mutant is one check that is taken out. A mutant compiles, or it proves nothing.
type mutant struct {
	name     string // the policy key of x-fountain, or the check
	file     string
	old, new string
}

var mutants = []mutant{
	// The stations, as a whole.
	{"preauth rate", "impl/gateway/gate.go", "return g.limits.Preauth(x)", "return nil"},
	{"security", "internal/httpserver/stations.go", "	if x.Operation.Public {\n		return nil\n	}\n	token, err := auth.Bearer", "	if x.Operation.Public || x.Request.Header.Get(\"Authorization\") == \"\" {\n		return nil\n	}\n	token, err := auth.Bearer"},
	{"permit", "internal/httpserver/stations.go", "if err := auth.Permit(x.Principal, x.Operation); err != nil {", "if err := error(nil); err != nil {"},
	{"streams: token", "internal/httpserver/stations.go", "x.endWithToken(v)", "_ = v"},
	{"rate", "impl/gateway/gate.go", "s.SubjectLimit = g.limits.Subject", "s.SubjectLimit = nil"},
	{"concurrency", "impl/gateway/gate.go", "s.Concurrency = g.limits.Concurrency", "s.Concurrency = nil"},
	{"concurrencyPerSubject", "impl/gateway/internal/limit/subjects.go", "if s.running[subject] >= most {", "if false {"},
	{"place of a subject is given back", "internal/httpserver/exchange.go", "		give()\n", ""},
	{"stepUp", "impl/gateway/gate.go", "s.StepUp = g.stepup.Ask", "s.StepUp = nil"},
	{"media", "internal/httpserver/stations.go", "return x.Operation.CheckMedia(x.Request)", "return nil"},
	{"parameters", "internal/httpserver/stations.go", "return x.Operation.CheckParameters(x.Request, &x.Match)", "return nil"},
	{"body", "internal/httpserver/stations.go", "return x.Operation.CheckBody(x.Request.Header.Get(\"Content-Type\"), body)", "return nil"},
	{"admission", "impl/gateway/gate.go", "s.Admission = g.admit.Admit", "s.Admission = nil"},
	{"redeem code", "impl/gateway/gate.go", "s.RedeemCode = g.stepup.Redeem", "s.RedeemCode = nil"},

	// Who may call.
	{"scopes", "internal/auth/authorize.go", "if !op.Public && !slices", "if false && !slices"},
	{"principals", "internal/auth/authorize.go", "if !slices.Contains(op.Policy.Principals, p.Kind)", "if false"},
	{"roles", "internal/auth/authorize.go", "if p.Kind == KindUser && !op.Policy.Roles.Permit(p.Roles)", "if false"},
	{"roles.allOf", "internal/contract/policy.go", "		if !slices.Contains(roles, need) {\n			return false\n		}", "		_ = need"},
	{"stepUp.acr", "internal/auth/authorize.go", "contract.ACRSatisfies(p.ACR, s.ACR) && age", "age"},
	{"stepUp.maxAge", "internal/auth/authorize.go", "age <= s.MaxAge &&", ""},
	{"stepUp.for", "internal/auth/authorize.go", "!slices.Contains(s.For, p.Kind)", "p.Kind == KindService"},
	{"apiKey", "impl/gateway/internal/apikey/apikey.go", "if x.Operation.Public || !x.Operation.Policy.APIKey {", "if x.Operation.Public {"},
	{"audience of a known token", "internal/auth/cache.go", " || !known.principal.hasAudience(audience)", ""},
	{"audience", "internal/auth/token.go", "if audience != AnyAudience {", "if false {"},
	{"revocation", "internal/auth/verifier.go", "	if revoked {", "	if revoked && false {"},
	{"cookie of the family", "impl/gateway/internal/forward/headers.go", "if op.Mount != \"\" && familyCookie(name) {", "if false {"},
	{"code of a service", "impl/gateway/internal/stepup/stepup.go", " && x.Principal.Kind == auth.KindUser", ""},
	{"raised token of low acr", "impl/gateway/internal/stepup/stepup.go", "	if err := auth.RequireStepUp(p, x.Operation, s.clock.Now()); err != nil {\n		return err\n	}\n	x.Principal = p", "	x.Principal = p"},
	{"raised token of another", "impl/gateway/internal/stepup/stepup.go", "p.Subject != x.Principal.Subject ||", ""},
	{"token of another key", "impl/gateway/internal/apikey/apikey.go", "if p.ClientID != what.id {", "if false {"},

	// How much.
	{"rate of a service", "impl/gateway/internal/limit/steps.go", "\"sub\", x.Operation.Word, x.Principal.Subject", "\"sub\", x.Principal.Subject"},
	{"place given back", "impl/gateway/internal/limit/steps.go", "	x.Hold(running)", "	_ = running"},
	{"timeout", "internal/httpserver/httpserver.go", "allowed := op.Policy.Timeout\n", "allowed := op.Policy.Timeout + time.Hour\n"},
	{"time of a trusted proxy", "internal/httpserver/httpserver.go", "if x.timeLeft > 0 {", "if false {"},
	{"body.max", "internal/httpserver/guard.go", "	limit := op.HeldBody()", "	limit := op.Policy.Body.Max + 1<<30"},
	{"retry", "internal/contract/operation.go", "		return retry.Max\n", "		return defaultRepeats\n"},
	{"idempotency", "internal/contract/parameter.go", "case strings.EqualFold(p.name, \"Idempotency-Key\"):", "case false:"},
	{"sensitive", "internal/httpserver/httpserver.go", "if op.Policy.Sensitive || !op.Public {", "if false {"},
	{"errors", "internal/httpserver/httpserver.go", "if op.Policy.Errors == contract.ErrorsOAuth {", "if false {"},
	{"response.max", "impl/gateway/internal/forward/held.go", "most := op.Policy.Response.Max", "most := int64(1 << 40)"},
	{"validate", "impl/gateway/internal/forward/answer.go", "if err = j.found(x, res.Status, err); mode.Kind == contract.ModeEnforce {", "if j.found(x, res.Status, err) == nil {"},
	{"stream.lineMax", "internal/contract/lines.go", "		return s.LineMax\n", "		return 1 << 20\n"},
	{"lines of a body", "internal/contract/lines.go", "if err := checkLine(l.media, text, l.n); err != nil {", "if err := checkLine(l.media, text, l.n); false {"},
	{"lines that are passed on", "internal/httpserver/stations.go", "hasBody(x.Request) && x.Operation.StreamsBodyOf(kind)", "x.Operation.Mount != \"\" && hasBody(x.Request) && x.Operation.StreamsBodyOf(kind)"},
	{"rate.cost", "impl/gateway/internal/limit/limit.go", "p.Burst, p.Cost)", "p.Burst, 1)"},
	{"rate.burst", "impl/gateway/internal/limit/limit.go", "p.Burst, p.Cost)", "1<<20, p.Cost)"},
	{"rate.key", "impl/gateway/internal/limit/steps.go", "x.Operation.Word, x.Principal.ClientID", "x.Operation.Word, x.Principal.Subject"},
	{"stepUp.dynamic", "impl/gateway/internal/stepup/stepup.go", "if op.Policy.StepUp.Dynamic {", "if false {"},
	{"stream.idle", "impl/gateway/internal/forward/stream.go", "time.AfterFunc(s.Idle,", "time.AfterFunc(s.Idle+time.Hour,"},
	{"stream.maxDuration", "internal/httpserver/httpserver.go", "allowed = op.Policy.Stream.MaxDuration\n", "allowed = op.Policy.Stream.MaxDuration + time.Hour\n"},
	{"stream", "impl/gateway/internal/admit/admit.go", "service == nil || streams(x)", "service == nil"},

	// What the outbox keeps to.
	{"message that changes while it is leased", "internal/outbox/outbox.go", "CASE WHEN outbox.lease = '' THEN 0 ELSE outbox.due_at END", "0"},
	{"state that changes while it is delivered", "internal/outbox/outbox.go", "version = outbox.version + 1", "version = outbox.version"},
	{"messages of a delivery", "internal/outbox/worker.go", "min(w.o.Batch, w.limit*2)", "w.limit*2"},
	{"time of a delivery", "internal/outbox/worker.go", "context.WithTimeout(ctx, w.o.Timeout)", "context.WithTimeout(ctx, time.Hour)"},
	{"attempts of a message", "internal/outbox/worker.go", "case m.Attempts+1 >= w.o.Attempts:", "case false:"},

	// What a file of a scope must prove.
	{"checksum of a file", "impl/sequence/internal/scopefile/reader.go", "subtle.ConstantTimeCompare([]byte(last.SHA256), []byte(r.done.SHA256)) != 1", "len(last.SHA256) != 64 && subtle.ConstantTimeCompare(nil, nil) == 1"},
	{"versions of an element in a file", "impl/sequence/internal/scopefile/reader.go", "v.Version != r.version+1 || v.Version > r.current.Version", "v.Version > r.current.Version"},

	// What a member may answer.
	{"one media type", "impl/gateway/internal/forward/answer.go", `len(res.Header["Content-Type"]) > 1`, "false"},
	{"final status", "internal/contract/response.go", "h.Status < http.StatusOK || h.Status > 599", "false"},
	{"connection headers", "impl/gateway/internal/forward/headers.go", `"Transfer-Encoding": true, "Upgrade": true`, `"Upgrade": true`},
	{"references", "impl/gateway/internal/forward/mounted.go", `segment == "." || segment == ".."`, `segment == "none"`},
	{"held answers", "impl/gateway/internal/forward/held.go", "h.of[member]+n > heldOfOne || h.all+n > heldOfAll", "false"},

	// What a message may be.
	{"host", "internal/httpserver/stations.go", "if calling == byOther {", "if false {"},
	{"host of the target", "internal/httpserver/head.go", "if f.authority != nil && !bytes.EqualFold(f.authority, value) {", "if false {"},
	{"trades of one network", "impl/gateway/internal/apikey/places.go", " || p.of[network] >= maxOfNetwork", ""},
	{"limits that a service tells", "impl/gateway/internal/forward/headers.go", "if to[name] != nil && limits[name] {", "if false {"},
	{"Connection", "internal/httpserver/guard.go", "if err := connectionOptions(r.Header); err != nil {", "if err := connectionOptions(nil); err != nil {"},

	// What services of others check (clients/fountain/verify).
	{"consumer: audience", "clients/fountain/verify/token.go", ", jwt.WithAudience(c.Audience)", ""},
	{"consumer: one audience", "clients/fountain/verify/token.go", "if len(c.Audience) != 1 {", "if false {"},
	{"consumer: issuer", "clients/fountain/verify/token.go", "jwt.WithIssuer(c.Issuer), ", ""},
	{"consumer: expiry", "clients/fountain/verify/token.go", "jwt.WithExpirationRequired(), ", ""},
	{"consumer: typ", "clients/fountain/verify/token.go", "found[\"typ\"] != typ || ", ""},
	{"consumer: header members", "clients/fountain/verify/token.go", "len(found) != 3 || ", ""},
	{"consumer: members named twice", "clients/fountain/verify/object.go", "if strings.EqualFold(earlier, name) {", "if strings.EqualFold(earlier, name) && false {"},
	{"consumer: escaped names", "clients/fountain/verify/object.go", "if len(written) < 2 || strings.Contains(written, `\\`) {", "if len(written) < 2 {"},
	{"consumer: text after", "clients/fountain/verify/object.go", "!errors.Is(err, io.EOF) {", "errors.Is(err, io.ErrUnexpectedEOF) {"},
	{"consumer: issuer of metadata", "clients/fountain/verify/keys.go", " || m.Issuer != c.Issuer", ""},
	{"consumer: unknown kids", "clients/fountain/verify/keys.go", "since >= interval:", "since >= interval, true:"},
	{"consumer: keys too old", "clients/fountain/verify/keys.go", "s.keys != nil && now.Sub(s.fetched) < keysMaxStale", "s.keys != nil"},
	{"consumer: redirects", "clients/fountain/verify/verify.go", "return http.ErrUseLastResponse", "return nil"},
	{"consumer: scopes", "clients/fountain/verify/rule.go", "if !slices.ContainsFunc(r.Scopes, func", "if false && !slices.ContainsFunc(r.Scopes, func"},
	{"consumer: principals", "clients/fountain/verify/rule.go", "if len(r.Principals) > 0 && !slices.Contains(r.Principals, p.Kind) {", "if false {"},
	{"consumer: roles", "clients/fountain/verify/rule.go", "none := len(r.AnyRole) > 0 && ", "none := false && "},
	{"consumer: acr", "clients/fountain/verify/rule.go", "have < want || ", "have < 0 || "},
	{"consumer: age of the factor", "clients/fountain/verify/rule.go", "age > s.MaxAge || ", ""},
	{"consumer: two headers", "clients/fountain/verify/rule.go", "len(values) > 1 || ", ""},
	{"consumer: ambiguous paths", "clients/fountain/verify/policy.go", " || !plainlyEscaped(s) {", " {"},
	{"consumer: silent feed", "clients/fountain/verify/feed.go", "age > MaxSilence ||", "age > time.Hour ||"},
	{"consumer: epochs", "clients/fountain/verify/feed.go", "p.Epoch < end.epoch", "end.epoch < 0"},
	{"consumer: another page", "clients/fountain/verify/feed.go", "if len(page.Items) < pageSize {", "if len(page.Items) <= pageSize {"},
	{"consumer: public by default", "clients/fountain/verify/openapi.go", "} else if security == nil {", "} else if false {"},
}

// suites are the packages in the order in which they are asked: first the mutant's own.
func (m mutant) suites() []string {
	own := "./" + filepath.Dir(m.file)
	return append([]string{own}, slices.DeleteFunc(slices.Clone(gate), func(name string) bool { return name == own })...)
}

// source returns a file with the check taken out.
func (m mutant) source(t *testing.T, root string) []byte {
	raw, err := os.ReadFile(filepath.Join(root, m.file))
	require.NoError(t, err)
	require.Equal(t, 1, bytes.Count(raw, []byte(m.old)), "%s: the text of the check is not there once: %s", m.file, m.old)
	return bytes.Replace(raw, []byte(m.old), []byte(m.new), 1)
}

// overlay returns the compiler's overlay of files that hold other text.
func overlay(t *testing.T, replaced map[string][]byte) string {
	dir := t.TempDir()
	files := map[string]string{}
	for file, text := range replaced {
		at := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		require.NoError(t, os.WriteFile(at, text, 0o600))
		files[file] = at
	}
	raw, err := json.Marshal(map[string]any{"Replace": files})
	require.NoError(t, err)
	path := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	return path
}

func root(t *testing.T) string {
	dir, err := filepath.Abs("../..")
	require.NoError(t, err)
	return dir
}

// TestMutants_stillTakeAChecksTextOut holds in the ordinary tests that the list is about the code as it is, and has every key of the policy.
func TestMutants_stillTakeAChecksTextOut(t *testing.T) {
	at := root(t)
	names := map[string]bool{}
	for _, m := range mutants {
		m.source(t, at)
		require.False(t, names[m.name], m.name)
		names[m.name] = true
	}
	for _, key := range []string{
		"principals", "roles", "apiKey", "stepUp", "rate", "concurrency", "concurrencyPerSubject", "timeout", "body.max", "response.max", "idempotency", "retry", "stream", "stream.lineMax", "validate", "sensitive", "errors",
	} {
		require.True(t, names[key], "no mutant is without the check of x-fountain.%s", key)
	}
}

// TestMutants_failTheTests runs the tests of the gateway without each check. It is long: `make prove`.
func TestMutants_failTheTests(t *testing.T) {
	if os.Getenv("FOUNTAIN_PROVE") != "1" {
		t.Log("runs in make prove")
		return
	}
	at := root(t)
	only := os.Getenv("FOUNTAIN_MUTANT") // one of them
	for _, m := range mutants {
		if only != "" && only != m.name {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			path := overlay(t, map[string][]byte{filepath.Join(at, m.file): m.source(t, at)})
			build := exec.Command("go", append([]string{"build", "-overlay", path}, gate...)...)
			build.Dir = at
			out, err := build.CombinedOutput()
			require.NoError(t, err, "the mutant does not compile: %s", out)
			began := time.Now()
			for _, name := range m.suites() {
				test := exec.Command("go", "test", "-count=1", "-timeout=180s", "-failfast", "-overlay", path, name)
				test.Dir = at
				if out, err = test.CombinedOutput(); err != nil {
					require.NotEmpty(t, failed(out), "the tests of %s did not run: %s", name, out)
					t.Logf("%s: %s, after %s", name, failed(out), time.Since(began).Round(time.Second))
					return
				}
			}
			t.Error("no test misses the check")
		})
	}
}

// failed returns the first test that failed; "" when none did.
func failed(out []byte) string {
	for line := range strings.Lines(string(out)) {
		if name, found := strings.CutPrefix(strings.TrimSpace(line), "--- FAIL: "); found {
			return name
		}
	}
	return ""
}
