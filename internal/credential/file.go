package credential

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// held is the content of credential.json.
type held struct {
	KeyID     string    `json:"keyId"`
	Key       string    `json:"key"`
	CreatedAt time.Time `json:"createdAt"`
	ExpiresAt time.Time `json:"expiresAt"`
	Rotation  string    `json:"rotation,omitempty"` // Idempotency-Key of an unfinished rotation
	// GrantedUntil is when rotations end: after it only a new enrolment helps. It is zero for keys that are older than this limit.
	GrantedUntil time.Time `json:"grantedUntil,omitzero"`

	RefusedToken string `json:"-"` // fingerprint of the enrolment token that the kms refused last
}

// rotationDue reports whether half of the key's life is over and a rotation would extend it.
func (h held) rotationDue(now time.Time) bool {
	prolongs := h.GrantedUntil.IsZero() || h.ExpiresAt.Before(h.GrantedUntil)
	return prolongs && now.After(h.CreatedAt.Add(h.ExpiresAt.Sub(h.CreatedAt)/2))
}

// enrolmentWindow is how long before GrantedUntil the service looks for a new enrolment token; the kms writes one in that time.
const enrolmentWindow = 73 * 24 * time.Hour

// enrolmentDue reports whether the key's rotations end soon.
func (h held) enrolmentDue(now time.Time) bool {
	return !h.GrantedUntil.IsZero() && now.After(h.GrantedUntil.Add(-enrolmentWindow))
}

func (s *Source) path() string { return filepath.Join(s.Dir, "credential.json") }

// readHeld reads the file. A missing file is an empty credential.
func readHeld(path string) (held, error) {
	var h held
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return h, err
	}
	if json.Unmarshal(raw, &h) != nil {
		return h, errors.New(path + " is not a credential file; remove it to enrol again")
	}
	return h, nil
}

// writeHeld replaces the file atomically, readable by its owner only; it is on disk when writeHeld returns.
func writeHeld(path string, h held) error {
	raw, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, ".credential-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // has no effect after Rename
	_, err = file.Write(raw)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// fingerprint returns a digest by which a token is recognized without storing it.
func fingerprint(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
