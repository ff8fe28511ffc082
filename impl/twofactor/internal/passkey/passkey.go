// Package passkey holds the rules of passkeys (WebAuthn level 3): who may add one, when what one signed is right, and that a signature is good once. It
// knows neither how requests arrive nor how rows are kept. What browsers and authenticators send is parsed and checked by go-webauthn.
package passkey

import (
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/internal/clock"
)

const (
	// Life is how long the browser has for an answer, where no factor waits for it.
	Life = 5 * time.Minute
	// FurthestEnd is how far from now a challenge can honestly end: replicas' clocks differ.
	FurthestEnd = Life + clock.Slack

	challengeSize = 32 // bytes; WebAuthn, section 13.4.3, asks for 16
)

// Algorithms are the COSE algorithms of the passkeys that are taken, best first: ES256, EdDSA (Ed25519) and RS256.
var Algorithms = []int64{-7, -8, -257}

// Credential is what is kept of a passkey, sealed.
type Credential struct {
	ID         []byte   `json:"id"`
	PublicKey  []byte   `json:"publicKey"` // COSE
	Synced     bool     `json:"synced"`    // it may be copied to other devices (backup eligible), which never changes
	Transports []string `json:"transports,omitempty"`
	AAGUID     []byte   `json:"aaguid,omitempty"` // of the authenticator's model
}

// Stored is an active passkey as its keeper has it.
type Stored struct {
	FactorID string
	Subject  string
	Sealed   []byte // a Credential
}

// Owned is an opened passkey.
type Owned struct {
	FactorID string
	Subject  string
	Credential
}

// Registration is what a browser says of a new passkey, decoded.
type Registration struct {
	ID                string // base64url of RawID
	RawID             []byte
	ClientDataJSON    []byte
	AttestationObject []byte
	Transports        []string
}

// Assertion is what a browser brings from a passkey that has signed, decoded.
type Assertion struct {
	ID                string // base64url of RawID
	RawID             []byte
	ClientDataJSON    []byte
	AuthenticatorData []byte
	Signature         []byte
	UserHandle        []byte // empty: the authenticator did not say whose it is
}

// Creation is what a browser is asked to make.
type Creation struct {
	FactorID  string
	Site      Site
	Subject   string
	Account   string // what the person finds beside the passkey
	Challenge []byte
	Known     []Credential // of which none may be made again
	Life      time.Duration
	Expires   time.Time
}

// Request is what a passkey is asked to sign.
type Request struct {
	ID        string // of the challenge or the sign-in
	Site      Site
	Challenge []byte
	Allowed   []Credential // none: whichever the person has for the site
	Expires   time.Time
}

// Challenge is a Request to a session's owner as its keeper has it.
type Challenge struct {
	ID      string
	Subject string
	Session string
	Bytes   []byte
	Created time.Time
	Expires time.Time
	Used    bool
}

// ended reports whether the challenge takes no answer now. One that ends later than any can was made while the clock was ahead.
func (c *Challenge) ended(now time.Time) bool {
	return c.Used || !now.Before(c.Expires) || c.Expires.After(now.Add(FurthestEnd))
}

// SignIn is the proof of a sign-in.
type SignIn struct {
	Proof   string
	Expires time.Time
}

// account is what the person finds beside the passkey.
func account(c factor.Caller) string {
	if c.Account == "" {
		return c.Subject
	}
	return c.Account
}
