package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	database "github.com/fountainai/fountain/internal/store"
)

const (
	// LongOrder is how many elements a reorder or a move renumbers in one transaction at most. A longer one is an Order.
	LongOrder = 200
	// orderStep is how many elements one transaction of an Order writes.
	orderStep = 200
	// orderWait is how long a step waits for those who change the group.
	orderWait = 5 * time.Second
)

// ErrLongOrder fails a change that renumbers more elements than one transaction should: it is made as an Order.
var ErrLongOrder = errors.New("the change renumbers too many elements for one transaction")

// ErrOrderLost says that an Order was given up before it was shown, because it had been silent. Nothing of it was seen.
var ErrOrderLost = fmt.Errorf("%w: the order was given up", database.ErrUnavailable)

// Order is a long reorder or move. It is staged where nobody sees it, shown in one small transaction and then settled, all in transactions of a few rows. A move has nothing to stage: one
// row shows it (shift). From the beginning until it is settled nothing else changes the order of its group, but for what is short beside a move that is shown; everything else in the group does.
type Order struct {
	domain.Group
	ID    string // nobody else's
	Shown bool

	step int // elements that one transaction writes; 0: orderStep
}

// steps is how many elements one transaction writes at most.
func (o *Order) steps() int {
	if o.step > 0 {
		return o.step
	}
	return orderStep
}

// shownMove joins to elements e the order that was shown and is not settled yet: of such an element the number in m counts, or that which s makes of its own.
const shownMove = ` LEFT JOIN reorders o ON o.scope = e.scope AND o.element_type = e.element_type AND o.shown_at > 0
	LEFT JOIN reorder_moves m ON m.scope = o.scope AND m.element_type = o.element_type AND m.id = e.id` + shownShift

const shownShift = ` LEFT JOIN shifts s ON s.scope = e.scope AND s.element_type = e.element_type `

// numberNow and updatedNow are of elements e with shownMove.
const (
	numberNow  = "CASE WHEN e.id = s.moved_id THEN s.moved_to WHEN e.number BETWEEN s.low AND s.high THEN e.number + s.step ELSE COALESCE(m.number, e.number) END"
	updatedNow = `CASE WHEN m.number IS NOT NULL AND o.shown_at > e.updated_at THEN o.shown_at
		WHEN (e.id = s.moved_id OR e.number BETWEEN s.low AND s.high) AND s.shown_at > e.updated_at THEN s.shown_at ELSE e.updated_at END`
)

// numberOfUpdated is numberNow in an update of elements.
const numberOfUpdated = `COALESCE((SELECT CASE WHEN elements.id = s.moved_id THEN s.moved_to ELSE elements.number + s.step END FROM shifts s
	WHERE s.scope = elements.scope AND s.element_type = elements.element_type AND (elements.id = s.moved_id OR elements.number BETWEEN s.low AND s.high)),
	(SELECT m.number FROM reorders o JOIN reorder_moves m ON m.scope = o.scope AND m.element_type = o.element_type
	WHERE o.scope = elements.scope AND o.element_type = elements.element_type AND o.shown_at > 0 AND m.id = elements.id), elements.number)`

// inOrder selects rows of row from a group in the order of their numbers, behind a number; condition begins with AND, or is empty. Elements that a shown order has moved are found by
// their new numbers, the others by their own, below and above those that a move has shifted.
func inOrder(columns, condition string) string {
	const ofShift = `LEFT JOIN reorders o ON o.scope = e.scope AND o.element_type = e.element_type AND o.shown_at > 0
		LEFT JOIN reorder_moves m ON m.scope = o.scope AND m.element_type = o.element_type AND m.id = e.id
		WHERE s.scope = ? AND s.element_type = ? `
	still := `SELECT ` + columns + ` FROM elements e ` + shownMove + ` WHERE e.scope = ? AND e.element_type = ? AND m.id IS NULL AND `
	return `SELECT * FROM (` + still + `e.number > ? AND e.number < COALESCE((SELECT f.low FROM shifts f WHERE f.scope = ? AND f.element_type = ?), 9223372036854775807) ` + condition + ` ORDER BY e.number LIMIT ?) AS below
	UNION ALL SELECT * FROM (` + still + `e.number > (SELECT CASE WHEN f.high > CAST(? AS BIGINT) THEN f.high ELSE CAST(? AS BIGINT) END FROM shifts f WHERE f.scope = ? AND f.element_type = ?) ` + condition + ` ORDER BY e.number LIMIT ?) AS above
	UNION ALL SELECT * FROM (SELECT ` + columns + ` FROM reorders o JOIN reorder_moves m ON m.scope = o.scope AND m.element_type = o.element_type
		JOIN elements e ON e.scope = m.scope AND e.element_type = m.element_type AND e.id = m.id ` + shownShift + `
		WHERE o.scope = ? AND o.element_type = ? AND o.shown_at > 0 AND m.number > ? ` + condition + ` ORDER BY m.number LIMIT ?) AS reordered
	UNION ALL SELECT * FROM (SELECT ` + columns + ` FROM shifts s JOIN elements e ON e.scope = s.scope AND e.element_type = s.element_type AND e.number BETWEEN s.low AND s.high ` + ofShift + `
		AND e.number > ? - s.step ` + condition + ` ORDER BY e.number LIMIT ?) AS shifted
	UNION ALL SELECT * FROM (SELECT ` + columns + ` FROM shifts s JOIN elements e ON e.scope = s.scope AND e.element_type = s.element_type AND e.id = s.moved_id ` + ofShift + `
		AND s.moved_to > ? ` + condition + ` LIMIT ?) AS moved
	ORDER BY number LIMIT ?`
}

