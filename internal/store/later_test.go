package store_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// onlyOne opens a database with one connection for writing, so that the next transaction meets whatever a transaction leaves behind.
func onlyOne(t *testing.T, test func(t *testing.T, db *store.DB)) {
	storetest.EachConfig(t, counters, func(t *testing.T, c store.Config) {
		c.MaxConns = 1
		db, err := store.Open(t.Context(), c)
		require.NoError(t, err)
		defer func() { require.NoError(t, db.Close()) }()
		put(t, db, "a", 1)
		test(t, db)
	})
}

func values(t *testing.T, db *store.DB, names ...string) (all []int64) {
	t.Helper()
	for _, name := range names {
		all = append(all, value(t, db.Read(t.Context()), name))
	}
	return all
}

func later(ctx context.Context, tx *store.Tx, statements ...store.Statement) error {
	for _, s := range statements {
		if err := tx.Later(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// insert returns a statement that inserts a counter.
func insert(name string, value int64) store.Statement {
	return store.Statement{Query: "INSERT INTO counters (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING", Args: []any{name, value}}
}

func TestLater_isCommitted(t *testing.T) {
	onlyOne(t, func(t *testing.T, db *store.DB) {
		done := 0
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			tx.AfterCommit(func() { done++ })
			return later(ctx, tx, add("a"), insert("b", 7), add("b"))
		}))
		require.Equal(t, []int64{2, 8}, values(t, db, "a", "b"))
		require.Equal(t, 1, done)
	})
}

func TestLater_runsBeforeTheNextStatement(t *testing.T) {
	onlyOne(t, func(t *testing.T, db *store.DB) {
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			require.NoError(t, later(ctx, tx, add("a")))
			require.EqualValues(t, 2, value(t, tx, "a"))
			require.NoError(t, later(ctx, tx, add("a")))
			changed, err := tx.ExecAll(ctx, store.Statement{Query: "UPDATE counters SET value = value * 10 WHERE name = 'a'"})
			require.Equal(t, []int64{1}, changed)
			require.NoError(t, err)
			require.NoError(t, later(ctx, tx, add("a")))
			tx.AtEnd(store.LastCommit, func(ctx context.Context) error {
				require.EqualValues(t, 31, value(t, tx, "a"))
				return nil
			})
			return nil
		}))
		require.Equal(t, []int64{31}, values(t, db, "a"))
	})
}

// If a deferred statement changes no row, nothing of its transaction has happened, wherever the statement is. In particular, the commit that was sent
// with it was not executed.
func TestLater_isRunAnewWhenItChangesNothing(t *testing.T) {
	onlyOne(t, func(t *testing.T, db *store.DB) {
		for place := range 3 {
			before, runs, done := values(t, db, "a")[0], 0, 0
			require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				runs++
				require.Equal(t, runs > 1, tx.Cautious())
				require.Equal(t, before, value(t, tx, "a"), "what was run before is gone")
				tx.AfterCommit(func() { done++ })
				if tx.Cautious() {
					return increment(ctx, tx, "a")
				}
				statements := []store.Statement{add("a"), add("a"), add("a")}
				statements[place] = insert("a", 1)
				return later(ctx, tx, statements...)
			}))
			require.Equal(t, before+1, values(t, db, "a")[0])
			require.Equal(t, 2, runs)
			require.Equal(t, 1, done)
		}
	})
}

func TestLater_isRunAnewOnce(t *testing.T) {
	onlyOne(t, func(t *testing.T, db *store.DB) {
		runs := 0
		err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			runs++
			return later(ctx, tx, add("a"), add("nobody"))
		})
		require.ErrorContains(t, err, "cautious")
		require.Equal(t, 2, runs)
		require.Equal(t, []int64{1}, values(t, db, "a"))
	})
}

