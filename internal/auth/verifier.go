package auth

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/keytext"
	"github.com/fountainai/fountain/internal/problem"
)

// KeySource looks up public keys by kid.
type KeySource interface {
	// Key returns the algorithm and the key of kid. ErrUnknownKey means that there is no such key; any other error means that the lookup failed.
	Key(ctx context.Context, kid string) (alg string, key crypto.PublicKey, err error)
}

// ErrUnknownKey is returned by a KeySource for a kid that is not published.
var ErrUnknownKey = errors.New("unknown key id")

// StaticKeys is a fixed KeySource, for the kms itself and for tests.
type StaticKeys map[string]PublicKey

// PublicKey is a key with its algorithm (RFC 7518, RFC 8037).
type PublicKey struct {
	Algorithm string
	Key       crypto.PublicKey
}

// Key implements KeySource.
func (s StaticKeys) Key(_ context.Context, kid string) (string, crypto.PublicKey, error) {
	k, ok := s[kid]
	if !ok {
		return "", nil, ErrUnknownKey
	}
	return k.Algorithm, k.Key, nil
}

// VerifierConfig configures a Verifier. All fields are required.
type VerifierConfig struct {
	Issuer      func() string // iss of the tokens accepted; asked each time, because a service may learn it after its start
	Keys        KeySource
	Revocations Revocations
	Clock       clock.Clock
}

// Verifier verifies access tokens. It is safe for concurrent use.
type Verifier struct {
	config VerifierConfig
	cache  cache
}

// NewVerifier returns a Verifier. It panics when a field is missing: there is no safe default.
func NewVerifier(c VerifierConfig) *Verifier {
	if c.Issuer == nil || c.Keys == nil || c.Revocations == nil || c.Clock == nil {
		panic("auth: a verifier needs an issuer, keys, revocations and a clock")
	}
	return &Verifier{config: c}
}

// Claims are the claims of an access token (RFC 9068, section 2.2; principal and roles are private claims). The kms signs this struct, so that writer
// and reader cannot differ.
type Claims struct {
	jwt.RegisteredClaims
	ClientID  string   `json:"client_id"`
	Scope     string   `json:"scope"`
	Roles     []string `json:"roles,omitempty"`
	Principal string   `json:"principal"`
	Username  string   `json:"preferred_username,omitempty"` // of users: what a person calls themselves (OpenID Connect Core 1.0, section 5.1); for showing only
	SessionID string   `json:"sid,omitempty"`
	ACR       string   `json:"acr,omitempty"`
	AMR       []string `json:"amr,omitempty"`
	Factor    string   `json:"factor,omitempty"`    // the type of the second factor behind acr, one of the constants below; a private claim
	AuthTime  int64    `json:"auth_time,omitempty"` // seconds since 1970
	Epoch     int64    `json:"epoch,omitempty"`     // of the subject: its tokens of lower epochs have ended
	Tenant    string   `json:"tenant,omitempty"`
}

// Verify checks an access token and returns its principal. The principal is shared with later requests: the caller must not change it. audience is
// the word of the calling service. An invalid or revoked token fails with invalid_token, without the reason for the caller; keys or revocations that
// cannot be obtained fail with unavailable.
func (v *Verifier) Verify(ctx context.Context, token, audience string) (*Principal, error) {
	p := v.cached(ctx, token, audience)
	if p == nil {
		var err error
		if p, err = v.verify(ctx, token, audience); err != nil {
			return nil, err
		}
	}
	revoked, err := v.config.Revocations.Revoked(p)
	if err != nil {
		return nil, problem.New(problem.Unavailable, "The service cannot check whether the token was revoked.").WithRetryAfter(time.Second).Wrap(err)
	}
	if revoked {
		v.cache.drop(token)
		return nil, invalidToken("revoked")
	}
	return p, nil
}

