package kmsdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/role"
	"github.com/fountainai/fountain/internal/store"
)

func printing(name string, scopes ...string) role.Role {
	return role.Role{Name: name, Scopes: scopes, Version: 1, CreatedAt: noon, UpdatedAt: noon}
}

func (s suite) insertRole(r role.Role) bool {
	s.Helper()
	return s.did(func(ctx context.Context, tx *store.Tx) (bool, error) { return kmsdb.Roles{}.Insert(ctx, tx, r) })
}

func TestRoles_areStoredChangedAndDeleted(t *testing.T) {
	each(t, func(s suite) {
		rows, want := kmsdb.Roles{}, printing("printer", "press:print", "press:read")
		get := func() (role.Role, bool) {
			r, found, err := rows.Get(s.Context(), s.q(), "printer", authority.Unlocked)
			require.NoError(s, err)
			return r, found
		}
		_, found := get()
		require.False(s, found)
		require.True(s, s.insertRole(want))
		require.False(s, s.insertRole(printing("printer")), "the name is taken")
		got, found := get()
		require.True(s, found)
		require.Equal(s, want, got)
		want.Scopes, want.Version, want.UpdatedAt = []string{"press:read"}, 2, noon.Add(time.Second)
		s.write(func(ctx context.Context, tx *store.Tx) error { return rows.Update(ctx, tx, want) })
		require.True(s, s.insertRole(printing("binder")))
		all, err := rows.List(s.Context(), s.q())
		require.NoError(s, err)
		require.Equal(s, []string{"binder", "printer"}, []string{all[0].Name, all[1].Name})
		require.Equal(s, want, all[1])
		s.write(func(ctx context.Context, tx *store.Tx) error { return rows.Delete(ctx, tx, "printer") })
		_, found = get()
		require.False(s, found)
	})
}

func TestRoles_areLockedAsAskedFor(t *testing.T) {
	each(t, func(s suite) {
		require.True(s, s.insertRole(printing("printer")))
		for want, lock := range map[string]authority.Lock{"none": authority.Unlocked, "shared": authority.Shared, "exclusive": authority.Exclusive} {
			require.Equal(s, want, s.whatIsLocked(want, "SELECT 1 FROM roles WHERE name = 'printer'", func(ctx context.Context, tx *store.Tx) error {
				_, _, err := kmsdb.Roles{}.Get(ctx, tx, "printer", lock)
				return err
			}))
		}
	})
}

func TestRoles_tellWhoHasThemByTheWholeName(t *testing.T) {
	each(t, func(s suite) {
		s.insertUser(ada("usr_1", "ada", "printer"))
		s.insertUser(ada("usr_2", "bob", "printer-2"))
		s.insertUser(ada("usr_3", "cyd", "binder", "printer", "reader"))
		ids, err := kmsdb.Roles{}.Holders(s.Context(), s.q(), "printer")
		require.NoError(s, err)
		require.Equal(s, []string{"usr_1", "usr_3"}, ids)
		ids, err = kmsdb.Roles{}.Holders(s.Context(), s.q(), "nobody")
		require.NoError(s, err)
		require.Empty(s, ids)
	})
}

func TestRoles_meanWhatIsDefinedAndDeclared(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.Roles{}
		s.insertService(printer("svc_1", "press"))
		s.declare("svc_1", "press:read", "press:print")
		require.True(s, s.insertRole(printing("printer", "press:print")))
		define := func(roles ...string) authority.Definitions {
			d, err := rows.Definitions(s.Context(), s.q(), roles)
			require.NoError(s, err)
			return d
		}
		require.Equal(s, authority.Definitions{Roles: map[string][]string{"printer": {"press:print"}}}, define("printer", "unknown", "reader"))
		require.Equal(s, authority.Definitions{Roles: map[string][]string{}, Declared: []string{"press:print", "press:read"}}, define(authority.RoleAdmin))
		declared, err := rows.Declared(s.Context(), s.q())
		require.NoError(s, err)
		require.Equal(s, []authority.Scope{{Name: "press:print", Service: "press"}, {Name: "press:read", Service: "press"}}, declared)
	})
}