// inOrderArgs are the arguments of inOrder.
func inOrderArgs(g domain.Group, after int64, limit int) (args []any) {
	args = append(args, g.Scope, g.ElementType, after, g.Scope, g.ElementType, limit)
	args = append(args, g.Scope, g.ElementType, after, after, g.Scope, g.ElementType, limit)
	for range 3 {
		args = append(args, g.Scope, g.ElementType, after, limit)
	}
	return append(args, limit)
}

// BeginOrder takes the order of a group. Error of the domain: domain.ErrOrdering, another one has it.
func BeginOrder(ctx context.Context, tx *database.Tx, o *Order, at time.Time) error {
	if _, err := Lock(ctx, tx, []domain.Group{o.Group}, orderWait); err != nil {
		return err
	}
	rows, err := tx.Exec(ctx, `INSERT INTO reorders (scope, element_type, id, shown_at, ended, negated, touched_at) VALUES (?, ?, ?, 0, FALSE, 0, ?)
		ON CONFLICT (scope, element_type) DO NOTHING`, o.Scope, o.ElementType, o.ID, at.UnixMicro())
	if err != nil {
		return fmt.Errorf("begin order: %w", err)
	}
	if rows == 0 {
		return domain.ErrOrdering
	}
	return nil
}

// Parts divides what an order changes into those of Stage; a move has none.
func (o *Order) Parts(c *Change) (parts [][]domain.NumberChange) {
	changes := c.Done.Numbers
	if shiftOf(c) != nil {
		return nil
	}
	for n := o.steps(); len(changes) > n; changes = changes[n:] {
		parts = append(parts, changes[:n])
	}
	return append(parts, changes)
}

// Stage writes a part of the order, which nobody sees. Error: ErrOrderLost.
func (o *Order) Stage(ctx context.Context, tx *database.Tx, at time.Time, part []domain.NumberChange) error {
	if err := o.hold(ctx, tx, "touched_at = ?", at.UnixMicro()); err != nil || len(part) == 0 {
		return err
	}
	args := make([]any, 0, 4*len(part))
	for _, c := range part {
		args = append(args, o.Scope, o.ElementType, c.ID, c.To)
	}
	_, err := tx.Exec(ctx, "INSERT INTO reorder_moves (scope, element_type, id, number) "+
		database.Values(len(part), database.Text, database.Text, database.Text, database.Bigint), args...)
	if err != nil {
		return fmt.Errorf("stage order: %w", err)
	}
	return nil
}

// Show makes the staged numbers those of their elements, with the commit. at is the time of the change, touched that by which silence is known; done is what the order
// brings about, for the feed. Error: ErrOrderLost.
func (o *Order) Show(ctx context.Context, tx *database.Tx, at, touched time.Time, done *Change) error {
	if _, err := Lock(ctx, tx, []domain.Group{o.Group}, orderWait); err != nil {
		return err
	}
	if _, err := LockFeeds(ctx, tx, []string{o.Scope}, orderWait); err != nil {
		return err
	}
	if s := shiftOf(done); s != nil {
		if err := o.showShift(ctx, tx, at, touched, s); err != nil {
			return err
		}
	} else if err := o.hold(ctx, tx, "shown_at = ?, touched_at = ?", at.UnixMicro(), touched.UnixMicro()); err != nil {
		return err
	}
	if len(done.Done.Numbers) > 0 { // else it is the order that was there, and no walk ends with it
		if err := countOrder(ctx, tx, o.Group); err != nil {
			return err
		}
	}
	return Record(ctx, tx, at, []*Change{done})
}

// hold locks the row of an order that is not shown yet to the commit.
func (o *Order) hold(ctx context.Context, tx *database.Tx, set string, args ...any) error {
	rows, err := tx.Exec(ctx, "UPDATE reorders SET "+set+" WHERE scope = ? AND element_type = ? AND id = ? AND shown_at = 0 AND NOT ended",
		append(args, o.Scope, o.ElementType, o.ID)...)
	if err != nil {
		return fmt.Errorf("hold order: %w", err)
	}
	if rows == 0 {
		return ErrOrderLost
	}
	return nil
}

