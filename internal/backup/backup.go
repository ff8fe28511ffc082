// Package backup copies the databases of all services into one encrypted archive while they run, and restores empty places from it.
//
// Each service's copy is one snapshot of its database, as rows: an archive of SQLite can be restored to PostgreSQL and the other way round. The
// archive is an age file (age-encryption.org/v1) around a gzip stream of a tar archive:
//
//	manifest.json                     what is in it, and as of when
//	<part>/rows/<table>/<number>      rows, see rows.go
//	<part>/files/<name>               files beside the database
//	sums.json                         the checksum of each table and file; last, so that a truncation is detected
//
// It never contains a root key.
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

// Errors of this package; match them with errors.Is. Their texts are shown to operators.
var (
	// ErrWrongKey means that no identity decrypts the archive.
	ErrWrongKey = errors.New("the archive was not encrypted to this key")
	// ErrDamaged means that the archive is truncated, changed, or not an archive.
	ErrDamaged = errors.New("the archive is damaged or cut off")
	// ErrNewer means that the archive was made by a newer release.
	ErrNewer = errors.New("the archive was made by a newer release: restore it with that one")
	// ErrOlder means that a database lacks migrations of this program. Its own release must back it up, which alone can restore what is to be the way
	// back from an upgrade.
	ErrOlder = errors.New("the database is of an older release, which must back it up itself; of 0.1, which can't, copy the data while it is stopped (docs/operations.md, Upgrade and the way back)")
	// ErrNotEmpty means that the target of a restore is not empty.
	ErrNotEmpty = errors.New("the place of the restore is not empty")
	// ErrOtherParts means that the archive does not contain the databases that belong here.
	ErrOtherParts = errors.New("the archive does not hold the databases of this place")
)

// format is the version of the archive format.
const format = 1

// Part is one database of a service with its files.
type Part struct {
	Name     string // the service's word, or <word>-<what>
	Database store.Config
	Files    []string // names of optional files in the database's directory; each is replaced as a whole when it changes

	// Facts returns what the manifest says about the database besides its rows; nil: nothing. It must contain no secret.
	Facts func(ctx context.Context, q store.Querier) (map[string]string, error)
	// Create returns the statement that creates a table which no migration creates, or "" when it knows no such table. nil: there are none.
	Create func(table string) (statement string)
	// Mark revokes in a restored copy what must not become valid again; nil: nothing.
	Mark func(ctx context.Context, tx *store.Tx, r *Restored) error
}

// Manifest describes the content of an archive.
type Manifest struct {
	Format    int               `json:"format"`
	ID        string            `json:"id"`      // random
	Version   string            `json:"version"` // of the program that made it
	MadeAt    time.Time         `json:"madeAt"`
	Contracts map[string]string `json:"contracts"` // digest by service, of the program that made it
	Parts     []Copy            `json:"parts"`     // in their order, the kms first
}

// Copy is the manifest's entry for a part.
type Copy struct {
	Name       string              `json:"name"`
	Database   store.Dialect       `json:"database"`
	Instant    time.Time           `json:"instant"` // every change acknowledged before is in the copy
	Migrations []int64             `json:"migrations"`
	Tables     []store.CopiedTable `json:"tables"`
	Files      []string            `json:"files,omitempty"`
	Facts      map[string]string   `json:"facts,omitempty"`
}

// Sum is the checksum of a table or a file at the end of the archive.
type Sum struct {
	Part   string `json:"part"`
	Name   string `json:"name"` // rows/<table> or files/<name>
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Restored is the state of a restore while the parts are marked in order.
type Restored struct {
	At      time.Time // the time of the restore
	Archive Manifest
	Copy    Copy // of the part that is being marked

	// Users are all users of the kms; nil before the kms was marked.
	Users map[string]bool
	// Administrator is the user who stays enabled when all others are disabled; "" with KeepUsers.
	Administrator string
	// KeepUsers leaves users as they are in the backup.
	KeepUsers bool

	// Notes are reported to the operator.
	Notes []Note
}

// Note reports something that the restore has revoked.
type Note struct {
	Part string   `json:"part"`
	What string   `json:"what"`           // a sentence
	List []string `json:"list,omitempty"` // the affected names
}

// Note adds a note for the operator.
func (r *Restored) Note(what string, list ...string) {
	r.Notes = append(r.Notes, Note{Part: r.Copy.Name, What: what, List: list})
}

// Detail returns what each service's audit trail records about the restore.
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
