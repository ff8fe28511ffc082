package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/apikey"
	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/store"
)

const (
	fileTokenLife = time.Hour               // of a token in a file; it is replaced when it expires
	unusedGrace   = time.Minute             // a key that is unused for so long after its creation counts as lost: services use theirs at once
	renewBefore   = apikey.EnrolledLife / 5 // a lineage that ends sooner is replaced by a new enrolment in time
	usedMemory    = 30 * 24 * time.Hour     // how long an expired token is kept, so that a second use is detected
)

// CheckInterval is the interval between two calls of Tend.
const CheckInterval = time.Minute

// Files writes enrolment tokens of the family's services where they read them: <dir>/<name>/token, readable by the owner only.
type Files struct {
	services *Services
	dir      string
	log      *slog.Logger
	first    sync.Once
}

// Files returns the writer of the token files under dir.
func (s *Services) Files(dir string, log *slog.Logger) *Files {
	return &Files{services: s, dir: dir, log: log}
}

// Path returns the path of a service's token file.
func (f *Files) Path(name string) string { return filepath.Join(f.dir, name, "token") }

// Tend refreshes the files and deletes tokens that expired long ago. It is called once per CheckInterval.
func (f *Files) Tend(ctx context.Context) error {
	return errors.Join(f.Refresh(ctx), f.services.sweep(ctx))
}

// Refresh writes a token for every enabled service of the family that has no usable key, and removes the files of the others. It may be
// repeated. The first call, at the start of the kms, counts a key that was never used as lost, however recent it is: a service that was killed
// between receiving the key and storing it must not have to wait.
func (f *Files) Refresh(ctx context.Context) error {
	grace := unusedGrace
	f.first.Do(func() { grace = 0 })
	var errs []error
	for _, member := range authority.Family() {
		if err := f.refresh(ctx, member.Name, grace); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", member.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (f *Files) refresh(ctx context.Context, name string, grace time.Duration) error {
	s, now := f.services, domain.Now(f.services.clock)
	found, ok, err := s.rows.ByName(ctx, s.db.Read(ctx), name)
	if err != nil {
		return fmt.Errorf("find service by name: %w", err)
	}
	lies, err := f.holds(ctx, name, now)
	if err != nil {
		return err
	}
	if lies { // it was written because the key was lost, which holds until the token is used
		grace = 0
	}
	needs := ok && found.Family && found.Status == Active
	if needs {
		has, err := s.rows.HasCredential(ctx, s.db.Read(ctx), found.ID, now, now.Add(-grace), now.Add(renewBefore))
		if err != nil {
			return fmt.Errorf("look for a credential of the service: %w", err)
		}
		needs = !has
	}
	if !needs {
		return f.remove(name)
	}
	if lies {
		return nil
	}
	var made Enrolment
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if made, err = s.issue(ctx, tx, found.ID, fileTokenLife); err != nil {
			return err
		}
		return s.audit.Append(ctx, tx, auditlog.Event{Action: "createEnrolmentToken", Target: found.ID})
	})
	if err != nil {
		return fmt.Errorf("make enrolment token: %w", err)
	}
	return WriteFile(f.Path(name), made.Token)
}

// holds reports whether the file has a token that stays valid until the next check.
func (f *Files) holds(ctx context.Context, name string, now time.Time) (bool, error) {
	text, err := readFile(f.Path(name))
	if err != nil {
		return false, fmt.Errorf("read enrolment file: %w", err)
	}
	if text == "" {
		return false, nil
	}
	s := f.services
	open, err := s.rows.TokenOpen(ctx, s.db.Read(ctx), tokenHash(strings.TrimSpace(text)), now.Add(CheckInterval))
	if err != nil {
		return false, fmt.Errorf("check whether the token is valid: %w", err)
	}
	return open, nil
}

// maxFile is more than the length of any token, in bytes.
const maxFile = 256

// readFile reads a token file; "" if it does not exist. The directory is shared with the service, so the path may be anything: what is not a regular file is
// removed, without waiting for it or following it.
func readFile(path string) (string, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENXIO) { // a link or a socket
		return "", os.RemoveAll(path)
	}
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", os.RemoveAll(path)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxFile))
	return string(text), err
}

// Changed refreshes the files at once, after a change that may affect which are needed.
func (f *Files) Changed(ctx context.Context) {
	if err := f.Refresh(ctx); err != nil {
		f.log.WarnContext(ctx, "enrolment files could not be refreshed", "error", err)
	}
}

// Used removes the file of the service that has just enrolled.
func (f *Files) Used(ctx context.Context, serviceID string) {
	found, err := f.services.Get(ctx, serviceID)
	if err == nil && found.Family {
		err = f.remove(found.Name)
	}
	if err != nil {
		f.log.WarnContext(ctx, "used enrolment file could not be removed", "error", err)
	}
}

func (f *Files) remove(name string) error {
	if err := os.RemoveAll(f.Path(name)); err != nil { // the service may have put anything there, such as a directory
		return fmt.Errorf("remove enrolment file: %w", err)
	}
	return nil
}

// WriteFile atomically writes a secret to a file that only its owner can read. Missing directories are created with mode 0700. An existing one keeps its
// mode, since it may be a volume that another program reads.
func WriteFile(path, text string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make directory of secret file: %w", err)
	}
	file, err := os.CreateTemp(dir, ".new-*") // 0600
	if err != nil {
		return fmt.Errorf("make secret file: %w", err)
	}
	defer os.Remove(file.Name()) // no effect after Rename
	_, err = file.WriteString(text + "\n")
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write secret file: %w", err)
	}
	return nil
}
