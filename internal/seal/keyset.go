package seal

import (
	"fmt"
	"slices"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/mac"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// Keyset is an immutable Tink keyset, either for sealing (NewAEAD: AES-256-GCM) or for MACs (NewMAC: HMAC-SHA-256). Its output begins with the ID of
// the key, so that older keys of the set still open and verify. Used for the other purpose it returns ErrPurpose. It is safe for concurrent use.
//
// AES-GCM with random nonces is safe for 2^32 messages per key: rotate long before.
type Keyset struct {
	handle *keyset.Handle
	aead   tink.AEAD  // nil for MACs
	macs   []tink.MAC // primary first; nil for sealing
	verify tink.MAC   // all keys
}

// NewAEAD returns a sealing keyset with one new key.
func NewAEAD() (*Keyset, error) { return newKeyset(aead.AES256GCMKeyTemplate()) }

// NewMAC returns a keyset for MACs with one new key.
func NewMAC() (*Keyset, error) { return newKeyset(mac.HMACSHA256Tag256KeyTemplate()) }

func newKeyset(template *tinkpb.KeyTemplate) (*Keyset, error) {
	handle, err := keyset.NewHandle(template)
	if err != nil {
		return nil, fmt.Errorf("new keyset: %w", err)
	}
	return fromHandle(handle)
}

func fromHandle(handle *keyset.Handle) (*Keyset, error) {
	k := &Keyset{handle: handle}
	var err error
	if k.aead, err = aead.New(handle); err == nil {
		return k, nil
	}
	k.aead = nil
	if k.verify, err = mac.New(handle); err != nil {
		return nil, fmt.Errorf("keyset is neither for sealing nor for sums: %w", err)
	}
	ids := k.Keys()
	slices.Reverse(ids)
	for _, id := range ids {
		one, err := k.withPrimary(id)
		if err != nil {
			return nil, err
		}
		sum, err := mac.New(one)
		if err != nil {
			return nil, fmt.Errorf("keyset: %w", err)
		}
		if id == k.Primary() {
			k.macs = append([]tink.MAC{sum}, k.macs...)
		} else {
			k.macs = append(k.macs, sum)
		}
	}
	return k, nil
}

func (k *Keyset) withPrimary(id uint32) (*keyset.Handle, error) {
	manager := keyset.NewManagerFromHandle(k.handle)
	if err := manager.SetPrimary(id); err != nil {
		return nil, fmt.Errorf("keyset: %w", err)
	}
	return manager.Handle()
}

// Rotate returns a copy with a new primary key; the older keys still open and verify.
func (k *Keyset) Rotate() (*Keyset, error) {
	template := aead.AES256GCMKeyTemplate()
	if k.aead == nil {
		template = mac.HMACSHA256Tag256KeyTemplate()
	}
	manager := keyset.NewManagerFromHandle(k.handle)
	id, err := manager.Add(template)
	if err == nil {
		err = manager.SetPrimary(id)
	}
	if err != nil {
		return nil, fmt.Errorf("rotate keyset: %w", err)
	}
	return finish(manager)
}

// Without returns a copy without the key with this ID; what that key sealed or signed is not accepted any more. The primary key cannot be removed.
func (k *Keyset) Without(keyID uint32) (*Keyset, error) {
	manager := keyset.NewManagerFromHandle(k.handle)
	if err := manager.Delete(keyID); err != nil {
		return nil, fmt.Errorf("remove key from keyset: %w", err)
	}
	return finish(manager)
}

func finish(manager *keyset.Manager) (*Keyset, error) {
	handle, err := manager.Handle()
	if err != nil {
		return nil, fmt.Errorf("keyset: %w", err)
	}
	return fromHandle(handle)
}

// Primary returns the ID of the key that seals or computes MACs.
func (k *Keyset) Primary() uint32 { return k.handle.KeysetInfo().GetPrimaryKeyId() }

// Keys returns the IDs of all keys, oldest first.
func (k *Keyset) Keys() []uint32 {
	var ids []uint32
	for _, key := range k.handle.KeysetInfo().GetKeyInfo() {
		ids = append(ids, key.GetKeyId())
	}
	return ids
}

// Seal encrypts plain under the primary key and binds it to aad, for example the table and row that it belongs to.
func (k *Keyset) Seal(plain, aad []byte) ([]byte, error) {
	if k.aead == nil {
		return nil, ErrPurpose
	}
	return k.aead.Encrypt(plain, aad)
}

// Open decrypts what Seal returned for the same aad. It returns ErrOpen for anything else.
func (k *Keyset) Open(sealed, aad []byte) ([]byte, error) {
	if k.aead == nil {
		return nil, ErrPurpose
	}
	plain, err := k.aead.Decrypt(sealed, aad)
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

// Sum returns the primary key's MAC of data, 37 bytes. It is deterministic.
func (k *Keyset) Sum(data []byte) ([]byte, error) {
	if k.aead != nil {
		return nil, ErrPurpose
	}
	return k.macs[0].ComputeMAC(data)
}

// Sums returns the MAC of data under every key, primary first, then newest to oldest: a row that is looked up by its MAC may have been written before
// a rotation.
func (k *Keyset) Sums(data []byte) ([][]byte, error) {
	if k.aead != nil {
		return nil, ErrPurpose
	}
	sums := make([][]byte, len(k.macs))
	for i, m := range k.macs {
		var err error
		if sums[i], err = m.ComputeMAC(data); err != nil {
			return nil, err
		}
	}
	return sums, nil
}

// Verify checks a MAC of any key of the set in constant time. It returns ErrOpen when it is wrong.
func (k *Keyset) Verify(sum, data []byte) error {
	if k.aead != nil {
		return ErrPurpose
	}
	if k.verify.VerifyMAC(sum, data) != nil {
		return ErrOpen
	}
	return nil
}

// Format prints no key material in logs and messages.
func (k *Keyset) Format(s fmt.State, _ rune) {
	fmt.Fprintf(s, "seal.Keyset(%d keys)", k.handle.Len())
}
