package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// ErrDiffers: the copy differs from the original. Nothing was put into its place.
var ErrDiffers = errors.New("the copy differs from the database")

// movingDir is the directory beside the target SQLite database in which the copy is made.
const movingDir = ".move"

// MovedTable describes a table after a move; it is the same in both databases.
type MovedTable struct {
	Name   string `json:"name"`
	Rows   int64  `json:"rows"`
	SHA256 string `json:"sha256"` // of all rows in the order of their key
}

// Move copies a database to another place, SQLite or PostgreSQL, which must be empty (ErrNotEmpty). Nothing may have it open (ErrLocked), and nothing
// can open it from then on (ErrMoved), until Reopen or until the move fails. Every row is read again from both places, in the order of its key,
// before a service can open the new one; a difference is ErrDiffers. After an error or a kill a service can open at most one of the two; when the
// last step fails, which puts the verified copy into its place, it can open neither. note, which may be nil, records the move in a transaction of
// the new database.
func Move(ctx context.Context, from, to Config, note func(ctx context.Context, tx *Tx, tables []MovedTable) error) (out []MovedTable, err error) {
	if err := sameRelease(ctx, from); err != nil {
		return nil, err
	}
	place, err := takePlace(ctx, to)
	if err != nil {
		return nil, err
	}
	there := false
	defer func() {
		if err = errors.Join(err, place.release()); err != nil && there {
			err = fmt.Errorf("the database is at its new place, but what was used for the move could not be tidied up: %w", err)
		}
	}()
	source, err := leave(ctx, from)
	if err != nil {
		return nil, err
	}
	var filled *Filling
	err = source.hold(ctx, func() (err error) {
		filled, out, err = source.copy(ctx, place.making)
		return err
	})
	if err == nil {
		err = ctx.Err()
	}
	if err == nil && note != nil {
		err = filled.Write(ctx, func(ctx context.Context, tx *Tx) error { return note(ctx, tx, out) })
	}
	if err == nil {
		err = source.end(ctx)
	}
	if err != nil {
		if filled != nil {
			err = errors.Join(err, filled.Abandon(context.WithoutCancel(ctx)))
		}
		return nil, errors.Join(err, source.stay(context.WithoutCancel(ctx)))
	}
	if err := place.put(context.WithoutCancel(ctx), filled); err != nil {
		return nil, errors.Join(fmt.Errorf("the copy is whole, but could not be put into its place; the old database stays closed: %w", err), source.db.Close())
	}
	there = true
	return out, source.db.Close()
}

// sameRelease refuses a database of another release (ErrNewer, ErrOlder) before the other place is touched. Any other fault is left to the later
// steps.
func sameRelease(ctx context.Context, c Config) error {
	db, err := Inspect(ctx, c)
	if err != nil {
		return nil
	}
	missing, err := db.Standing(ctx, c)
	if err == nil && len(missing) > 0 {
		err = ErrOlder
	}
	err = errors.Join(err, db.Close())
	if errors.Is(err, ErrNewer) || errors.Is(err, ErrOlder) {
		return err
	}
	return nil
}

