package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/problem"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const issuer = "https://fountain.example"

// world is a verifier with its key.
type world struct {
	key      ed25519.PrivateKey
	ec       *ecdsa.PrivateKey
	clock    *clock.Fake
	verifier *Verifier
	lookups  *countingKeys
}

// countingKeys counts the lookups of keys, each of which may be a call to the kms.
type countingKeys struct {
	StaticKeys
	count int
}

func (k *countingKeys) Key(ctx context.Context, kid string) (string, crypto.PublicKey, error) {
	k.count++
	return k.StaticKeys.Key(ctx, kid)
}

func newWorld(t testing.TB) *world {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	w := &world{key: key, ec: ec, clock: clock.NewFake(noon)}
	w.lookups = &countingKeys{StaticKeys: StaticKeys{"k1": {"EdDSA", key.Public()}, "k2": {"ES256", ec.Public()}}}
	w.verifier = NewVerifier(VerifierConfig{Revocations: NoRevocations{}, Issuer: func() string { return issuer }, Keys: w.lookups, Clock: w.clock})
	return w
}

func claims() map[string]any {
	return map[string]any{
		"iss": issuer, "sub": "usr_1", "aud": []string{"kms", "sequence"}, "exp": noon.Add(10 * time.Minute).Unix(), "iat": noon.Unix(), "nbf": noon.Unix(),
		"jti": "tok_1", "client_id": "fountain", "scope": "elements:read elements:write", "roles": []string{"admin"}, "principal": "user",
		"sid": "ses_1", "acr": "aal1", "amr": []string{"pwd"}, "auth_time": noon.Add(-time.Minute).Unix(),
	}
}

func header() map[string]any { return map[string]any{"alg": "EdDSA", "kid": "k1", "typ": "at+jwt"} }

func segment(t testing.TB, v any) string {
	t.Helper()
	raw, isText := v.(string)
	if !isText {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		raw = string(text)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(raw))
}

// sign signs a token with a header and claims, each a map or raw JSON text.
func (w *world) sign(t testing.TB, head, body any) string {
	t.Helper()
	text := segment(t, head) + "." + segment(t, body)
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(w.key, []byte(text)))
}

func with(base map[string]any, name string, value any) map[string]any {
	out := maps.Clone(base)
	if value == nil {
		delete(out, name)
	} else {
		out[name] = value
	}
	return out
}

func raw(t testing.TB, m map[string]any, extra string) string {
	t.Helper()
	text, err := json.Marshal(m)
	require.NoError(t, err)
	return strings.TrimSuffix(string(text), "}") + extra + "}"
}

func TestVerify_readsTheClaims(t *testing.T) {
	w := newWorld(t)
	token := w.sign(t, header(), claims())
	p, err := w.verifier.Verify(t.Context(), token, "sequence")
	require.NoError(t, err)
	require.Equal(t, &Principal{
		Subject: "usr_1", Kind: "user", ClientID: "fountain", SessionID: "ses_1", TokenID: "tok_1", KeyID: "k1", Audience: []string{"kms", "sequence"},
		Scopes: []string{"elements:read", "elements:write"}, Roles: []string{"admin"}, ACR: "aal1", AMR: []string{"pwd"},
		AuthTime: noon.Add(-time.Minute), IssuedAt: noon, Expires: noon.Add(10 * time.Minute), Token: token,
	}, p)
	require.True(t, p.HasScope("elements:read"))
	require.False(t, p.HasScope("elements"))
	require.True(t, p.HasRole("admin"))
}

