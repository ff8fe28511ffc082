package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain/verify"
	"github.com/fountainai/fountain/internal/problem"
)

// consumer returns the verifier for services outside the family (clients/fountain/verify), with the world's keys published. It may share no code with
// this package, so the tests below compare the two.
func (w *world) consumer(t testing.TB, audience string) *verify.Verifier {
	t.Helper()
	set := map[string]any{"keys": []map[string]string{
		{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "k1", "x": base64.RawURLEncoding.EncodeToString(w.key.Public().(ed25519.PublicKey))},
		ecJWK(t, "k2", &w.ec.PublicKey),
	}}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(rw).Encode(set) }))
	t.Cleanup(server.Close)
	v, err := verify.New(verify.Config{Issuer: issuer, Audience: audience, JWKSURL: server.URL, Now: w.clock.Now, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.NoError(t, v.Ready(t.Context()))
	return v
}

func ecJWK(t testing.TB, kid string, key *ecdsa.PublicKey) map[string]string {
	t.Helper()
	point, err := key.Bytes()
	require.NoError(t, err)
	return map[string]string{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid,
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:])}
}

// forOne returns the claims of a token for the kms alone: a service outside the family accepts no further audience.
func forOne() map[string]any { return with(claims(), "aud", "kms") }

// single repeats the attacks with tokens for one audience, so that each token is wrong only in the attack.
func single(t testing.TB, w *world) map[string]string {
	t.Helper()
	corpus := attacks(t, w)
	for name, change := range map[string]func(c map[string]any){
		"expired": func(c map[string]any) { c["exp"] = noon.Add(-31 * time.Second).Unix() }, "no exp": func(c map[string]any) { delete(c, "exp") },
		"exp as text": func(c map[string]any) { c["exp"] = "4102444800" }, "negative exp": func(c map[string]any) { c["exp"] = -1 },
		"future iat": func(c map[string]any) { c["iat"] = noon.Add(31 * time.Second).Unix() }, "no iat": func(c map[string]any) { delete(c, "iat") },
		"future nbf":   func(c map[string]any) { c["nbf"] = noon.Add(31 * time.Second).Unix() },
		"other issuer": func(c map[string]any) { c["iss"] = issuer + "/" }, "no issuer": func(c map[string]any) { delete(c, "iss") },
		"no subject": func(c map[string]any) { delete(c, "sub") }, "no jti": func(c map[string]any) { delete(c, "jti") },
		"no client": func(c map[string]any) { delete(c, "client_id") }, "no principal": func(c map[string]any) { delete(c, "principal") },
		"unknown principal": func(c map[string]any) { c["principal"] = "root" }, "user that is a service": func(c map[string]any) { c["principal"] = "service" },
	} {
		c := forOne()
		change(c)
		corpus[name] = w.sign(t, header(), c)
	}
	for name, extra := range map[string]string{
		"duplicate claim": `,"sub":"usr_2"`, "duplicate claim, escaped": `,"\u0073ub":"usr_2"`, "duplicate claim, other case": `,"SUB":"usr_2"`,
		"duplicate claim, nested": `,"x":{"a":1,"a":2}`, "name with escapes": `,"\u0078":1`, "text after": `}{"a":1`,
		"deep": `,"x":` + strings.Repeat("[", 20) + strings.Repeat("]", 20), "many": manyMembers(40),
	} {
		corpus[name] = w.sign(t, header(), raw(t, forOne(), extra))
	}
	for name, h := range map[string]any{
		"alg missing": with(header(), "alg", nil), "alg does not fit the kid": with(header(), "kid", "k2"), "alg in another case": with(header(), "alg", "eddsa"),
		"x5c": with(header(), "x5c", []string{"x"}), "unknown crit": with(header(), "crit", []string{"exp"}), "b64": with(header(), "b64", false),
		"zip": with(header(), "zip", "DEF"), "no kid": with(header(), "kid", nil), "empty kid": with(header(), "kid", ""),
		"long kid": with(header(), "kid", strings.Repeat("k", 200)), "kid as a path": with(header(), "kid", "../../dev/null"), "kid as a number": with(header(), "kid", 1),
		"typ JWT": with(header(), "typ", "JWT"), "typ missing": with(header(), "typ", nil), "a proof as access token": with(header(), "typ", TypeProof),
		"header members in another case": `{"ALG":"EdDSA","KID":"k1","TYP":"at+jwt"}`, "duplicate header member": `{"alg":"none","alg":"EdDSA","kid":"k1","typ":"at+jwt"}`,
		"header with text after": `{"alg":"EdDSA","kid":"k1","typ":"at+jwt"}x`, "kid null": `{"alg":"EdDSA","kid":null,"typ":"at+jwt"}`,
		"header with an escaped name": `{"\u0061lg":"EdDSA","kid":"k1","typ":"at+jwt"}`,
	} {
		corpus[name] = w.sign(t, h, forOne())
	}
	good := w.sign(t, header(), forOne())
	corpus["padded signature"], corpus["four parts"] = good+"==", good+".x"
	corpus["line end in signature"] = good[:len(good)-3] + "\n" + good[len(good)-3:]
	corpus["too long"] = w.sign(t, header(), with(forOne(), "x", strings.Repeat("x", MaxTokenSize)))
	return corpus
}

