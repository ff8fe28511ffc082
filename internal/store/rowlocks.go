package store

import (
	"context"
	"fmt"
	"strings"
)

// Rows selects rows of a table for statements that change many of them. On PostgreSQL such a statement locks its rows one by one in the order in
// which it finds them. Two statements that find common rows in different orders deadlock until PostgreSQL aborts one, a second later. So each
// statement either locks its rows in a fixed order first (Lock), or skips rows that another transaction has locked (Delete, Update).
type Rows struct {
	Table string
	Key   []string // the columns of its primary key, all of them TEXT
	Where string   // a condition without ORDER BY; its placeholders take Args
	Args  []any
}

// Lock locks the rows in the byte order of their keys, in which Go sorts strings: a transaction that locks single rows of the table in that order
// cannot deadlock with it. On SQLite, which has one writer, it does nothing.
func (r Rows) Lock(ctx context.Context, tx *Tx) error {
	if tx.dialect == SQLite {
		return nil
	}
	var locked []int
	err := tx.Select(ctx, &locked, "SELECT 1 FROM "+r.Table+" WHERE "+r.Where+" ORDER BY "+strings.Join(r.Key, ` COLLATE "C", `)+` COLLATE "C" FOR UPDATE`, r.Args...)
	if err != nil {
		return fmt.Errorf("lock rows of %s: %w", r.Table, err)
	}
	return nil
}

// Delete deletes the rows that no other transaction has locked, without waiting, and returns how many. It is for periodic clean-up: skipped rows are
// deleted by a later run.
func (r Rows) Delete(ctx context.Context, tx *Tx) (int64, error) {
	n, err := tx.Exec(ctx, "DELETE FROM "+r.Table+" WHERE "+r.free(tx.dialect), r.Args...)
	if err != nil {
		return 0, fmt.Errorf("delete from %s: %w", r.Table, err)
	}
	return n, nil
}

// Update sets columns of the rows that no other transaction has locked, without waiting for one, and returns how many. set must have no placeholders.
func (r Rows) Update(ctx context.Context, tx *Tx, set string) (int64, error) {
	n, err := tx.Exec(ctx, "UPDATE "+r.Table+" SET "+set+" WHERE "+r.free(tx.dialect), r.Args...)
	if err != nil {
		return 0, fmt.Errorf("update %s: %w", r.Table, err)
	}
	return n, nil
}

// free returns the condition that skips locked rows.
func (r Rows) free(dialect Dialect) string {
	if dialect == SQLite {
		return r.Where
	}
	key := strings.Join(r.Key, ", ")
	return "(" + key + ") IN (SELECT " + key + " FROM " + r.Table + " WHERE " + r.Where + " FOR UPDATE SKIP LOCKED)"
}