func TestSign_isReadByVerify(t *testing.T) {
	w := newWorld(t)
	c := &Claims{RegisteredClaims: jwt.RegisteredClaims{Issuer: issuer, Subject: "svc_1", Audience: jwt.ClaimStrings{"search"}, ID: "tok_1",
		IssuedAt: jwt.NewNumericDate(noon), ExpiresAt: jwt.NewNumericDate(noon.Add(time.Minute))}, ClientID: "key_1", Scope: "a", Principal: KindService}
	for kid, key := range map[string]struct {
		alg string
		key crypto.PrivateKey
	}{"k1": {"EdDSA", w.key}, "k2": {"ES256", w.ec}} {
		token, err := Sign(TypeAccess, kid, key.alg, key.key, c)
		require.NoError(t, err)
		p, err := w.verifier.Verify(t.Context(), token, "search")
		require.NoError(t, err)
		require.Equal(t, KindService, p.Kind)
	}
	for _, alg := range []string{"none", "HS256", "RS256", "", "PS512"} {
		_, err := Sign(TypeAccess, "k1", alg, w.key, c)
		require.Error(t, err, alg)
	}
}

// attacks is the corpus of J1 to J5: tokens that every service refuses.
func attacks(t testing.TB, w *world) map[string]string {
	t.Helper()
	good := w.sign(t, header(), claims())
	head, rest, _ := strings.Cut(good, ".")
	body, signature, _ := strings.Cut(rest, ".")
	hs := func(secret []byte, h map[string]any) string {
		text := segment(t, h) + "." + segment(t, claims())
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	der, err := x509.MarshalPKIXPublicKey(w.key.Public())
	require.NoError(t, err)
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	_, otherKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	other := &world{key: otherKey}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	rs, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims(claims())).SignedString(rsaKey)
	require.NoError(t, err)
	es, err := Sign(TypeAccess, "k1", "ES256", w.ec, jwt.MapClaims(claims()))
	require.NoError(t, err)
	last := signature[len(signature)-1]
	sibling := string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", last)^1])
	jwk := map[string]any{"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(otherKey.Public().(ed25519.PublicKey))}
	out := map[string]string{
		"empty":                          "",
		"one part":                       "a",
		"two parts":                      head + "." + body,
		"four parts":                     good + ".x",
		"alg none":                       segment(t, with(header(), "alg", "none")) + "." + body + ".",
		"alg None":                       segment(t, with(header(), "alg", "None")) + "." + body + "." + signature,
		"alg missing":                    w.sign(t, with(header(), "alg", nil), claims()),
		"HS256 with the public key":      hs(w.key.Public().(ed25519.PublicKey), with(header(), "alg", "HS256")),
		"HS256 with the key's PEM":       hs(publicPEM, with(header(), "alg", "HS256")),
		"HS256 called EdDSA":             hs(publicPEM, header()),
		"RS256":                          rs,
		"alg of another key":             es,
		"alg does not fit the kid":       w.sign(t, with(header(), "kid", "k2"), claims()),
		"alg in another case":            w.sign(t, with(header(), "alg", "eddsa"), claims()),
		"embedded jwk":                   other.sign(t, with(header(), "jwk", jwk), claims()),
		"embedded jwk, right key":        w.sign(t, with(header(), "jwk", jwk), claims()),
		"jku":                            other.sign(t, with(header(), "jku", "http://127.0.0.1:1/jwks"), claims()),
		"x5u":                            other.sign(t, with(header(), "x5u", "http://127.0.0.1:1/x"), claims()),
		"x5c":                            w.sign(t, with(header(), "x5c", []string{"x"}), claims()),
		"unknown crit":                   w.sign(t, with(header(), "crit", []string{"exp"}), claims()),
		"b64":                            w.sign(t, with(header(), "b64", false), claims()),
		"zip":                            w.sign(t, with(header(), "zip", "DEF"), claims()),
		"another key":                    other.sign(t, header(), claims()),
		"no kid":                         w.sign(t, with(header(), "kid", nil), claims()),
		"empty kid":                      w.sign(t, with(header(), "kid", ""), claims()),
		"long kid":                       w.sign(t, with(header(), "kid", strings.Repeat("k", 200)), claims()),
		"kid as a path":                  w.sign(t, with(header(), "kid", "../../dev/null"), claims()),
		"kid as SQL":                     w.sign(t, with(header(), "kid", "k1' OR '1'='1"), claims()),
		"kid as a number":                w.sign(t, with(header(), "kid", 1), claims()),
		"typ JWT":                        w.sign(t, with(header(), "typ", "JWT"), claims()),
		"typ missing":                    w.sign(t, with(header(), "typ", nil), claims()),
		"a proof as access token":        w.sign(t, with(header(), "typ", TypeProof), claims()),
		"header members in another case": w.sign(t, `{"ALG":"EdDSA","KID":"k1","TYP":"at+jwt"}`, claims()),
		"duplicate header member":        w.sign(t, `{"alg":"none","alg":"EdDSA","kid":"k1","typ":"at+jwt"}`, claims()),
		"duplicate in another case":      w.sign(t, `{"alg":"EdDSA","kid":"k1","typ":"at+jwt","Typ":"x"}`, claims()),
		"header with text after":         w.sign(t, `{"alg":"EdDSA","kid":"k1","typ":"at+jwt"}x`, claims()),
		"header as array":                w.sign(t, `["EdDSA"]`, claims()),
		"header deep":                    w.sign(t, `{"alg":`+strings.Repeat("[", 2000)+strings.Repeat("]", 2000)+`}`, claims()),
		"duplicate claim":                w.sign(t, header(), raw(t, claims(), `,"sub":"usr_2"`)),
		"duplicate claim, escaped":       w.sign(t, header(), raw(t, claims(), `,"\u0073ub":"usr_2"`)),
		"duplicate claim, other case":    w.sign(t, header(), raw(t, claims(), `,"SUB":"usr_2"`)),
		"duplicate claim, nested":        w.sign(t, header(), raw(t, claims(), `,"x":{"a":1,"a":2}`)),
		"claim in another case":          w.sign(t, header(), raw(t, with(claims(), "sub", nil), `,"Sub":"usr_2"`)),
		"claim that folds to another":    w.sign(t, header(), raw(t, with(claims(), "sub", nil), `,"\u017fub":"usr_2"`)),
		"negative exp":                   w.sign(t, header(), with(claims(), "exp", -1)),
		"claims not JSON":                w.sign(t, header(), `{`),
		"claims null":                    w.sign(t, header(), `null`),
		"claims of text":                 w.sign(t, header(), `"x"`),
		"malleable last character":       good[:len(good)-1] + sibling,
		"padded signature":               good + "==",
		"padded header":                  head + "=." + rest,
		"line end in signature":          good[:len(good)-3] + "\n" + good[len(good)-3:],
		"standard alphabet":              strings.NewReplacer("-", "+", "_", "/").Replace(w.sign(t, header(), with(claims(), "x", "??>>~~"))) + "+",
		"signature of another token":     head + "." + segment(t, with(claims(), "sub", "usr_2")) + "." + signature,
		"no signature":                   head + "." + body + ".",
		"half a signature":               head + "." + body + "." + signature[:40],
		"expired":                        w.sign(t, header(), with(claims(), "exp", noon.Add(-31*time.Second).Unix())),
		"no exp":                         w.sign(t, header(), with(claims(), "exp", nil)),
		"exp as text":                    w.sign(t, header(), with(claims(), "exp", "4102444800")),
		"exp of 1e300":                   w.sign(t, header(), raw(t, with(claims(), "exp", nil), `,"exp":1e300`)),
		"exp null":                       w.sign(t, header(), raw(t, with(claims(), "exp", nil), `,"exp":null`)),
		"future iat":                     w.sign(t, header(), with(claims(), "iat", noon.Add(31*time.Second).Unix())),
		"no iat":                         w.sign(t, header(), with(claims(), "iat", nil)),
		"future nbf":                     w.sign(t, header(), with(claims(), "nbf", noon.Add(31*time.Second).Unix())),
		"other issuer":                   w.sign(t, header(), with(claims(), "iss", issuer+"/")),
		"no issuer":                      w.sign(t, header(), with(claims(), "iss", nil)),
		"other audience":                 w.sign(t, header(), with(claims(), "aud", []string{"search"})),
		"audience as prefix":             w.sign(t, header(), with(claims(), "aud", []string{"kms2", "km"})),
		"no audience":                    w.sign(t, header(), with(claims(), "aud", nil)),
		"empty audience":                 w.sign(t, header(), with(claims(), "aud", []string{})),
		"no subject":                     w.sign(t, header(), with(claims(), "sub", nil)),
		"no jti":                         w.sign(t, header(), with(claims(), "jti", nil)),
		"no client":                      w.sign(t, header(), with(claims(), "client_id", nil)),
		"no principal":                   w.sign(t, header(), with(claims(), "principal", nil)),
		"unknown principal":              w.sign(t, header(), with(claims(), "principal", "root")),
		"user that is a service":         w.sign(t, header(), with(claims(), "principal", "service")),
		"service for two":                w.sign(t, header(), with(with(claims(), "principal", "service"), "sub", "svc_1")),
		"too long":                       w.sign(t, header(), with(claims(), "x", strings.Repeat("x", MaxTokenSize))),
		"dots":                           strings.Repeat(".", 1<<20),
	}
	require.NotEqual(t, good, out["malleable last character"])
	return out
}

func TestVerify_refusesTheAttackCorpus(t *testing.T) {
	w := newWorld(t)
	for name, token := range attacks(t, w) {
		t.Run(name, func(t *testing.T) {
			p, err := w.verifier.Verify(t.Context(), token, "kms")
			require.Nil(t, p)
			require.ErrorIs(t, err, problem.InvalidToken)
			e := problem.From(err)
			require.Equal(t, 401, e.Status())
			require.Equal(t, []string{`Bearer realm="fountain", error="invalid_token"`}, e.Header["Www-Authenticate"])
			require.Equal(t, "The access token is not valid.", e.Detail, "the caller learns nothing more")
			if len(token) > 20 {
				require.NotContains(t, e.Error(), token[len(token)-20:], "not even the log has the token")
			}
		})
	}
}

func TestVerify_looksForNoKeyWhenTheTokenCannotBeOurs(t *testing.T) {
	w := newWorld(t)
	corpus := attacks(t, w)
	for _, name := range []string{"alg none", "HS256 with the public key", "RS256", "embedded jwk", "jku", "x5u", "x5c", "unknown crit", "no kid", "empty kid", "long kid", "kid as a number",
		"typ JWT", "a proof as access token", "duplicate header member", "duplicate claim", "dots", "too long", "one part", "claims not JSON"} {
		w.lookups.count = 0
		_, err := w.verifier.Verify(t.Context(), corpus[name], "kms")
		require.Error(t, err)
		require.Zero(t, w.lookups.count, name)
	}
}

func TestVerify_allowsThirtySecondsOfClockDifference(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]map[string]any{
		"exp": with(claims(), "exp", noon.Add(-29*time.Second).Unix()), "iat": with(claims(), "iat", noon.Add(30*time.Second).Unix()),
		"nbf": with(claims(), "nbf", noon.Add(30*time.Second).Unix()), "no nbf": with(claims(), "nbf", nil), "one aud": with(claims(), "aud", "kms"),
	} {
		_, err := w.verifier.Verify(t.Context(), w.sign(t, header(), c), "kms")
		require.NoError(t, err, name)
	}
}

