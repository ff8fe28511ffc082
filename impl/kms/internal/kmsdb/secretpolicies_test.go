package kmsdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/policy"
	"github.com/fountainai/fountain/internal/store"
)

func reading(name, kind, subject, path string) policy.Policy {
	return policy.Policy{
		Name: name, Subject: policy.Subject{Kind: kind, ID: subject}, Path: path, Capabilities: []policy.Capability{policy.List, policy.Read}, Version: 1, CreatedAt: noon, UpdatedAt: noon,
	}
}

func TestSecretPolicies_areStoredChangedAndDeleted(t *testing.T) {
	each(t, func(s suite) {
		rows, want := kmsdb.SecretPolicies{}, reading("payments", policy.OfRole, "payments", "team.payments")
		insert := func(p policy.Policy, most int) bool {
			return s.did(func(ctx context.Context, tx *store.Tx) (bool, error) { return rows.InsertPolicy(ctx, tx, p, most) })
		}
		require.False(s, insert(want, 2), "the two of the release are as many as there may be")
		require.True(s, insert(want, 3))
		require.False(s, insert(want, 9), "the name is taken")
		got, found, err := rows.Policy(s.Context(), s.q(), "payments", authority.Unlocked)
		require.NoError(s, err)
		require.True(s, found)
		require.Equal(s, want, got)
		governed, err := kmsdb.Roles{}.Governed(s.Context(), s.q(), "payments")
		require.NoError(s, err)
		require.True(s, governed)
		want.Subject, want.Path, want.Capabilities, want.Version, want.UpdatedAt = policy.Subject{Kind: policy.OfUser, ID: "usr_1"}, "*", policy.Capabilities(), 2, noon.Add(time.Second)
		s.write(func(ctx context.Context, tx *store.Tx) error { return rows.UpdatePolicy(ctx, tx, want) })
		page, err := rows.Policies(s.Context(), s.q(), "own-secrets", 9)
		require.NoError(s, err)
		require.Equal(s, []policy.Policy{want}, page)
		governed, err = kmsdb.Roles{}.Governed(s.Context(), s.q(), "payments")
		require.NoError(s, err)
		require.False(s, governed)
		s.write(func(ctx context.Context, tx *store.Tx) error { return rows.DeletePolicy(ctx, tx, "payments") })
		_, found, err = rows.Policy(s.Context(), s.q(), "payments", authority.Unlocked)
		require.NoError(s, err)
		require.False(s, found)
	})
}

// A decision reads only the policies of its subjects and paths, and they stay locked until it is committed.
func TestSecretPolicies_areReadForSubjectsAndKept(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.SecretPolicies{}
		for _, p := range []policy.Policy{
			reading("a", policy.OfRole, "payments", "team"), reading("b", policy.OfUser, "payments", "team"), reading("c", policy.OfRole, "payments", "team.x"), reading("d", policy.OfRole, "other", "team"),
		} {
			require.True(s, s.did(func(ctx context.Context, tx *store.Tx) (bool, error) { return rows.InsertPolicy(ctx, tx, p, 99) }))
		}
		granted := func(subjects []policy.Subject, paths ...string) (names []string) {
			s.write(func(ctx context.Context, tx *store.Tx) error {
				found, err := rows.Granted(ctx, tx, subjects, paths)
				for _, p := range found {
					names = append(names, p.Name)
				}
				return err
			})
			return names
		}
		payments := []policy.Subject{{Kind: policy.OfRole, ID: "payments"}}
		require.Equal(s, []string{"a", "c"}, granted(payments))
		require.Equal(s, []string{"a"}, granted(payments, "team", "*"))
		require.Equal(s, []string{"a", "b"}, granted(append(payments, policy.Subject{Kind: policy.OfUser, ID: "payments"}), "team"))
		require.Empty(s, granted(nil, "team"))
		require.Equal(s, []string{"administrators"}, granted([]policy.Subject{{Kind: policy.OfRole, ID: "admin"}}, "any", "*"))
		require.Equal(s, "shared", s.whatIsLocked("shared", "SELECT 1 FROM secret_policies WHERE name = 'a'", func(ctx context.Context, tx *store.Tx) error {
			_, err := rows.Granted(ctx, tx, payments, []string{"team"})
			return err
		}))
	})
}