// Settle writes a few numbers of a shown order to their elements, and hands those that are there to mark. It returns whether nothing is left to do. Several may settle one order.
//
// Both databases check uniqueness row by row. So first all elements take a negative number, which nobody else has, then their new one.
func (o *Order) Settle(ctx context.Context, tx *database.Tx, at time.Time, mark func(context.Context, *database.Tx, []domain.Ref) error) (settled bool, err error) {
	if _, err := Lock(ctx, tx, []domain.Group{o.Group}, orderWait); err != nil {
		return false, err
	}
	s, err := o.shift(ctx, tx)
	if err != nil {
		return false, err
	}
	if s != nil {
		return o.settleShift(ctx, tx, s, at, mark)
	}
	var now []struct {
		ShownAt int64 `db:"shown_at"`
		Negated int64 `db:"negated"`
	}
	err = tx.Select(ctx, &now, "SELECT shown_at, negated FROM reorders WHERE scope = ? AND element_type = ? AND id = ? AND shown_at > 0", o.Scope, o.ElementType, o.ID)
	if err != nil || len(now) == 0 {
		return err == nil, err // by somebody else
	}
	b := batch{tx: tx, at: now[0].ShownAt}
	leaving, err := o.moves(ctx, tx, now[0].Negated)
	if err != nil {
		return false, err
	}
	if len(leaving) > 0 {
		if err := b.setNumbers(ctx, o.Group, leaving, func(to int64) int64 { return -to }); err != nil {
			return false, err
		}
		_, err := tx.Exec(ctx, "UPDATE reorders SET negated = ?, touched_at = ? WHERE scope = ? AND element_type = ?", leaving[len(leaving)-1].To, at.UnixMicro(), o.Scope, o.ElementType)
		return false, err
	}
	return o.arrive(ctx, &b, at, mark)
}

// arrive gives a few elements their new numbers for good, and when all have them ends the order.
func (o *Order) arrive(ctx context.Context, b *batch, at time.Time, mark func(context.Context, *database.Tx, []domain.Ref) error) (settled bool, err error) {
	arriving, err := o.moves(ctx, b.tx, 0)
	if err != nil {
		return false, err
	}
	if len(arriving) == 0 {
		_, err := b.tx.Exec(ctx, "DELETE FROM reorders WHERE scope = ? AND element_type = ? AND id = ?", o.Scope, o.ElementType, o.ID)
		return err == nil, err
	}
	if err := b.setNumbers(ctx, o.Group, arriving, func(to int64) int64 { return to }); err != nil {
		return false, err
	}
	_, err = b.tx.Exec(ctx, "DELETE FROM reorder_moves WHERE scope = ? AND element_type = ? AND number <= ?", o.Scope, o.ElementType, arriving[len(arriving)-1].To)
	if err != nil {
		return false, err
	}
	if _, err := b.tx.Exec(ctx, "UPDATE reorders SET touched_at = ? WHERE scope = ? AND element_type = ?", at.UnixMicro(), o.Scope, o.ElementType); err != nil {
		return false, err
	}
	ids := make([]string, len(arriving))
	for i, c := range arriving {
		ids[i] = c.ID
	}
	return false, mark(ctx, b.tx, o.refs(ids))
}

// moves reads the next staged numbers behind one.
func (o *Order) moves(ctx context.Context, q database.Querier, after int64) ([]domain.NumberChange, error) {
	var rows []struct {
		ID     string `db:"id"`
		Number int64  `db:"number"`
	}
	err := q.Select(ctx, &rows, "SELECT id, number FROM reorder_moves WHERE scope = ? AND element_type = ? AND number > ? ORDER BY number LIMIT ?", o.Scope, o.ElementType, after, o.steps())
	if err != nil {
		return nil, fmt.Errorf("read staged order: %w", err)
	}
	out := make([]domain.NumberChange, len(rows))
	for i, r := range rows {
		out[i] = domain.NumberChange{ID: r.ID, To: r.Number}
	}
	return out, nil
}

// End gives up an order unless it was shown.
func (o *Order) End(ctx context.Context, tx *database.Tx) error {
	_, err := tx.Exec(ctx, "UPDATE reorders SET ended = TRUE WHERE scope = ? AND element_type = ? AND id = ? AND shown_at = 0 AND touched_at < ?",
		o.Scope, o.ElementType, o.ID, int64(neverSilent))
	if err != nil {
		return fmt.Errorf("give up order: %w", err)
	}
	return nil
}

