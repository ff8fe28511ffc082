package store

import (
	"context"
	"fmt"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	database "github.com/fountainai/fountain/internal/store"
)

// Moment identifies the moment whose order a consistent listing shows. The zero value stands for the first page, which sets it.
type Moment struct {
	Feed   string // name of the database's feeds; it changes with a restore of a backup, after which Orders and Last can't be compared
	Orders int64  // how often the order of the group had changed
	Last   int64  // the last number given
}

// ListAt is List for a listing whose pages together show the elements of one moment in the order of that moment, each element in its present state. m is zero for the first page, and ListAt then
// sets it. Error: domain.ErrOrderChanged when the order has changed since that moment.
func (s *Store) ListAt(ctx context.Context, g domain.Group, status domain.Status, after int64, limit int, m *Moment) (out []domain.Element, err error) {
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		now, err := moment(ctx, q, g)
		if err != nil {
			return err
		}
		switch {
		case *m == (Moment{}):
			*m = now
		case now.Feed != m.Feed || now.Orders != m.Orders:
			return domain.ErrOrderChanged
		}
		out, err = list(ctx, q, g, status, after, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	for n, e := range out {
		if e.Number > m.Last { // created after the first page
			return out[:n], nil
		}
	}
	if len(out) == 0 {
		return nil, s.Known(ctx, g.Scope)
	}
	return out, nil
}

// moment returns the present Moment of a group.
func moment(ctx context.Context, q database.Querier, g domain.Group) (Moment, error) {
	var row struct {
		Feed   string `db:"feed"`
		Orders int64  `db:"orders"`
		Last   int64  `db:"last"`
	}
	err := q.Get(ctx, &row, `SELECT f.name AS feed, COALESCE(c.orders, 0) AS orders, COALESCE(c.last, 0) AS last
		FROM feed_name f LEFT JOIN counters c ON c.scope = ? AND c.element_type = ? WHERE f.id = 1`, g.Scope, g.ElementType)
	if err != nil {
		return Moment{}, fmt.Errorf("read how often the order has changed: %w", err)
	}
	return Moment(row), nil
}

// countOrder counts a change to the order of a group, which ends consistent listings (ListAt). The caller has locked the group's counter.
func countOrder(ctx context.Context, tx *database.Tx, g domain.Group) error {
	if _, err := tx.Exec(ctx, "UPDATE counters SET orders = orders + 1 WHERE scope = ? AND element_type = ?", g.Scope, g.ElementType); err != nil {
		return fmt.Errorf("count order: %w", err)
	}
	return nil
}
