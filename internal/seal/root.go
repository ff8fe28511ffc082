// Package seal is the encryption at rest: a root key file seals Tink keysets, keysets seal data keys and secrets, and a data key seals what one
// service stores. Nothing here prints a key, and no error repeats a plaintext.
package seal

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// Errors of this package; match them with errors.Is.
var (
	// ErrOpen: a sealed text was altered, has another aad or name, or was sealed by a key that is not available.
	ErrOpen = errors.New("sealed text does not open")
	// ErrWrongRoot: a keyset was sealed by another root key.
	ErrWrongRoot = errors.New("keyset was sealed by another root key")
	// ErrPurpose: a sealing keyset was used for a MAC, or the other way round.
	ErrPurpose = errors.New("keyset has another purpose")
	// ErrRootFile: the root key file is not safe to use; the text says why.
	ErrRootFile = errors.New("root key file refused")
)

const rootSize = 32 // bytes, AES-256

// Root is the key that seals keysets. Only the kms has one.
type Root struct {
	id   string
	aead tink.AEAD
}

// LoadRoot reads the root key, 32 raw bytes, from the file at path. It returns ErrRootFile when the size is wrong, when the key is not random (all
// zero, few different bytes, plain text), or when anybody except its owner (this user or root) could read or replace it: according to the file's
// mode, unless a directory above excludes all others, as those of mounted secrets do.
func LoadRoot(path string) (*Root, error) {
	key, err := readRoot(path)
	if err != nil {
		return nil, err
	}
	return newRoot(key)
}

func readRoot(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open root key: %w", err)
	}
	defer file.Close()
	if err := checkRootFile(path, file); err != nil {
		return nil, err
	}
	key, err := io.ReadAll(io.LimitReader(file, rootSize+1))
	if err != nil {
		return nil, fmt.Errorf("read root key: %w", err)
	}
	if len(key) != rootSize {
		return nil, fmt.Errorf("%w: it does not hold exactly %d bytes", ErrRootFile, rootSize)
	}
	if !random(key) {
		return nil, fmt.Errorf("%w: it does not hold a random key", ErrRootFile)
	}
	return key, nil
}

func newRoot(key []byte) (*Root, error) {
	aead, err := subtle.NewAESGCM(key)
	if err != nil {
		return nil, fmt.Errorf("root key: %w", err)
	}
	name := hmac.New(sha256.New, key)
	name.Write([]byte("fountain root key id"))
	return &Root{id: "root_" + hex.EncodeToString(name.Sum(nil)[:8]), aead: aead}, nil
}

// random distinguishes a random key from a placeholder. A random key has about 30 different bytes among its 32; fewer than 16 different ones, or only
// printable text, happen less than once in 10^13 keys.
func random(key []byte) bool {
	different := map[byte]bool{}
	text := true
	for _, b := range key {
		different[b] = true
		text = text && (b >= ' ' && b <= '~' || b == '\n' || b == '\r' || b == '\t')
	}
	return len(different) >= 16 && !text
}

// CreateRoot writes a new random root key to path with mode 0600, and creates its directory with 0700 if needed. It never replaces a file: that is
// fs.ErrExist.
func CreateRoot(path string) error {
	key := make([]byte, rootSize)
	rand.Read(key) // never fails: crypto/rand ends the program instead
	return writeRoot(path, key)
}

func writeRoot(path string, key []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create root key directory: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("create root key: %w", err)
	}
	_, err = file.Write(key)
	err = errors.Join(err, file.Sync(), file.Close(), syncDir(dir))
	if err != nil {
		// An incomplete key must not stay: it would be refused at every start.
		return fmt.Errorf("write root key: %w", errors.Join(err, os.Remove(path)))
	}
	return nil
}

// syncDir makes a new directory entry durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// ID identifies the root key without revealing it: "root_" and 16 hexadecimal digits.
func (r *Root) ID() string { return r.id }

// Format prints no key material in logs and messages.
func (r *Root) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "seal.Root(%s)", r.id) }

// SealKeyset encrypts a keyset under the root key and binds it to name, for example "secrets".
func (r *Root) SealKeyset(name string, k *Keyset) ([]byte, error) {
	var sealed bytes.Buffer
	sealed.WriteString(r.id + ":")
	if err := k.handle.WriteWithAssociatedData(keyset.NewBinaryWriter(&sealed), r.aead, keyringAAD(name)); err != nil {
		return nil, fmt.Errorf("seal keyset: %w", err)
	}
	return sealed.Bytes(), nil
}

// OpenKeyset decrypts a keyset that was sealed under the same name. It returns ErrWrongRoot when another root key sealed it, and ErrOpen when it was
// altered or sealed under another name.
func (r *Root) OpenKeyset(name string, sealed []byte) (*Keyset, error) {
	id, encrypted, found := bytes.Cut(sealed, []byte(":"))
	if !found {
		return nil, ErrOpen
	}
	if string(id) != r.id {
		return nil, ErrWrongRoot
	}
	handle, err := keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(encrypted)), r.aead, keyringAAD(name))
	if err != nil {
		return nil, ErrOpen
	}
	return fromHandle(handle)
}

// RootID returns the ID of the root key that sealed a keyset, for a rotation with both root keys available.
func RootID(sealed []byte) (string, error) {
	id, _, found := bytes.Cut(sealed, []byte(":"))
	if !found {
		return "", ErrOpen
	}
	return string(id), nil
}

func keyringAAD(name string) []byte { return []byte("keyring:" + name) }
