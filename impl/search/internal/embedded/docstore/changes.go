package docstore

import (
	"context"
	"slices"

	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Changes tells which documents the commits after number after wrote or removed, in order and each once, and the number of the last
// commit. An index that holds the commits up to after is brought up to date by the present state of these documents.
func (s *Store) Changes(key, after uint64) (numbers []uint64, last uint64, err error) {
	defer tried.To(&err, "read changes")
	err = s.Read(key, func(t *Tx) error {
		last = t.commits
		var lists [][]byte
		if err := t.q.Select(t.ctx, &lists, "SELECT numbers FROM changes WHERE collection = ? AND commit_number > ?", key, after); err != nil {
			return err
		}
		for _, list := range lists {
			more, err := decodeNumbers(list)
			if err != nil {
				return err
			}
			numbers = append(numbers, more...)
		}
		return nil
	})
	slices.Sort(numbers)
	return slices.Compact(numbers), last, err
}

// Forget removes the notes of the changes up to a commit: an index holds them on disk.
func (s *Store) Forget(key, upTo uint64) (err error) {
	defer tried.To(&err, "forget changes")
	return s.write(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM changes WHERE collection = ? AND commit_number <= ?", key, upTo)
		return err
	})
}
