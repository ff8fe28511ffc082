package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/store"
)

// staging is the directory beside a database in which it is created, so that it appears as a whole or not at all. While it exists, services do not
// open what is beside it.
const staging = store.Staging

// allowedFiles are the files that an empty target may contain. The operator puts back the root key by hand, before or after the restore.
var allowedFiles = []string{"root.key", "lost+found", staging}

// RestoreOptions are the options of a restore.
type RestoreOptions struct {
	Identities    []age.Identity
	Clock         clock.Clock
	Administrator string // the user who stays enabled; see Restored
	KeepUsers     bool
	// Check refuses an archive before anything is changed; nil: none is refused.
	Check func(m Manifest) error
	// Look is called for each part after it was marked, before anything is in its place; nil: not called.
	Look func(ctx context.Context, c Copy, db *store.DB) error
	// Discard empties the places again at the end, for a drill.
	Discard bool
	// step is called before each step that puts something into its place. It is set by tests only.
	step func(what string) error
}

// Restore restores all parts into their places. open opens the archive, which is read twice: nothing is changed before all of it was verified and
// found fit for these empty places. After a later failure the places are empty again, except when a disk or a server fails while the finished copies
// are put into their places: then they must be emptied by hand. A killed restore leaves databases that no service opens, unless all of them are in
// their places.
func Restore(ctx context.Context, open func() (io.ReadCloser, error), parts []Part, o RestoreOptions) (*Restored, []Sum, error) {
	for _, p := range parts {
		if err := empty(ctx, p); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	m, sums, err := verifyFrom(open, o.Identities)
	if err != nil {
		return nil, nil, err
	}
	if err := fits(m, parts); err != nil {
		return nil, nil, err
	}
	if o.Check != nil {
		if err := o.Check(m); err != nil {
			return nil, nil, err
		}
	}
	run := &restoring{RestoreOptions: o, parts: parts}
	run.restored = &Restored{At: o.Clock.Now().UTC().Truncate(time.Microsecond), Archive: m, Administrator: o.Administrator, KeepUsers: o.KeepUsers}
	err = run.fillFrom(ctx, open)
	if err != nil || o.Discard {
		err = errors.Join(err, run.abandon(context.WithoutCancel(ctx)))
	} else if failed := run.place(context.WithoutCancel(ctx)); failed != nil {
		err = fmt.Errorf("the restore was not finished: empty %s but for the root key, and restore again: %w", where(parts), failed)
	}
	if err != nil {
		return nil, nil, err
	}
	return run.restored, sums, nil
}

func verifyFrom(open func() (io.ReadCloser, error), identities []age.Identity) (Manifest, []Sum, error) {
	in, err := open()
	if err != nil {
		return Manifest{}, nil, err
	}
	defer in.Close()
	return Verify(in, identities)
}

// empty returns ErrNotEmpty when the place of a part is not empty.
func empty(ctx context.Context, p Part) error {
	entries, err := os.ReadDir(p.Database.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if !slices.Contains(allowedFiles, e.Name()) {
			return fmt.Errorf("%w: there is %s", ErrNotEmpty, filepath.Join(p.Database.Dir, e.Name()))
		}
	}
	err = store.Empty(ctx, p.Database)
	if errors.Is(err, store.ErrNotEmpty) {
		return fmt.Errorf("%w: its database has tables", ErrNotEmpty)
	}
	return err
}

// fits returns an error when an archive cannot be restored here.
func fits(m Manifest, parts []Part) error {
	if len(m.Parts) != len(parts) {
		return ErrOtherParts
	}
	for i, c := range m.Parts {
		if c.Name != parts[i].Name {
			return ErrOtherParts
		}
		known, err := parts[i].Database.Knows(c.Migrations)
		if err != nil {
			return err
		}
		if !known {
			return ErrNewer
		}
	}
	return nil
}

// restoring is a running restore.
type restoring struct {
	RestoreOptions
	parts    []Part
	restored *Restored
	filled   []*store.Filling // of the parts, in their order
	made     []string         // directories, in order of their creation
}

func (r *restoring) fillFrom(ctx context.Context, open func() (io.ReadCloser, error)) error {
	in, err := open()
	if err != nil {
		return err
	}
	defer in.Close()
	archive, err := newReader(in, r.Identities)
	if err != nil {
		return err
	}
	if archive.Manifest.ID != r.restored.Archive.ID {
		return damaged("it was replaced while it was read", nil)
	}
	for i, p := range r.parts {
		if err := r.fill(ctx, archive, p, r.restored.Archive.Parts[i]); err != nil {
			return fmt.Errorf("restore %s: %w", p.Name, err)
		}
	}
	return archive.end()
}

// fill creates one part and marks it; it is not in its place yet.
func (r *restoring) fill(ctx context.Context, archive *reader, p Part, c Copy) error {
	if err := r.directory(p.Database.Dir); err != nil {
		return err
	}
	dir := filepath.Join(p.Database.Dir, staging)
	if err := os.RemoveAll(dir); err != nil { // left by a restore that was killed
		return err
	}
	if err := r.directory(dir); err != nil {
		return err
	}
	at := p.Database
	at.Dir = dir
	f, err := store.Fill(ctx, at, c.Migrations, func(ctx context.Context, l *store.Loader) error {
		return archive.part(c, sink{
			table: func(t store.CopiedTable) (func(row []any) error, func() error, error) { return p.rows(ctx, l, t) },
			file:  func(name string, body []byte) error { return r.file(p, dir, name, body) },
		})
	})
	if err != nil {
		return err
	}
	r.filled = append(r.filled, f)
	r.restored.Copy = c
	if p.Mark != nil {
		err = f.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return p.Mark(ctx, tx, r.restored) })
	}
	if err == nil && r.Look != nil {
		err = r.Look(ctx, c, f.DB())
	}
	return err
}

