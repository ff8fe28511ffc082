package gateway

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/gateway/internal/member"
	"github.com/fountainai/fountain/internal/auth"
)

// notes is the document of an adopted service, which knows nothing of the family.
const notes = `openapi: 3.0.3
info: {title: Notes, version: 1.0.0}
servers: [{url: https://notes.example/v2}]
paths:
  /notes:
    get:
      operationId: listNotes
      parameters:
        - {name: page, in: query, schema: {type: integer, minimum: 1}}
        - {name: session, in: cookie, schema: {type: string}}
        - {name: fountain_session, in: cookie, schema: {type: string}}
        - {name: __Host-fountain-session, in: cookie, schema: {type: string}}
      responses:
        '200': {description: All., content: {application/json: {schema: {type: array, items: {type: string}}}, text/html: {}}}
    post:
      operationId: createNote
      requestBody:
        required: true
        content: {application/json: {schema: {type: object, required: [text], properties: {text: {type: string, maxLength: 20}}}}}
      responses:
        '201':
          description: Made.
          headers: {Location: {schema: {type: string}}, Set-Cookie: {schema: {type: string}}, Service-Worker-Allowed: {schema: {type: string}}}
  /status:
    get:
      operationId: getStatus
      security: []
      responses: {'204': {description: It lives.}}
`

// definition returns the definition of the member "notes" at the house's upstream.
func (h *house) definition(text string) member.Definition {
	return member.Definition{
		Name: "notes", File: "notes.yaml", Files: map[string][]byte{"notes.yaml": []byte(text)}, Upstreams: []string{h.stranger}, Public: []string{"getStatus"},
	}
}

// memberHouse is a gateway with the member notes.
func memberHouse(t testing.TB) *house {
	h := newHouseWith(t, func(c *Config) { c.UpstreamAllow = []string{"127.0.0.0/8"} })
	stranger := httptest.NewServer(http.HandlerFunc(h.serve))
	t.Cleanup(stranger.Close)
	h.stranger = stranger.URL
	require.NoError(t, h.g.members.Replace("test", []member.Definition{h.definition(notes)}))
	h.upstream = func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
			return
		}
		if r.URL.Path == "/v2/status" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`["a"]`))
	}
	return h
}

// notesToken returns a token for notes only.
func (h *house) notesToken(change func(*auth.Claims)) string {
	return "Bearer " + h.token(func(c *auth.Claims) {
		c.Audience, c.Scope, c.Roles = jwt.ClaimStrings{"notes"}, "notes:read notes:write", nil
		if change != nil {
			change(c)
		}
	})
}

func TestMember_isReachedUnderItsMount(t *testing.T) {
	h := memberHouse(t)
	a := h.do("GET", "/notes/v2/notes?page=2&undeclared=1", "", "Authorization", h.notesToken(nil), "X-Forwarded-Prefix", "/evil")
	require.Equal(t, 200, a.StatusCode, a.Text)
	got := h.seen[0]
	require.Equal(t, "/v2/notes?page=2", got.RequestURI, "without the mount and what the contract does not declare")
	require.Equal(t, []string{"/notes"}, got.Header.Values("X-Forwarded-Prefix"))
	a = h.do("POST", "/notes/v2/notes", `{"text":"This text has more than twenty characters."}`, "Authorization", h.notesToken(nil))
	require.Equal(t, 422, a.StatusCode)
	require.Equal(t, 404, h.do("GET", "/v2/notes", "", "Authorization", h.notesToken(nil)).StatusCode)
	require.Len(t, h.seen, 1)
}

