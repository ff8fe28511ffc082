package family

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// issuerFile is the name in the data directory of the file that keeps the issuer. The kms fixes it in its database too, but a
// family on another port must know it before it starts the kms.
const issuerFile = "issuer"

// chooseIssuer is the configured issuer, or the one of the first start, or, at the first start, the gateway's URL. "" leaves
// it to the kms, whose database knows it.
func (h *house) chooseIssuer() (string, error) {
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

// RememberIssuer has the next start of a family on a data directory take this issuer.
func RememberIssuer(dir, issuer string) error {
	if err := writeFile(filepath.Join(dir, issuerFile), issuer+"\n"); err != nil {
		return fmt.Errorf("write issuer: %w", err)
	}
	return nil
}

// writeFile makes a file whole or not at all.
func writeFile(path, text string) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // is gone after Rename
	_, err = file.WriteString(text)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
