package kmsdb

import (
	"context"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

type policyRow struct {
	Role    string `db:"role"`
	Always  int64  `db:"always"`
	Factors string `db:"factors"`
	MaxAge  int64  `db:"max_age"`
	Version int64  `db:"version"`
}

func (r policyRow) policy() authority.SecondFactor {
	p := authority.SecondFactor{Always: r.Always == 1, MaxAge: time.Duration(r.MaxAge) * time.Second, Version: r.Version}
	if r.Factors != "" {
		p.Factors = strings.Fields(r.Factors)
	}
	return p
}

// SecondFactors implements authority.SecondFactors. Roles without a policy are left out.
func (Roles) SecondFactors(ctx context.Context, q store.Querier, roles []string) (_ map[string]authority.SecondFactor, err error) {
	defer tried.To(&err, "read policies of roles")
	found := map[string]authority.SecondFactor{}
	if len(roles) == 0 {
		return found, nil
	}
	args := make([]any, len(roles))
	for i, role := range roles {
		args[i] = role
	}
	var rows []policyRow
	err = q.Select(ctx, &rows, "SELECT role, always, factors, max_age, version FROM role_policies WHERE role IN (?"+
		strings.Repeat(", ?", len(roles)-1)+")", args...)
	for _, r := range rows {
		found[r.Role] = r.policy()
	}
	return found, err
}

// SecondFactors implements authority.StandingRows.
func (Standing) SecondFactors(ctx context.Context, q store.Querier, roles []string) (map[string]authority.SecondFactor, error) {
	return Roles{}.SecondFactors(ctx, q, roles)
}

// PutSecondFactor replaces a role's policy if it is at version from, and raises the version; false when it is at another version.
func (Roles) PutSecondFactor(ctx context.Context, tx *store.Tx, role string, p authority.SecondFactor, from int64, at time.Time) (_ bool, err error) {
	defer tried.To(&err, "write policy of role")
	always := 0
	if p.Always {
		always = 1
	}
	return changed(ctx, tx, `INSERT INTO role_policies (role, always, factors, max_age, version, updated_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (role) DO UPDATE SET always = excluded.always, factors = excluded.factors, max_age = excluded.max_age, version = excluded.version,
			updated_at = excluded.updated_at
		WHERE role_policies.version = ?`,
		role, always, join(p.Factors), int64(p.MaxAge/time.Second), from+1, at.UnixMicro(), from)
}

// LoosenSecondFactor removes all requirements from a role's policy; false when it had none.
func (Roles) LoosenSecondFactor(ctx context.Context, tx *store.Tx, role string, at time.Time) (_ bool, err error) {
	defer tried.To(&err, "loosen policy of role")
	return changed(ctx, tx, `UPDATE role_policies SET always = 0, factors = '', max_age = 0, version = version + 1, updated_at = ?
		WHERE role = ? AND (always = 1 OR factors <> '' OR max_age > 0)`, at.UnixMicro(), role)
}