func TestVerify_isNotReadyWithoutAnIssuer(t *testing.T) {
	w := newWorld(t)
	v := NewVerifier(VerifierConfig{Revocations: NoRevocations{}, Issuer: func() string { return "" }, Keys: w.lookups, Clock: w.clock})
	_, err := v.Verify(t.Context(), w.sign(t, header(), with(claims(), "iss", "")), "kms")
	require.ErrorIs(t, err, problem.NotReady)
}

type brokenKeys struct{ error }

func (b brokenKeys) Key(context.Context, string) (string, crypto.PublicKey, error) {
	return "", nil, b.error
}

// odd is a source that returns a key of another type.
type odd struct{ key any }

func (o odd) Key(context.Context, string) (string, crypto.PublicKey, error) {
	return "EdDSA", o.key, nil
}

func TestVerify_saysUnavailableWhenKeysCannotBeHad(t *testing.T) {
	w := newWorld(t)
	v := NewVerifier(VerifierConfig{Revocations: NoRevocations{}, Issuer: func() string { return issuer }, Keys: brokenKeys{errors.New("dial tcp")}, Clock: w.clock})
	_, err := v.Verify(t.Context(), w.sign(t, header(), claims()), "kms")
	require.ErrorIs(t, err, problem.Unavailable)
	require.NotEmpty(t, problem.From(err).Header.Get("Retry-After"))
}

