package kmsdb_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/policy"
	"github.com/fountainai/fountain/impl/kms/internal/secret"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/store"
)

// take runs f, which takes the next version of a secret.
func (s suite) take(f func(ctx context.Context, tx *store.Tx) (secret.Secret, bool, error)) (made secret.Secret, taken bool) {
	s.Helper()
	s.write(func(ctx context.Context, tx *store.Tx) (err error) {
		made, taken, err = f(ctx, tx)
		return err
	})
	return made, taken
}

func TestSecrets_takeOneVersionAfterTheOther(t *testing.T) {
	each(t, func(s suite) {
		rows, later := kmsdb.Secrets{}, noon.Add(time.Second)
		create := func(ctx context.Context, tx *store.Tx) (secret.Secret, bool, error) {
			return rows.Create(ctx, tx, "a", noon)
		}
		advance := func(name, match string) (secret.Secret, bool) {
			return s.take(func(ctx context.Context, tx *store.Tx) (secret.Secret, bool, error) {
				return rows.Advance(ctx, tx, name, etag.ParseMatch(match), later)
			})
		}
		put := func(name string) secret.Secret {
			made, _ := s.take(func(ctx context.Context, tx *store.Tx) (secret.Secret, bool, error) {
				made, err := rows.Put(ctx, tx, name, later)
				return made, true, err
			})
			return made
		}
		made, created := s.take(create)
		require.True(s, created)
		require.Equal(s, secret.Secret{Name: "a", Version: 1, Latest: 1, CreatedAt: noon, UpdatedAt: noon}, made)
		_, created = s.take(create)
		require.False(s, created, "there is one")

		for _, match := range []string{`"2"`, `"11"`, `"%"`, ""} {
			_, advanced := advance("a", match)
			require.False(s, advanced, match)
		}
		_, advanced := advance("b", "*")
		require.False(s, advanced, "there is none")
		made, advanced = advance("a", `"7", "1"`)
		require.True(s, advanced)
		require.Equal(s, secret.Secret{Name: "a", Version: 2, Latest: 2, Previous: 1, CreatedAt: noon, UpdatedAt: later}, made)
		made, advanced = advance("a", "*")
		require.True(s, advanced)
		require.EqualValues(s, 3, made.Version)

		require.EqualValues(s, 4, put("a").Version)
		require.Equal(s, secret.Secret{Name: "b", Version: 1, Latest: 1, CreatedAt: later, UpdatedAt: later}, put("b"))
	})
}

func TestSecrets_giveTheCurrentVersionAndKeepTheOthers(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.Secrets{}
		insert := func(at secret.Secret, value string) func(context.Context, *store.Tx) error {
			return func(ctx context.Context, tx *store.Tx) error {
				return rows.InsertVersion(ctx, tx, at, at.Version, at.UpdatedAt, []byte("key of "+value), []byte(value))
			}
		}
		var made secret.Secret
		for _, value := range []string{"one", "two"} {
			s.write(func(ctx context.Context, tx *store.Tx) (err error) {
				if made, err = rows.Put(ctx, tx, "a", noon); err != nil {
					return err
				}
				return insert(made, value)(ctx, tx)
			})
		}
		got, found, err := rows.Get(s.Context(), s.q(), "a")
		require.NoError(s, err)
		require.True(s, found)
		require.Equal(s, secret.Sealed{Secret: made, WrappedKey: []byte("key of two"), Value: []byte("two")}, got)
		require.EqualValues(s, 2, s.number("SELECT COUNT(*) FROM secret_versions WHERE name = 'a'"))
		_, found, err = rows.Get(s.Context(), s.q(), "b")
		require.NoError(s, err)
		require.False(s, found)
		all, err := rows.Current(s.Context(), s.q(), []string{"b", "a", "c"})
		require.NoError(s, err)
		require.Equal(s, map[string]secret.Sealed{"a": got}, all)
		_ = s.fails(insert(made, "a version is written once"))
		_ = s.fails(insert(secret.Secret{Name: "b", Version: 1}, "of no secret"))
	})
}

func TestSecrets_areReadTogetherHoweverManyTheyAre(t *testing.T) {
	each(t, func(s suite) {
		rows, names := kmsdb.Secrets{}, []string{}
		s.write(func(ctx context.Context, tx *store.Tx) error {
			for i := range 131 {
				made, err := rows.Put(ctx, tx, fmt.Sprintf("secret%d", i), noon)
				if err != nil {
					return err
				}
				if err := rows.InsertVersion(ctx, tx, made, 1, noon, []byte("key"), []byte(made.Name)); err != nil {
					return err
				}
				names = append(names, made.Name)
			}
			return nil
		})
		for _, n := range []int{1, 2, 3, 63, 64, 65, 128, 131} {
			all, err := rows.Current(s.Context(), s.q(), names[:n])
			require.NoError(s, err)
			require.Len(s, all, n)
			for _, name := range names[:n] {
				require.Equal(s, name, string(all[name].Value))
			}
		}
	})
}

func TestSecrets_areListedByNameInPagesOfRanges(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.Secrets{}
		for _, name := range []string{"press", "press-2", "press.a", "press.b", "pres", "press0"} {
			s.write(func(ctx context.Context, tx *store.Tx) error { _, err := rows.Put(ctx, tx, name, noon); return err })
		}
		names := func(path, after string, limit int) (out []string) {
			among := []policy.Range{{}}
			if path != "" {
				among = []policy.Range{{From: path, Before: path + "-"}, {From: path + ".", Before: path + "/"}}
			}
			secrets, err := rows.List(s.Context(), s.q(), among, after, limit)
			require.NoError(s, err)
			for _, one := range secrets {
				out = append(out, one.Name)
			}
			return out
		}
		require.Equal(s, []string{"press", "press.a", "press.b"}, names("press", "", 9))
		require.Equal(s, []string{"press.b"}, names("press", "press.a", 9))
		require.Equal(s, []string{"pres", "press"}, names("", "", 2))
		require.Len(s, names("", "press", 9), 4)
		require.Empty(s, names("nobody", "", 9))
		none, err := rows.List(s.Context(), s.q(), nil, "", 9)
		require.NoError(s, err)
		require.Empty(s, none, "no range is none of them")
		var many []policy.Range // of more than one statement
		for i := range 250 {
			many = append(many, policy.Range{From: fmt.Sprintf("nobody%03d", i), Before: fmt.Sprintf("nobody%03d-", i)})
		}
		many = append(many, policy.Range{From: "pres", Before: "pres-"}, policy.Range{From: "press", Before: "press-"})
		for limit := range 3 {
			some, err := rows.List(s.Context(), s.q(), many, "", limit+1)
			require.NoError(s, err)
			require.Len(s, some, min(limit+1, 2))
		}
	})
}
