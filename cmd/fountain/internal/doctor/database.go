package doctor

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/backup"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
)

const restoreAdvice = "stop the service, copy its files as they are, and restore a backup (docs/operations.md, Backup and restore)"

// database checks one database of a service. first says that it has the audit trail.
func (d *Doctor) database(ctx context.Context, p Place, part backup.Part, first bool) {
	if err := store.Settled(part.Database); err != nil {
		d.unopened(part, err)
		return
	}
	opening, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	db, err := store.Inspect(opening, part.Database)
	if err != nil {
		d.unopened(part, err)
		return
	}
	defer db.Close()
	missing, err := db.Standing(ctx, part.Database)
	if err != nil {
		d.unopened(part, err)
		return
	}
	if !d.whole(ctx, part, db) {
		return
	}
	if len(missing) > 0 {
		d.warn(Version, fmt.Sprintf("the database %s is of an older release: the next start applies %d migrations, and the older release does not open it any more", part.Name, len(missing)),
			"make a backup first, with the older release; after the upgrade that backup is the only way back (docs/operations.md, Upgrade and the way back)")
		return // the queries of the other checks are for this release's schema
	}
	if first {
		d.trail(ctx, p, db)
	}
	if part.Facts != nil && p.RootKey != "" {
		d.kms(ctx, p, part, db)
	}
}

// unopened reports why a database cannot be checked.
func (d *Doctor) unopened(part backup.Part, err error) {
	switch name := "the database " + part.Name; {
	case errors.Is(err, store.ErrUnfinished):
		d.wrong(Restore, "a restore of "+part.Name+" was begun and not ended", "empty the places of all services but for the root key, and restore again")
	case errors.Is(err, store.ErrMoved):
		d.wrong(Restore, name+" was moved to another place, or a move was killed", "set or remove DATABASE_URL_FILE as the move has printed; if it was killed, fountain move-store "+part.Name+" --reopen (docs/operations.md, Another database)")
	case errors.Is(err, store.ErrNewer):
		d.wrong(Version, name+" was changed by a newer release than this program ("+d.Version+")", "run the newer release; the way back to this one is a backup that was made before the upgrade")
	case errors.Is(err, store.ErrDamaged):
		d.wrong(Database, name+" is damaged, or its file is missing while its write-ahead log exists", restoreAdvice)
	case errors.Is(err, fs.ErrNotExist) && part.Name == "search-documents":
		d.wrong(Database, "the documents of the embedded search engine are missing", "if search uses a Typesense, run this command with FOUNTAIN_SEARCH_ENGINE_URL as the service has it; otherwise restore a backup")
	case errors.Is(err, fs.ErrNotExist) && part.Database.URL == "":
		d.wrong(Database, name+" is missing", "restore a backup; a service that was never started has no database, and creates it at its first start")
	case part.Database.URL != "":
		d.wrong(Database, name+" (PostgreSQL) can't be used: "+reason(err), "check that the server runs and accepts the user, password and database of the file in DATABASE_URL_FILE")
	default:
		d.wrong(Database, name+" can't be opened: "+reason(err), "run this command as the user of the service; if that fails too, "+restoreAdvice)
	}
}

// whole runs the database's own integrity check and reports whether further queries are possible.
func (d *Doctor) whole(ctx context.Context, part backup.Part, db *store.DB) bool {
	if d.Quick {
		d.ok(Database, "the database "+part.Name+" opens; it was not looked at whole")
		return true
	}
	err := db.Check(ctx)
	switch {
	case errors.Is(err, store.ErrDamaged):
		d.wrong(Database, "the database "+part.Name+" is damaged: SQLite finds a fault in its pages", restoreAdvice)
	case err != nil:
		d.wrong(Database, "the database "+part.Name+" can't be checked: "+reason(err), "run this command again; if it fails again, look at the disk")
	case db.Dialect() == store.PostgreSQL:
		d.ok(Database, "the database "+part.Name+" (PostgreSQL) answers; its pages are checked by pg_amcheck")
	default:
		d.ok(Database, "the database "+part.Name+" is whole")
	}
	return err == nil
}

