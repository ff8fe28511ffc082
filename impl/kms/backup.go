package kms

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/fountainai/fountain/impl/kms/internal/handlers"
	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/backup"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
)

// The keys of the kms's facts in a backup's manifest.
const (
	FactRoot   = "rootKey"     // IDs of the root keys that seal the keysets, separated by spaces
	FactIssuer = "issuer"      // issuer of the tokens
	FactUsers  = "activeUsers" // number of users who can sign in
)

// BackupPart returns the kms's part of backup and restore. It uses only the database settings of the configuration.
func BackupPart(c Config) (backup.Part, error) {
	database, err := schema.Database(handlers.Word, c.Service)
	return backup.Part{Name: handlers.Word, Database: database, Facts: facts, Mark: markRestored}, err
}

func facts(ctx context.Context, q store.Querier) (map[string]string, error) {
	roots, err := kmsdb.Keysets{}.Roots(ctx, q)
	if err != nil {
		return nil, err
	}
	issuer, err := kmsdb.Settings{}.Setting(ctx, q, issuerSetting)
	if err != nil {
		return nil, err
	}
	active, err := kmsdb.Restored{}.ActiveUsers(ctx, q)
	return map[string]string{FactRoot: strings.Join(roots, " "), FactIssuer: issuer, FactUsers: strconv.FormatInt(active, 10)}, err
}

// ErrChooseUsers says that the operator must decide what happens to the users.
var ErrChooseUsers = errors.New("the backup does not say which users were disabled after it: name an administrator who stays enabled while all others are disabled" +
	" (--administrator), or confirm that no user was disabled since (--keep-users)")

// CheckBackup refuses an archive that can't be restored to this configuration: the local root key is a different one, or the operator has not decided what
// happens to the users. rootMissing says that the root key file does not exist yet and must be put back.
func CheckBackup(c Config, m backup.Manifest, administrator string, keepUsers bool) (rootMissing bool, err error) {
	i := slices.IndexFunc(m.Parts, func(p backup.Copy) bool { return p.Name == handlers.Word })
	if i < 0 {
		return false, backup.ErrOtherParts
	}
	said := m.Parts[i].Facts
	if said[FactUsers] != "0" && administrator == "" && !keepUsers {
		return false, ErrChooseUsers
	}
	if said[FactRoot] == "" {
		return false, nil
	}
	root, err := seal.LoadRoot(c.RootKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("load root key %s: %w", c.RootKeyFile, err)
	}
	previous := c.PreviousRootKeyFile
	if previous == "" {
		previous = seal.PreviousFile(c.RootKeyFile)
	}
	held := []string{root.ID()}
	before, err := seal.LoadRoot(previous)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("load previous root key %s: %w", previous, err)
	}
	if before != nil {
		held = append(held, before.ID())
	}
	for _, id := range strings.Fields(said[FactRoot]) {
		if !slices.Contains(held, id) {
			return false, fmt.Errorf("root key %s: this is not the root key that the backup was sealed with; if it was rotated since, put the one before into %s", c.RootKeyFile, previous)
		}
	}
	return false, nil
}

// markRestored ends everything that must not become valid again by a restore (DESIGN: a restore resurrects nothing).
func markRestored(ctx context.Context, tx *store.Tx, r *backup.Restored) error {
	rows := kmsdb.Restored{}
	keys, err := rows.Keys(ctx, tx, r.At)
	if err != nil {
		return err
	}
	if err := rows.End(ctx, tx, r.At); err != nil {
		return err
	}
	r.Note("all sessions and tokens have ended, the signing keys are new at the next start, and the services of the family enrol again")
	if len(keys) > 0 {
		r.Note("these API keys work no more, because they may have been revoked after the backup; make new ones", keys...)
	}
	detail := r.Detail()
	detail["users"] = "kept"
	active, err := rows.ActiveUsers(ctx, tx)
	if err != nil {
		return err
	}
	if !r.KeepUsers && active > 0 {
		disabled, err := rows.DisableUsers(ctx, tx, r.Administrator, r.At)
		if err != nil {
			return err
		}
		slices.Sort(disabled)
		detail["users"], detail["administrator"] = "disabled", r.Administrator
		if len(disabled) > 0 {
			r.Note("these users are disabled, because they may have been disabled after the backup; enable who may come back (fountain users enable NAME)", disabled...)
		}
	}
	ids, err := rows.Users(ctx, tx)
	if err != nil {
		return err
	}
	r.Users = make(map[string]bool, len(ids))
	for _, id := range ids {
		r.Users[id] = true
	}
	return audit.AppendLater(ctx, tx, audit.Event{
		At: r.At, Action: audit.RestoreBackup, ActorKind: audit.System, Outcome: audit.OK, Detail: detail,
	})
}