func TestVerify_usesTypedPublicKeysOnly(t *testing.T) {
	w := newWorld(t)
	for _, key := range []any{nil, []byte("secret"), "secret", w.key, ed25519.PublicKey{}} {
		v := NewVerifier(VerifierConfig{Revocations: NoRevocations{}, Issuer: func() string { return issuer }, Keys: odd{key}, Clock: w.clock})
		_, err := v.Verify(t.Context(), w.sign(t, header(), claims()), "kms")
		require.ErrorIs(t, err, problem.InvalidToken)
	}
}

func TestNewVerifier_refusesToStartWithoutKeys(t *testing.T) {
	require.Panics(t, func() {
		NewVerifier(VerifierConfig{Revocations: NoRevocations{}, Issuer: func() string { return issuer }, Clock: clock.System})
	})
	require.Panics(t, func() { NewVerifier(VerifierConfig{Keys: StaticKeys{}, Clock: clock.System}) })
}

func TestVerify_costsLittleForAHeaderBomb(t *testing.T) {
	w := newWorld(t)
	bomb := strings.Repeat(".", 1<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		_, err := w.verifier.Verify(t.Context(), bomb, "kms")
		require.Error(t, err)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20), "100 megabytes of dots")
}

func proofClaims() map[string]any {
	return map[string]any{
		"iss": "twofactor", "aud": "kms", "sub": "usr_1", "azp": "fountain", "sid": "ses_1", "jti": "prf_1", "acr": "aal2", "amr": []string{"otp"},
		"auth_time": noon.Unix(), "iat": noon.Unix(), "exp": noon.Add(time.Minute).Unix(),
	}
}

