package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/upkeep"
)

// Examine checks one service: its files, databases and certificates, and its responses if the place has a URL.
func (d *Doctor) Examine(ctx context.Context, p Place) {
	d.word = p.Word
	defer func() { d.word = "" }()
	if p.Service.DataDir != "" && d.directory(p) {
		d.disk(p.Service.DataDir)
		d.modes(p.Service.DataDir)
		d.credential(filepath.Join(p.Service.DataDir, "credential.json"))
		for i, part := range p.Parts {
			d.database(ctx, p, part, i == 0)
		}
		if p.RootKey != "" {
			d.lastBackup(p.Service.DataDir)
		}
	}
	d.certificate(p.Service.TLS)
	if p.URL != "" {
		d.running(ctx, p)
	}
}

// Together checks what the services must agree on.
func (d *Doctor) Together() {
	from := map[string][]string{}
	for word, id := range d.restored {
		from[id] = append(from[id], word)
	}
	if len(from) < 2 {
		return
	}
	var told []string
	for _, id := range slices.Sorted(maps.Keys(from)) {
		slices.Sort(from[id])
		what := "never restored"
		if id != "" {
			what = "restored from " + id
		}
		told = append(told, strings.Join(from[id], ", ")+": "+what)
	}
	d.warn(Restore, "the services are not of one backup: "+strings.Join(told, "; "), "restore all of them from one archive, unless a single one was restored on purpose: one service may still accept what another has ended")
}

// directory reports whether there is a data directory that can be checked.
func (d *Doctor) directory(p Place) bool {
	dir := p.Service.DataDir
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		d.wrong(Modes, fmt.Sprintf("the data directory %s can't be looked at: %s", dir, reason(err)), "name the right one, and run this command as the user of the service; a service that was never started has none")
		return false
	case !info.IsDir():
		d.wrong(Modes, dir+" is not a directory", "name the data directory of the service")
		return false
	}
	if err := config.CheckDataDir(dir); err != nil {
		d.wrong(Modes, fmt.Sprintf("others can write to the data directory %s (mode %04o), and put files of their own in the place of the service's", dir, info.Mode().Perm()), "chmod 700 "+dir)
	}
	return true
}

// secret reports whether a file has this name because it contains a secret.
func secret(name string) bool {
	return name == "credential.json" || name == "root.key" || name == "bootstrap.token" || name == "enrolment.token" || name == "token"
}

// modes checks whether others can read the service's private files, and whether a file has another owner than the
// directory, as after a command run as root.
func (d *Doctor) modes(dir string) {
	root, err := os.Stat(dir)
	if err != nil {
		return // it existed a moment ago
	}
	closed := root.Mode().Perm()&0o077 == 0
	var faults int
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it was removed meanwhile
		}
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() == store.Staging {
			return fs.SkipDir
		}
		info, err := entry.Info()
		if err != nil {
			return nil
		}
		if owner(info) != owner(root) && owner(info) >= 0 {
			d.wrong(Modes, path+" belongs to another user than the data directory", fmt.Sprintf("chown -R --reference=%s %s; run commands on it as the user of the service", dir, dir))
			faults++
			return fs.SkipAll
		}
		mode := info.Mode().Perm()
		if entry.Type().IsRegular() && mode&0o077 != 0 && (!closed || secret(entry.Name())) && (secret(entry.Name()) || strings.HasSuffix(entry.Name(), ".db")) {
			d.wrong(Modes, fmt.Sprintf("others can read %s (mode %04o)", path, mode), "chmod 600 "+path)
			faults++
		}
		return nil
	})
	if err != nil {
		d.wrong(Modes, fmt.Sprintf("the files of %s can't be looked at: %s", dir, reason(err)), "run this command as the user of the service")
		return
	}
	if faults == 0 {
		d.ok(Modes, "the files of "+dir+" are the service's alone")
	}
}

// credential checks how long the service's own API key is valid. The key itself is not read from the file.
func (d *Doctor) credential(path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		return // a service without a credential enrols, and its readiness reports that
	}
	var life struct{ ExpiresAt, GrantedUntil time.Time }
	if json.Unmarshal(text, &life) != nil {
		d.wrong(Keys, path+" is not the credential of a service", "remove it: the service enrols again, by a token that the kms writes or fountain recover enrolment-token creates")
		return
	}
	now := d.Clock.Now()
	switch {
	case now.After(life.ExpiresAt), !life.GrantedUntil.IsZero() && now.After(life.GrantedUntil):
		d.wrong(Keys, "the service's own key in "+path+" has expired", "start the service: it enrols again, by a token that the kms writes or fountain recover enrolment-token creates")
	default:
		d.ok(Keys, "the service's own key is good until "+life.ExpiresAt.UTC().Format("2006-01-02 15:04Z")+", and is rotated by the service")
	}
}

// owner returns the user id of a file's owner, or -1 if there is none.
func owner(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

// disk checks the free space.
func (d *Doctor) disk(dir string) {
	free, err := d.Free(dir)
	switch {
	case err != nil:
		d.warn(Disk, "the free space at "+dir+" could not be read", "look with df")
	case free < store.SpareDisk:
		d.wrong(Disk, fmt.Sprintf("the disk of %s is full: %d bytes are free; the service writes nothing", dir, free), "free some room; the service goes on by itself")
	case free < spareDisk:
		d.warn(Disk, fmt.Sprintf("the disk of %s is nearly full: %d MiB free", dir, free>>20), "free some room, or move the data to a larger disk")
	default:
		d.ok(Disk, fmt.Sprintf("%d MiB free at %s", free>>20, dir))
	}
}

// lastBackup checks when fountain backup last ran beside the kms.
func (d *Doctor) lastBackup(dir string) {
	now := d.Clock.Now()
	last, err := upkeep.LastBackup(dir, now)
	const do = "run fountain backup from a timer, and fountain backup drill too (docs/operations.md, Backup and restore)"
	switch {
	case err != nil:
		d.warn(Backup, "the time of the last backup could not be read: "+reason(err), do)
	case last.MadeAt.IsZero():
		d.warn(Backup, "no backup was ever made with fountain backup", do)
	case now.Sub(last.MadeAt) > backupEvery:
		d.warn(Backup, fmt.Sprintf("the last backup, %s, is %d hours old", last.ID, int(now.Sub(last.MadeAt).Hours())), do)
	default:
		d.ok(Backup, fmt.Sprintf("the last backup, %s, was made at %s", last.ID, last.MadeAt.UTC().Format("2006-01-02 15:04:05Z")))
	}
	d.lastCheck(dir)
}

// lastCheck checks whether the backups pass the checks made beside the kms. It reports nothing if there were none,
// because they may be made on another machine.
func (d *Doctor) lastCheck(dir string) {
	passed, failed, err := upkeep.Checks(dir, d.Clock.Now())
	switch {
	case err != nil: // lastBackup has reported it
	case failed:
		d.wrong(Backup, "the last check of a backup, by fountain backup verify or drill, failed, and no check has passed since",
			"run fountain backup drill on it, which reports why; make another backup, and run a drill on it")
	case !passed.IsZero() && d.Clock.Now().Sub(passed) > checkEvery:
		d.warn(Backup, fmt.Sprintf("backups were checked here, and none for %d days", int(d.Clock.Now().Sub(passed).Hours()/24)), "look at what runs fountain backup drill")
	case !passed.IsZero():
		d.ok(Backup, "a backup last passed a check at "+passed.UTC().Format("2006-01-02 15:04:05Z"))
	}
}