// The function is also run again if it replaces the error: it acted on a wrong assumption.
func TestLater_isRunAnewWhateverTheFunctionMakesOfTheError(t *testing.T) {
	onlyOne(t, func(t *testing.T, db *store.DB) {
		for _, made := range []error{nil, errors.New("there is no such thing")} {
			before, runs := values(t, db, "a")[0], 0
			require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				runs++
				if tx.Cautious() {
					return increment(ctx, tx, "a")
				}
				err := later(ctx, tx, add("a"), insert("a", 1))
				if err == nil {
					err = increment(ctx, tx, "a")
				}
				require.Error(t, err)
				return made
			}))
			require.Equal(t, 2, runs)
			require.Equal(t, before+1, values(t, db, "a")[0])
		}
	})
}

func TestLater_thatFailsIsNotRunAnew(t *testing.T) {
	onlyOne(t, func(t *testing.T, db *store.DB) {
		runs := 0
		err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			runs++
			return later(ctx, tx, add("a"), store.Statement{Query: "INSERT INTO counters (name, value) VALUES ('a', 1)"})
		})
		require.True(t, store.IsUnique(err))
		require.Equal(t, 1, runs)
		require.Equal(t, []int64{1}, values(t, db, "a"))
	})
}

func TestLater_isNotSentWhenTheFunctionFails(t *testing.T) {
	onlyOne(t, func(t *testing.T, db *store.DB) {
		refused := errors.New("refused")
		for _, fail := range []func(tx *store.Tx) error{
			func(*store.Tx) error { return refused },
			func(tx *store.Tx) error {
				tx.AtEnd(store.LastAudit, func(context.Context) error { return refused })
				return nil
			},
			func(tx *store.Tx) error {
				tx.AtEnd(store.LastCommit, func(context.Context) error { return refused })
				return nil
			},
		} {
			err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				require.NoError(t, later(ctx, tx, add("a")))
				return fail(tx)
			})
			require.ErrorIs(t, err, refused)
			require.Equal(t, []int64{1}, values(t, db, "a"))
		}
	})
}

func TestLater_isNotSentWhenTheContextHasEnded(t *testing.T) {
	onlyOne(t, func(t *testing.T, db *store.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		err := db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
			require.NoError(t, later(ctx, tx, add("a")))
			cancel()
			return nil
		})
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, []int64{1}, values(t, db, "a"))
	})
}

func TestSelectFirst_readsInTheTransaction(t *testing.T) {
	onlyOne(t, func(t *testing.T, db *store.DB) {
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, "INSERT INTO counters (name, value, note) VALUES ('b', 2, ?)", []byte{0, 1})
			return err
		}))
		refused := errors.New("refused")
		read := func(ctx context.Context, tx *store.Tx) (rows [][]any) {
			require.NoError(t, tx.SelectFirst(ctx, func(row []any) error {
				rows = append(rows, slices.Clone(row))
				return nil
			}, "SELECT name, value, note FROM counters WHERE value < ? ORDER BY name", int64(9)))
			return rows
		}
		require.ErrorIs(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			require.Equal(t, [][]any{{"a", int64(1), nil}, {"b", int64(2), []byte{0, 1}}}, read(ctx, tx))
			require.NoError(t, increment(ctx, tx, "a"))
			require.Equal(t, int64(2), read(ctx, tx)[0][1], "it need not be the first")
			return refused
		}), refused)
		require.Equal(t, []int64{1}, values(t, db, "a"), "what followed it was in the transaction")
	})
}

func TestSelectFirst_breaksTheTransactionWhenItFails(t *testing.T) {
	onlyOne(t, func(t *testing.T, db *store.DB) {
		refused := errors.New("refused")
		none := func([]any) error { return nil }
		for _, first := range []func(ctx context.Context, tx *store.Tx) error{
			func(ctx context.Context, tx *store.Tx) error {
				return tx.SelectFirst(ctx, none, "SELECT name FROM nothing")
			},
			func(ctx context.Context, tx *store.Tx) error {
				return tx.SelectFirst(ctx, func([]any) error { return refused }, "SELECT name FROM counters")
			},
		} {
			err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				require.Error(t, first(ctx, tx))
				require.Error(t, increment(ctx, tx, "a"))
				return nil // an error that was swallowed
			})
			require.Error(t, err)
			require.NoError(t, db.Ping(t.Context()))
		}
		require.Equal(t, []int64{1}, values(t, db, "a"))
	})
}
