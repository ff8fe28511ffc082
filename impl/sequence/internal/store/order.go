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
	// LongOrder is how many elements a reorder or a move renumbers in one transaction at most. A longer one is made as an Order.
	LongOrder = 200
	// orderStep is how many elements one transaction of an Order writes at most.
	orderStep = 200
	// orderWait is how long a transaction of an Order waits for transactions that change the group.
	orderWait = 5 * time.Second
)

// ErrLongOrder says that a change renumbers more elements than one transaction may: it must be made as an Order.
var ErrLongOrder = errors.New("the change renumbers too many elements for one transaction")

// ErrOrderLost says that an Order was given up before it was shown, because it had written nothing for too long. No reader has seen any of it.
var ErrOrderLost = fmt.Errorf("%w: the reorder was abandoned", database.ErrUnavailable)

// Order is a long reorder or move, made in transactions of a few rows each. It is first staged where no reader sees it. One small transaction then shows it: from its commit on, all reads have the
// new numbers. At last it is settled: the new numbers are written to the elements' rows. A move has nothing to stage, because one row shows it (shift).
//
// From BeginOrder until it is settled no other change to the order of the group is made, except short ones after a move is shown. All other changes in the group go on.
type Order struct {
	domain.Group
	ID    string // unique to this order
	Shown bool

	step int // elements that one transaction writes; 0: orderStep
}

// steps returns how many elements one transaction writes at most.
func (o *Order) steps() int {
	if o.step > 0 {
		return o.step
	}
	return orderStep
}

// shownMove joins to elements e the order of their group that is shown and not settled. The number of an element is then the one in m (a reorder), or the one that s makes of the number in its row
// (a move).
const shownMove = ` LEFT JOIN reorders o ON o.scope = e.scope AND o.element_type = e.element_type AND o.shown_at > 0
	LEFT JOIN reorder_moves m ON m.scope = o.scope AND m.element_type = o.element_type AND m.id = e.id` + shownShift

const shownShift = ` LEFT JOIN shifts s ON s.scope = e.scope AND s.element_type = e.element_type `

// numberNow and updatedNow are the number and the update time that elements e with shownMove are shown with.
const (
	numberNow  = "CASE WHEN e.id = s.moved_id THEN s.moved_to WHEN e.number BETWEEN s.low AND s.high THEN e.number + s.step ELSE COALESCE(m.number, e.number) END"
	updatedNow = `CASE WHEN m.number IS NOT NULL AND o.shown_at > e.updated_at THEN o.shown_at
		WHEN (e.id = s.moved_id OR e.number BETWEEN s.low AND s.high) AND s.shown_at > e.updated_at THEN s.shown_at ELSE e.updated_at END`
)

// numberOfUpdated is numberNow in an update of elements, without joins.
const numberOfUpdated = `COALESCE((SELECT CASE WHEN elements.id = s.moved_id THEN s.moved_to ELSE elements.number + s.step END FROM shifts s
	WHERE s.scope = elements.scope AND s.element_type = elements.element_type AND (elements.id = s.moved_id OR elements.number BETWEEN s.low AND s.high)),
	(SELECT m.number FROM reorders o JOIN reorder_moves m ON m.scope = o.scope AND m.element_type = o.element_type
	WHERE o.scope = elements.scope AND o.element_type = elements.element_type AND o.shown_at > 0 AND m.id = elements.id), elements.number)`

// inOrder selects columns of the elements of a group in the order of the numbers that they are shown with, above a number. condition begins with AND, or is empty. Elements of a shown order are found
// by their new numbers. The others are found by the numbers in their rows: below and above the range of a shown move.
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

// inOrderArgs returns the arguments of the query that inOrder makes.
func inOrderArgs(g domain.Group, after int64, limit int) (args []any) {
	args = append(args, g.Scope, g.ElementType, after, g.Scope, g.ElementType, limit)
	args = append(args, g.Scope, g.ElementType, after, after, g.Scope, g.ElementType, limit)
	for range 3 {
		args = append(args, g.Scope, g.ElementType, after, limit)
	}
	return append(args, limit)
}

// BeginOrder reserves the order of the group for o. Error of the domain: domain.ErrOrdering when another Order has it.
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

// Parts splits what an order changes into parts for Stage. A move has none.
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

// Stage writes a part of the order, which no reader sees yet. Error: ErrOrderLost.
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

// Show makes the staged numbers, or the move, visible with the commit. at is the time of the change. touched is the shared time, from which others measure how long the order has
// written nothing. done has what the order changes, for the feed. Error: ErrOrderLost.
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
	if len(done.Done.Numbers) > 0 { // otherwise the order stays the same, and consistent listings go on
		if err := countOrder(ctx, tx, o.Group); err != nil {
			return err
		}
	}
	return Record(ctx, tx, at, []*Change{done})
}

