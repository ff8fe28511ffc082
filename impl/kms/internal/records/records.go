// Package records shows administrators what operators' commands have left in the data directory: records of backups, and the doctor's report. They reveal
// where archives are and what is weak, so the caller's rights are checked against the database and each reading is recorded.
package records

import (
	"context"
	"log/slog"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
	"github.com/fountainai/fountain/internal/upkeep"
)

// Records reads the data directory of the kms.
type Records struct {
	DB       *store.DB
	Standing *authority.Standing
	Audit    auditlog.Log
	Dir      string // the data directory
	Log      *slog.Logger
}

const listName = "backups"

// Backups returns a page of the backups, newest first, and the cursor of the next page, or "". A backup with an unreadable record is listed with its Fault,
// and logged.
func (r *Records) Backups(ctx context.Context, caller *auth.Principal, cursor string, limit int) (found []upkeep.Backup, next string, err error) {
	defer tried.To(&err, "list backups")
	after := ""
	if cursor != "" {
		if err := page.Decode(listName, cursor, &after); err != nil {
			return nil, "", err
		}
	}
	if err := r.record(ctx, caller, "listBackups"); err != nil {
		return nil, "", err
	}
	if found, err = upkeep.Backups(r.Dir, after, limit+1); err != nil {
		return nil, "", err
	}
	if len(found) > limit {
		found = found[:limit]
		next = page.Encode(listName, found[limit-1].Key())
	}
	for _, b := range found {
		if b.Fault != nil {
			r.Log.WarnContext(ctx, "the record of a backup can't be read", "error", b.Fault)
		}
	}
	return found, next, nil
}

// Diagnosis returns the doctor's last report; domain.NotFound when none is stored.
func (r *Records) Diagnosis(ctx context.Context, caller *auth.Principal) (d upkeep.Diagnosis, err error) {
	defer tried.To(&err, "read what the doctor found")
	if err := r.record(ctx, caller, "getDiagnosis"); err != nil {
		return upkeep.Diagnosis{}, err
	}
	d, known, err := upkeep.LastDiagnosis(r.Dir)
	if err == nil && !known {
		err = domain.Refuse(domain.NotFound, "No report of the doctor is stored; run fountain doctor --keep to store one.")
	}
	return d, err
}

// record checks that the caller is an administrator and records the reading, before anything is returned.
func (r *Records) record(ctx context.Context, caller *auth.Principal, action string) error {
	return r.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := r.Standing.HoldAdministrator(ctx, tx, caller); err != nil {
			return err
		}
		return r.Audit.Append(ctx, tx, auditlog.Event{Action: action})
	})
}