// OPTIONS operations of a contract are forwarded like others. The gateway itself answers browsers' preflight requests, and paths without such an
// operation.
func TestMember_getsTheOptionsThatItsContractHas(t *testing.T) {
	h := memberHouse(t)
	d := h.definition(strings.Replace(notes, "  /status:\n", `  /check:
    options:
      operationId: checkNote
      requestBody: {content: {application/json: {schema: {type: object, required: [size]}}}}
      responses: {'200': {description: It would be taken., content: {application/json: {}}}}
  /status:
`, 1))
	require.NoError(t, h.g.members.Replace("test", []member.Definition{d}))
	require.Equal(t, 401, h.do("OPTIONS", "/notes/v2/check", `{"size":1}`).StatusCode)
	require.Equal(t, 422, h.do("OPTIONS", "/notes/v2/check", `{}`, "Authorization", h.notesToken(nil)).StatusCode)
	require.Empty(t, h.seen)
	require.Equal(t, 200, h.do("OPTIONS", "/notes/v2/check", `{"size":1}`, "Authorization", h.notesToken(nil)).StatusCode)
	require.Len(t, h.seen, 1)
	require.Equal(t, "OPTIONS", h.seen[0].Method)
	require.Equal(t, 204, h.do("OPTIONS", "/notes/v2/check", "", "Origin", "https://a.example", "Access-Control-Request-Method", "OPTIONS").StatusCode)
	require.Equal(t, 204, h.do("OPTIONS", "/notes/v2/notes", "").StatusCode)
	require.Len(t, h.seen, 1)
}

// A member gets nothing that is usable elsewhere: a token only for itself, and none where its contract requires none.
func TestMember_getsNoCredentialsOfOthers(t *testing.T) {
	h := memberHouse(t)
	for name, token := range map[string]string{
		"of the family":            "Bearer " + h.token(nil),
		"for itself and others":    h.notesToken(func(c *auth.Claims) { c.Audience = jwt.ClaimStrings{"notes", "sequence"} }),
		"an API key":               "Bearer fk_live_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJ",
		"without its scope":        h.notesToken(func(c *auth.Claims) { c.Scope = "elements:read" }),
		"basic credentials":        "Basic YWRhOnNlY3JldA==",
		"a token of another issue": h.notesToken(func(c *auth.Claims) { c.Issuer = "http://else.test" }),
	} {
		a := h.do("GET", "/notes/v2/notes", "", "Authorization", token)
		require.Contains(t, []int{401, 403}, a.StatusCode, name)
	}
	require.Empty(t, h.seen, "nothing may reach the service")

	a := h.do("GET", "/notes/v2/status", "", "Authorization", "Bearer "+h.token(nil), "X-Otp", "123456", "Cookie", "session=a")
	require.Equal(t, 204, a.StatusCode, a.Text)
	require.Empty(t, h.seen[0].Header.Values("Authorization"), "a token for whom nobody has looked at it")
	require.Empty(t, h.seen[0].Header.Values("X-Otp"))
	require.Empty(t, h.seen[0].Header.Values("Cookie"))

	a = h.do("GET", "/notes/v2/notes", "", "Authorization", h.notesToken(nil), "X-Otp", "123456", "Cookie", "session=a; fountain_session=b; other=c; __Host-fountain-session=d")
	require.Equal(t, 200, a.StatusCode, a.Text)
	require.Equal(t, h.notesToken(nil), h.seen[1].Header.Get("Authorization"))
	require.Equal(t, []string{"session=a"}, h.seen[1].Header.Values("Cookie"), "its own, and none of the family's")
	require.Empty(t, h.seen[1].Header.Values("X-Otp"))
}

// A public operation of the document stays closed until the operator opens it by name.
func TestMember_staysClosedUnlessItIsOpenedByName(t *testing.T) {
	h := memberHouse(t)
	d := h.definition(notes)
	d.Public, d.Compared = nil, true
	require.NoError(t, h.g.members.Replace("test", []member.Definition{d}))
	require.Equal(t, 401, h.do("GET", "/notes/v2/status", "").StatusCode)
	require.Equal(t, 204, h.do("GET", "/notes/v2/status", "", "Authorization", h.notesToken(nil)).StatusCode)
}

