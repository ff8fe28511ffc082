package seal

import "errors"

// ErrOpen says that a sealed text was altered, belongs elsewhere or was sealed by another key.
var ErrOpen = errors.New("sealed text does not open")

// Keyset is a Tink keyset, either for sealing (NewAEAD) or for sums (NewMAC); the other purpose answers an error.
type Keyset struct{}

// NewAEAD returns a keyset with one new AES-256-GCM key.
func NewAEAD() (*Keyset, error) { panic("being built") }

// NewMAC returns a keyset with one new HMAC-SHA-256 key.
func NewMAC() (*Keyset, error) { panic("being built") }

// Rotate returns a copy with a new primary key; the older keys still open and verify.
func (k *Keyset) Rotate() (*Keyset, error) { panic("being built") }

// Without returns a copy without the key with this ID, which must not be the primary one.
func (k *Keyset) Without(keyID uint32) (*Keyset, error) { panic("being built") }

// Primary returns the ID of the key that seals and sums; Keys all IDs, oldest first.
func (k *Keyset) Primary() uint32 { panic("being built") }

// Keys returns the IDs of all keys, oldest first.
func (k *Keyset) Keys() []uint32 { panic("being built") }

// Seal encrypts plain and binds it to aad.
func (k *Keyset) Seal(plain, aad []byte) ([]byte, error) { panic("being built") }

// Open decrypts what Seal made with the same aad.
func (k *Keyset) Open(sealed, aad []byte) ([]byte, error) { panic("being built") }

// Sum returns the primary key's MAC of data.
func (k *Keyset) Sum(data []byte) ([]byte, error) { panic("being built") }

// Sums returns the MAC of data under every key, primary first: what a look-up by sum has to look for after a rotation.
func (k *Keyset) Sums(data []byte) ([][]byte, error) { panic("being built") }

// Verify checks a sum made by any key of the set, in constant time.
func (k *Keyset) Verify(sum, data []byte) error { panic("being built") }
