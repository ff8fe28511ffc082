package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// Statement is one of several that are sent together.
type Statement struct {
	Query string
	Args  []any
}

// ExecAll runs statements one after the other and returns how many rows each has changed. PostgreSQL gets them in one message and answers once, which spares a wait
// for the network for each but the first; so no statement can hang on what this process makes of an answer to one before. The first that fails breaks the
// transaction, as with Exec.
func (tx *Tx) ExecAll(ctx context.Context, statements ...Statement) ([]int64, error) {
	changed := make([]int64, len(statements))
	if tx.dialect == SQLite {
		for i, s := range statements {
			rows, err := tx.Exec(ctx, s.Query, s.Args...)
			if err != nil {
				return nil, err
			}
			changed[i] = rows
		}
		return changed, nil
	}
	batch, texts := &pgx.Batch{}, make([]string, 0, len(statements))
	for i, s := range statements {
		batch.Queue(tx.dialect.rebind(s.Query), s.Args...).Exec(func(done pgconn.CommandTag) error {
			changed[i] = done.RowsAffected()
			return nil
		})
		texts = append(texts, s.Query)
	}
	err := tx.run(ctx, strings.Join(slices.Compact(texts), "; "), func() error {
		return tx.conn.Raw(func(driverConn any) error {
			conn, ok := driverConn.(*stdlib.Conn)
			if !ok {
				return fmt.Errorf("the driver's connection is a %T", driverConn)
			}
			// The connection is locked here. When the context has ended database/sql has rolled back by itself, and what is sent now would be in no transaction.
			if conn.Conn().PgConn().TxStatus() != 'T' {
				return sql.ErrTxDone
			}
			err := conn.Conn().SendBatch(ctx, batch).Close()
			if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) {
				return refused // whether it was while a statement was prepared or run depends on what was prepared before
			}
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return changed, nil
}