func TestVerifyProof_acceptsOnlyAWholeFreshProof(t *testing.T) {
	w := newWorld(t)
	head := with(header(), "typ", TypeProof)
	got, err := VerifyProof(t.Context(), w.sign(t, head, proofClaims()), w.lookups, w.clock)
	require.NoError(t, err)
	require.Equal(t, []string{"usr_1", "ses_1", "fountain", "prf_1", "aal2"}, []string{got.Subject, got.SessionID, got.AuthorizedParty, got.ID, got.ACR})
	for name, token := range map[string]string{
		"an access token":    w.sign(t, header(), proofClaims()),
		"for two":            w.sign(t, head, with(proofClaims(), "aud", []string{"kms", "x"})),
		"for another":        w.sign(t, head, with(proofClaims(), "aud", "search")),
		"of another":         w.sign(t, head, with(proofClaims(), "iss", "kms")),
		"living too long":    w.sign(t, head, with(proofClaims(), "exp", noon.Add(61*time.Second).Unix())),
		"expired":            w.sign(t, head, with(with(proofClaims(), "iat", noon.Add(-2*time.Minute).Unix()), "exp", noon.Add(-time.Minute).Unix())),
		"without iat":        w.sign(t, head, with(proofClaims(), "iat", nil)),
		"without session":    w.sign(t, head, with(proofClaims(), "sid", nil)),
		"without client":     w.sign(t, head, with(proofClaims(), "azp", nil)),
		"without subject":    w.sign(t, head, with(proofClaims(), "sub", nil)),
		"without jti":        w.sign(t, head, with(proofClaims(), "jti", nil)),
		"without auth_time":  w.sign(t, head, with(proofClaims(), "auth_time", nil)),
		"by an unknown key":  w.sign(t, with(head, "kid", "k9"), proofClaims()),
		"signed by somebody": (&world{key: ed25519.NewKeyFromSeed(make([]byte, 32))}).sign(t, head, proofClaims()),
		"not a token":        "x.y.z",
	} {
		_, err := VerifyProof(t.Context(), token, w.lookups, w.clock)
		require.ErrorIs(t, err, ErrInvalidProof, name)
	}
}

