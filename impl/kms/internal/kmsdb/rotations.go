package kmsdb

import (
	"context"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/secret"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

type rotationRow struct {
	Name            string `db:"name"`
	Revision        int64  `db:"revision"`
	Driver          string `db:"driver"`
	Length          int64  `db:"length"`
	IntervalSeconds int64  `db:"interval_seconds"`
	NextAt          *int64 `db:"next_at"`
	Step            string `db:"step"`
	Version         *int64 `db:"version"`
	Attempts        int64  `db:"attempts"`
	StartedAt       *int64 `db:"started_at"`
	LastOutcome     string `db:"last_outcome"`
	LastVersion     *int64 `db:"last_version"`
	LastEndedAt     *int64 `db:"last_ended_at"`
	URL             string `db:"url"`
	Credential      string `db:"credential"`
	OverlapSeconds  int64  `db:"overlap_seconds"`
	Collections     string `db:"collections"`
	Actions         string `db:"actions"`
	LastError       string `db:"last_error"`
}

const rotationColumns = "name, revision, driver, length, interval_seconds, next_at, step, version, attempts, started_at, last_outcome, last_version, last_ended_at, url, credential, overlap_seconds, collections, actions, last_error"

func (r rotationRow) rotation() secret.Rotation {
	return secret.Rotation{
		Name: r.Name, Revision: r.Revision, Driver: r.Driver, Length: r.Length, Interval: time.Duration(r.IntervalSeconds) * time.Second, NextAt: fromColumn(r.NextAt),
		Step: secret.Step(r.Step), Version: value(r.Version), Attempts: r.Attempts, StartedAt: fromColumn(r.StartedAt),
		LastOutcome: r.LastOutcome, LastVersion: value(r.LastVersion), LastEndedAt: fromColumn(r.LastEndedAt),
		URL: r.URL, Credential: r.Credential, Overlap: time.Duration(r.OverlapSeconds) * time.Second, Collections: listed(r.Collections), Actions: listed(r.Actions),
		LastError: secret.Failure(r.LastError),
	}
}

// listed splits a stored list at its commas; nil for an empty one.
func listed(column string) []string {
	if column == "" {
		return nil
	}
	return strings.Split(column, ",")
}

func rotations(rows []rotationRow) []secret.Rotation {
	out := make([]secret.Rotation, len(rows))
	for i, r := range rows {
		out[i] = r.rotation()
	}
	return out
}

// PutRotation implements secret.RotationRows.
func (Secrets) PutRotation(ctx context.Context, tx *store.Tx, r secret.Rotation) (err error) {
	defer tried.To(&err, "write rotation")
	_, err = tx.Exec(ctx, `INSERT INTO secret_rotations (name, revision, driver, length, interval_seconds, next_at, url, credential, overlap_seconds, collections, actions)
		VALUES (?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET revision = secret_rotations.revision + 1, driver = excluded.driver, length = excluded.length, interval_seconds = excluded.interval_seconds, next_at = excluded.next_at,
		url = excluded.url, credential = excluded.credential, overlap_seconds = excluded.overlap_seconds, collections = excluded.collections, actions = excluded.actions`,
		r.Name, r.Driver, r.Length, int64(r.Interval/time.Second), column(r.NextAt), r.URL, r.Credential, int64(r.Overlap/time.Second),
		strings.Join(r.Collections, ","), strings.Join(r.Actions, ","))
	return err
}

// Rotation implements secret.RotationRows; false when the secret has no rotation.
func (Secrets) Rotation(ctx context.Context, q store.Querier, name string) (_ secret.Rotation, _ bool, err error) {
	defer tried.To(&err, "read rotation")
	var r rotationRow
	found, err := one(ctx, q, &r, "SELECT "+rotationColumns+" FROM secret_rotations WHERE name = ?", name)
	return r.rotation(), found, err
}

// DeleteRotation implements secret.RotationRows; false when there was none.
func (Secrets) DeleteRotation(ctx context.Context, tx *store.Tx, name string) (_ bool, err error) {
	defer tried.To(&err, "delete rotation")
	return changed(ctx, tx, "DELETE FROM secret_rotations WHERE name = ?", name)
}

// BeginRotation implements secret.RotationRows. The next scheduled time is computed from at. Of concurrent replicas that find the rotation due only one
// begins it.
func (Secrets) BeginRotation(ctx context.Context, tx *store.Tx, name string, at time.Time, scheduled bool) (_ secret.Rotation, _ bool, err error) {
	defer tried.To(&err, "begin rotation")
	var r rotationRow
	begun, err := one(ctx, tx, &r, `UPDATE secret_rotations SET step = 'create', version = NULL, attempts = 0, last_error = '', lease = '', due_at = ?, started_at = ?,
		next_at = CASE WHEN interval_seconds > 0 THEN CAST(? AS BIGINT) + interval_seconds * 1000000 END WHERE name = ? AND step = ''
		AND (CAST(? AS BIGINT) = 0 OR next_at <= ?) RETURNING `+rotationColumns, at.UnixMicro(), at.UnixMicro(), at.UnixMicro(), name, flag(scheduled), at.UnixMicro())
	return r.rotation(), begun, err
}

// DueRotations implements secret.RotationRows: rotations that the schedule should begin, and those that have begun and are not leased.
func (Secrets) DueRotations(ctx context.Context, q store.Querier, at time.Time, limit int) (_ []secret.Rotation, err error) {
	defer tried.To(&err, "read due rotations")
	var rows []rotationRow
	err = q.Select(ctx, &rows, "SELECT "+rotationColumns+` FROM secret_rotations
		WHERE (step = '' AND next_at <= ?) OR (step <> '' AND due_at <= ?) ORDER BY name LIMIT ?`, at.UnixMicro(), at.UnixMicro(), limit)
	return rotations(rows), err
}

// ClaimRotations implements secret.RotationRows.
func (Secrets) ClaimRotations(ctx context.Context, tx *store.Tx, lease string, at, until time.Time, limit int) (_ []secret.Rotation, err error) {
	defer tried.To(&err, "lease rotations")
	_, err = tx.Exec(ctx, `UPDATE secret_rotations SET lease = ?, due_at = ? WHERE step <> '' AND due_at <= ? AND name IN (
		SELECT name FROM secret_rotations WHERE step <> '' AND due_at <= ? ORDER BY name LIMIT ?)`, lease, until.UnixMicro(), at.UnixMicro(), at.UnixMicro(), limit)
	if err != nil {
		return nil, err
	}
	var rows []rotationRow
	err = tx.Select(ctx, &rows, "SELECT "+rotationColumns+" FROM secret_rotations WHERE lease = ? ORDER BY name", lease)
	return rotations(rows), err
}

// LeasedRotation implements secret.RotationRows. The row stays locked until the transaction ends. It is false when the lease is not the current one.
func (Secrets) LeasedRotation(ctx context.Context, tx *store.Tx, name, lease string) (_ secret.Rotation, _ bool, err error) {
	defer tried.To(&err, "read rotation under its lease")
	var r rotationRow
	found, err := one(ctx, tx, &r, "UPDATE secret_rotations SET lease = lease WHERE name = ? AND lease = ? AND step <> '' RETURNING "+rotationColumns, name, lease)
	return r.rotation(), found, err
}

// SettleRotation implements secret.RotationRows.
func (Secrets) SettleRotation(ctx context.Context, tx *store.Tx, r secret.Rotation, lease string, due time.Time) (err error) {
	defer tried.To(&err, "settle rotation")
	_, err = tx.Exec(ctx, `UPDATE secret_rotations SET step = ?, version = ?, attempts = ?, started_at = ?, lease = ?, due_at = ?, last_outcome = ?, last_version = ?,
		last_ended_at = ?, last_error = ? WHERE name = ?`, string(r.Step), number(r.Version), r.Attempts, column(r.StartedAt), lease, column(due), r.LastOutcome, number(r.LastVersion),
		column(r.LastEndedAt), string(r.LastError), r.Name)
	return err
}