// rows returns the functions that take the rows of a table and end it.
func (p Part) rows(ctx context.Context, l *store.Loader, t store.CopiedTable) (func(row []any) error, func() error, error) {
	if p.Create != nil {
		if statement := p.Create(t.Name); statement != "" {
			if err := l.Create(ctx, statement); err != nil {
				return nil, nil, err
			}
		}
	}
	target, err := l.Into(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	return func(row []any) error { return target.Add(ctx, row) }, func() error { return target.Flush(ctx) }, nil
}

func (r *restoring) file(p Part, dir, name string, body []byte) error {
	if !slices.Contains(p.Files, name) {
		return damaged("it has an unexpected file", nil)
	}
	file, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(body)
	return errors.Join(err, file.Sync(), file.Close())
}

// directory creates a directory and records the ones that did not exist.
func (r *restoring) directory(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := r.directory(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	r.made = append(r.made, dir)
	return nil
}

// where names the places of all parts for an operator who must empty them. It does not show the URL of a PostgreSQL database, which may contain its
// password.
func where(parts []Part) string {
	var names []string
	for _, p := range parts {
		if p.Database.URL != "" {
			names = append(names, "the PostgreSQL database of "+p.Name)
		}
		if p.Database.Dir != "" {
			names = append(names, p.Database.Dir)
		}
	}
	return strings.Join(names, ", ")
}

// place moves everything to where the services look for it. The first part is that of the kms, without which no user can sign in, so it is moved
// last. The staging directories are removed when all parts are in place, so that no service creates a new database beside the restored ones.
func (r *restoring) place(ctx context.Context) error {
	for _, dir := range r.made { // after a power failure one part's directory must not be missing while another's exists
		if err := syncDirectory(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	for i, p := range slices.Backward(r.parts) {
		if err := r.placePart(ctx, p, r.filled[i]); err != nil {
			return fmt.Errorf("put %s into its place: %w", p.Name, err)
		}
	}
	for _, p := range slices.Backward(r.parts) {
		if err := r.before("open " + p.Name); err != nil {
			return err
		}
		if err := os.RemoveAll(filepath.Join(p.Database.Dir, staging)); err != nil {
			return err
		}
		if err := syncDirectory(p.Database.Dir); err != nil {
			return err
		}
	}
	return nil
}

func (r *restoring) before(what string) error {
	if r.step == nil {
		return nil
	}
	return r.step(what)
}

// placePart finishes a part and links its files. What lets a service open it comes last: the file of a SQLite database, or on PostgreSQL Finish.
func (r *restoring) placePart(ctx context.Context, p Part, f *store.Filling) error {
	for _, name := range p.Files {
		if err := r.link(p, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := r.before("finish " + p.Name); err != nil {
		return err
	}
	if p.Database.URL != "" {
		if err := syncDirectory(p.Database.Dir); err != nil {
			return err
		}
		return f.Finish(ctx)
	}
	if err := f.Finish(ctx); err != nil {
		return err
	}
	wal, err := os.Stat(filepath.Join(p.Database.Dir, staging, p.Database.Name+".db-wal"))
	if err == nil && wal.Size() > 0 { // closing the database writes it back; otherwise its content would be lost
		return errors.New("the database was not closed whole")
	}
	if err := r.link(p, p.Database.Name+".db"); err != nil {
		return err
	}
	return syncDirectory(p.Database.Dir)
}

// link moves a staged file into its place. Unlike a rename it replaces nothing.
func (r *restoring) link(p Part, name string) error {
	if err := r.before("link " + p.Name); err != nil {
		return err
	}
	return os.Link(filepath.Join(p.Database.Dir, staging, name), filepath.Join(p.Database.Dir, name))
}

func syncDirectory(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// abandon empties the places again.
func (r *restoring) abandon(ctx context.Context) error {
	var errs []error
	for _, f := range r.filled {
		errs = append(errs, f.Abandon(ctx))
	}
	for _, p := range r.parts {
		errs = append(errs, os.RemoveAll(filepath.Join(p.Database.Dir, staging)))
	}
	for _, dir := range slices.Backward(r.made) {
		if err := os.Remove(dir); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