// verify checks everything except revocation, and caches the result.
func (v *Verifier) verify(ctx context.Context, token, audience string) (*Principal, error) {
	h, err := accessHeader(token)
	if err != nil {
		return nil, err
	}
	alg, key, err := v.config.Keys.Key(ctx, h.KeyID)
	if errors.Is(err, ErrUnknownKey) {
		return nil, invalidToken("kid is unknown")
	}
	if err != nil {
		return nil, problem.New(problem.Unavailable, "The keys that verify tokens cannot be fetched.").WithRetryAfter(time.Second).Wrap(err)
	}
	var c Claims
	want := expected{issuer: v.config.Issuer(), audience: audience, now: v.config.Clock.Now}
	if want.issuer == "" {
		return nil, problem.New(problem.NotReady, "The service does not know its issuer yet.").WithRetryAfter(time.Second)
	}
	if err := parse(token, h, alg, key, want, &c); err != nil {
		return nil, invalidToken(err.Error())
	}
	p, err := c.principal(token)
	if err != nil {
		return nil, invalidToken(err.Error())
	}
	p.KeyID = h.KeyID
	found := &verified{principal: p, issuer: want.issuer, kid: h.KeyID, key: key, expiry: c.ExpiresAt.Time}
	if c.NotBefore != nil {
		found.notBefore = c.NotBefore.Time
	}
	if c.IssuedAt.After(found.notBefore) {
		found.notBefore = c.IssuedAt.Time
	}
	v.cache.put(token, found)
	return p, nil
}

// accessHeader reads the header of an access token. Its error is the problem invalid_token.
func accessHeader(token string) (tokenHeader, error) {
	if keytext.Looks(token) {
		return tokenHeader{}, refusedToken("This is an API key, no access token: trade it for one at POST /kms/v1/oauth2/token (client_credentials).", "an API key")
	}
	h, err := decodeHeader(token, TypeAccess)
	if err != nil {
		return tokenHeader{}, invalidToken(err.Error())
	}
	return h, nil
}

// principal converts verified claims to a Principal.
func (c *Claims) principal(token string) (*Principal, error) {
	if c.Subject == "" || c.ID == "" || c.ClientID == "" || c.IssuedAt == nil || len(c.Audience) == 0 {
		return nil, errors.New("sub, jti, client_id, iat or aud is missing")
	}
	prefix := map[string]string{KindUser: "usr_", KindService: "svc_"}[c.Principal]
	if prefix == "" || !strings.HasPrefix(c.Subject, prefix) {
		return nil, errors.New("principal and sub do not match")
	}
	if c.Principal == KindService && len(c.Audience) != 1 {
		return nil, errors.New("a service token has exactly one aud")
	}
	p := &Principal{
		Subject: c.Subject, Kind: c.Principal, ClientID: c.ClientID, Username: c.Username, SessionID: c.SessionID, TokenID: c.ID, Epoch: c.Epoch, Tenant: c.Tenant,
		Audience: c.Audience, Scopes: strings.Fields(c.Scope), Roles: c.Roles, ACR: c.ACR, AMR: c.AMR, Factor: c.Factor,
		IssuedAt: c.IssuedAt.UTC(), Expires: c.ExpiresAt.UTC(), Token: token,
	}
	if c.AuthTime > 0 {
		p.AuthTime = time.Unix(c.AuthTime, 0).UTC()
	}
	return p, nil
}

// ProofClaims are the claims of a second-factor proof, signed by twofactor and consumed by the kms.
type ProofClaims struct {
	jwt.RegisteredClaims
	AuthorizedParty string   `json:"azp"`           // client_id of the session
	SessionID       string   `json:"sid,omitempty"` // none in the proof of a sign-in, which begins a session
	ACR             string   `json:"acr"`
	AMR             []string `json:"amr"`
	Factor          string   `json:"factor,omitempty"` // the type of the factor that was used, one of the constants below; a private claim
	AuthTime        int64    `json:"auth_time"`
}

// Types of factors in proofs.
const (
	FactorTOTP         = "totp"
	FactorRecoveryCode = "recovery_code"
	FactorEmail        = "email"
	FactorSMS          = "sms"
	FactorWebhook      = "webhook"
	FactorPasskey      = "passkey"
)

