package main

import (
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/explain"
)

func TestExplain_worksOfflineAndExitsByTheVerdict(t *testing.T) {
	for call, want := range map[string]struct {
		code int
		says string
	}{
		"GET http://127.0.0.1:1/kms/v1/health":                        {0, "No check of the contract refuses the request."},
		"GET /kms/v1/users":                                           {0, "No check refuses the request as described."},
		"GET http://fountain.example/kms/v1/users?limit=5000#part":    {1, "query limit (maximum): must be at most 200"},
		"PATCH /kms/v1/auth/login":                                    {1, "Allow: OPTIONS, POST"},
		"GET /kms/v1/nothing":                                         {1, "404 not_found"},
		"GET http://fountain.example":                                 {0, "getStartPage"},
		"GET http://fountain.example/nothing":                         {1, "404 not_found"},
		"get /kms/v1/health":                                          {1, "501 method_unknown"},
		"GET /kms/v1/%zz":                                             {1, "400 malformed_target"},
		"GET /kms/v1/health --header Accept:image/png":                {1, "406 not_acceptable"},
		"GET /kms/v1/health --header Connection:If-Match":             {1, "400 invalid_request"},
		"PATCH /kms/v1/users/usr_01KBB6Q3Y5W1V9T2ZD0G7M4N8P":          {0, "these are required: If-Match"},
		"GET /sequence/v1/scopes/hamlet/line/elements --output table": {0, "sequence.yaml:"},
	} {
		got := run(t, append([]string{"explain"}, strings.Fields(call)...)...)
		require.Equal(t, want.code, got.code, "%s: %s", call, got.stderr)
		require.Contains(t, got.stdout, want.says, call)
		if want.code == 1 {
			require.Contains(t, got.sentenceOf(t), "the gateway refuses this request", call)
			require.Contains(t, got.stdout, "REFUSED", call)
		}
		for line := range strings.Lines(got.stdout) {
			require.Equal(t, strings.TrimRight(line, " \n")+"\n", line, "no space at the end")
		}
	}
}

func TestExplain_answersAWrongCallWithOneSentence(t *testing.T) {
	for call, want := range map[string]string{
		"":                                    "takes a method and a URL",
		"GET":                                 "takes a method and a URL",
		"req_nonsense":                        "takes a method and a URL",
		"GET /a /b":                           "takes a method and a URL",
		"GET kms/v1/users":                    "URL must be",
		"GET /kms/v1/users --output xml":      "--output must be table or json",
		"GET /kms/v1/users --header Nonsense": "--header must be NAME:VALUE",
		"GET /kms/v1/users --header Authorization:Bearer": "use --token-file",
		"GET /kms/v1/users --header x-otp:123456":         "a code cannot be an argument",
		"GET /kms/v1/users --log f":                       "--log goes with the id of a request",
		"GET /kms/v1/users --as-me --token-file f":        "--token-file goes neither with",
		"GET /kms/v1/users --body-file - --token-file -":  "--token-file goes neither with",
		"req_01KBB6Q3Y5W1V9T2ZD0G7M4N8P --as-me":          "--as-me goes with a method and a URL",
		"req_01KBB6Q3Y5W1V9T2ZD0G7M4N8P --adopted":        "--adopted goes with a method and a URL",
		"GET /notes/v1/notes --adopted --contract f":      "--adopted does not go with --contract",
		"GET /notes/v1/notes --adopted --name notes":      "go with --contract",
	} {
		got := run(t, append([]string{"explain"}, strings.Fields(call)...)...)
		require.Equal(t, exitUsage, got.code, call)
		require.Contains(t, got.sentenceOf(t), want, call)
		require.NotContains(t, got.stderr, "123456")
		require.Empty(t, got.stdout, call)
	}
	help := run(t, "explain", "--help").stdout
	require.GreaterOrEqual(t, strings.Count(help, "fountain explain "), 2, "two examples")
	require.Contains(t, strings.Join(strings.Fields(help), " "), "A token is only decoded, not verified.")
}

