package contract

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/openapi"
	"github.com/fountainai/fountain/tests/harness"
	"github.com/fountainai/fountain/tests/recorder"
)

// protected is one operation that requires a token.
type protected struct {
	word, id, method, path string
	scopes                 []string
}

// protectedOperations reads them from the contracts, with example values in the paths.
func protectedOperations(t *testing.T) []protected {
	t.Helper()
	var out []protected
	for _, word := range openapi.Words() {
		loader := openapi3.NewLoader()
		loader.IsExternalRefsAllowed = true
		loader.ReadFromURIFunc = func(_ *openapi3.Loader, u *url.URL) ([]byte, error) { return fs.ReadFile(openapi.Files, u.Path) }
		text, err := openapi.Read(word)
		require.NoError(t, err)
		doc, err := loader.LoadFromDataWithPath(text, &url.URL{Path: word + ".yaml"})
		require.NoError(t, err)
		for path, item := range doc.Paths.Map() {
			for method, op := range item.Operations() {
				if op.Security != nil && len(*op.Security) == 0 || op.Security == nil && len(doc.Security) == 0 {
					continue
				}
				filled := strings.TrimSuffix(doc.Servers[0].URL, "/") + path
				for _, p := range append(item.Parameters, op.Parameters...) {
					if p.Value.In == "path" {
						require.NotNil(t, p.Value.Example, "%s: path parameter %s has no example", op.OperationID, p.Value.Name)
						filled = strings.ReplaceAll(filled, "{"+p.Value.Name+"}", fmt.Sprint(p.Value.Example))
					}
				}
				out = append(out, protected{word, op.OperationID, method, filled, (*op.Security)[0]["oauth"]})
			}
		}
	}
	require.Greater(t, len(out), 30)
	return out
}

// TestAuthority_everyProtectedOperationRefusesEveryWrongTokenAtTheGatewayAndAtTheService is the bypass test of authentication,
// generated from the contracts.
func TestAuthority_everyProtectedOperationRefusesEveryWrongTokenAtTheGatewayAndAtTheService(t *testing.T) {
	f := harness.Start(t)
	f.Bootstrap()
	admin := f.Admin()
	ctx := context.Background()
	good, err := admin.Token(ctx, "kms")
	require.NoError(t, err)
	narrow := scopeless(t, f, admin) // one audience and one scope: wrong audience for most operations, wrong scope for the rest
	for _, op := range protectedOperations(t) {
		for place, base := range map[string]string{"gateway": f.Info.GatewayURL, "service": f.Info.Services[op.word]} {
			name := place + "/" + op.id
			for what, token := range wrongTokens(t, good) {
				res := call(t, base, op, token)
				require.Equal(t, http.StatusUnauthorized, res.StatusCode, "%s with %s", name, what)
				challenge := res.Header.Get("WWW-Authenticate")
				require.Contains(t, challenge, "Bearer", "%s with %s", name, what)
				if what == "no token" {
					require.NotContains(t, challenge, "error=", "RFC 6750, section 3: no error where no credentials were sent")
				} else {
					require.Contains(t, challenge, `error="invalid_token"`, "%s with %s", name, what)
				}
			}
			res := call(t, base, op, "Bearer "+narrow)
			switch {
			case op.word != "sequence":
				require.Equal(t, http.StatusUnauthorized, res.StatusCode, "%s with another audience", name)
				require.Contains(t, res.Header.Get("WWW-Authenticate"), `error="invalid_token"`)
			case op.scopes[0] != "elements:read":
				require.Equal(t, http.StatusForbidden, res.StatusCode, "%s without its scope", name)
				require.Contains(t, res.Header.Get("WWW-Authenticate"), `error="insufficient_scope"`)
			}
		}
	}
	f.Clock.Advance(11 * time.Minute)
	for _, op := range protectedOperations(t) {
		for _, base := range []string{f.Info.GatewayURL, f.Info.Services[op.word]} {
			require.Equal(t, http.StatusUnauthorized, call(t, base, op, "Bearer "+good).StatusCode, "%s with an expired token", op.id)
		}
	}
}

// scopeless returns a token for sequence that permits reading only.
func scopeless(t *testing.T, f *harness.Family, admin *fountain.Client) string {
	t.Helper()
	ctx := context.Background()
	made, err := admin.KMS.CreateAPIKey(ctx, kms.APIKeyCreate{Name: "narrow", Scopes: []string{"elements:read"}})
	require.NoError(t, err)
	token, err := f.Client(fountain.WithAPIKey(made.Key)).Token(ctx, "sequence")
	require.NoError(t, err)
	return token
}

// wrongTokens returns Authorization headers that must be refused everywhere, made from a valid token.
func wrongTokens(t *testing.T, good string) map[string]string {
	t.Helper()
	parts := strings.Split(good, ".")
	header := func(h string) string { return base64.RawURLEncoding.EncodeToString([]byte(h)) }
	var kid struct{ Kid string }
	raw, err := base64.RawURLEncoding.DecodeString(parts[0])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &kid))
	_, other, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	var claims jwt.MapClaims
	raw, err = base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &claims))
	forged := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
	forged.Header = map[string]any{"alg": "EdDSA", "typ": "at+jwt", "kid": kid.Kid}
	foreign, err := forged.SignedString(other)
	require.NoError(t, err)
	public := other.Public().(ed25519.PublicKey)
	embedded := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
	embedded.Header = map[string]any{"alg": "EdDSA", "typ": "at+jwt", "kid": kid.Kid,
		"jwk": map[string]string{"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(public)}}
	withKey, err := embedded.SignedString(other)
	require.NoError(t, err)
	return map[string]string{
		"no token":             "",
		"garbage":              "Bearer garbage",
		"another scheme":       "Basic " + base64.StdEncoding.EncodeToString([]byte("ada:password")),
		"alg none":             "Bearer " + header(`{"alg":"none","typ":"at+jwt","kid":"`+kid.Kid+`"}`) + "." + parts[1] + ".",
		"another key":          "Bearer " + foreign,
		"a key of its own":     "Bearer " + withKey,
		"a signature cut off":  "Bearer " + parts[0] + "." + parts[1] + ".",
		"changed claims":       "Bearer " + parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(raw), `"admin"`, `"owner"`, 1))) + "." + parts[2],
		"two tokens":           "Bearer " + good + " " + good,
		"an unknown key id":    "Bearer " + header(`{"alg":"EdDSA","typ":"at+jwt","kid":"nobody"}`) + "." + parts[1] + "." + parts[2],
		"a proof's type":       "Bearer " + header(`{"alg":"EdDSA","typ":"2fa-proof+jwt","kid":"`+kid.Kid+`"}`) + "." + parts[1] + "." + parts[2],
		"8 KiB and more of it": "Bearer " + strings.Repeat("A", 9<<10),
	}
}

func call(t *testing.T, base string, op protected, authorization string) *http.Response {
	t.Helper()
	req, err := http.NewRequest(op.method, base+op.path, http.NoBody)
	require.NoError(t, err)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	res, err := recorder.New(t, nil).Client().Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	require.NoError(t, err)
	return res
}
