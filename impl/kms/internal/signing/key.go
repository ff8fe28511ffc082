package signing

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"
)

// The algorithms of the keys.
const (
	EdDSA = "EdDSA" // over Ed25519 (RFC 8037)
	ES256 = "ES256" // RFC 7518, section 3.4
)

// Algorithms returns the algorithms that may sign tokens.
func Algorithms() []string { return []string{EdDSA, ES256} }

// coordinate is the length of a coordinate of P-256, in bytes.
const coordinate = 32

// Key is a signing key. A zero time is not reached: the key never enters that state unless the time is set.
type Key struct {
	KID, Alg      string
	Public        []byte // for EdDSA the 32 bytes of the key, for ES256 the uncompressed point (SEC 1, section 2.3.3)
	SealedPrivate []byte // nil when it was erased: the key can't sign any more

	PublishedAt, ActiveAt, RetiringAt, GoneAt, RevokedAt time.Time
}

// State is a key's state in its life cycle.
type State string

// The states.
const (
	Unpublished State = "unpublished"
	Next        State = "next"
	Active      State = "active"
	Retiring    State = "retiring"
	Gone        State = "gone"
)

// State returns the key's state at a time.
func (k Key) State(now time.Time) State {
	reached := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	switch {
	case reached(k.GoneAt):
		return Gone
	case reached(k.RetiringAt):
		return Retiring
	case reached(k.ActiveAt):
		return Active
	case reached(k.PublishedAt):
		return Next
	}
	return Unpublished
}

// begun returns the keys as they are at a time. If none is active and one is due later, the keys were made by a clock that was ahead and has been
// corrected since (ahead is true). Then the key with the earliest activation counts as active already, the same one on every replica.
func begun(keys []Key, now time.Time) (_ []Key, ahead bool) {
	first := -1
	for i := range keys {
		switch k := &keys[i]; {
		case k.State(now) == Active:
			return keys, false
		case k.ActiveAt.After(now) && (first < 0 || k.ActiveAt.Before(keys[first].ActiveAt)):
			first = i
		}
	}
	if first < 0 {
		return keys, false
	}
	keys = slices.Clone(keys)
	keys[first].PublishedAt, keys[first].ActiveAt = now, now
	return keys, true
}

// published reports whether the key belongs in the key set.
func (k Key) published(now time.Time) bool {
	s := k.State(now)
	return s == Next || s == Active || s == Retiring
}

// Coordinates returns the members x and y of the key's JWK, base64url-encoded; y is empty for EdDSA.
func (k Key) Coordinates() (x, y string) {
	encode := base64.RawURLEncoding.EncodeToString
	if k.Alg == ES256 && len(k.Public) == 1+2*coordinate {
		return encode(k.Public[1 : 1+coordinate]), encode(k.Public[1+coordinate:])
	}
	return encode(k.Public), ""
}

// Thumbprint returns the RFC 7638 thumbprint of an Ed25519 key, base64url: its kid.
func Thumbprint(public ed25519.PublicKey) string { return Key{Alg: EdDSA, Public: public}.thumbprint() }

func (k Key) thumbprint() string {
	x, y := k.Coordinates()
	text := `{"crv":"Ed25519","kty":"OKP","x":"` + x + `"}` // the members in the order and form of RFC 8037, appendix A.3
	if k.Alg == ES256 {
		text = `{"crv":"P-256","kty":"EC","x":"` + x + `","y":"` + y + `"}` // RFC 7638, section 3.2
	}
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// context is the associated data that the private part is sealed with. The sealed text does not open under another key's ID.
func (k Key) context() []byte { return []byte("signing-key:" + k.KID) }

// generate creates a key and returns it with its private part in clear.
func generate(alg string) (k Key, private []byte, err error) {
	k.Alg = alg
	switch alg {
	case EdDSA:
		public, made, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return Key{}, nil, err
		}
		k.Public, private = public, made.Seed()
	case ES256:
		made, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return Key{}, nil, err
		}
		if k.Public, err = made.PublicKey.Bytes(); err != nil {
			return Key{}, nil, err
		}
		if private, err = made.Bytes(); err != nil {
			return Key{}, nil, err
		}
	default:
		return Key{}, nil, fmt.Errorf("algorithm %q is not supported for signing tokens", alg)
	}
	k.KID = k.thumbprint()
	return k, private, nil
}

// public parses the public key.
func (k Key) public() (crypto.PublicKey, error) {
	switch {
	case k.Alg == EdDSA && len(k.Public) == ed25519.PublicKeySize:
		return ed25519.PublicKey(k.Public), nil
	case k.Alg == ES256:
		return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), k.Public)
	}
	return nil, errors.New("not a public key of its algorithm")
}

// private parses the private key from its clear text. It fails when the private key does not belong to the public one.
func (k Key) private(raw []byte) (crypto.Signer, error) {
	switch {
	case k.Alg == EdDSA && len(raw) == ed25519.SeedSize:
		key := ed25519.NewKeyFromSeed(raw)
		if !bytes.Equal(key.Public().(ed25519.PublicKey), k.Public) {
			return nil, errors.New("the private part is another key's")
		}
		return key, nil
	case k.Alg == ES256:
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
		if err != nil {
			return nil, err
		}
		if public, err := key.PublicKey.Bytes(); err != nil || !bytes.Equal(public, k.Public) {
			return nil, errors.New("the private part is another key's")
		}
		return key, nil
	}
	return nil, errors.New("not a private key of its algorithm")
}
