package seal

// Root is the key that seals keysets. Only the kms has one.
type Root struct{}

// LoadRoot reads the root key file at path.
func LoadRoot(path string) (*Root, error) { panic("being built") }

// CreateRoot writes a new root key to path, which must not exist.
func CreateRoot(path string) error { panic("being built") }

// ID names the root key without revealing it.
func (r *Root) ID() string { panic("being built") }

// SealKeyset encrypts a keyset under the root for the given name.
func (r *Root) SealKeyset(name string, k *Keyset) ([]byte, error) { panic("being built") }

// OpenKeyset decrypts a keyset that SealKeyset sealed under the same name.
func (r *Root) OpenKeyset(name string, sealed []byte) (*Keyset, error) { panic("being built") }

// RootID returns the ID of the root key that sealed the keyset.
func RootID(sealed []byte) (string, error) { panic("being built") }