// A member's answer can't act in the origin of the family's pages.
func TestMember_answersActNotInTheFamilysOrigin(t *testing.T) {
	h := memberHouse(t)
	answer := func(mediaType string) answer {
		h.upstream = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			_, _ = w.Write([]byte(`["a"]`))
		}
		return h.do("GET", "/notes/v2/notes", "", "Authorization", h.notesToken(nil))
	}
	a := answer("application/json")
	require.Equal(t, 200, a.StatusCode)
	require.Contains(t, a.Header.Get("Content-Security-Policy"), "sandbox;")
	require.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"))
	a = answer("text/html; charset=utf-8")
	require.Equal(t, 502, a.StatusCode)
	require.Equal(t, "bad_upstream", a.Code)
	require.Contains(t, h.log.String(), "activeContent")

	d := h.definition(notes)
	d.ActiveContent = true
	require.NoError(t, h.g.members.Replace("test", []member.Definition{d}))
	a = answer("text/html; charset=utf-8")
	require.Equal(t, 200, a.StatusCode, a.Text)
	require.Equal(t, []string{"sandbox; default-src 'none'; frame-ancestors 'none'"}, a.Header.Values("Content-Security-Policy"))

	for reference, reached := range map[string]string{
		"/v2/notes/1":                         "/notes/v2/notes/1",
		h.stranger + "/v2/notes/a%2Fb?x=1#y":  "/notes/v2/notes/a%2Fb?x=1#y",
		"notes/1":                             "/notes/v2/notes/1",
		"https://elsewhere.example/v2/notes/": "https://elsewhere.example/v2/notes/",
	} {
		h.upstream = func(w http.ResponseWriter, _ *http.Request) {
			for name, value := range map[string]string{
				"Location": reference, "Set-Cookie": "a=b", "Service-Worker-Allowed": "/", "Content-Security-Policy": "default-src *", "Clear-Site-Data": `"*"`,
				"Access-Control-Allow-Origin": "*", "Www-Authenticate": "Basic", "Refresh": "0; url=/docs", "Link": "</x>; rel=preload",
			} {
				w.Header().Set(name, value)
			}
			w.WriteHeader(http.StatusCreated)
		}
		a := h.do("POST", "/notes/v2/notes", `{"text":"a"}`, "Authorization", h.notesToken(nil))
		require.Equal(t, 201, a.StatusCode, a.Text)
		require.Equal(t, reached, a.Header.Get("Location"))
		require.Equal(t, []string{"sandbox; default-src 'none'; frame-ancestors 'none'"}, a.Header.Values("Content-Security-Policy"))
		for _, name := range []string{"Set-Cookie", "Service-Worker-Allowed", "Clear-Site-Data", "Access-Control-Allow-Origin", "Www-Authenticate", "Refresh", "Link"} {
			require.Empty(t, a.Header.Values(name), name)
		}
	}
}

// A refused definition leaves the previous one in force, with the reason reported; others are accepted.
func TestMember_aBrokenDefinitionLeavesWhatIsInForce(t *testing.T) {
	h := memberHouse(t)
	works := func() {
		t.Helper()
		require.Equal(t, 200, h.do("GET", "/notes/v2/notes", "", "Authorization", h.notesToken(nil)).StatusCode)
	}
	works()
	for why, change := range map[string]func(*member.Definition){
		"no paths":             func(d *member.Definition) { d.Files = map[string][]byte{"notes.yaml": []byte("openapi: 3.0.3\n")} },
		"not YAML":             func(d *member.Definition) { d.Files = map[string][]byte{"notes.yaml": []byte("{")} },
		"no such file":         func(d *member.Definition) { d.File = "other.yaml" },
		"not allowed":          func(d *member.Definition) { d.Upstreams = []string{"http://169.254.169.254:80"} },
		"the family's own":     func(d *member.Definition) { d.Upstreams = []string{h.behind} },
		"no upstream":          func(d *member.Definition) { d.Upstreams = nil },
		"no such operation":    func(d *member.Definition) { d.Public = []string{"deleteEverything"} },
		"not public elsewhere": func(d *member.Definition) { d.Public = []string{"listNotes"} },
	} {
		d := h.definition(notes)
		change(&d)
		other := h.definition(notes)
		other.Name = "other"
		err := h.g.members.Replace("test", []member.Definition{d, other})
		require.ErrorContains(t, err, "member notes: ", why)
		works()
		require.NotNil(t, h.g.members.Member("other"), why)
		require.NoError(t, h.g.members.Replace("test", []member.Definition{h.definition(notes)}))
		require.Nil(t, h.g.members.Member("other"))
	}
	for _, name := range []string{"kms", "gateway", "docs", "elements", "Notes", "a/b", "", ".well-known", "users"} {
		d := h.definition(notes)
		d.Name = name
		require.Error(t, h.g.members.Replace("test", []member.Definition{h.definition(notes), d}), name)
		require.Len(t, h.g.members.Members(), 1)
	}
	require.ErrorContains(t, h.g.members.Replace("another source", []member.Definition{h.definition(notes)}), "already")
	require.NoError(t, h.g.members.Replace("test", nil))
	require.Equal(t, 404, h.do("GET", "/notes/v2/notes", "", "Authorization", h.notesToken(nil)).StatusCode)
}