// EndOrders gives up the orders that are not shown and have written nothing since a time. It returns how many.
func EndOrders(ctx context.Context, tx *database.Tx, silentSince time.Time) (int64, error) {
	silent := database.Rows{Table: "reorders", Key: []string{"scope", "element_type"}, Where: "shown_at = 0 AND NOT ended AND touched_at < ?", Args: []any{silentSince.UnixMicro()}}
	n, err := silent.Update(ctx, tx, "ended = TRUE") // one that is written to now is not silent
	if err != nil {
		return 0, fmt.Errorf("give up silent orders: %w", err)
	}
	return n, nil
}

// Remove takes away some rows of an order that was given up, and at last that it was. It returns whether all are gone.
func (o *Order) Remove(ctx context.Context, tx *database.Tx) (gone bool, err error) {
	held, err := tx.Exec(ctx, "UPDATE reorders SET touched_at = touched_at WHERE scope = ? AND element_type = ? AND id = ? AND ended", o.Scope, o.ElementType, o.ID)
	if err != nil || held == 0 {
		return err == nil, err // by somebody else, or it was shown
	}
	n, err := tx.Exec(ctx, `DELETE FROM reorder_moves WHERE scope = ? AND element_type = ? AND id IN
		(SELECT id FROM reorder_moves WHERE scope = ? AND element_type = ? ORDER BY id LIMIT ?)`, o.Scope, o.ElementType, o.Scope, o.ElementType, o.steps())
	if err != nil || n > 0 {
		return false, err
	}
	_, err = tx.Exec(ctx, "DELETE FROM reorders WHERE scope = ? AND element_type = ? AND ended", o.Scope, o.ElementType)
	return err == nil, err
}

// LeftOrders returns up to limit orders of the groups behind one that have written nothing since a time and wait to be settled, or to be removed. The first page is behind the zero Group.
func (s *Store) LeftOrders(ctx context.Context, silentSince time.Time, behind domain.Group, limit int) ([]*Order, error) {
	return s.leftOrders(ctx, silentSince, "(scope, element_type) > (?, ?)", behind, limit)
}

// LeftOrdersOf is LeftOrders of one group, which has one at most.
func (s *Store) LeftOrdersOf(ctx context.Context, silentSince time.Time, g domain.Group) ([]*Order, error) {
	return s.leftOrders(ctx, silentSince, "scope = ? AND element_type = ?", g, 1)
}

func (s *Store) leftOrders(ctx context.Context, silentSince time.Time, where string, g domain.Group, limit int) ([]*Order, error) {
	var rows []struct {
		Scope       string `db:"scope"`
		ElementType string `db:"element_type"`
		ID          string `db:"id"`
		ShownAt     int64  `db:"shown_at"`
	}
	err := s.db.Read(ctx).Select(ctx, &rows, `SELECT scope, element_type, id, shown_at FROM reorders WHERE (shown_at > 0 OR ended) AND touched_at < ? AND `+where+`
		UNION ALL SELECT scope, element_type, id, shown_at FROM shifts WHERE touched_at < ? AND `+where+` ORDER BY scope, element_type LIMIT ?`,
		silentSince.UnixMicro(), g.Scope, g.ElementType, silentSince.UnixMicro(), g.Scope, g.ElementType, limit)
	if err != nil {
		return nil, fmt.Errorf("list unfinished orders: %w", err)
	}
	out := make([]*Order, len(rows))
	for i, r := range rows {
		out[i] = &Order{Group: domain.Group{Scope: r.Scope, ElementType: r.ElementType}, ID: r.ID, Shown: r.ShownAt > 0}
	}
	return out, nil
}

// Orders returns how many orders are not settled or removed yet.
func (s *Store) Orders(ctx context.Context) (n int64, err error) {
	if err := s.db.Read(ctx).Get(ctx, &n, "SELECT COUNT(*) FROM reorders"); err != nil {
		return 0, fmt.Errorf("count orders: %w", err)
	}
	return n, nil
}

// Ordering reports whether an Order has the order of the group now. To a short change one that is a move, and is shown, does not matter.
func (s *Store) Ordering(ctx context.Context, g domain.Group, short bool) (bool, error) {
	busy, err := ordering(ctx, s.db.Read(ctx), g)
	if err != nil || !busy || !short {
		return busy, err
	}
	open, err := openShift(ctx, s.db.Read(ctx), g)
	return open == nil, err
}

// ordering is whether the group has an Order, on any reader. In a transaction that has locked the group it stays so.
func ordering(ctx context.Context, q database.Querier, g domain.Group) (bool, error) {
	var n int
	err := q.Get(ctx, &n, "SELECT COUNT(*) FROM reorders WHERE scope = ? AND element_type = ?", g.Scope, g.ElementType)
	if err != nil {
		return false, fmt.Errorf("look for orders: %w", err)
	}
	return n > 0, nil
}
