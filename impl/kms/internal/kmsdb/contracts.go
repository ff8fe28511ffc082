package kmsdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/fountainai/fountain/impl/kms/internal/adoption"
	"github.com/fountainai/fountain/internal/store"
)

// Contracts implements adoption.Rows.
type Contracts struct{}

// contractRow is a contract with its live document.
type contractRow struct {
	Name          string `db:"name"`
	ServiceID     string `db:"service_id"`
	Status        string `db:"status"`
	Version       int64  `db:"version"`
	Upstreams     string `db:"upstreams"`
	ActiveContent int64  `db:"active_content"`
	CreatedAt     int64  `db:"created_at"`
	editionRow
	HasShadow int64      `db:"has_shadow"`
	Shadow    editionRow `db:"s"`
}

// editionRow is a document. Files, warnings and changes are empty unless the query selects them.
type editionRow struct {
	File            string `db:"file"`
	Files           string `db:"files"`
	Public          string `db:"public"`
	Digest          string `db:"digest"`
	DocumentVersion string `db:"document_version"`
	Warnings        string `db:"warnings"`
	WarningCount    int64  `db:"warning_count"`
	Changes         string `db:"changes"`
	ChangeCount     int64  `db:"change_count"`
	Size            int64  `db:"size"`
	UpdatedAt       int64  `db:"updated_at"`
	UpdatedBy       string `db:"updated_by"`
}

// selectContracts returns the query that reads contracts with their documents in one statement, so that the parts are consistent. whole selects the files,
// warnings and changes too. Without a shadow its columns are empty.
func selectContracts(whole bool) string {
	columns := func(table, prefix string) (out string) {
		for _, c := range []string{"file", "public", "digest", "document_version", "updated_by"} {
			out += fmt.Sprintf(`, COALESCE(%s.%s, '') AS "%s%s"`, table, c, prefix, c)
		}
		for _, c := range []string{"warning_count", "change_count", "size", "updated_at"} {
			out += fmt.Sprintf(`, COALESCE(%s.%s, 0) AS "%s%s"`, table, c, prefix, c)
		}
		for _, c := range []string{"files", "warnings", "changes"} {
			from := "''"
			if whole {
				from = fmt.Sprintf("COALESCE(%s.%s, '')", table, c)
			}
			out += fmt.Sprintf(`, %s AS "%s%s"`, from, prefix, c)
		}
		return out
	}
	return `SELECT c.name, c.service_id, v.status, c.version, c.upstreams, c.active_content, c.created_at,
		CASE WHEN s.name IS NULL THEN 0 ELSE 1 END AS has_shadow` + columns("l", "") + columns("s", "s.") + `
		FROM contracts c JOIN services v ON v.id = c.service_id JOIN contract_documents l ON l.name = c.name AND l.shadow = 0
		LEFT JOIN contract_documents s ON s.name = c.name AND s.shadow = 1 `
}

var (
	selectContract      = selectContracts(false)
	selectWholeContract = selectContracts(true)
)

func (r contractRow) contract() (adoption.Contract, error) {
	c := adoption.Contract{
		Name: r.Name, ServiceID: r.ServiceID, Active: r.Status == "active", Version: r.Version, ActiveContent: r.ActiveContent == 1, CreatedAt: at(r.CreatedAt),
	}
	live, err := r.edition(r.Name)
	err = errors.Join(err, parse(r.Upstreams, &c.Upstreams))
	c.Live = live
	if r.HasShadow == 1 {
		shadow, wrong := r.Shadow.edition(r.Name)
		c.Shadow, err = &shadow, errors.Join(err, wrong)
	}
	if err != nil {
		return adoption.Contract{}, fmt.Errorf("read row of contract %s: %w", r.Name, err)
	}
	return c, nil
}

func (r editionRow) edition(name string) (adoption.Edition, error) {
	e := adoption.Edition{
		Document: adoption.Document{Service: name, File: r.File}, Digest: r.Digest, Version: r.DocumentVersion,
		WarningCount: int(r.WarningCount), ChangeCount: int(r.ChangeCount), Size: r.Size, UpdatedAt: at(r.UpdatedAt), UpdatedBy: r.UpdatedBy,
	}
	return e, errors.Join(parse(r.Files, &e.Files), parse(r.Public, &e.Public), parse(r.Warnings, &e.Warnings), parse(r.Changes, &e.Changes))
}

// parse decodes a column of JSON; "" leaves into unchanged.
func parse(column string, into any) error {
	if column == "" {
		return nil
	}
	return json.Unmarshal([]byte(column), into)
}

// Take implements adoption.Rows. The row of contract_room stays locked until the transaction ends.
func (Contracts) Take(ctx context.Context, tx *store.Tx, more, limit adoption.Room) (version int64, taken bool, err error) {
	taken, err = one(ctx, tx, &version, `UPDATE contract_room SET contracts = contracts + ?, bytes = bytes + ?, version = version + 1
		WHERE id = 1 AND (CAST(? AS BIGINT) <= 0 OR contracts + ? <= ?) AND (CAST(? AS BIGINT) <= 0 OR bytes + ? <= ?) RETURNING version`,
		more.Contracts, more.Bytes, more.Contracts, more.Contracts, limit.Contracts, more.Bytes, more.Bytes, limit.Bytes)
	if err != nil {
		return 0, false, fmt.Errorf("take room: %w", err)
	}
	return version, taken, nil
}