// manyMembers returns more members than a token of the family has.
func manyMembers(n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, `,"x%d":1`, i)
	}
	return out.String()
}

// fine returns valid tokens.
func fine(t testing.TB, w *world) map[string]string {
	t.Helper()
	es, err := Sign(TypeAccess, "k2", "ES256", w.ec, jwt.MapClaims(forOne()))
	require.NoError(t, err)
	service := with(with(with(with(forOne(), "principal", "service"), "sub", "svc_1"), "roles", nil), "sid", nil)
	return map[string]string{
		"plain": w.sign(t, header(), forOne()), "audience as a list": w.sign(t, header(), with(claims(), "aud", []string{"kms"})), "ES256": es,
		"raised": w.sign(t, header(), with(forOne(), "acr", "aal2")), "a service": w.sign(t, header(), service),
		"exp in the leeway": w.sign(t, header(), with(forOne(), "exp", noon.Add(-29*time.Second).Unix())),
		"iat in the leeway": w.sign(t, header(), with(forOne(), "iat", noon.Add(30*time.Second).Unix())),
		"nbf in the leeway": w.sign(t, header(), with(forOne(), "nbf", noon.Add(30*time.Second).Unix())), "no nbf": w.sign(t, header(), with(forOne(), "nbf", nil)),
		"a claim of a later release": w.sign(t, header(), with(forOne(), "x", map[string]any{"a": []int{1}})), "a tenant": w.sign(t, header(), with(forOne(), "tenant", "globe")),
	}
}

func TestConsumer_judgesAsTheFamilyDoes(t *testing.T) {
	w := newWorld(t)
	v := w.consumer(t, "kms")
	for name, token := range single(t, w) {
		_, ours := w.verifier.Verify(t.Context(), token, "kms")
		require.ErrorIs(t, ours, problem.InvalidToken, name)
		p, theirs := v.Verify(t.Context(), token)
		require.Nil(t, p, name)
		var refusal *verify.Problem
		require.ErrorAs(t, theirs, &refusal, name)
		require.Equal(t, "invalid_token", refusal.Code, name)
		require.Equal(t, "The access token is not valid.", refusal.Detail, name)
		if len(token) > 20 {
			require.NotContains(t, theirs.Error(), token[len(token)-20:], name)
		}
	}
	for name, token := range fine(t, w) {
		ours, err := w.verifier.Verify(t.Context(), token, "kms")
		require.NoError(t, err, name)
		theirs, err := v.Verify(t.Context(), token)
		require.NoError(t, err, name)
		same := *ours
		same.KeyID = "" // a consumer does not return it
		require.Equal(t, &same, familyPrincipal(theirs, token), name)
	}
}

// familyPrincipal returns the principal that this package derives from the same token.
func familyPrincipal(p *verify.Principal, token string) *Principal {
	return &Principal{Subject: p.Subject, Kind: p.Kind, ClientID: p.ClientID, Username: p.Username, SessionID: p.SessionID, TokenID: p.TokenID, Epoch: p.Epoch,
		Tenant: p.Tenant, Audience: []string{"kms"}, Scopes: p.Scopes, Roles: p.Roles, ACR: p.ACR, AMR: p.AMR, AuthTime: p.AuthTime, IssuedAt: p.IssuedAt,
		Expires: p.Expires, Token: token}
}

// Unlike the family's services, a service outside the family accepts only tokens whose single audience it is: any other recipient of the token could
// use it elsewhere.
func TestConsumer_acceptsNoTokenThatIsForOthersToo(t *testing.T) {
	w := newWorld(t)
	token := w.sign(t, header(), claims())
	_, err := w.verifier.Verify(t.Context(), token, "kms")
	require.NoError(t, err)
	_, err = w.consumer(t, "kms").Verify(t.Context(), token)
	var refusal *verify.Problem
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, "invalid_token", refusal.Code)
}

// Both verifiers give the same verdict on headers and claims of any text, signed as they are.
func FuzzConsumer(f *testing.F) {
	w := newWorld(f)
	v := w.consumer(f, "kms")
	for _, token := range single(f, w) {
		parts := strings.Split(token, ".")
		if len(parts) != 3 || len(token) > 4096 {
			continue
		}
		head, err := base64.RawURLEncoding.DecodeString(parts[0])
		body, bodyErr := base64.RawURLEncoding.DecodeString(parts[1])
		if err == nil && bodyErr == nil {
			f.Add(string(head), string(body))
		}
	}
	good, err := json.Marshal(forOne())
	require.NoError(f, err)
	f.Add(`{"alg":"EdDSA","kid":"k1","typ":"at+jwt"}`, string(good))
	f.Fuzz(func(t *testing.T, head, body string) {
		token := w.sign(t, head, body)
		ours, err := w.verifier.Verify(t.Context(), token, "kms")
		if err == nil && len(ours.Audience) != 1 {
			return
		}
		_, theirs := v.Verify(t.Context(), token)
		if (err == nil) != (theirs == nil) {
			t.Fatalf("header %q, claims %q: %v here, %v there", head, body, err, theirs)
		}
	})
}
