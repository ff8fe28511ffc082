package kms

import (
	"context"
	"errors"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/internal/store"
)

// Moved is the result of MoveIssuer.
type Moved struct {
	From     string // the previous issuer; equal to the new one if nothing was changed
	AuditSeq int64  // number of the event in the kms's audit log
}

// MoveIssuer changes the issuer that was fixed at the first start, for an operator on the machine. From the next start on, access tokens of the old issuer are
// refused. Sessions, refresh tokens and API keys stay valid, and get tokens of the new issuer. It needs the root key. On SQLite no kms may be running
// (ErrRunning); on PostgreSQL every kms must be restarted afterwards.
func MoveIssuer(ctx context.Context, c Config, to string) (Moved, error) {
	if !httpURL(to) {
		return Moved{}, errors.New("the issuer must be an absolute http or https URL without user, query, fragment and final slash")
	}
	c.Issuer = "" // the configured issuer does not matter: it is about to change
	db, err := openStopped(ctx, &c)
	if err != nil {
		return Moved{}, err
	}
	moved, err := moveIssuerOn(ctx, c, db, to)
	return moved, errors.Join(err, db.Close())
}

func moveIssuerOn(ctx context.Context, c Config, db *store.DB, to string) (moved Moved, err error) {
	d, err := assemble(ctx, c, db, nil) // refuses a root key that does not fit the database, and a kms that was never started
	if err != nil {
		return Moved{}, err
	}
	err = db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if moved.From, err = (kmsdb.Settings{}).Change(ctx, tx, issuerSetting, to); err != nil || moved.From == to {
			return err
		}
		return auditlog.Log{Clock: d.Mint.Clock}.Append(ctx, tx, auditlog.Event{
			Action: "moveIssuer", Target: to, Detail: map[string]string{"from": moved.From},
		})
	})
	moved.AuditSeq = d.Audit.End()
	return moved, err
}