// Get implements adoption.Rows; false when there is no such contract.
func (Contracts) Get(ctx context.Context, q store.Querier, name string) (adoption.Contract, bool, error) {
	return readContract(ctx, q, selectContract, name)
}

// Whole implements adoption.Rows; false when there is no such contract.
func (Contracts) Whole(ctx context.Context, q store.Querier, name string) (adoption.Contract, bool, error) {
	return readContract(ctx, q, selectWholeContract, name)
}

func readContract(ctx context.Context, q store.Querier, query, name string) (adoption.Contract, bool, error) {
	var r contractRow
	found, err := one(ctx, q, &r, query+"WHERE c.name = ?", name)
	if err != nil || !found {
		return adoption.Contract{}, false, err
	}
	c, err := r.contract()
	return c, err == nil, err
}

// List implements adoption.Rows.
func (Contracts) List(ctx context.Context, q store.Querier, after string, limit int) ([]adoption.Contract, error) {
	var rows []contractRow
	if err := q.Select(ctx, &rows, selectContract+"WHERE c.name > ? ORDER BY c.name LIMIT ?", after, limit); err != nil {
		return nil, fmt.Errorf("list contracts: %w", err)
	}
	contracts := make([]adoption.Contract, len(rows))
	for i, r := range rows {
		var err error
		if contracts[i], err = r.contract(); err != nil {
			return nil, err
		}
	}
	return contracts, nil
}

// Put implements adoption.Rows. Name, service and createdAt of an existing contract do not change.
func (Contracts) Put(ctx context.Context, tx *store.Tx, c adoption.Contract) error {
	upstreams, err := json.Marshal(c.Upstreams)
	if err != nil {
		return fmt.Errorf("encode upstreams: %w", err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO contracts (name, service_id, version, upstreams, active_content, created_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET version = excluded.version, upstreams = excluded.upstreams, active_content = excluded.active_content`,
		c.Name, c.ServiceID, c.Version, string(upstreams), flag(c.ActiveContent), c.CreatedAt.UnixMicro())
	if err != nil {
		return fmt.Errorf("put contract: %w", err)
	}
	return nil
}

// PutEdition implements adoption.Rows. A document without a contract is a database error.
func (Contracts) PutEdition(ctx context.Context, tx *store.Tx, shadow bool, e adoption.Edition) error {
	var columns [4]string
	for i, part := range []any{e.Files, e.Public, e.Warnings, e.Changes} {
		text, err := json.Marshal(part)
		if err != nil {
			return fmt.Errorf("encode document: %w", err)
		}
		columns[i] = string(text)
	}
	if _, err := tx.Exec(ctx, "DELETE FROM contract_documents WHERE name = ? AND shadow = ?", e.Service, flag(shadow)); err != nil {
		return fmt.Errorf("replace document: %w", err)
	}
	_, err := tx.Exec(ctx, `INSERT INTO contract_documents (name, shadow, file, files, public, digest, document_version, warnings, warning_count, changes,
		change_count, size, updated_at, updated_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		e.Service, flag(shadow), e.File, columns[0], columns[1], e.Digest, e.Version, columns[2], e.WarningCount, columns[3],
		e.ChangeCount, e.Size, e.UpdatedAt.UnixMicro(), e.UpdatedBy)
	if err != nil {
		return fmt.Errorf("insert document: %w", err)
	}
	return nil
}

// DropShadow implements adoption.Rows. A contract without a shadow is not an error.
func (Contracts) DropShadow(ctx context.Context, tx *store.Tx, name string) error {
	if _, err := tx.Exec(ctx, "DELETE FROM contract_documents WHERE name = ? AND shadow = 1", name); err != nil {
		return fmt.Errorf("delete shadow: %w", err)
	}
	return nil
}

// SetVersion implements adoption.Rows. An unknown contract is not an error.
func (Contracts) SetVersion(ctx context.Context, tx *store.Tx, name string, version int64) error {
	if _, err := tx.Exec(ctx, "UPDATE contracts SET version = ? WHERE name = ?", version, name); err != nil {
		return fmt.Errorf("set version: %w", err)
	}
	return nil
}

// Delete implements adoption.Rows. An unknown contract is not an error.
func (Contracts) Delete(ctx context.Context, tx *store.Tx, name string) error {
	for _, query := range []string{"DELETE FROM contract_documents WHERE name = ?", "DELETE FROM contracts WHERE name = ?"} {
		if _, err := tx.Exec(ctx, query, name); err != nil {
			return fmt.Errorf("delete contract: %w", err)
		}
	}
	return nil
}