// A contract that breaks clients of the one in force, or loosens a check, replaces it only when the operator accepts each change by name.
func TestMember_asksToAcceptWhatBreaksOrLoosens(t *testing.T) {
	h := memberHouse(t)
	looser := h.definition(strings.ReplaceAll(notes, "maxLength: 20", "maxLength: 3") + "x-fountain: {timeout: 20s, stepUp: {acr: aal2, maxAge: 60}}\n")
	require.NoError(t, h.g.members.Replace("other", []member.Definition{{Name: "secured", File: looser.File, Files: looser.Files, Upstreams: looser.Upstreams}}))
	relaxed := h.definition(notes)
	relaxed.Name, relaxed.Public = "secured", nil
	err := h.g.members.Replace("other", []member.Definition{relaxed})
	require.ErrorContains(t, err, "looser: listNotes: step-up-loosened")
	require.NotNil(t, h.g.members.Member("secured").Contract.Operation("listNotes").Policy.StepUp, "what was in force stays")

	shorter := h.definition(strings.ReplaceAll(notes, "maxLength: 20", "maxLength: 3"))
	err = h.g.members.Replace("test", []member.Definition{shorter})
	require.ErrorContains(t, err, "breaking: createNote")
	require.Equal(t, 201, h.do("POST", "/notes/v2/notes", `{"text":"longer"}`, "Authorization", h.notesToken(nil)).StatusCode)
	_, name, _ := strings.Cut(err.Error(), "breaking: ")
	name, _, _ = strings.Cut(name, ";")
	shorter.Accept = []string{name}
	require.NoError(t, h.g.members.Replace("test", []member.Definition{shorter}))
	require.Equal(t, 422, h.do("POST", "/notes/v2/notes", `{"text":"longer"}`, "Authorization", h.notesToken(nil)).StatusCode)
	require.EqualValues(t, 1, metric(t, h.registry, "fountain_gateway_member_refused", "secured"))
}

// Contracts are added, changed and removed under constant requests: no request fails, and no operation is unknown between two versions.
func TestMember_reloadsLoseNoRequest(t *testing.T) {
	h := memberHouse(t)
	h.upstream = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasPrefix(r.URL.Path, "/sequence/") {
			_, _ = w.Write([]byte(`{"items":[]}`))
			return
		}
		_, _ = w.Write([]byte(`["a"]`))
	}
	const limitless = "x-fountain: {rate: [{name: per-subject, key: sub, quota: 1000000, window: 1s, burst: 1000000}, {name: per-ip, key: ip, phase: preauth, quota: 1000000, window: 1s, burst: 1000000}]}\n"
	require.NoError(t, h.g.members.Replace("test", nil)) // its limits are others
	require.NoError(t, h.g.members.Replace("test", []member.Definition{h.definition(limitless + notes)}))
	reloads := 40
	if os.Getenv("FOUNTAIN_PROVE") != "" {
		reloads = 1000
	}
	var stop atomic.Bool
	var asked, failed atomic.Int64
	var asking sync.WaitGroup
	own := h.notesToken(nil)
	for _, path := range []string{"/sequence/v1/scopes/s/line/elements", "/notes/v2/notes", "/notes/v2/notes?page=1"} {
		asking.Go(func() {
			token := own
			for i := 0; !stop.Load(); i++ {
				if i%100 == 0 && strings.HasPrefix(path, "/sequence/") { // which limits a caller
					token = "Bearer " + h.token(func(c *auth.Claims) { c.Subject = fmt.Sprintf("usr_%026d", i) })
				}
				asked.Add(1)
				if a := h.do("GET", path, "", "Authorization", token); a.StatusCode != 200 {
					failed.Add(1)
					t.Error(path, a.StatusCode, a.Text)
				}
				time.Sleep(time.Millisecond) // below the limit of an address
			}
		})
	}
	for i := range reloads {
		changed := h.definition(limitless + strings.ReplaceAll(notes, "maxLength: 20", fmt.Sprint("maxLength: ", 20+i)))
		comes := h.definition(notes)
		comes.Name = fmt.Sprint("guest-", i%30)
		require.NoError(t, h.g.members.Replace("test", []member.Definition{changed, comes}))
	}
	stop.Store(true)
	asking.Wait()
	t.Logf("%d reloads, %d requests, %d failed", reloads, asked.Load(), failed.Load())
	require.Zero(t, failed.Load())
	require.Len(t, h.g.members.Members(), 2)
}

