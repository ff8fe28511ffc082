package docstore

import (
	"context"
	"slices"

	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Changes returns which documents were written or removed by commits after the given one, sorted and without duplicates, and the number of
// the last commit. To bring an index that contains the commits up to after up to date, the caller indexes the current state of these
// documents.
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

// Forget deletes the records of changes up to a commit, because an index holds them on disk.
func (s *Store) Forget(key, upTo uint64) (err error) {
	defer tried.To(&err, "forget changes")
	return s.write(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM changes WHERE collection = ? AND commit_number <= ?", key, upTo)
		return err
	})
}
