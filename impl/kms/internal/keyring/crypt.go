// Package keyring is the encryption service of the kms. The keys of its keyrings never leave the kms; it encrypts, sums and signs with them for others.
package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
)

// Algorithm is the algorithm of a keyring's keys.
type Algorithm string

// The algorithms.
const (
	AES256GCM  Algorithm = "AES-256-GCM" // NIST SP 800-38D, with random nonces of 96 bits
	HMACSHA256 Algorithm = "HMAC-SHA256" // RFC 2104
	EdDSA      Algorithm = "EdDSA"       // Ed25519, RFC 8032
	ES256      Algorithm = "ES256"       // ECDSA with P-256 and SHA-256; signatures are r and s, 32 bytes each (RFC 7518, section 3.4)
)

// The purposes that a ciphertext is bound to. What was sealed for one does not open for the other.
const (
	forData    = "data"
	forDataKey = "data key"
)

// errOpen says that a text can't be decrypted: it was altered, belongs to another keyring, context or purpose, or is no ciphertext.
var errOpen = errors.New("text can't be decrypted")

const (
	format    = 1 // the first byte of a ciphertext
	headSize  = 5 // format, and the number of the key in 4 bytes, big endian
	nonceSize = 12
	tagSize   = 16
	scalar    = 32 // bytes of a private key, and of r and s
)

// newKey returns the private and public bytes of a new key; symmetric keys have no public bytes.
func newKey(a Algorithm) (private, public []byte, err error) {
	switch a {
	case AES256GCM, HMACSHA256:
		private = make([]byte, 32)
		rand.Read(private) // never fails: crypto/rand ends the program instead
		return private, []byte{}, nil
	case EdDSA:
		pub, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			return nil, nil, err
		}
		return key.Seed(), pub, nil
	case ES256:
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		if private, err = key.Bytes(); err != nil {
			return nil, nil, err
		}
		public, err = key.PublicKey.Bytes()
		return private, public, err
	}
	return nil, nil, fmt.Errorf("no such algorithm %q", string(a))
}

// encrypt seals plain under the key with the number, and binds it to the associated data.
func encrypt(key []byte, number int64, plain, bound []byte) ([]byte, error) {
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	return encryptWith(key, number, nonce, plain, bound)
}

func encryptWith(key []byte, number int64, nonce, plain, bound []byte) ([]byte, error) {
	aead, err := gcm(key)
	if err != nil {
		return nil, err
	}
	out := make([]byte, headSize, headSize+nonceSize+len(plain)+tagSize)
	out[0] = format
	binary.BigEndian.PutUint32(out[1:], uint32(number)) //nolint:gosec // a keyring has fewer rotations
	return aead.Seal(append(out, nonce...), nonce, plain, bound), nil
}

// keyOf returns the number of the key in a ciphertext's header; errOpen for what is no ciphertext.
func keyOf(blob []byte) (int64, error) {
	if len(blob) < headSize+nonceSize+tagSize || blob[0] != format {
		return 0, errOpen
	}
	return int64(binary.BigEndian.Uint32(blob[1:headSize])), nil
}

// decrypt opens what encrypt sealed with the same key, number and associated data, else it fails with errOpen.
func decrypt(key []byte, blob, bound []byte) ([]byte, error) {
	if _, err := keyOf(blob); err != nil {
		return nil, err
	}
	aead, err := gcm(key)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, blob[headSize:headSize+nonceSize], blob[headSize+nonceSize:], bound)
	if err != nil {
		return nil, errOpen
	}
	return plain, nil
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// bind returns the associated data of a ciphertext: the keyring, its key's number, the purpose and the caller's context. The context comes last, so that
// different parts never give the same bytes.
func bind(keyringID string, number int64, purpose string, context []byte) []byte {
	return append(fmt.Appendf(nil, "fountain keyring v1\n%s\n%d\n%s\n", keyringID, number, purpose), context...)
}

// sum returns the HMAC-SHA-256 of data.
func sum(key, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return h.Sum(nil)
}

// sign signs data with a private key.
func sign(a Algorithm, private, data []byte) ([]byte, error) {
	if a == EdDSA {
		if len(private) != ed25519.SeedSize {
			return nil, errors.New("private key has the wrong length")
		}
		return ed25519.Sign(ed25519.NewKeyFromSeed(private), data), nil
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), private)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(data)
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		return nil, err
	}
	out := make([]byte, 2*scalar)
	r.FillBytes(out[:scalar])
	s.FillBytes(out[scalar:])
	return out, nil
}

// verify reports whether a signature over data is valid for a public key.
func verify(a Algorithm, public, data, signature []byte) bool {
	if a == EdDSA {
		return len(public) == ed25519.PublicKeySize && ed25519.Verify(public, data, signature)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), public)
	if err != nil || len(signature) != 2*scalar {
		return false
	}
	digest := sha256.Sum256(data)
	return ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:scalar]), new(big.Int).SetBytes(signature[scalar:]))
}