// The next version refuses nothing, but reports what it would refuse.
func TestMember_aShadowTellsWhatItWouldRefuse(t *testing.T) {
	h := memberHouse(t)
	d := h.definition(notes)
	next := strings.ReplaceAll(strings.ReplaceAll(notes, "maxLength: 20", "maxLength: 3"), "items: {type: string}", "items: {type: integer}")
	d.Shadow = &member.Text{File: "notes.yaml", Files: map[string][]byte{"notes.yaml": []byte(next)}}
	require.NoError(t, h.g.members.Replace("test", []member.Definition{d}))
	for range 2 {
		require.Equal(t, 201, h.do("POST", "/notes/v2/notes", `{"text":"longer"}`, "Authorization", h.notesToken(nil)).StatusCode)
		require.Equal(t, 200, h.do("GET", "/notes/v2/notes", "", "Authorization", h.notesToken(nil)).StatusCode)
	}
	require.EqualValues(t, 2, metric(t, h.registry, "fountain_gateway_shadow_rejections_total", "invalid_body", "notes", "notes.createNote", "request"))
	require.EqualValues(t, 2, metric(t, h.registry, "fountain_gateway_shadow_rejections_total", "bad_upstream", "notes", "notes.listNotes", "answer"))
	require.Equal(t, 2, strings.Count(h.log.String(), "would refuse a request that passes now"), "each kind once")
	require.Equal(t, 201, h.do("POST", "/notes/v2/notes", `{"text":"abc"}`, "Authorization", h.notesToken(nil)).StatusCode)
	require.EqualValues(t, 2, metric(t, h.registry, "fountain_gateway_shadow_rejections_total", "invalid_body", "notes", "notes.createNote", "request"))
}

// The contract that a member's clients read has the mounted address and the family's tokens.
func TestMember_isInListAndDocuments(t *testing.T) {
	h := memberHouse(t)
	a := h.do("GET", "/openapi/notes.yaml", "")
	require.Equal(t, 200, a.StatusCode)
	for _, text := range []string{"openapi: 3.0.3\n", "url: /notes/v2\n", "tokenUrl: /kms/v1/oauth2/token", "notes:write"} {
		require.Contains(t, a.Text, text)
	}
	require.NotContains(t, a.Text, "notes.example")
	require.Equal(t, a.Text, h.do("GET", "/openapi/notes.bundled.yaml", "").Text)
	bundled := h.do("GET", "/openapi/kms.bundled.yaml", "")
	require.Equal(t, 200, bundled.StatusCode)
	require.NotContains(t, bundled.Text, "common.yaml#")
	require.Equal(t, 404, h.do("GET", "/openapi/other.yaml", "").StatusCode)
	require.Contains(t, h.do("GET", "/gateway/v1/services", "").Text, `"adopted":true,"basePath":"/notes/v2"`)
}

// The operators' directory is read at the start, after changes and on a signal; an invalid folder leaves the previous definition in force.
func TestMember_comesFromTheDirectory(t *testing.T) {
	h := memberHouse(t)
	require.NoError(t, h.g.members.Replace("test", nil))
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("notes/notes.yaml", notes)
	write("notes/member.yaml", "contract: notes.yaml\nupstreams: ["+h.stranger+"]\npublic: [getStatus]\n")
	hangups := make(chan os.Signal)
	source, err := member.NewDirectory(h.g.members, dir, hangups)
	require.NoError(t, err)
	done := make(chan struct{})
	go func() { defer close(done); _ = source.Run(t.Context()) }()
	t.Cleanup(func() { <-done })
	status := func() int { return h.do("GET", "/notes/v2/notes", "", "Authorization", h.notesToken(nil)).StatusCode }
	require.Eventually(t, func() bool { return status() == 200 }, 10*time.Second, 10*time.Millisecond)

	write("notes/member.yaml", "contract: notes.yaml\nupstream: ["+h.stranger+"]\n")
	hangups <- os.Interrupt
	hangups <- os.Interrupt // when it receives the second signal it has handled the first
	require.Equal(t, 200, status())
	require.Contains(t, h.log.String(), "field upstream not found")

	require.NoError(t, os.RemoveAll(filepath.Join(dir, "notes")))
	require.Eventually(t, func() bool { return status() == 404 }, 20*time.Second, 10*time.Millisecond, "it looks by itself")
}

