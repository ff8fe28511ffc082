package kmsdb_test

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/internal/store"
)

// The error of every method, on a failing database, says what was tried.
func TestRows_sayWhatTheyTried(t *testing.T) {
	each(t, func(s suite) {
		_ = s.fails(func(ctx context.Context, tx *store.Tx) error {
			_, broken := tx.Exec(ctx, "no statement") // from here on every statement fails
			for _, rows := range []any{
				kmsdb.APIKeys{}, kmsdb.Keyrings{}, kmsdb.Keysets{}, kmsdb.ProofKeys{}, kmsdb.Revocations{}, kmsdb.Roles{}, kmsdb.SecretPolicies{}, kmsdb.Secrets{}, kmsdb.Services{}, kmsdb.Sessions{},
				kmsdb.Settings{}, kmsdb.SigningKeys{}, kmsdb.Standing{}, kmsdb.Users{},
			} {
				methods := reflect.ValueOf(rows)
				for i := range methods.NumMethod() {
					name := methods.Type().String() + "." + methods.Type().Method(i).Name
					results := methods.Method(i).Call(anyArguments(ctx, tx, methods.Method(i).Type()))
					if (name == "kmsdb.Roles.LockHolders" || name == "kmsdb.Services.LockCarriers") && tx.Dialect() == store.SQLite {
						continue // they run no statement: SQLite has a single writer, and no row locks
					}
					err, _ := results[len(results)-1].Interface().(error)
					require.ErrorIs(s, err, broken, name)
					require.False(s, strings.HasPrefix(err.Error(), "transaction is broken"), "%s: %v", name, err)
				}
			}
			return broken
		})
	})
}

// anyArguments returns arguments for a method; lists and maps have one element.
func anyArguments(ctx context.Context, tx *store.Tx, method reflect.Type) (args []reflect.Value) {
	for i := range method.NumIn() {
		switch of := method.In(i); {
		case of == reflect.TypeFor[context.Context]():
			args = append(args, reflect.ValueOf(ctx))
		case reflect.TypeFor[*store.Tx]().AssignableTo(of):
			args = append(args, reflect.ValueOf(tx))
		case of.Kind() == reflect.Slice:
			args = append(args, reflect.MakeSlice(of, 1, 1))
		case of.Kind() == reflect.Map:
			one := reflect.MakeMap(of)
			one.SetMapIndex(reflect.Zero(of.Key()), reflect.Zero(of.Elem()))
			args = append(args, one)
		default:
			args = append(args, reflect.Zero(of))
		}
	}
	return args
}