// The token in a file is judged by its unverified claims, and is never printed.
func TestExplain_judgesAToken(t *testing.T) {
	now := time.Now()
	text, err := auth.Sign(auth.TypeAccess, "k1", "EdDSA", ed25519.NewKeyFromSeed(make([]byte, 32)), &auth.Claims{
		RegisteredClaims: jwt.RegisteredClaims{Issuer: "iss", Subject: "usr_1", Audience: jwt.ClaimStrings{"kms"}, ID: "tok_1",
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(time.Minute))},
		ClientID: "fountain", Scope: "users:read", Principal: auth.KindUser,
	})
	require.NoError(t, err)
	for _, format := range []string{"table", "json"} {
		got := run(t, "explain", "POST", "/kms/v1/users", "--token-file", write(t, text), "--output", format)
		require.Equal(t, 1, got.code)
		require.Contains(t, got.sentenceOf(t), "403 insufficient_scope, by permit")
		require.NotContains(t, got.stdout+got.stderr, text)
	}
	cmd := command(t, "explain", "POST", "/kms/v1/users", "--token-file", "-", "--output", "json")
	cmd.Stdin = strings.NewReader(text + "\n")
	var x explain.Explanation
	told := finish(t, cmd).stdout
	require.NoError(t, json.Unmarshal([]byte(told), &x))
	require.Contains(t, told, `"requires": "scope users:write"`)
	require.Equal(t, explain.Refused, x.Verdict)
	require.Equal(t, "usr_1", x.Token.Subject)
	require.False(t, x.Token.Verified)

	cmd = command(t, "explain", "POST", "/kms/v1/auth/login", "--body-file", "-", "--header", "Content-Type: application/json")
	cmd.Stdin = strings.NewReader(`{"username": "ada", "password": 7}`)
	got := finish(t, cmd)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stdout, "body /password (type): must be of type string")
}

// For a real refusal, the prediction of explain, the response of the gateway and the log agree.
func TestExplain_agreesWithTheGatewayAndItsLog(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	file, pass := password(t)
	u.bootstrap(t, pass)
	h := &home{t: t, dir: t.TempDir()}
	require.Zero(t, h.run("login", "--url", u.url, "--username", "ada", "--password-file", file).code)
	body := write(t, `{"username": "grace", "password": "a quiet harbour at dawn", "roles": ["editor"]}`)

	before := h.run("explain", "POST", u.url+"/kms/v1/users", "--as-me", "--body-file", body, "--header", "Content-Type:application/json")
	require.Equal(t, 1, before.code)
	require.Contains(t, before.sentenceOf(t), "401 insufficient_user_authentication, by step-up")
	require.Contains(t, before.stdout, "as it says and not verified: user usr_")
	require.Regexp(t, `(?m)^permit +passes .*\n(.*\n)*body +passes `, before.stdout, "the rest is told as well")

	answer, err := http.Get(u.url + "/kms/v1/users")
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	requestID := answer.Header.Get("X-Request-Id")
	require.Equal(t, 401, answer.StatusCode)
	require.Zero(t, u.term(t))
	log := filepath.Join(t.TempDir(), "log")
	require.NoError(t, os.WriteFile(log, []byte(u.stderr.String()), 0o600))

	told := run(t, "explain", requestID, "--log", log)
	require.Zero(t, told.code, told.stderr)
	require.Regexp(t, `gateway +info +GET /kms/v1/users 401 refused by authenticate authentication_required took `, told.stdout)
	require.Regexp(t, `refused by the check authenticate of gateway: 401 authentication_required\n  kms\.yaml:\d+ +operation +listUsers\n  kms\.yaml:\d+ +security `, told.stdout)
	cmd := command(t, "explain", requestID, "--output", "json")
	cmd.Stdin = strings.NewReader(u.stderr.String())
	var s explain.Story
	require.NoError(t, json.Unmarshal([]byte(finish(t, cmd).stdout), &s))
	require.Equal(t, "authenticate", s.Refusal.RefusedBy)
	unknown := run(t, "explain", "req_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", "--log", log)
	require.Equal(t, 1, unknown.code)
	require.Contains(t, unknown.sentenceOf(t), "the log has no line of req_")
}

// A log may contain text chosen by a stranger.
func TestExplain_showsATerminalNothingToObey(t *testing.T) {
	cmd := command(t, "explain", "req_01KBB6Q3Y5W1V9T2ZD0G7M4N8P")
	cmd.Stdin = strings.NewReader(`{"msg":"a\u001b[2Jb","requestId":"req_01KBB6Q3Y5W1V9T2ZD0G7M4N8P","x":"` + strings.Repeat("y", 1000) + `"}`)
	got := finish(t, cmd)
	require.Zero(t, got.code, got.stderr)
	require.NotContains(t, got.stdout, "\x1b")
	require.Contains(t, got.stdout, "a?[2Jb")
	require.Less(t, len(got.stdout), 600)
}
