// Package session stores the session of `fountain login`: a refresh token in a file of the user's configuration
// directory that only the user can read. A refresh token works once, so it is used only under a lock of that file.
// Otherwise two commands at the same time would look like a stolen token.
package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// ErrNone says that nobody is signed in.
var ErrNone = errors.New("not signed in: run fountain login")

// Session is a signed-in user at one installation.
type Session struct {
	URL          string `json:"url"`
	Username     string `json:"username"`
	RefreshToken string `json:"refreshToken"`
	CAFile       string `json:"caFile,omitempty"` // authorities that were trusted at sign-in
	// Raised are the tokens obtained with a one-time code, by service. For five minutes no further code is needed.
	Raised map[string]Raised `json:"raised,omitempty"`
}

// Raised is a raised access token.
type Raised struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
}

// File is the file of a session.
type File struct{ path string }

// ProfileVariable is the environment variable that selects one of several sessions.
const ProfileVariable = "FOUNTAIN_PROFILE"

var profileName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// Default returns the file of the current user: fountain/session.json in the user's configuration directory, or
// fountain/session-<profile>.json if a profile is selected.
func Default() (*File, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return nil, fmt.Errorf("find the configuration directory: %w", err)
	}
	name := "session.json"
	if profile := os.Getenv(ProfileVariable); profile != "" {
		if !profileName.MatchString(profile) {
			return nil, errors.New("a profile's name is lower-case letters, digits and hyphens")
		}
		name = "session-" + profile + ".json"
	}
	return &File{filepath.Join(dir, "fountain", name)}, nil
}

// Path returns the path of the file.
func (f *File) Path() string { return f.path }

// Load returns the session, or ErrNone. It refuses a file that others can read.
func (f *File) Load() (*Session, error) {
	info, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, fmt.Errorf("read session: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("session file %s can be read by others: set its mode to 0600 or sign in again", f.path)
	}
	raw, err := os.ReadFile(f.path)
	if err != nil {
		return nil, fmt.Errorf("read session: %w", err)
	}
	var s Session
	if json.Unmarshal(raw, &s) != nil || s.URL == "" || s.RefreshToken == "" {
		return nil, fmt.Errorf("session file %s is damaged: sign in again", f.path)
	}
	return &s, nil
}

// Save writes the session atomically.
func (f *File) Save(s *Session) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	dir := filepath.Dir(f.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the configuration directory: %w", err)
	}
	tmp, err := os.CreateTemp(dir, ".session-*") // 0600
	if err != nil {
		return fmt.Errorf("write session: %w", err)
	}
	defer os.Remove(tmp.Name()) // after Rename it no longer exists
	_, err = tmp.Write(append(raw, '\n'))
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("write session: %w", err)
	}
	if err := os.Rename(tmp.Name(), f.path); err != nil {
		return fmt.Errorf("write session: %w", err)
	}
	return nil
}

// Delete removes the session. It is not an error if there is none.
func (f *File) Delete() error {
	if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove session: %w", err)
	}
	return nil
}

// locked calls do while it holds the lock, so that no other process does the same.
func (f *File) locked(do func() error) error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return fmt.Errorf("make the configuration directory: %w", err)
	}
	lock, err := os.OpenFile(f.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("lock session: %w", err)
	}
	defer lock.Close() // releases the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock session: %w", err)
	}
	return do()
}
