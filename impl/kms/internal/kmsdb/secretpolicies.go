package kmsdb

import (
	"context"
	"strings"

	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/policy"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// SecretPolicies implements policy.Rows.
type SecretPolicies struct{}

type secretPolicyRow struct {
	Name         string `db:"name"`
	Kind         string `db:"subject_kind"`
	Subject      string `db:"subject"`
	Path         string `db:"path"`
	Capabilities string `db:"capabilities"`
	Version      int64  `db:"version"`
	CreatedAt    int64  `db:"created_at"`
	UpdatedAt    int64  `db:"updated_at"`
}

const secretPolicyColumns = "name, subject_kind, subject, path, capabilities, version, created_at, updated_at"

func (r secretPolicyRow) policy() policy.Policy {
	p := policy.Policy{
		Name: r.Name, Subject: policy.Subject{Kind: r.Kind, ID: r.Subject}, Path: r.Path, Version: r.Version, CreatedAt: at(r.CreatedAt), UpdatedAt: at(r.UpdatedAt),
	}
	for word := range strings.FieldsSeq(r.Capabilities) {
		p.Capabilities = append(p.Capabilities, policy.Capability(word))
	}
	return p
}

func secretPolicies(rows []secretPolicyRow) []policy.Policy {
	found := make([]policy.Policy, len(rows))
	for i, r := range rows {
		found[i] = r.policy()
	}
	return found
}

func capabilityWords(p policy.Policy) string {
	words := make([]string, len(p.Capabilities))
	for i, c := range p.Capabilities {
		words[i] = string(c)
	}
	return join(words)
}

// Granted implements policy.GateRows. The rows are locked (shared) until the transaction ends, in the order of their names.
func (SecretPolicies) Granted(ctx context.Context, tx *store.Tx, subjects []policy.Subject, paths []string) (_ []policy.Policy, err error) {
	defer tried.To(&err, "read policies of subjects")
	if len(subjects) == 0 {
		return nil, nil
	}
	var args []any
	for _, s := range subjects {
		args = append(args, s.Kind, s.ID)
	}
	where := "(" + strings.TrimPrefix(strings.Repeat(" OR subject_kind = ? AND subject = ?", len(subjects)), " OR ") + ")"
	if len(paths) > 0 {
		where += " AND path IN (?" + strings.Repeat(", ?", len(paths)-1) + ")"
		for _, path := range paths {
			args = append(args, path)
		}
	}
	var rows []secretPolicyRow
	err = tx.Select(ctx, &rows, "SELECT "+secretPolicyColumns+" FROM secret_policies WHERE "+where+" ORDER BY name"+locking(tx, authority.Shared), args...)
	return secretPolicies(rows), err
}

// Policy implements policy.Rows; false when there is no such policy.
func (SecretPolicies) Policy(ctx context.Context, q store.Querier, name string, lock authority.Lock) (_ policy.Policy, _ bool, err error) {
	defer tried.To(&err, "read policy of secrets")
	var r secretPolicyRow
	found, err := one(ctx, q, &r, "SELECT "+secretPolicyColumns+" FROM secret_policies WHERE name = ?"+locking(q, lock), name)
	return r.policy(), found, err
}

// Policies implements policy.Rows.
func (SecretPolicies) Policies(ctx context.Context, q store.Querier, after string, limit int) (_ []policy.Policy, err error) {
	defer tried.To(&err, "read policies of secrets")
	var rows []secretPolicyRow
	err = q.Select(ctx, &rows, "SELECT "+secretPolicyColumns+" FROM secret_policies WHERE name > ? ORDER BY name LIMIT ?", after, limit)
	return secretPolicies(rows), err
}

// InsertPolicy implements policy.Rows.
func (SecretPolicies) InsertPolicy(ctx context.Context, tx *store.Tx, p policy.Policy, most int) (_ bool, err error) {
	defer tried.To(&err, "insert policy of secrets")
	return changed(ctx, tx, "INSERT INTO secret_policies ("+secretPolicyColumns+`)
		SELECT CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT)
		WHERE (SELECT COUNT(*) FROM secret_policies) < CAST(? AS BIGINT)
		ON CONFLICT (name) DO NOTHING`,
		p.Name, p.Subject.Kind, p.Subject.ID, p.Path, capabilityWords(p), p.Version, p.CreatedAt.UnixMicro(), p.UpdatedAt.UnixMicro(), most)
}

// UpdatePolicy implements policy.Rows. The caller has locked its row. An unknown policy is not an error.
func (SecretPolicies) UpdatePolicy(ctx context.Context, tx *store.Tx, p policy.Policy) (err error) {
	defer tried.To(&err, "update policy of secrets")
	_, err = tx.Exec(ctx, "UPDATE secret_policies SET subject_kind = ?, subject = ?, path = ?, capabilities = ?, version = ?, updated_at = ? WHERE name = ?",
		p.Subject.Kind, p.Subject.ID, p.Path, capabilityWords(p), p.Version, p.UpdatedAt.UnixMicro(), p.Name)
	return err
}

// DeletePolicy implements policy.Rows. The caller has locked its row. An unknown policy is not an error.
func (SecretPolicies) DeletePolicy(ctx context.Context, tx *store.Tx, name string) (err error) {
	defer tried.To(&err, "delete policy of secrets")
	_, err = tx.Exec(ctx, "DELETE FROM secret_policies WHERE name = ?", name)
	return err
}
