package kmsdb

import (
	"context"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/vault"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

type rootRow struct {
	Active     string `db:"active"`
	Previous   string `db:"previous"`
	RotatedAt  *int64 `db:"rotated_at"`
	FinishedAt *int64 `db:"finished_at"`
}

// RootState implements vault.Rows.
func (Keysets) RootState(ctx context.Context, q store.Querier) (_ vault.State, err error) {
	defer tried.To(&err, "read which root key seals")
	var r rootRow
	err = q.Get(ctx, &r, "SELECT active, previous, rotated_at, finished_at FROM root_key WHERE id = 1")
	return r.state(), err
}

// TakeRootTurn implements vault.Rows. The row of root_key stays locked until the transaction ends.
func (Keysets) TakeRootTurn(ctx context.Context, tx *store.Tx) (_ vault.State, err error) {
	defer tried.To(&err, "take the turn of the root key")
	var r rootRow
	err = tx.Get(ctx, &r, "UPDATE root_key SET turns = turns + 1 WHERE id = 1 RETURNING active, previous, rotated_at, finished_at")
	return r.state(), err
}

func (r rootRow) state() vault.State {
	return vault.State{Active: r.Active, Previous: r.Previous, RotatedAt: fromColumn(r.RotatedAt), FinishedAt: fromColumn(r.FinishedAt)}
}

// SetRootState implements vault.Rows.
func (Keysets) SetRootState(ctx context.Context, tx *store.Tx, s vault.State) (err error) {
	defer tried.To(&err, "store which root key seals")
	_, err = tx.Exec(ctx, "UPDATE root_key SET active = ?, previous = ?, rotated_at = ?, finished_at = ? WHERE id = 1",
		s.Active, s.Previous, column(s.RotatedAt), column(s.FinishedAt))
	return err
}

// SealedByOthers implements vault.Rows.
func (Keysets) SealedByOthers(ctx context.Context, q store.Querier, rootID string, limit int) (names []string, err error) {
	defer tried.To(&err, "read what other root keys seal")
	err = q.Select(ctx, &names, "SELECT name FROM keysets WHERE root_id <> ? ORDER BY name LIMIT ?", rootID, limit)
	return names, err
}

// CountSealed implements vault.Rows.
func (Keysets) CountSealed(ctx context.Context, q store.Querier, rootID string) (by, byOthers int64, err error) {
	defer tried.To(&err, "count keysets by root key")
	var n struct {
		By     int64 `db:"by_it"`
		Others int64 `db:"by_others"`
	}
	err = q.Get(ctx, &n, "SELECT COALESCE(SUM(CASE WHEN root_id = ? THEN 1 ELSE 0 END), 0) AS by_it, COALESCE(SUM(CASE WHEN root_id <> ? THEN 1 ELSE 0 END), 0) AS by_others FROM keysets", rootID, rootID)
	return n.By, n.Others, err
}

// Reseal implements vault.Rows.
func (Keysets) Reseal(ctx context.Context, tx *store.Tx, name, from, to string, sealed []byte) (err error) {
	defer tried.To(&err, "store resealed keyset")
	_, err = tx.Exec(ctx, "UPDATE keysets SET sealed = ?, root_id = ? WHERE name = ? AND root_id = ?", sealed, to, name, from)
	return err
}

// ReplaceKeyset implements vault.Rows.
func (Keysets) ReplaceKeyset(ctx context.Context, tx *store.Tx, name, rootID string, sealed []byte) (err error) {
	defer tried.To(&err, "replace keyset")
	_, err = tx.Exec(ctx, "UPDATE keysets SET sealed = ?, root_id = ? WHERE name = ?", sealed, rootID, name)
	return err
}

type holderRow struct {
	Replica  string `db:"replica"`
	RootKeys string `db:"root_keys"`
	Fault    string `db:"fault"`
	SeenAt   int64  `db:"seen_at"`
}

// Holders implements vault.Rows: at most 100 replicas.
func (Keysets) Holders(ctx context.Context, q store.Querier, since time.Time) (holders []vault.Holder, err error) {
	defer tried.To(&err, "read which replicas have root keys")
	var rows []holderRow
	err = q.Select(ctx, &rows, "SELECT replica, root_keys, fault, seen_at FROM root_key_holders WHERE seen_at > ? ORDER BY replica LIMIT 100", since.UnixMicro())
	for _, r := range rows {
		holders = append(holders, vault.Holder{Replica: r.Replica, RootKeys: strings.Fields(r.RootKeys), Fault: r.Fault, SeenAt: at(r.SeenAt)})
	}
	return holders, err
}

// PutHolder implements vault.Rows. It also deletes the rows of replicas last seen before the time.
func (Keysets) PutHolder(ctx context.Context, tx *store.Tx, h vault.Holder, before time.Time) (err error) {
	defer tried.To(&err, "store that a replica has root keys")
	if _, err := tx.Exec(ctx, "DELETE FROM root_key_holders WHERE seen_at < ?", before.UnixMicro()); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO root_key_holders (replica, root_keys, fault, seen_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (replica) DO UPDATE SET root_keys = excluded.root_keys, fault = excluded.fault, seen_at = excluded.seen_at`,
		h.Replica, join(h.RootKeys), h.Fault, h.SeenAt.UnixMicro())
	return err
}

// DeleteHolder implements vault.Rows.
func (Keysets) DeleteHolder(ctx context.Context, tx *store.Tx, replica string) (err error) {
	defer tried.To(&err, "delete that a replica has root keys")
	_, err = tx.Exec(ctx, "DELETE FROM root_key_holders WHERE replica = ?", replica)
	return err
}
