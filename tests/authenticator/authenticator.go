// Package authenticator is a software authenticator with one passkey, and the browser in front of it, for tests. It
// reads and writes the JSON of WebAuthn level 3 (sections 5.1.8 to 5.1.10), and does what the test asks, right or
// wrong.
package authenticator

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Device is the authenticator. Its fields control its next response.
type Device struct {
	RPID   string // the relying party that it signs for
	Origin string // of the page

	ID         []byte // of the passkey
	UserHandle []byte // sent with a signature; Create takes it from the options if it is nil
	Counter    uint32 // of the next response

	NotPresent     bool
	NotVerified    bool
	BackupEligible bool
	BackupState    bool

	key *ecdsa.PrivateKey
}

// New returns a device without a counter, with a new passkey.
func New(rpID, origin string) *Device {
	d := &Device{RPID: rpID, Origin: origin, ID: make([]byte, 32)}
	_, _ = rand.Read(d.ID) // never fails
	d.Rekey()
	return d
}

// Rekey replaces the key of the passkey.
func (d *Device) Rekey() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(fmt.Sprintf("make key: %v", err)) // crypto/rand never fails
	}
	d.key = key
}

// response is a RegistrationResponseJSON or an AuthenticationResponseJSON.
type response struct {
	ID       string            `json:"id"`
	RawID    string            `json:"rawId"`
	Type     string            `json:"type"`
	Results  struct{}          `json:"clientExtensionResults"`
	Response map[string]string `json:"response"`
}

// Create answers PublicKeyCredentialCreationOptionsJSON with a RegistrationResponseJSON.
func (d *Device) Create(options []byte) (json.RawMessage, error) {
	var asked struct {
		Challenge string
		User      struct{ ID string }
	}
	if err := json.Unmarshal(options, &asked); err != nil {
		return nil, fmt.Errorf("read creation options: %w", err)
	}
	if d.UserHandle == nil {
		handle, err := base64.RawURLEncoding.DecodeString(asked.User.ID)
		if err != nil {
			return nil, fmt.Errorf("read user handle: %w", err)
		}
		d.UserHandle = handle
	}
	clientData, err := d.clientData("webauthn.create", asked.Challenge)
	if err != nil {
		return nil, err
	}
	attested, err := d.attested()
	if err != nil {
		return nil, err
	}
	object, err := cbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": append(d.authData(0x40), attested...)})
	if err != nil {
		return nil, fmt.Errorf("encode attestation: %w", err)
	}
	return d.answer(map[string]string{"clientDataJSON": text(clientData), "attestationObject": text(object)})
}

// Get answers PublicKeyCredentialRequestOptionsJSON with an AuthenticationResponseJSON.
func (d *Device) Get(options []byte) (json.RawMessage, error) {
	var asked struct{ Challenge string }
	if err := json.Unmarshal(options, &asked); err != nil {
		return nil, fmt.Errorf("read request options: %w", err)
	}
	clientData, err := d.clientData("webauthn.get", asked.Challenge)
	if err != nil {
		return nil, err
	}
	authData, hash := d.authData(0), sha256.Sum256(clientData)
	digest := sha256.Sum256(append(append([]byte{}, authData...), hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, d.key, digest[:])
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	members := map[string]string{"clientDataJSON": text(clientData), "authenticatorData": text(authData), "signature": text(signature)}
	if len(d.UserHandle) > 0 {
		members["userHandle"] = text(d.UserHandle)
	}
	return d.answer(members)
}

func (d *Device) answer(members map[string]string) (json.RawMessage, error) {
	return json.Marshal(response{ID: text(d.ID), RawID: text(d.ID), Type: "public-key", Response: members})
}

// clientData is CollectedClientData (section 5.8.1).
func (d *Device) clientData(kind, challenge string) ([]byte, error) {
	return json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": d.Origin, "crossOrigin": false})
}

// authData returns the authenticator data (section 6.1) with these flags in addition to the device's own.
func (d *Device) authData(flags byte) []byte {
	for flag, set := range map[byte]bool{0x01: !d.NotPresent, 0x04: !d.NotVerified, 0x08: d.BackupEligible, 0x10: d.BackupState} {
		if set {
			flags |= flag
		}
	}
	hash := sha256.Sum256([]byte(d.RPID))
	return binary.BigEndian.AppendUint32(append(hash[:], flags), d.Counter)
}

// attested returns the attested credential data (section 6.5.1) of an authenticator that does not disclose its model.
func (d *Device) attested() ([]byte, error) {
	point, err := d.key.PublicKey.Bytes() // 4, x and y
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	key, err := cbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]}) // RFC 9053, section 7.1.1
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	out := binary.BigEndian.AppendUint16(make([]byte, 16), uint16(len(d.ID)))
	return append(append(out, d.ID...), key...), nil
}

func text(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }
