package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// keyOf holds the catalogue query for the columns of a table's primary key, in order.
var keyOf = map[Dialect]string{
	SQLite: "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk",
	PostgreSQL: `SELECT k.column_name AS name FROM information_schema.table_constraints c
		JOIN information_schema.key_column_usage k ON k.constraint_schema = c.constraint_schema AND k.constraint_name = c.constraint_name AND k.table_name = c.table_name
		WHERE c.constraint_type = 'PRIMARY KEY' AND c.table_schema = current_schema() AND c.table_name = ? ORDER BY k.ordinal_position`,
}

// key returns an ORDER BY list that sorts a table's rows alike on both databases: the primary key, or all columns where there is none. Text is
// compared by bytes on both (Dialect.spell).
func (s *Snapshot) key(ctx context.Context, t CopiedTable) (order string, err error) {
	var names []string
	if err := s.tx.Select(ctx, &names, keyOf[s.tx.dialect], t.Name); err != nil {
		return "", fmt.Errorf("read key of %s: %w", t.Name, err)
	}
	if len(names) == 0 {
		return ` ORDER BY "` + strings.Join(t.Columns, `" NULLS FIRST, "`) + `" NULLS FIRST`, nil
	}
	if err := (CopiedTable{Name: t.Name, Columns: names}).valid(); err != nil {
		return "", err
	}
	return ` ORDER BY "` + strings.Join(names, `", "`) + `"`, nil
}

// digest reads every row of a table in the given order, each value converted to its column's declared type: SQLite stores values of any type in any
// column.
func (s *Snapshot) digest(ctx context.Context, t CopiedTable, order string) (MovedTable, error) {
	found, err := columns(ctx, s.tx, t.Name)
	if err != nil {
		return MovedTable{}, err
	}
	kinds := map[string]string{}
	for _, c := range found {
		kinds[c.Name] = c.Type
	}
	sum := sha256.New()
	out := MovedTable{Name: t.Name}
	var text []byte
	err = s.each(ctx, t, order, func(row []any) (err error) {
		text = text[:0]
		for i, value := range row {
			if text, err = appendValue(text, fit(value, kinds[t.Columns[i]])); err != nil {
				return fmt.Errorf("column %s of %s: %w", t.Columns[i], t.Name, err)
			}
		}
		sum.Write(text)
		out.Rows++
		return nil
	})
	out.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return out, err
}

// appendValue appends the encoding of a value. No two different rows of a table have the same encoding.
func appendValue(out []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return append(out, 'n'), nil
	case bool:
		if v {
			return append(out, 'i', 2), nil // as the integer 1
		}
		return append(out, 'i', 0), nil
	case int64:
		return binary.AppendVarint(append(out, 'i'), v), nil
	case string:
		return append(binary.AppendUvarint(append(out, 't'), uint64(len(v))), v...), nil
	case []byte:
		return append(binary.AppendUvarint(append(out, 'b'), uint64(len(v))), v...), nil
	}
	return nil, fmt.Errorf("a value of type %T can't be compared", value)
}

// noneNumbersItself refuses tables with columns that PostgreSQL numbers by a sequence: no migration creates one, and the state of the sequence would
// not be copied.
func (s *Snapshot) noneNumbersItself(ctx context.Context) error {
	if s.tx.dialect != PostgreSQL {
		return nil
	}
	var n int
	err := s.tx.Get(ctx, &n, "SELECT COUNT(*) FROM pg_sequences WHERE schemaname = current_schema() AND sequencename NOT LIKE 'goose_db_version%'")
	if err != nil {
		return fmt.Errorf("look for columns that number themselves: %w", err)
	}
	if n > 0 {
		return errors.New("the database has columns that number themselves, which are not moved")
	}
	return nil
}
