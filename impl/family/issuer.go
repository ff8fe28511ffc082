package family

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// issuerFile is the file in the data directory that stores the issuer. The kms also has it in its database, but a family that now has another port
// must know it before it starts the kms.
const issuerFile = "issuer"

// chooseIssuer returns the configured issuer, or else that of the first start. At the first start it is the gateway's URL. It returns "" when a kms
// database exists without the file: the kms then uses the issuer in its database.
func (h *instance) chooseIssuer() (string, error) {
	if h.Issuer != "" {
		return h.Issuer, nil
	}
	path := filepath.Join(h.DataDir, issuerFile)
	kept, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(kept)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read issuer: %w", err)
	}
	if _, err := os.Stat(filepath.Join(h.DataDir, "kms")); !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	issuer := nameOf(h.front)
	if err := writeFile(path, issuer+"\n"); err != nil {
		return "", fmt.Errorf("write issuer: %w", err)
	}
	return issuer, nil
}

// RememberIssuer stores the issuer for the next start of a family on the data directory.
func RememberIssuer(dir, issuer string) error {
	if err := writeFile(filepath.Join(dir, issuerFile), issuer+"\n"); err != nil {
		return fmt.Errorf("write issuer: %w", err)
	}
	return nil
}

// writeFile writes a file atomically.
func writeFile(path, text string) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // fails after Rename, which is fine
	_, err = file.WriteString(text)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