// hold updates the row of an order that is not shown yet, and so locks it until the commit. Error: ErrOrderLost.
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

// Settle writes some numbers of a shown order to the rows of their elements, and passes the elements whose row has its new number to mark. It returns whether nothing is left to do. Several
// processes may settle one order.
//
// Both databases check uniqueness row by row. So first all elements get a negative number, which no other element has, then their new one.
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
		return err == nil, err // another process has settled it
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
	return o.applyMoves(ctx, &b, at, mark)
}

// applyMoves writes the new numbers of some elements to their rows, and ends the order when all have theirs.
func (o *Order) applyMoves(ctx context.Context, b *batch, at time.Time, mark func(context.Context, *database.Tx, []domain.Ref) error) (settled bool, err error) {
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

// moves returns the next staged numbers above one.
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

// End gives up an order, unless it is shown.
func (o *Order) End(ctx context.Context, tx *database.Tx) error {
	_, err := tx.Exec(ctx, "UPDATE reorders SET ended = TRUE WHERE scope = ? AND element_type = ? AND id = ? AND shown_at = 0 AND touched_at < ?",
		o.Scope, o.ElementType, o.ID, int64(neverSilent))
	if err != nil {
		return fmt.Errorf("give up order: %w", err)
	}
	return nil
}

// EndOrders gives up the orders that are not shown and have written nothing since a time, and returns how many.
func EndOrders(ctx context.Context, tx *database.Tx, silentSince time.Time) (int64, error) {
	silent := database.Rows{Table: "reorders", Key: []string{"scope", "element_type"}, Where: "shown_at = 0 AND NOT ended AND touched_at < ?", Args: []any{silentSince.UnixMicro()}}
	n, err := silent.Update(ctx, tx, "ended = TRUE") // Update skips locked rows: such an order is writing now
	if err != nil {
		return 0, fmt.Errorf("give up silent orders: %w", err)
	}
	return n, nil
}

// Remove deletes some rows of an order that was given up, and at last the row in reorders. It returns whether all are deleted.
func (o *Order) Remove(ctx context.Context, tx *database.Tx) (gone bool, err error) {
	held, err := tx.Exec(ctx, "UPDATE reorders SET touched_at = touched_at WHERE scope = ? AND element_type = ? AND id = ? AND ended", o.Scope, o.ElementType, o.ID)
	if err != nil || held == 0 {
		return err == nil, err // another process has removed it, or it is shown
	}
	n, err := tx.Exec(ctx, `DELETE FROM reorder_moves WHERE scope = ? AND element_type = ? AND id IN
		(SELECT id FROM reorder_moves WHERE scope = ? AND element_type = ? ORDER BY id LIMIT ?)`, o.Scope, o.ElementType, o.Scope, o.ElementType, o.steps())
	if err != nil || n > 0 {
		return false, err
	}
	_, err = tx.Exec(ctx, "DELETE FROM reorders WHERE scope = ? AND element_type = ? AND ended", o.Scope, o.ElementType)
	return err == nil, err
}

// LeftOrders returns up to limit orders that have written nothing since a time and must be settled, or removed. They are sorted by group. The page begins after the group behind; the zero Group gives the
// first page.
func (s *Store) LeftOrders(ctx context.Context, silentSince time.Time, behind domain.Group, limit int) ([]*Order, error) {
	return s.leftOrders(ctx, silentSince, "(scope, element_type) > (?, ?)", behind, limit)
}

// LeftOrdersOf is LeftOrders for one group, which has one order at most.
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

// Ordering reports whether an Order has the order of the group now. For a short change a move that is shown does not count.
func (s *Store) Ordering(ctx context.Context, g domain.Group, short bool) (bool, error) {
	busy, err := ordering(ctx, s.db.Read(ctx), g)
	if err != nil || !busy || !short {
		return busy, err
	}
	open, err := openShift(ctx, s.db.Read(ctx), g)
	return open == nil, err
}

// ordering reports on any Querier whether an Order has the order of the group. In a transaction that has locked the group, the answer holds until the commit.
func ordering(ctx context.Context, q database.Querier, g domain.Group) (bool, error) {
	var n int
	err := q.Get(ctx, &n, "SELECT COUNT(*) FROM reorders WHERE scope = ? AND element_type = ?", g.Scope, g.ElementType)
	if err != nil {
		return false, fmt.Errorf("look for orders: %w", err)
	}
	return n > 0, nil
}