// copy fills the empty place and compares it. When it returns a Filling, the caller must finish or abandon it.
func (s *leaving) copy(ctx context.Context, to Config) (filled *Filling, out []MovedTable, err error) {
	err = s.db.Snapshot(ctx, func(ctx context.Context, from *Snapshot) error {
		all, err := from.Tables(ctx)
		if err != nil {
			return err
		}
		migrations, err := from.applied(ctx)
		if err != nil {
			return err
		}
		migrations = slices.DeleteFunc(migrations, isMoved)
		filled, err = Fill(ctx, to, migrations, func(ctx context.Context, l *Loader) error {
			for _, t := range all {
				if err := from.into(ctx, l, t); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		return filled.db.Snapshot(ctx, func(ctx context.Context, made *Snapshot) (err error) {
			out, err = compare(ctx, from, made, all)
			return err
		})
	})
	if err != nil && filled != nil {
		err = errors.Join(err, filled.Abandon(context.WithoutCancel(ctx)))
		filled = nil
	}
	return filled, out, err
}

// into copies the rows of a table, in statements of bounded size.
func (s *Snapshot) into(ctx context.Context, l *Loader, t CopiedTable) error {
	target, err := l.Into(ctx, t)
	if err != nil {
		return err
	}
	if err := s.Each(ctx, t, func(row []any) error { return target.Add(ctx, row) }); err != nil {
		return err
	}
	return target.Flush(ctx)
}

// compare reads every row of both databases and returns ErrDiffers for the first difference.
func compare(ctx context.Context, from, made *Snapshot, all []CopiedTable) (out []MovedTable, err error) {
	for _, s := range []*Snapshot{from, made} {
		if err := s.noneNumbersItself(ctx); err != nil {
			return nil, err
		}
	}
	there, err := made.Tables(ctx)
	if err != nil {
		return nil, err
	}
	if len(there) != len(all) {
		return nil, fmt.Errorf("%w: it has %d tables, not %d", ErrDiffers, len(there), len(all))
	}
	for _, t := range all {
		order, err := from.key(ctx, t)
		if err != nil {
			return nil, err
		}
		want, err := from.digest(ctx, t, order)
		if err != nil {
			return nil, err
		}
		got, err := made.digest(ctx, t, order)
		if err != nil {
			return nil, err
		}
		if got != want {
			return nil, fmt.Errorf("%w: table %s, %d rows, not %d, or other ones", ErrDiffers, t.Name, got.Rows, want.Rows)
		}
		out = append(out, want)
	}
	return out, nil
}

// newPlace is the target of a move.
type newPlace struct {
	config Config
	making Config // where the copy is made
	unlock func() error
}

// takePlace checks that a place is empty and keeps it empty: it holds the SQLite file lock that a service needs to create a database there.
func takePlace(ctx context.Context, c Config) (*newPlace, error) {
	p := &newPlace{config: c, making: c, unlock: func() error { return nil }}
	if c.URL == "" {
		if err := ensureDir(c.Dir); err != nil {
			return nil, fmt.Errorf("make directory of database %s: %w", c.Name, err)
		}
		var err error
		if p.unlock, err = lockFile(filepath.Join(c.Dir, c.Name+".lock")); err != nil {
			return nil, err
		}
		p.making.Dir = filepath.Join(c.Dir, movingDir)
	}
	if err := p.empty(ctx); err != nil {
		return nil, errors.Join(err, p.unlock())
	}
	return p, nil
}

func (p *newPlace) empty(ctx context.Context) error {
	if err := Empty(ctx, p.config); err != nil || p.config.URL != "" {
		return err
	}
	for _, rest := range []string{".db-wal", ".db-shm"} { // SQLite would apply it to the new file
		if _, err := os.Lstat(filepath.Join(p.config.Dir, p.config.Name+rest)); !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(ErrNotEmpty, err)
		}
	}
	if err := settled(p.config.Dir); err != nil {
		return err
	}
	return os.RemoveAll(p.making.Dir) // left by a move that was killed
}

// put moves the filled database into its place, where services may open it.
func (p *newPlace) put(ctx context.Context, f *Filling) error {
	if err := f.Finish(ctx); err != nil || p.config.URL != "" {
		return err
	}
	file := p.config.Name + ".db"
	if log, err := os.Stat(filepath.Join(p.making.Dir, file+"-wal")); err == nil && log.Size() > 0 { // closing writes it back
		return errors.New("the copy was not closed whole")
	}
	if err := os.Link(filepath.Join(p.making.Dir, file), filepath.Join(p.config.Dir, file)); err != nil { // unlike rename, link never replaces a file
		return err
	}
	dir, err := os.Open(p.config.Dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (p *newPlace) release() error {
	var err error
	if p.config.URL == "" {
		err = os.RemoveAll(p.making.Dir)
	}
	return errors.Join(err, p.unlock())
}
