package backup

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/openapi"
)

// chunk is the minimum size of an archive entry of rows, in bytes; the last entry of a table may be smaller.
const chunk = 1 << 20

// maxFile bounds a file that is copied, in bytes.
const maxFile = 64 << 20

// Options are the options of a backup.
type Options struct {
	Recipients []age.Recipient // the keys that can decrypt it: at least one
	Version    string          // of the program
	Clock      clock.Clock
}

// Write copies all parts, the kms first, into an archive while the services run. Each part is a snapshot, and all snapshots are taken before the
// first row is read.
func Write(ctx context.Context, out io.Writer, parts []Part, o Options) (Manifest, []Sum, error) {
	if len(o.Recipients) == 0 {
		return Manifest{}, nil, errors.New("an archive needs a recipient that it is encrypted to")
	}
	m := Manifest{Format: format, ID: newID(), Version: o.Version, MadeAt: o.Clock.Now().UTC(), Contracts: map[string]string{}}
	for _, word := range openapi.Words() {
		m.Contracts[word] = openapi.Digest(word)
	}
	var sums []Sum
	err := take(ctx, parts, o.Clock, &m, nil, func(ctx context.Context, taken []*store.Snapshot) (err error) {
		sums, err = write(ctx, out, parts, taken, m, o.Recipients)
		return err
	})
	return m, sums, err
}

// take begins the snapshots of the remaining parts, nested in each other, and calls do with all of them.
func take(ctx context.Context, parts []Part, c clock.Clock, m *Manifest, taken []*store.Snapshot, do func(ctx context.Context, taken []*store.Snapshot) error) error {
	if len(taken) == len(parts) {
		return do(ctx, taken)
	}
	p := parts[len(taken)]
	db, err := store.Inspect(ctx, p.Database)
	if err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	instant := c.Now().UTC() // before the snapshot: every change acknowledged by now is in it
	err = db.Snapshot(ctx, func(ctx context.Context, s *store.Snapshot) error {
		described, err := describe(ctx, p, s, db.Dialect(), instant)
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		m.Parts = append(m.Parts, described)
		return take(ctx, parts, c, m, append(taken, s), do)
	})
	return errors.Join(err, db.Close())
}

func describe(ctx context.Context, p Part, s *store.Snapshot, d store.Dialect, instant time.Time) (c Copy, err error) {
	c = Copy{Name: p.Name, Database: d, Instant: instant}
	if c.Migrations, err = s.Migrations(ctx); err != nil {
		return c, err
	}
	switch known, err := p.Database.Knows(c.Migrations); {
	case err != nil:
		return c, err
	case !known: // only that release knows what to leave out, and what a restore must revoke
		return c, store.ErrNewer
	}
	switch older, err := p.Database.Lacks(c.Migrations); {
	case err != nil:
		return c, err
	case older: // the statements of Facts and Mark are for this release's tables
		return c, ErrOlder
	}
	if c.Tables, err = s.Tables(ctx); err != nil {
		return c, err
	}
	for _, name := range p.Files {
		_, err := os.Stat(filepath.Join(p.Database.Dir, name))
		if err == nil {
			c.Files = append(c.Files, name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return c, fmt.Errorf("look for %s: %w", name, err)
		}
	}
	if p.Facts != nil {
		c.Facts, err = p.Facts(ctx, s.Querier())
	}
	return c, err
}

// writer writes the entries of an archive.
type writer struct {
	tar  *tar.Writer
	at   time.Time
	sums []Sum
}

func write(ctx context.Context, out io.Writer, parts []Part, taken []*store.Snapshot, m Manifest, recipients []age.Recipient) ([]Sum, error) {
	sealed, err := age.Encrypt(out, recipients...)
	if err != nil {
		return nil, fmt.Errorf("encrypt archive: %w", err)
	}
	zipped := gzip.NewWriter(sealed)
	w := &writer{tar: tar.NewWriter(zipped), at: m.MadeAt}
	if err := w.json("manifest.json", m); err != nil {
		return nil, err
	}
	for i, p := range parts {
		for _, t := range m.Parts[i].Tables {
			if err := w.table(ctx, p.Name, taken[i], t); err != nil {
				return nil, fmt.Errorf("copy %s of %s: %w", t.Name, p.Name, err)
			}
		}
		for _, name := range m.Parts[i].Files {
			if err := w.file(p, name); err != nil {
				return nil, fmt.Errorf("copy %s of %s: %w", name, p.Name, err)
			}
		}
	}
	if err := w.json("sums.json", w.sums); err != nil {
		return nil, err
	}
	if err := errors.Join(w.tar.Close(), zipped.Close(), sealed.Close()); err != nil {
		return nil, fmt.Errorf("end archive: %w", err)
	}
	return w.sums, nil
}

func (w *writer) entry(name string, body []byte) error {
	err := w.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(body)), ModTime: w.at.Truncate(time.Second), Format: tar.FormatPAX})
	if err == nil {
		_, err = w.tar.Write(body)
	}
	if err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	return nil
}

func (w *writer) json(name string, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return w.entry(name, body)
}

func rowsEntry(part, table string, n int) string {
	return fmt.Sprintf("%s/rows/%s/%06d", part, table, n)
}

func fileEntry(part, name string) string { return part + "/files/" + name }

func (w *writer) table(ctx context.Context, part string, s *store.Snapshot, t store.CopiedTable) error {
	sum := newSummer(part, "rows/"+t.Name)
	var rows []byte
	entries := 0
	flush := func() error {
		entries++
		sum.add(rows)
		err := w.entry(rowsEntry(part, t.Name, entries), rows)
		rows = rows[:0]
		return err
	}
	err := s.Each(ctx, t, func(row []any) (err error) {
		if rows, err = appendRow(rows, row); err != nil {
			return err
		}
		sum.Rows++
		if len(rows) < chunk {
			return nil
		}
		return flush()
	})
	if err == nil && len(rows) > 0 {
		err = flush()
	}
	w.sums = append(w.sums, sum.end())
	return err
}

func (w *writer) file(p Part, name string) error {
	in, err := os.Open(filepath.Join(p.Database.Dir, name))
	if err != nil {
		return err
	}
	defer in.Close()
	body, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return err
	}
	if len(body) > maxFile {
		return errors.New("the file is too large")
	}
	sum := newSummer(p.Name, "files/"+name)
	sum.add(body)
	w.sums = append(w.sums, sum.end())
	return w.entry(fileEntry(p.Name, name), body)
}

// summer computes a Sum.
type summer struct {
	Sum
	hash hash.Hash
}

func newSummer(part, name string) *summer { return &summer{Sum{Part: part, Name: name}, sha256.New()} }

func (s *summer) add(body []byte) {
	s.hash.Write(body)
	s.Bytes += int64(len(body))
}

func (s *summer) end() Sum {
	s.SHA256 = hex.EncodeToString(s.hash.Sum(nil))
	return s.Sum
}