func FuzzVerify(f *testing.F) {
	w := newWorld(f)
	good := w.sign(f, header(), claims())
	f.Add(good)
	for _, token := range attacks(f, w) {
		if len(token) < 4096 {
			f.Add(token)
		}
	}
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := w.verifier.Verify(t.Context(), token, "kms"); err == nil && token != good {
			t.Fatalf("a token that nobody signed is accepted: %q", token)
		}
	})
}

// Sending an API key in place of a token is a common mistake. The answer says what to do, and contains nothing of the key.
func TestVerify_saysThatAnAPIKeyIsNoToken(t *testing.T) {
	v := NewVerifier(VerifierConfig{Revocations: NoRevocations{}, Issuer: func() string { return "https://issuer" }, Keys: StaticKeys{}, Clock: clock.System})
	_, err := v.Verify(t.Context(), "fk_live_01KBB6Q3Y5W1V9T2ZD0G7M4N8P_secret", "kms")
	require.ErrorIs(t, err, problem.InvalidToken)
	require.ErrorContains(t, err, "POST /kms/v1/oauth2/token")
	require.NotContains(t, err.Error(), "secret")
}

// ReadUnverified gives the same verdict as Verify, except for the signature, the issuer and the revocation.
func TestReadUnverified_judgesAsVerifyDoes(t *testing.T) {
	w := newWorld(t)
	judge := func(token string) error {
		u, err := ReadUnverified(token)
		if err != nil {
			return err
		}
		return u.Check("kms", noon)
	}
	for name, change := range map[string]func(header, claims map[string]any){
		"good":           func(_, _ map[string]any) {},
		"expired":        func(_, c map[string]any) { c["exp"] = noon.Add(-Leeway - time.Second).Unix() },
		"in the leeway":  func(_, c map[string]any) { c["exp"] = noon.Add(-Leeway + time.Second).Unix() },
		"no exp":         func(_, c map[string]any) { delete(c, "exp") },
		"early":          func(_, c map[string]any) { c["nbf"] = noon.Add(time.Hour).Unix() },
		"iat to come":    func(_, c map[string]any) { c["iat"] = noon.Add(time.Hour).Unix() },
		"no iat":         func(_, c map[string]any) { delete(c, "iat") },
		"other audience": func(_, c map[string]any) { c["aud"] = []string{"search"} },
		"no subject":     func(_, c map[string]any) { delete(c, "sub") },
		"other kind":     func(_, c map[string]any) { c["principal"] = "service" },
		"raised, two":    func(_, c map[string]any) { c["acr"] = "aal2" },
		"text for exp":   func(_, c map[string]any) { c["exp"] = "1" },
		"other typ":      func(h, _ map[string]any) { h["typ"] = "JWT" },
		"no alg":         func(h, _ map[string]any) { h["alg"] = "none" },
		"more in header": func(h, _ map[string]any) { h["jku"] = "https://evil.example" },
	} {
		h, c := header(), claims()
		change(h, c)
		token := w.sign(t, h, c)
		_, err := w.verifier.Verify(t.Context(), token, "kms")
		require.Equal(t, err == nil, judge(token) == nil, "%s: %v, %v", name, err, judge(token))
		if err != nil {
			require.ErrorIs(t, judge(token), problem.InvalidToken, name)
			require.NotContains(t, judge(token).Error(), token)
		}
	}
	h, c := header(), claims()
	c["iss"] = "https://other.example"
	u, err := ReadUnverified(w.sign(t, h, c))
	require.NoError(t, err, "the issuer is not known here")
	require.Equal(t, "usr_1", u.Principal.Subject)
}
