// Package backup copies the databases of all services into one encrypted archive while they work, and makes empty places whole again from it.
//
// Each service's copy is one snapshot of its database, as rows: an archive of SQLite can be restored to PostgreSQL and the other way round. The archive
// is an age file (age-encryption.org/v1) around a gzip stream of a tar archive:
//
//	manifest.json                     what is in it, and as of when
//	<part>/rows/<table>/<number>      rows, see rows.go
//	<part>/files/<name>               files beside the database
//	sums.json                         the checksum of each table and file; last, so that nothing is cut off unseen
//
// A root key is never in it.
package backup

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/fountainai/fountain/internal/store"
)

// Errors of this package; match them with errors.Is. Their texts are for people.
var (
	// ErrWrongKey says that no identity opens the archive.
	ErrWrongKey = errors.New("the archive was not encrypted to this key")
	// ErrDamaged says that the archive is not what was written: cut off, changed, or none at all.
	ErrDamaged = errors.New("the archive is damaged or cut off")
	// ErrNewer says that a newer release made the archive.
	ErrNewer = errors.New("the archive was made by a newer release: restore it with that one")
	// ErrNotEmpty says that the place of a restore holds something.
	ErrNotEmpty = errors.New("the place of the restore is not empty")
	// ErrOtherParts says that the archive has not what the place is for.
	ErrOtherParts = errors.New("the archive does not hold the databases of this place")
)

// format is the number of the archive's form.
const format = 1

// Part is one database of a service with what lies beside it.
type Part struct {
	Name     string // the service's word, or <word>-<what>
	Database store.Config
	Files    []string // names in the database's directory that are copied where they are there; each is replaced whole whenever it changes

	// Facts tells what the manifest says of the database beside its rows; nil: nothing. Nothing of it is secret.
	Facts func(ctx context.Context, q store.Querier) (map[string]string, error)
	// Create returns the statement that makes a table which no migration makes; nil: there are none. "": there is no such table.
	Create func(table string) (statement string)
	// Mark ends in a restored copy what must not come back to life; nil: nothing does.
	Mark func(ctx context.Context, tx *store.Tx, r *Restored) error
}

// Manifest says what is in an archive.
type Manifest struct {
	Format    int               `json:"format"`
	ID        string            `json:"id"`      // random
	Version   string            `json:"version"` // of the program that made it
	MadeAt    time.Time         `json:"madeAt"`
	Contracts map[string]string `json:"contracts"` // digest by service, of the program that made it
	Parts     []Copy            `json:"parts"`     // in their order, the kms first
}

// Copy is what the manifest says of a part.
type Copy struct {
	Name       string              `json:"name"`
	Database   store.Dialect       `json:"database"`
	Instant    time.Time           `json:"instant"` // what was acknowledged before is in the copy
	Migrations []int64             `json:"migrations"`
	Tables     []store.CopiedTable `json:"tables"`
	Files      []string            `json:"files,omitempty"`
	Facts      map[string]string   `json:"facts,omitempty"`
}

// Sum is what the archive's end says of a table or a file.
type Sum struct {
	Part   string `json:"part"`
	Name   string `json:"name"` // rows/<table> or files/<name>
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Restored is what is known of a restore while the parts are marked, in their order.
type Restored struct {
	At      time.Time // from now on
	Archive Manifest
	Copy    Copy // of the part that is marked

	// Users are all that the kms knows; nil before it was marked.
	Users map[string]bool
	// Administrator is who stays enabled when others don't; "" with KeepUsers.
	Administrator string
	// KeepUsers leaves users as they were in the backup.
	KeepUsers bool

	// Notes is what the operator is told.
	Notes []Note
}

// Note is one thing that the restore has ended.
type Note struct {
	Part string   `json:"part"`
	What string   `json:"what"`           // a sentence
	List []string `json:"list,omitempty"` // of whom or what
}

// Note tells the operator something.
func (r *Restored) Note(what string, list ...string) {
	r.Notes = append(r.Notes, Note{Part: r.Copy.Name, What: what, List: list})
}

// Detail is what the audit trail of each service says of the restore.
func (r *Restored) Detail() map[string]string {
	return map[string]string{
		"backup": r.Archive.ID, "instant": r.Copy.Instant.UTC().Format(time.RFC3339Nano), "madeBy": r.Archive.Version,
	}
}

func newID() string {
	raw := make([]byte, 16)
	rand.Read(raw) // never fails: crypto/rand ends the program instead
	return "bak_" + hex.EncodeToString(raw)
}

func damaged(what string, err error) error {
	if err == nil {
		return fmt.Errorf("%w: %s", ErrDamaged, what)
	}
	return fmt.Errorf("%w: %s: %w", ErrDamaged, what, err)
}