// trail checks the audit trail: its hashes, its checkpoint, its newest time, and whether it records a restore.
func (d *Doctor) trail(ctx context.Context, p Place, db *store.DB) {
	const do = "copy the database as it is, then docs/operations.md, The audit trail"
	q := db.Read(ctx)
	file := filepath.Join(p.Service.DataDir, p.Word+".checkpoint")
	known, err := audit.ReadCheckpoint(file) // before the trail is read, which may grow meanwhile
	var signed []audit.Checkpoint
	switch {
	case err == nil:
		signed = append(signed, known)
	case !errors.Is(err, fs.ErrNotExist):
		d.wrong(Audit, file+" is not a checkpoint of an audit trail", "if a backup was restored by hand, move the file away and start the service again")
	}
	d.newest(ctx, q)
	if !d.Quick {
		report, err := audit.VerifyStored(ctx, q, p.Word, ed25519.PublicKey(known.PublicKey), signed...)
		switch {
		case errors.Is(err, audit.ErrSignature):
			d.wrong(Audit, file+" is not signed by the key that it names, or is of another service", do)
		case errors.Is(err, audit.ErrArchived):
			d.warn(Audit, file+" is of events that were archived since, so that the trail was not compared with it", "start the service, which writes a newer one")
		case err != nil:
			d.wrong(Audit, "the audit trail can't be read: "+reason(err), do)
		case !report.Intact():
			d.wrong(Audit, fmt.Sprintf("the audit trail is not valid at event %d (%s): the database was changed outside the service, or an older state was restored", report.FirstBreak, report.Reason), do)
		default:
			events := "events"
			if report.Checked == 1 {
				events = "event"
			}
			d.ok(Audit, fmt.Sprintf("the audit trail of %d %s holds by its hashes", report.Checked, events))
		}
	}
	at, id, err := audit.Restored(ctx, q)
	if err != nil {
		d.wrong(Audit, "the audit trail can't be read: "+reason(err), do)
		return
	}
	if d.restored == nil {
		d.restored = map[string]string{}
	}
	if from, err := audit.StoredFrom(ctx, q); id != "" || err == nil && from.Seq == 0 { // else the event that records a restore may be archived
		d.restored[p.Word] = id
	}
	if !at.IsZero() {
		d.ok(Restore, fmt.Sprintf("it was restored at %s from %s", at.UTC().Format("2006-01-02 15:04:05Z"), id))
	}
}

// newest compares this machine's clock with the newest event.
func (d *Doctor) newest(ctx context.Context, q store.Querier) {
	at, err := audit.Newest(ctx, q)
	if err != nil || at.IsZero() {
		return // the check of the trail reports it
	}
	if ahead := at.Sub(d.Clock.Now()); ahead > maxClockSkew {
		d.wrong(Clock, fmt.Sprintf("the newest event of the audit trail is %d s ahead of this machine's clock: the clock is behind, or it was ahead", int(ahead.Seconds())),
			"set the clock by NTP; docs/operations.md, After the clock was wrong")
	}
}

// kms compares the root key and the issuer with those in the database.
func (d *Doctor) kms(ctx context.Context, p Place, part backup.Part, db *store.DB) {
	facts, err := part.Facts(ctx, db.Read(ctx))
	if err != nil {
		d.wrong(Database, "the id of the root key can't be read from the kms's database: "+reason(err), restoreAdvice)
		return
	}
	said := d.Facts(facts)
	root, err := seal.LoadRoot(p.RootKey)
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(said.Roots) > 0:
		d.wrong(Keys, "the root key "+p.RootKey+" is missing: nothing that the kms stores can be decrypted", "restore it from where it is kept; backups do not contain it")
	case errors.Is(err, fs.ErrNotExist):
		d.ok(Keys, "there is no root key yet, and nothing is encrypted with one")
	case errors.Is(err, seal.ErrRootFile):
		d.wrong(Keys, "the root key "+p.RootKey+" is refused: "+strings.TrimPrefix(err.Error(), seal.ErrRootFile.Error()+": "), "chmod 600 it and give it to the user of the kms, or bring back the right file")
	case err != nil:
		d.wrong(Keys, "the root key "+p.RootKey+" can't be read: "+reason(err), "run this command as the user of the kms")
	case len(said.Roots) > 0 && !slices.Contains(said.Roots, root.ID()):
		d.wrong(Keys, "the root key "+p.RootKey+" is not the one that seals the database", "restore the root key of this database")
	default:
		d.ok(Keys, "the root key opens what the kms keeps")
	}
	switch {
	case said.Issuer == "":
	case p.Issuer != "" && p.Issuer != said.Issuer:
		d.wrong(Issuer, "the issuer is set to "+p.Issuer+", and was fixed as "+said.Issuer+": the kms does not start", "set it back, or run fountain issuer move "+p.Issuer+" (docs/operations.md, Another name)")
	default:
		d.ok(Issuer, "the issuer is "+said.Issuer)
	}
}

// reason returns an error's text without an address that contains a password, and without repeating a path.
func reason(err error) string {
	var path *fs.PathError
	var server *pgconn.PgError
	var network *net.OpError
	var syscall *os.SyscallError
	switch {
	case errors.As(err, &path):
		return path.Err.Error()
	case errors.As(err, &server):
		return server.Message
	case errors.As(err, &network):
		return network.Error()
	case errors.As(err, &syscall):
		return syscall.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "it does not answer in time"
	}
	return "it is not what was expected"
}
