package passkey

import (
	"crypto/rand"
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"
)

// fuzzed returns a service that has a site and nothing else.
func fuzzed(tb testing.TB) *Service {
	tb.Helper()
	site, err := NewSite("", "FountainAI", []string{"https://app.example.org"})
	require.NoError(tb, err)
	s, err := New(Config{Site: &site, Random: rand.Reader})
	require.NoError(tb, err)
	return s
}

const clientData = `{"type":"webauthn.get","challenge":"AAAAAAAAAAAAAAAAAAAAAA","origin":"https://app.example.org"}`

// No input is accepted as a signature of the decoy.
func FuzzSigned(f *testing.F) {
	s := fuzzed(f)
	f.Add([]byte("id"), []byte(clientData), make([]byte, 37), []byte{0x30, 6, 2, 1, 1, 2, 1, 1}, []byte("usr"))
	f.Fuzz(func(t *testing.T, rawID, clientData, authData, signature, handle []byte) {
		a := Assertion{
			ID: base64.RawURLEncoding.EncodeToString(rawID), RawID: rawID, ClientDataJSON: clientData, AuthenticatorData: authData, Signature: signature, UserHandle: handle,
		}
		_, refused := s.verifyAssertion(s.decoyFor(a), make([]byte, 16), a)
		require.NotNil(t, refused)
		require.NotEmpty(t, refused.reason)
	})
}

// Any input that is no attestation of a passkey is refused.
func FuzzMade(f *testing.F) {
	s := fuzzed(f)
	f.Add([]byte("id"), []byte(clientData), []byte("\xa3cfmtdnonegattStmt\xa0hauthDataX%"), "internal")
	f.Fuzz(func(t *testing.T, rawID, clientData, object []byte, transport string) {
		r := Registration{
			ID: base64.RawURLEncoding.EncodeToString(rawID), RawID: rawID, ClientDataJSON: clientData, AttestationObject: object, Transports: []string{transport},
		}
		made, _, refused := s.verifyRegistration("usr", make([]byte, 16), r)
		if refused == nil { // a true attestation needs the challenge and the site's hash, which the fuzzer may find
			require.NotEmpty(t, made.PublicKey)
			return
		}
		require.NotEmpty(t, refused.reason)
	})
}

// An operator can read why an answer was refused: a wrong origin mostly comes from a wrong setting.
func TestRefusal_namesTheReasonInWordsOfOurOwn(t *testing.T) {
	s := fuzzed(t)
	a := Assertion{ID: "aWQ", RawID: []byte("id"), ClientDataJSON: []byte(clientData), AuthenticatorData: make([]byte, 37), Signature: []byte("x"), UserHandle: []byte("usr")}
	for want, change := range map[string]func(*Assertion){
		"site":      func(*Assertion) {},
		"malformed": func(a *Assertion) { a.ClientDataJSON = []byte("{") },
		"origin": func(a *Assertion) {
			a.ClientDataJSON = []byte(`{"type":"webauthn.get","challenge":"AAAAAAAAAAAAAAAAAAAAAA","origin":"https://app.example.com"}`)
		},
		"challenge": func(a *Assertion) {
			a.ClientDataJSON = []byte(`{"type":"webauthn.get","challenge":"BAAAAAAAAAAAAAAAAAAAAA","origin":"https://app.example.org"}`)
		},
		"ceremony": func(a *Assertion) {
			a.ClientDataJSON = []byte(`{"type":"webauthn.create","challenge":"AAAAAAAAAAAAAAAAAAAAAA","origin":"https://app.example.org"}`)
		},
	} {
		changed := a
		change(&changed)
		_, refused := s.verifyAssertion(s.decoyFor(changed), make([]byte, 16), changed)
		require.NotNil(t, refused, want)
		require.Equal(t, want, refused.reason)
		require.NotContains(t, refused.reason, "example")
	}
}
