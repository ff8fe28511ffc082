// Package passkey holds the rules of passkeys (WebAuthn level 3): who may add one, when a signature is right, and that it is accepted once. It knows
// neither HTTP nor the database. go-webauthn parses and checks what browsers and authenticators send.
package passkey

import (
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/internal/clock"
)

const (
	// Life is how long a challenge or a sign-in can be answered. An enrolment can be for factor.PendingLife.
	Life = 5 * time.Minute
	// FurthestEnd is how far from now a challenge can end without a wrong clock: the clocks of replicas differ a little.
	FurthestEnd = Life + clock.Slack

	challengeSize = 32 // bytes; WebAuthn, section 13.4.3, asks for 16
)

// Algorithms are the COSE algorithms of the passkeys that are accepted, best first: ES256, EdDSA (Ed25519) and RS256.
var Algorithms = []int64{-7, -8, -257}

// Credential is what is stored of a passkey, sealed.
type Credential struct {
	ID         []byte   `json:"id"`
	PublicKey  []byte   `json:"publicKey"` // COSE
	Synced     bool     `json:"synced"`    // it may be copied to other devices (backup eligible), which never changes
	Transports []string `json:"transports,omitempty"`
	AAGUID     []byte   `json:"aaguid,omitempty"` // of the authenticator's model
}

// Stored is an active passkey as the repository has it.
type Stored struct {
	FactorID string
	Subject  string
	Sealed   []byte // a Credential
}

// Owned is an active passkey that has been opened.
type Owned struct {
	FactorID string
	Subject  string
	Credential
}

// Registration is what a browser sends of a new passkey, decoded.
type Registration struct {
	ID                string // base64url of RawID
	RawID             []byte
	ClientDataJSON    []byte
	AttestationObject []byte
	Transports        []string
}

// Assertion is what a browser sends of a signature by a passkey, decoded.
type Assertion struct {
	ID                string // base64url of RawID
	RawID             []byte
	ClientDataJSON    []byte
	AuthenticatorData []byte
	Signature         []byte
	UserHandle        []byte // empty: the authenticator did not name the owner
}

// Creation describes the passkey that a browser is asked to create.
type Creation struct {
	FactorID  string
	Site      Site
	Subject   string
	Account   string // the name that is shown beside the passkey
	Challenge []byte
	Known     []Credential // passkeys that must not be created again
	Life      time.Duration
	Expires   time.Time
}

// Request is what a passkey is asked to sign.
type Request struct {
	ID        string // of the challenge or the sign-in
	Site      Site
	Challenge []byte
	Allowed   []Credential // none: any passkey of the site
	Expires   time.Time
}

// Challenge is a Request to the owner of a session, as the repository has it.
type Challenge struct {
	ID      string
	Subject string
	Session string
	Bytes   []byte
	Created time.Time
	Expires time.Time
	Used    bool
}

// ended reports whether the challenge accepts no answer now. A challenge that ends later than any can was made while the clock was ahead, and accepts none.
func (c *Challenge) ended(now time.Time) bool {
	return c.Used || !now.Before(c.Expires) || c.Expires.After(now.Add(FurthestEnd))
}

// SignIn is the proof of a sign-in.
type SignIn struct {
	Proof   string
	Expires time.Time
}

// account returns the name that is shown beside the passkey.
func account(c factor.Caller) string {
	if c.Account == "" {
		return c.Subject
	}
	return c.Account
}
