package kmsdb

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/secret"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

type placementRow struct {
	Name       string `db:"name"`
	Version    int64  `db:"version"`
	Driver     string `db:"driver"`
	URL        string `db:"url"`
	Credential string `db:"credential"`
	PlacedAt   int64  `db:"placed_at"`
	EndAt      *int64 `db:"end_at"`
	HeldUntil  int64  `db:"held_until"`
	Attempts   int64  `db:"attempts"`
	LastError  string `db:"last_error"`
}

const placementColumns = "name, version, driver, url, credential, placed_at, end_at, held_until, attempts, last_error"

func (r placementRow) placement() secret.Placement {
	return secret.Placement{
		Name: r.Name, Version: r.Version, Driver: r.Driver, URL: r.URL, Credential: r.Credential, PlacedAt: at(r.PlacedAt), EndAt: fromColumn(r.EndAt),
		HeldUntil: at(r.HeldUntil), Attempts: r.Attempts, LastError: secret.Failure(r.LastError),
	}
}

func placements(rows []placementRow) []secret.Placement {
	out := make([]secret.Placement, len(rows))
	for i, r := range rows {
		out[i] = r.placement()
	}
	return out
}

// Place implements secret.PlacementRows.
func (Secrets) Place(ctx context.Context, tx *store.Tx, p secret.Placement) (err error) {
	defer tried.To(&err, "write placement")
	_, err = tx.Exec(ctx, `INSERT INTO secret_placements (name, version, driver, url, credential, placed_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (name, version) DO UPDATE SET driver = excluded.driver, url = excluded.url, credential = excluded.credential, placed_at = excluded.placed_at,
		end_at = NULL, attempts = 0, last_error = ''`, p.Name, p.Version, p.Driver, p.URL, p.Credential, p.PlacedAt.UnixMicro())
	return err
}

// PlaceOnce implements secret.PlacementRows.
func (Secrets) PlaceOnce(ctx context.Context, tx *store.Tx, p secret.Placement) (err error) {
	defer tried.To(&err, "write placement that is missing")
	_, err = tx.Exec(ctx, `INSERT INTO secret_placements (name, version, driver, url, credential, placed_at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name, version) DO NOTHING`,
		p.Name, p.Version, p.Driver, p.URL, p.Credential, p.PlacedAt.UnixMicro())
	return err
}

// EndOthers implements secret.PlacementRows.
func (Secrets) EndOthers(ctx context.Context, tx *store.Tx, name string, current int64, at time.Time) (err error) {
	defer tried.To(&err, "end placements")
	_, err = tx.Exec(ctx, "UPDATE secret_placements SET end_at = ? WHERE name = ? AND version <> ? AND end_at IS NULL", at.UnixMicro(), name, current)
	return err
}

// EndVersion implements secret.PlacementRows.
func (Secrets) EndVersion(ctx context.Context, tx *store.Tx, name string, version int64, at time.Time) (err error) {
	defer tried.To(&err, "end placement")
	_, err = tx.Exec(ctx, "UPDATE secret_placements SET end_at = ? WHERE name = ? AND version = ?", at.UnixMicro(), name, version)
	return err
}

// Placement implements secret.PlacementRows.
func (Secrets) Placement(ctx context.Context, q store.Querier, name string, version int64) (_ secret.Placement, _ bool, err error) {
	defer tried.To(&err, "read placement")
	var r placementRow
	found, err := one(ctx, q, &r, "SELECT "+placementColumns+" FROM secret_placements WHERE name = ? AND version = ?", name, version)
	return r.placement(), found, err
}

// Ending implements secret.PlacementRows.
func (Secrets) Ending(ctx context.Context, q store.Querier, name string, limit int) (_ []secret.Placement, err error) {
	defer tried.To(&err, "read ending placements")
	var rows []placementRow
	err = q.Select(ctx, &rows, "SELECT "+placementColumns+" FROM secret_placements WHERE name = ? AND end_at IS NOT NULL ORDER BY end_at, version LIMIT ?", name, limit)
	return placements(rows), err
}

// DueEndings implements secret.PlacementRows.
func (Secrets) DueEndings(ctx context.Context, q store.Querier, at time.Time, limit int) (_ []secret.Placement, err error) {
	defer tried.To(&err, "read due ends of placements")
	var rows []placementRow
	err = q.Select(ctx, &rows, "SELECT "+placementColumns+" FROM secret_placements WHERE end_at <= ? AND held_until <= ? ORDER BY end_at, name LIMIT ?",
		at.UnixMicro(), at.UnixMicro(), limit)
	return placements(rows), err
}

// ClaimEnding implements secret.PlacementRows. Of concurrent calls only one gets the placement.
func (Secrets) ClaimEnding(ctx context.Context, tx *store.Tx, p secret.Placement, at, until time.Time) (_ secret.Placement, _ bool, err error) {
	defer tried.To(&err, "lease end of placement")
	var r placementRow
	found, err := one(ctx, tx, &r, "UPDATE secret_placements SET held_until = ? WHERE name = ? AND version = ? AND end_at <= ? AND held_until <= ? RETURNING "+placementColumns,
		until.UnixMicro(), p.Name, p.Version, at.UnixMicro(), at.UnixMicro())
	return r.placement(), found, err
}

// Held implements secret.PlacementRows.
func (Secrets) Held(ctx context.Context, q store.Querier, name string, at time.Time) (_ bool, err error) {
	defer tried.To(&err, "read leases of placements")
	var n int64
	err = q.Get(ctx, &n, "SELECT COUNT(*) FROM secret_placements WHERE name = ? AND held_until > ?", name, at.UnixMicro())
	return n > 0, err
}

// PutOffEnding implements secret.PlacementRows.
func (Secrets) PutOffEnding(ctx context.Context, tx *store.Tx, p secret.Placement, at time.Time) (err error) {
	defer tried.To(&err, "put off end of placement")
	_, err = tx.Exec(ctx, "UPDATE secret_placements SET end_at = ?, held_until = 0, attempts = ?, last_error = ? WHERE name = ? AND version = ? AND held_until = ? AND end_at IS NOT NULL",
		at.UnixMicro(), p.Attempts, string(p.LastError), p.Name, p.Version, p.HeldUntil.UnixMicro())
	return err
}

// KeepPlacement implements secret.PlacementRows.
func (Secrets) KeepPlacement(ctx context.Context, tx *store.Tx, name string, version int64) (err error) {
	defer tried.To(&err, "keep placement")
	_, err = tx.Exec(ctx, "UPDATE secret_placements SET end_at = NULL, attempts = 0, last_error = '' WHERE name = ? AND version = ?", name, version)
	return err
}

// DeletePlacement implements secret.PlacementRows.
func (Secrets) DeletePlacement(ctx context.Context, tx *store.Tx, p secret.Placement) (_ bool, err error) {
	defer tried.To(&err, "delete placement")
	return changed(ctx, tx, "DELETE FROM secret_placements WHERE name = ? AND version = ? AND held_until = ? AND end_at IS NOT NULL", p.Name, p.Version, p.HeldUntil.UnixMicro())
}
