package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	database "github.com/fountainai/fountain/internal/store"
)

// NameFeeds gives the feeds of the database a name, unless they have one already.
func NameFeeds(ctx context.Context, tx *database.Tx, name string) error {
	if _, err := tx.Exec(ctx, "UPDATE feed_name SET name = ? WHERE id = 1 AND name = ''", name); err != nil {
		return fmt.Errorf("name feeds: %w", err)
	}
	return nil
}

// RenameFeeds gives the feeds of the database another name. From then on followers who hold positions under the old name are refused.
func RenameFeeds(ctx context.Context, tx *database.Tx, name string) error {
	if _, err := tx.Exec(ctx, "UPDATE feed_name SET name = ? WHERE id = 1", name); err != nil {
		return fmt.Errorf("rename feeds: %w", err)
	}
	return nil
}

// Feed returns the present state of a scope's feed.
func (s *Store) Feed(ctx context.Context, scope string) (domain.Feed, error) {
	var now struct {
		Name string `db:"name"`
		Last *int64 `db:"last"`
	}
	err := s.db.Read(ctx).Get(ctx, &now, "SELECT n.name, f.last FROM feed_name n LEFT JOIN feeds f ON f.scope = ? WHERE n.id = 1", scope)
	if err != nil {
		return domain.Feed{}, fmt.Errorf("read end of feed: %w", err)
	}
	out := domain.Feed{Name: now.Name, Known: now.Last != nil}
	if out.Known {
		out.Last = *now.Last
	}
	return out, nil
}

// Ends returns the last position in the feed of each scope. Scopes without a feed are left out.
func (s *Store) Ends(ctx context.Context, scopes []string) (map[string]int64, error) {
	out := make(map[string]int64, len(scopes))
	err := inChunks(scopes, func(part []string) error {
		var feeds []struct {
			Scope string `db:"scope"`
			Last  int64  `db:"last"`
		}
		args := make([]any, len(part))
		for i, scope := range part {
			args[i] = scope
		}
		err := s.db.Read(ctx).Select(ctx, &feeds, "SELECT scope, last FROM feeds WHERE scope IN (?"+strings.Repeat(", ?", len(part)-1)+")", args...)
		for _, f := range feeds {
			out[f.Scope] = f.Last
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read ends of feeds: %w", err)
	}
	return out, nil
}

// Changes returns up to limit entries of a scope's feed that follow a position, in order. There are none when the position is the last one, or the scope is unknown.
func (s *Store) Changes(ctx context.Context, scope string, after int64, limit int) ([]domain.Change, error) {
	var rows []changeRow
	err := s.db.Read(ctx).Select(ctx, &rows, `SELECT position, kind, element_type, id, version, number, numbers, shifted, at, actor FROM changes
		WHERE scope = ? AND position > ? ORDER BY position LIMIT ?`, scope, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read feed: %w", err)
	}
	out := make([]domain.Change, len(rows))
	for i, r := range rows {
		out[i] = domain.Change{
			Position: r.Position, Kind: domain.Kind(r.Kind), ElementType: r.ElementType, ID: r.ID, Version: r.Version, Number: r.Number, At: fromMicros(r.At), Actor: r.Actor,
		}
		if out[i].Numbers, out[i].Shift, err = r.order(); err != nil {
			return nil, fmt.Errorf("decode numbers of a change: %w", err)
		}
	}
	return out, nil
}

// order decodes the part of a row that describes a reorder or a move.
func (r *changeRow) order() (numbers []domain.NumberChange, shift *domain.Shift, err error) {
	switch {
	case len(r.Numbers) == 0:
		return nil, nil, nil
	case len(r.Shifted) == 0:
		err = json.Unmarshal(r.Numbers, &numbers)
		return numbers, nil, err
	}
	var far farNumbers
	var s shiftedText
	err = errors.Join(json.Unmarshal(r.Numbers, &far), json.Unmarshal(r.Shifted, &s))
	return far.Moved, &domain.Shift{From: s.From, To: s.To, By: s.By}, err
}
