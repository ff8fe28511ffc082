package passkey

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"
)

// person is a webauthn.User with the passkeys that a signature may be from.
type person struct {
	subject     string
	credentials []webauthn.Credential
}

func (p person) WebAuthnID() []byte                         { return []byte(p.subject) }
func (p person) WebAuthnName() string                       { return p.subject }
func (p person) WebAuthnDisplayName() string                { return p.subject }
func (p person) WebAuthnCredentials() []webauthn.Credential { return p.credentials }

// refused is the error of an answer that is not valid, with a reason for the audit trail in words of this package.
type refused struct {
	reason string
	err    error
}

func (r *refused) Error() string { return "refused, " + r.reason + ": " + r.err.Error() }
func (r *refused) Unwrap() error { return r.err }

// reasons are the reasons of this package for the errors of go-webauthn, by the beginning of their text.
var reasons = []struct{ begins, reason string }{
	{"Error validating ceremony type", "ceremony"},
	{"Error validating challenge", "challenge"},
	{"Error validating origin", "origin"},
	{"Error validating cross origin", "origin"},
	{"Error validating topOrigin", "origin"},
	{"RP Hash mismatch", "site"},
	{"User verification required", "no_user_verification"},
	{"User presence required", "no_user_presence"},
	{"User handle and User ID", "owner"},
	{"Error validating the assertion signature", "signature"},
	{"Backup", "backup_flags"},
}

// refusal returns the reason for an error of go-webauthn; malformed when it is not known.
func refusal(err error) *refused {
	r := &refused{reason: "malformed", err: err}
	var known *protocol.Error
	if !errors.As(err, &known) {
		return r
	}
	for _, text := range []string{known.Details, known.DevInfo} {
		for _, k := range reasons {
			if strings.HasPrefix(text, k.begins) {
				r.reason = k.reason
				return r
			}
		}
	}
	return r
}

// verifyRegistration checks a new passkey, and returns it with its counter.
func (s *Service) verifyRegistration(subject string, challenge []byte, r Registration) (Credential, uint32, *refused) {
	params := make([]protocol.CredentialParameter, 0, len(Algorithms))
	for _, alg := range Algorithms {
		params = append(params, protocol.CredentialParameter{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.COSEAlgorithmIdentifier(alg)})
	}
	parsed, err := protocol.CredentialCreationResponse{
		PublicKeyCredential: publicKey(r.ID, r.RawID),
		AttestationResponse: protocol.AuthenticatorAttestationResponse{
			AuthenticatorResponse: protocol.AuthenticatorResponse{ClientDataJSON: r.ClientDataJSON}, AttestationObject: r.AttestationObject, Transports: r.Transports,
		},
	}.Parse()
	if err != nil {
		return Credential{}, 0, refusal(err)
	}
	made, err := s.library.CreateCredential(person{subject: subject}, s.session(subject, challenge, params), parsed)
	if err != nil {
		return Credential{}, 0, refusal(err)
	}
	c := Credential{
		ID: made.ID, PublicKey: made.PublicKey, Synced: made.Flags.BackupEligible, Transports: r.Transports, AAGUID: made.Authenticator.AAGUID,
	}
	return c, made.Authenticator.SignCount, nil
}

// verifyAssertion checks an answer by a passkey of the subject and returns its counter. Tx.Sign checks the counter.
func (s *Service) verifyAssertion(o Owned, challenge []byte, a Assertion) (uint32, *refused) {
	parsed, err := protocol.CredentialAssertionResponse{
		PublicKeyCredential: publicKey(a.ID, a.RawID),
		AssertionResponse: protocol.AuthenticatorAssertionResponse{
			AuthenticatorResponse: protocol.AuthenticatorResponse{ClientDataJSON: a.ClientDataJSON},
			AuthenticatorData:     a.AuthenticatorData, Signature: a.Signature, UserHandle: a.UserHandle,
		},
	}.Parse()
	if err != nil {
		return 0, refusal(err)
	}
	known := webauthn.Credential{ID: o.ID, PublicKey: o.PublicKey, Flags: webauthn.CredentialFlags{BackupEligible: o.Synced}}
	_, err = s.library.ValidateLogin(person{o.Subject, []webauthn.Credential{known}}, s.session(o.Subject, challenge, nil), parsed)
	if err != nil {
		return 0, refusal(err)
	}
	return parsed.Response.AuthenticatorData.Counter, nil
}

// session returns what go-webauthn compares an answer with. This package itself checks that the answer is in time.
func (s *Service) session(subject string, challenge []byte, params []protocol.CredentialParameter) webauthn.SessionData {
	return webauthn.SessionData{
		Challenge: protocol.URLEncodedBase64(challenge).String(), RelyingPartyID: s.Site.ID, UserID: []byte(subject),
		UserVerification: protocol.VerificationRequired, CredParams: params,
	}
}

func publicKey(id string, rawID []byte) protocol.PublicKeyCredential {
	return protocol.PublicKeyCredential{
		Credential: protocol.Credential{ID: id, Type: string(protocol.PublicKeyCredentialType)}, RawID: rawID,
	}
}

// newDecoy makes the public key of a passkey that belongs to no subject.
func newDecoy(random io.Reader) ([]byte, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, fmt.Errorf("make decoy: %w", err)
	}
	point, err := private.PublicKey.Bytes() // 4, x and y (SEC 1, section 2.3.3)
	if err != nil {
		return nil, fmt.Errorf("make decoy: %w", err)
	}
	key, err := webauthncbor.Marshal(webauthncose.EC2PublicKeyData{
		PublicKeyData: webauthncose.PublicKeyData{KeyType: int64(webauthncose.EllipticKey), Algorithm: int64(webauthncose.AlgES256)},
		Curve:         int64(webauthncose.P256), XCoord: point[1:33], YCoord: point[33:],
	})
	if err != nil {
		return nil, fmt.Errorf("encode decoy: %w", err)
	}
	return key, nil
}

// decoyFor returns a passkey to check the answer of an unknown one against, so that the answer takes the same work.
func (s *Service) decoyFor(a Assertion) Owned {
	return Owned{FactorID: "", Subject: string(a.UserHandle), Credential: Credential{ID: a.RawID, PublicKey: s.decoy}}
}