// A directory with too many folders does not affect those that are read, and a folder with too many files affects only its own member.
func TestMember_ofADirectoryWithTooManyFolders(t *testing.T) {
	h := memberHouse(t)
	require.NoError(t, h.g.members.Replace("test", nil))
	dir := t.TempDir()
	for i := range 205 {
		require.NoError(t, os.Mkdir(filepath.Join(dir, fmt.Sprintf("z%03d", i)), 0o755))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "crowded"), 0o755))
	for i := range 1001 {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "crowded", fmt.Sprintf("%d.txt", i)), nil, 0o600))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "notes"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "crowded", "member.yaml"), []byte("contract: notes.yaml\nupstreams: ["+h.stranger+"]\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "notes", "notes.yaml"), []byte(notes), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "notes", "member.yaml"), []byte("contract: notes.yaml\nupstreams: ["+h.stranger+"]\npublic: [getStatus]\n"), 0o600))
	hangups := make(chan os.Signal)
	source, err := member.NewDirectory(h.g.members, dir, hangups)
	require.NoError(t, err)
	done := make(chan struct{})
	go func() { defer close(done); _ = source.Run(t.Context()) }()
	t.Cleanup(func() { <-done })
	hangups <- os.Interrupt // it is taken when the directory has been read
	require.Eventually(t, func() bool {
		return h.do("GET", "/notes/v2/notes", "", "Authorization", h.notesToken(nil)).StatusCode == 200
	}, 10*time.Second, 10*time.Millisecond)
	require.Contains(t, h.log.String(), `"unread":7`)
	require.Contains(t, h.log.String(), "crowded: read the contract's files: the folder holds more than 1000 files and folders")

	require.NoError(t, os.RemoveAll(filepath.Join(dir, "notes")))
	require.Eventually(t, func() bool {
		return h.do("GET", "/notes/v2/notes", "", "Authorization", h.notesToken(nil)).StatusCode == 404
	}, 20*time.Second, 10*time.Millisecond, "changes are still seen")
}

// The gateway reports that a member's last version was refused, and which one is in force.
func TestMember_tellsWhichVersionIsInForce(t *testing.T) {
	h := memberHouse(t)
	put := func(revision int64, upstream string) error {
		d := h.definition(notes)
		d.Revision, d.Upstreams = revision, []string{upstream}
		return h.g.members.Replace("test", []member.Definition{d})
	}
	require.NoError(t, put(1, h.stranger))
	require.Contains(t, h.do("GET", "/gateway/v1/services", "").Text, `"revision":1`)
	require.Error(t, put(2, "http://10.0.0.1:80"))
	said := h.do("GET", "/gateway/v1/services", "").Text
	require.Contains(t, said, `"refused":{"cause":"upstreams","revision":2},"revision":1`)
	require.NoError(t, put(3, h.stranger))
	said = h.do("GET", "/gateway/v1/services", "").Text
	require.Contains(t, said, `"revision":3`)
	require.NotContains(t, said, `"refused"`)
	broken := h.definition("openapi: 2.0")
	broken.Revision = 4
	require.Error(t, h.g.members.Replace("test", []member.Definition{broken}))
	require.Contains(t, h.do("GET", "/gateway/v1/services", "").Text, `"refused":{"cause":"contract","revision":4},"revision":3`)
	require.NoError(t, h.g.members.Replace("test", nil))
	require.NotContains(t, h.do("GET", "/gateway/v1/services", "").Text, `"revision"`)
}

// A service whose first contract is refused is not served. The list has it with the reason, until a contract is accepted or it is retired.
func TestMember_tellsThatItsFirstContractIsRefused(t *testing.T) {
	h := memberHouse(t)
	require.NoError(t, h.g.members.Replace("test", nil))
	services := func() string { return h.do("GET", "/gateway/v1/services", "").Text }
	put := func(d member.Definition, revision int64) error {
		d.Revision = revision
		return h.g.members.Replace("test", []member.Definition{d})
	}
	require.NotContains(t, services(), `"refused"`)
	elsewhere := h.definition(notes)
	elsewhere.Upstreams = []string{"http://10.0.0.1:80"}
	require.Error(t, put(elsewhere, 1))
	require.Contains(t, services(), `"refused":[{"name":"notes","refused":{"cause":"upstreams","revision":1}}]`)
	require.Error(t, put(h.definition("openapi: 2.0"), 2))
	require.Contains(t, services(), `"refused":[{"name":"notes","refused":{"cause":"contract","revision":2}}]`)
	require.NoError(t, put(h.definition(notes), 3))
	require.NotContains(t, services(), `"refused"`)
	require.NoError(t, h.g.members.Replace("test", nil))
	require.Error(t, put(elsewhere, 4))
	require.NoError(t, h.g.members.Replace("test", nil))
	require.NotContains(t, services(), `"refused"`, "it is retired")
}

// A member's answer can't be used as a script, style or frame of a page in the family's origin, whatever its media type.
func TestMember_answersBecomeNoPartOfAPage(t *testing.T) {
	h := memberHouse(t)
	for dest, status := range map[string]int{"script": 403, "serviceworker": 403, "style": 403, "iframe": 403, "empty": 200, "document": 200, "image": 200, "": 200} {
		require.Equal(t, status, h.do("GET", "/notes/v2/notes", "", "Authorization", h.notesToken(nil), "Sec-Fetch-Dest", dest).StatusCode, dest)
	}
	require.Equal(t, 200, h.do("GET", "/docs/init.js", "", "Sec-Fetch-Dest", "script").StatusCode, "the family's own are")
}

// With an origin of their own, members are reachable only there, and the family is not; their answers may then act in that origin.
func TestMember_mayHaveAnOriginOfItsOwn(t *testing.T) {
	h := newHouseWith(t, func(c *Config) {
		c.UpstreamAllow, c.MembersOrigin = []string{"127.0.0.0/8"}, "https://apps.example.test"
		c.Hosts = []string{"fountain.example.test"}
	})
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Set-Cookie", "a=b")
		_, _ = w.Write([]byte("<p>"))
	}))
	t.Cleanup(stranger.Close)
	h.stranger = stranger.URL
	text := strings.ReplaceAll(notes, "headers: {Location", "headers: {X: {schema: {}}, Location")
	text = strings.ReplaceAll(text, "'200': {description: All., content", "'200': {description: All., headers: {Set-Cookie: {schema: {type: string}}}, content")
	require.NoError(t, h.g.members.Replace("test", []member.Definition{h.definition(text)}))
	at := func(host, path string) answer {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", h.gate.URL+path, nil)
		require.NoError(t, err)
		req.Host = host
		req.Header.Set("Authorization", h.notesToken(nil))
		res, err := http.DefaultTransport.RoundTrip(req)
		require.NoError(t, err)
		defer res.Body.Close()
		return answer{Response: res}
	}
	page := at("apps.example.test", "/notes/v2/notes")
	require.Equal(t, 200, page.StatusCode)
	require.Empty(t, page.Header.Values("Content-Security-Policy"))
	require.Empty(t, page.Header.Values("Set-Cookie"))
	require.Equal(t, "nosniff", page.Header.Get("X-Content-Type-Options"))
	require.Equal(t, 421, at("fountain.example.test", "/notes/v2/notes").StatusCode)
	require.Equal(t, 421, at("apps.example.test", "/docs").StatusCode)
	require.Equal(t, 421, at("APPS.example.test.", "/gateway/v1/services").StatusCode)
	require.Equal(t, 200, at("fountain.example.test", "/docs").StatusCode)
	require.Equal(t, 200, at("apps.example.test", "/gateway/v1/health").StatusCode, "probes may come by any name")
	for origin, good := range map[string]bool{
		"https://apps.example.test": true, "https://fountain.example.test:8443": false, issuer: false, "apps.example.test": false, "https://a.test/": false, "ftp://a.test": false,
	} {
		c := Config{Adopted: Adopted{MembersOrigin: origin}}
		c.Hosts, c.Issuer = []string{"fountain.example.test"}, issuer
		require.Equal(t, good, c.validateMembersOrigin() == nil, origin)
	}
}

