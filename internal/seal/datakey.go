package seal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// DataKeySize is the length of a data key in bytes.
const DataKeySize = 32

// dataKeyVersion is the first byte of everything a data key seals.
const dataKeyVersion = 1

// Key is a data key: 32 bytes that a service holds while it runs and stores wrapped by the kms. It seals with XChaCha20-Poly1305, whose nonces are
// long enough to be random for any number of messages, and computes MACs with HMAC-SHA-256, each under its own key derived by HKDF-SHA-256. It is
// safe for concurrent use.
type Key struct {
	aead tink.AEAD
	mac  func() []byte // derived on first use: many keys open one message and are discarded
}

// NewDataKey returns 32 random bytes for FromDataKey.
func NewDataKey() []byte {
	raw := make([]byte, DataKeySize)
	rand.Read(raw) // never fails: crypto/rand ends the program instead
	return raw
}

// FromDataKey returns the Key for 32 bytes made by NewDataKey.
func FromDataKey(raw []byte) (*Key, error) {
	if len(raw) != DataKeySize {
		return nil, errors.New("data key has the wrong length")
	}
	extracted, err := hkdf.Extract(sha256.New, raw, nil)
	if err != nil {
		return nil, fmt.Errorf("extract data key: %w", err)
	}
	sealing, err := hkdf.Expand(sha256.New, extracted, "fountain data key v1: seal", 32)
	if err != nil {
		return nil, fmt.Errorf("derive sealing key: %w", err)
	}
	aead, err := subtle.NewXChaCha20Poly1305(sealing)
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	return &Key{aead: aead, mac: sync.OnceValue(func() []byte {
		summing, err := hkdf.Expand(sha256.New, extracted, "fountain data key v1: sum", 32)
		if err != nil {
			panic(err) // a constant, valid length
		}
		return summing
	})}, nil
}

// Seal encrypts plain and binds it to aad, for example the table and row it belongs to.
func (k *Key) Seal(plain, aad []byte) ([]byte, error) {
	sealed, err := k.aead.Encrypt(plain, aad)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return append([]byte{dataKeyVersion}, sealed...), nil
}

// Open decrypts what Seal returned for the same aad. It returns ErrOpen for anything else.
func (k *Key) Open(sealed, aad []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != dataKeyVersion {
		return nil, ErrOpen
	}
	plain, err := k.aead.Decrypt(sealed[1:], aad)
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

// Sum returns the HMAC-SHA-256 of data. The error is always nil; Key and Keyset share the interface.
func (k *Key) Sum(data []byte) ([]byte, error) {
	h := hmac.New(sha256.New, k.mac())
	h.Write(data)
	return h.Sum(nil), nil
}

// Verify checks a MAC in constant time. It returns ErrOpen when it is wrong.
func (k *Key) Verify(sum, data []byte) error {
	want, _ := k.Sum(data)
	if !hmac.Equal(sum, want) {
		return ErrOpen
	}
	return nil
}

// Format prints no key material in logs and messages.
func (k *Key) Format(s fmt.State, _ rune) { fmt.Fprint(s, "seal.Key") }
