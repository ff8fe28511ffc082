package kmsdb

import (
	"context"
	"slices"
	"strings"

	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/role"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Roles implements role.Rows.
type Roles struct{}

type roleRow struct {
	Name      string `db:"name"`
	Scopes    string `db:"scopes"`
	Version   int64  `db:"version"`
	CreatedAt int64  `db:"created_at"`
	UpdatedAt int64  `db:"updated_at"`
}

const roleColumns = "name, scopes, version, created_at, updated_at"

func (r roleRow) role() role.Role {
	return role.Role{Name: r.Name, Scopes: strings.Fields(r.Scopes), Version: r.Version, CreatedAt: at(r.CreatedAt), UpdatedAt: at(r.UpdatedAt)}
}

// Definitions returns what authority.ScopesOf needs for a user with the roles. An unknown role has no scopes.
func (Roles) Definitions(ctx context.Context, q store.Querier, roles []string) (d authority.Definitions, err error) {
	defer tried.To(&err, "read what roles carry")
	d.Roles = map[string][]string{}
	for _, name := range roles {
		if authority.BuiltIn(name) {
			continue
		}
		var scopes string
		found, err := one(ctx, q, &scopes, "SELECT scopes FROM roles WHERE name = ?", name)
		if err != nil {
			return d, err
		}
		if found {
			d.Roles[name] = strings.Fields(scopes)
		}
	}
	if slices.Contains(roles, authority.RoleAdmin) {
		err = q.Select(ctx, &d.Declared, "SELECT scope FROM declared_scopes ORDER BY scope")
	}
	return d, err
}

// Declared returns every declared scope with its service, by name.
func (Roles) Declared(ctx context.Context, q store.Querier) (_ []authority.Scope, err error) {
	defer tried.To(&err, "read declared scopes")
	var rows []struct{ Scope, Service string }
	err = q.Select(ctx, &rows, "SELECT d.scope AS scope, s.name AS service FROM declared_scopes d JOIN services s ON s.id = d.service_id ORDER BY d.scope")
	scopes := make([]authority.Scope, len(rows))
	for i, r := range rows {
		scopes[i] = authority.Scope{Name: r.Scope, Service: r.Service}
	}
	return scopes, err
}

// Declares returns which of the scopes are declared by a service. It locks their rows (shared) until the transaction ends.
func (Roles) Declares(ctx context.Context, tx *store.Tx, scopes []string) ([]string, error) {
	return Services{}.Declares(ctx, tx, scopes)
}

// List returns all roles by name. There are at most 200.
func (Roles) List(ctx context.Context, q store.Querier) (_ []role.Role, err error) {
	defer tried.To(&err, "read roles")
	var rows []roleRow
	err = q.Select(ctx, &rows, "SELECT "+roleColumns+" FROM roles ORDER BY name")
	roles := make([]role.Role, len(rows))
	for i, r := range rows {
		roles[i] = r.role()
	}
	return roles, err
}

// Get reads a role with the given lock; false when there is none.
func (Roles) Get(ctx context.Context, q store.Querier, name string, lock authority.Lock) (_ role.Role, _ bool, err error) {
	defer tried.To(&err, "read role")
	var r roleRow
	found, err := one(ctx, q, &r, "SELECT "+roleColumns+" FROM roles WHERE name = ?"+locking(q, lock), name)
	return r.role(), found, err
}

// Insert stores a role; false when the name is taken.
func (Roles) Insert(ctx context.Context, tx *store.Tx, r role.Role) (_ bool, err error) {
	defer tried.To(&err, "insert role")
	return changed(ctx, tx, "INSERT INTO roles ("+roleColumns+") VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING",
		r.Name, join(r.Scopes), r.Version, r.CreatedAt.UnixMicro(), r.UpdatedAt.UnixMicro())
}

// Update writes a role's scopes and version. The caller has locked its row. An unknown role is not an error.
func (Roles) Update(ctx context.Context, tx *store.Tx, r role.Role) (err error) {
	defer tried.To(&err, "update role row")
	_, err = tx.Exec(ctx, "UPDATE roles SET scopes = ?, version = ?, updated_at = ? WHERE name = ?", join(r.Scopes), r.Version, r.UpdatedAt.UnixMicro(), r.Name)
	return err
}

// Delete deletes a role and its policy. The caller has locked its row. An unknown role is not an error.
func (Roles) Delete(ctx context.Context, tx *store.Tx, name string) (err error) {
	defer tried.To(&err, "delete role row")
	if _, err = tx.Exec(ctx, "DELETE FROM role_policies WHERE role = ?", name); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "DELETE FROM roles WHERE name = ?", name)
	return err
}

// Governed reports whether a policy for secrets names the role.
func (Roles) Governed(ctx context.Context, q store.Querier, name string) (_ bool, err error) {
	defer tried.To(&err, "read whether policies are for a role")
	var n int64
	return one(ctx, q, &n, "SELECT 1 FROM secret_policies WHERE subject_kind = 'role' AND subject = ? LIMIT 1", name)
}

// LockHolders locks the users who have one of the roles, and the user with the ID, in the order of IDs.
func (Roles) LockHolders(ctx context.Context, tx *store.Tx, roles []string, userID string) (err error) {
	defer tried.To(&err, "lock who has a role")
	rows := store.Rows{Table: "users", Key: []string{"id"}, Where: "id = ?" + strings.Repeat(" OR ' ' || roles || ' ' LIKE ?", len(roles)), Args: []any{userID}}
	for _, name := range roles {
		rows.Args = append(rows.Args, "% "+name+" %")
	}
	return rows.Lock(ctx, tx)
}

// Holders returns the IDs of the users who have the role, sorted.
func (Roles) Holders(ctx context.Context, q store.Querier, name string) (ids []string, err error) {
	defer tried.To(&err, "read who has a role")
	err = q.Select(ctx, &ids, "SELECT id FROM users WHERE ' ' || roles || ' ' LIKE ? ORDER BY id", "% "+name+" %")
	return ids, err
}
