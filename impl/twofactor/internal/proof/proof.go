// Package proof signs proofs: short-lived statements that a user has just given a right code or signed with a passkey. The kms
// trades a proof for a raised access token, or for a session. The service has an Ed25519 key of its own for that, and registers
// the public key with the kms.
package proof

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
)

// The lifetime of proofs, and the claims of a proof by code (DESIGN, section 6).
const (
	Lifetime = 60 * time.Second
	ACR      = contract.ACRSecondFactor
	AMR      = "otp" // for a code; RFC 8176, section 2
)

// Key signs proofs.
type Key struct {
	private ed25519.PrivateKey
	id      string
}

// NewKey makes a key from random, which is crypto/rand.Reader outside tests. A short read is an error.
func NewKey(random io.Reader) (*Key, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, fmt.Errorf("make proof key: %w", err)
	}
	return FromSeed(seed)
}

// FromSeed returns the key of a seed that Seed gave.
func FromSeed(seed []byte) (*Key, error) {
	if len(seed) != ed25519.SeedSize {
		return nil, errors.New("proof key has the wrong size")
	}
	k := &Key{private: ed25519.NewKeyFromSeed(seed)}
	k.id = thumbprint(k.X())
	return k, nil
}

// Seed returns the secret from which the key is made. It must be stored sealed.
func (k *Key) Seed() []byte { return k.private.Seed() }

// ID returns the key's RFC 7638 thumbprint, base64url.
func (k *Key) ID() string { return k.id }

// Public returns the key that verifies proofs.
func (k *Key) Public() ed25519.PublicKey { return k.private.Public().(ed25519.PublicKey) }

// X returns the public key as the JWK member x (RFC 8037, section 2).
func (k *Key) X() string { return base64.RawURLEncoding.EncodeToString(k.Public()) }

// thumbprint hashes the required members in lexicographic order (RFC 7638, section 3; RFC 8037, appendix A.3).
func thumbprint(x string) string {
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + x + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Claims are what a proof states: who used the factor, in which session, through which client, and when.
type Claims struct {
	ID      string // jti; the kms accepts each once
	Subject string
	Client  string // azp
	Session string // sid; empty in the proof of a sign-in
	At      time.Time
	Factor  string   // the type of the factor, one of auth's
	Methods []string // amr; empty: AMR
}

// acr returns the level of the factor. A signature of a passkey is bound to the site that asks for it; a code can be phished.
func (c Claims) acr() string {
	if c.Factor == auth.FactorPasskey {
		return contract.ACRPhishingResistant
	}
	return ACR
}

// Expires returns when a proof with these claims expires.
func (c Claims) Expires() time.Time { return c.At.Truncate(time.Second).Add(Lifetime) }

// Sign returns the proof of a second factor in a session. auth_time is the second in which the factor was used. An empty session, id, subject, client or factor
// is an error: without a session the proof would be valid for more than one.
func (k *Key) Sign(c Claims) (string, error) {
	if c.Session == "" {
		return "", errors.New("sign proof: a proof needs a session")
	}
	return k.sign(auth.TypeProof, c)
}

// SignIn returns the proof with which a passkey begins a session. It is bound to no session. Any other factor, and a session, are errors.
func (k *Key) SignIn(c Claims) (string, error) {
	if c.Session != "" || c.Factor != auth.FactorPasskey {
		return "", errors.New("sign proof: only a passkey signs in, and into no session that there is")
	}
	return k.sign(auth.TypeSignInProof, c)
}

func (k *Key) sign(typ string, c Claims) (string, error) {
	if c.ID == "" || c.Subject == "" || c.Client == "" || c.Factor == "" {
		return "", errors.New("sign proof: a proof needs an id, a subject, a client and a factor")
	}
	methods := c.Methods
	if len(methods) == 0 {
		methods = []string{AMR}
	}
	return auth.Sign(typ, k.id, "EdDSA", k.private, &auth.ProofClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: auth.ProofIssuer, Audience: jwt.ClaimStrings{auth.ProofAudience}, Subject: c.Subject, ID: c.ID,
			IssuedAt: jwt.NewNumericDate(c.At), ExpiresAt: jwt.NewNumericDate(c.Expires()),
		},
		AuthorizedParty: c.Client, SessionID: c.Session, ACR: c.acr(), AMR: methods, Factor: c.Factor, AuthTime: c.At.Unix(),
	})
}