// A member's answer takes room while it is held, with or without a declared length. A member without room gets an error; others are not affected.
func TestMember_answersTakeBoundedRoom(t *testing.T) {
	h := memberHouse(t)
	const size, callers = 7 << 20, 24 // more than twice of what may be held
	var chunked, arrived atomic.Int64
	leave := make(chan struct{})
	h.upstream = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasPrefix(r.URL.Path, "/sequence/") {
			_, _ = w.Write([]byte(`{"items":[]}`))
			return
		}
		text := `["` + strings.Repeat("a", size-4) + `"]`
		if chunked.Add(1)%2 == 0 {
			w.Header().Set("Content-Length", fmt.Sprint(size))
		}
		_, _ = w.Write([]byte(text[:size-1]))
		arrived.Add(1)
		<-leave
		_, _ = w.Write([]byte(text[size-1:]))
	}
	var passed, refused atomic.Int64
	var all sync.WaitGroup
	token := h.notesToken(nil)
	for range callers {
		all.Go(func() {
			switch a := h.do("GET", "/notes/v2/notes", "", "Authorization", token); {
			case a.StatusCode == 200 && len(a.Text) == size:
				passed.Add(1)
			case a.Code == "overloaded":
				refused.Add(1)
			default:
				t.Error(a.StatusCode, a.Code)
			}
		})
	}
	require.Eventually(t, func() bool { return refused.Load() >= callers-9 }, time.Minute, time.Millisecond)
	require.Equal(t, 200, h.do("GET", "/sequence/v1/scopes/s/line/elements", "", "Authorization", "Bearer "+h.token(nil)).StatusCode)
	close(leave)
	all.Wait()
	require.LessOrEqual(t, passed.Load(), int64(9), "64 MiB of 7")
	require.Equal(t, 200, h.do("GET", "/notes/v2/notes", "", "Authorization", token).StatusCode, "the room is given back")
}

// Files are checked while they are streamed, and not held: an invalid one is aborted before the service has it completely.
func TestMember_filesAreCheckedWhileTheyPass(t *testing.T) {
	h := memberHouse(t)
	d := h.definition(notes + `  /files:
    post:
      operationId: upload
      requestBody:
        required: true
        content:
          application/octet-stream: {}
          multipart/form-data:
            schema: {type: object, required: [name], properties: {name: {type: string, maxLength: 3}, file: {type: string, format: binary}}}
      responses: {'201': {description: Kept.}}
`)
	d.Compared = true
	require.NoError(t, h.g.members.Replace("test", []member.Definition{d}))
	upload := func(kind, body string) answer {
		return h.do("POST", "/notes/v2/files", body, "Authorization", h.notesToken(nil), "Content-Type", kind)
	}
	form := func(name, content string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\n" + name +
			"\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n" + content + "\r\n--b--\r\n"
	}
	large := strings.Repeat("0123456789abcdef", 256<<10) // 4 MiB
	require.Equal(t, 201, upload("application/octet-stream", large).StatusCode)
	require.Equal(t, large, h.body[0])
	good := form("abc", large)
	require.Equal(t, 201, upload("multipart/form-data; boundary=b", good).StatusCode)
	require.Equal(t, good, h.body[1], "byte for byte")

	seen := len(h.seen)
	a := upload("multipart/form-data; boundary=b", form("abcd", large))
	require.Equal(t, 422, a.StatusCode, a.Text)
	require.Contains(t, a.Text, "/name")
	a = upload("multipart/form-data; boundary=b", strings.TrimSuffix(good, "--b--\r\n"))
	require.Equal(t, 400, a.StatusCode, a.Text)
	require.Equal(t, 413, upload("application/octet-stream", strings.Repeat(large, 5)).StatusCode)
	require.Equal(t, 415, upload("image/png", "a").StatusCode)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, body := range h.body[seen:] {
		require.NotContains(t, body, "--b--", "nobody gets a body whole that does not fit")
	}
}