// Issuer, audience and longest life of proofs.
const (
	ProofIssuer   = "twofactor"
	ProofAudience = "kms"
	ProofLife     = time.Minute
)

// ErrInvalidProof means that a second-factor proof is not valid.
var ErrInvalidProof = errors.New("the second-factor proof is not valid")

// VerifyProof checks a second-factor proof with the keys that twofactor registered. The caller must still consume its jti and compare sub, sid and
// azp with the session. An invalid proof is ErrInvalidProof.
func VerifyProof(ctx context.Context, proof string, keys KeySource, c clock.Clock) (*ProofClaims, error) {
	claims, err := verifyProof(ctx, TypeProof, proof, keys, c)
	if err != nil {
		return nil, err
	}
	if claims.SessionID == "" {
		return nil, invalidProof(errors.New("sid is missing"))
	}
	return claims, nil
}

// VerifySignInProof checks a proof with which a passkey signs its owner in without a password. It names no session and has level phr. The caller must
// still consume its jti and check azp. An invalid proof is ErrInvalidProof.
func VerifySignInProof(ctx context.Context, proof string, keys KeySource, c clock.Clock) (*ProofClaims, error) {
	claims, err := verifyProof(ctx, TypeSignInProof, proof, keys, c)
	if err != nil {
		return nil, err
	}
	if claims.SessionID != "" || claims.ACR != contract.ACRPhishingResistant {
		return nil, invalidProof(errors.New("the proof begins no session"))
	}
	return claims, nil
}

// verifyProof checks what is common to all proofs.
func verifyProof(ctx context.Context, typ, proof string, keys KeySource, c clock.Clock) (*ProofClaims, error) {
	h, err := decodeHeader(proof, typ)
	if err != nil {
		return nil, invalidProof(err)
	}
	alg, key, err := keys.Key(ctx, h.KeyID)
	if errors.Is(err, ErrUnknownKey) {
		return nil, invalidProof(err)
	}
	if err != nil {
		return nil, fmt.Errorf("find proof key: %w", err)
	}
	var claims ProofClaims
	want := expected{issuer: ProofIssuer, audience: ProofAudience, now: c.Now}
	if err := parse(proof, h, alg, key, want, &claims); err != nil {
		return nil, invalidProof(err)
	}
	if claims.Subject == "" || claims.ID == "" || claims.AuthorizedParty == "" || claims.AuthTime <= 0 || claims.IssuedAt == nil {
		return nil, invalidProof(errors.New("sub, jti, azp, auth_time or iat is missing"))
	}
	if len(claims.Audience) != 1 || claims.ExpiresAt.Sub(claims.IssuedAt.Time) > ProofLife {
		return nil, invalidProof(errors.New("the proof is for others too, or lives too long"))
	}
	return &claims, nil
}

// Sign signs claims with an Ed25519 or ECDSA private key. typ is TypeAccess, TypeProof or TypeSignInProof.
func Sign(typ, kid, alg string, key crypto.PrivateKey, claims jwt.Claims) (string, error) {
	method := jwt.GetSigningMethod(alg)
	if method == nil || (alg != "EdDSA" && alg != "ES256") {
		return "", fmt.Errorf("algorithm %q does not sign tokens here", alg)
	}
	token := jwt.NewWithClaims(method, claims)
	token.Header = map[string]any{"alg": alg, "kid": kid, "typ": typ}
	signed, err := token.SignedString(key)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return signed, nil
}

// IsInvalid reports whether Verify refused the token itself, as opposed to failing because keys or revocations were not available.
func IsInvalid(err error) bool { return errors.Is(err, problem.InvalidToken) }

func invalidToken(why string) error { return refusedToken("The access token is not valid.", why) }

func refusedToken(sentence, why string) error {
	return problem.New(problem.InvalidToken, sentence).
		WithHeader("WWW-Authenticate", `Bearer realm="`+realm+`", error="invalid_token"`).Wrap(errors.New(why))
}

func invalidProof(why error) error {
	return fmt.Errorf("%w: %w", ErrInvalidProof, why)
}
