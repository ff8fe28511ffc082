package seal

// Key is a data key: 32 bytes that the kms keeps wrapped and a service holds while it runs.
type Key struct{}

// NewDataKey returns 32 random bytes for FromDataKey.
func NewDataKey() []byte { panic("being built") }

// FromDataKey derives a sealing and a MAC key from a data key of 32 bytes.
func FromDataKey(raw []byte) (*Key, error) { panic("being built") }

// Seal encrypts plain and binds it to aad.
func (k *Key) Seal(plain, aad []byte) ([]byte, error) { panic("being built") }

// Open decrypts what Seal made with the same aad.
func (k *Key) Open(sealed, aad []byte) ([]byte, error) { panic("being built") }

// Sum returns the MAC of data.
func (k *Key) Sum(data []byte) ([]byte, error) { panic("being built") }

// Verify checks a sum in constant time.
func (k *Key) Verify(sum, data []byte) error { panic("being built") }
