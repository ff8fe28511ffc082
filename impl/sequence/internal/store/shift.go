package store

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	database "github.com/fountainai/fountain/internal/store"
)

// neverSilent is the touched_at of an order's row in reorders once a shift shows its move. So the order never counts as silent, and is not given up as one that is not shown.
const neverSilent = math.MaxInt64

// shift is a long move that is shown. The moved element is shown with the number MovedTo. Elements whose rows have a number from Low to High are shown with that number plus Step.
type shift struct {
	ID      string `db:"id"` // of the Order
	ShownAt int64  `db:"shown_at"`
	MovedID string `db:"moved_id"`
	MovedTo int64  `db:"moved_to"`
	Low     int64  `db:"low"`
	High    int64  `db:"high"`
	Step    int64  `db:"step"`
}

// shiftOf returns the shift that a change makes. It is nil for a reorder, and for a move to the place where the element is.
func shiftOf(c *Change) *shift {
	if c.Move == nil {
		return nil
	}
	at := slices.IndexFunc(c.Done.Numbers, func(n domain.NumberChange) bool { return n.ID == c.Move.ID })
	if at < 0 {
		return nil
	}
	from, to := c.Done.Numbers[at].From, c.Done.Numbers[at].To
	s := &shift{MovedID: c.Move.ID, MovedTo: to}
	if from < to {
		s.Low, s.High, s.Step = from+1, to, -1
	} else {
		s.Low, s.High, s.Step = to, from-1, 1
	}
	return s
}

// showShift shows a long move. It sets the number in the moved element's row to a negative one, which frees its place for the element next to it. It inserts the row from which reads take the new
// numbers from the commit on.
func (o *Order) showShift(ctx context.Context, tx *database.Tx, at, touched time.Time, s *shift) error {
	if err := o.hold(ctx, tx, "touched_at = ?", int64(neverSilent)); err != nil {
		return err
	}
	left, err := tx.Exec(ctx, "UPDATE elements SET number = ? WHERE scope = ? AND element_type = ? AND id = ?", -s.MovedTo, o.Scope, o.ElementType, s.MovedID)
	if err != nil {
		return fmt.Errorf("take element from its place: %w", err)
	}
	if left != 1 {
		return fmt.Errorf("%w: an element that was planned to move no longer exists", database.ErrDamaged)
	}
	_, err = tx.Exec(ctx, `INSERT INTO shifts (scope, element_type, id, shown_at, moved_id, moved_to, low, high, step, touched_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		o.Scope, o.ElementType, o.ID, at.UnixMicro(), s.MovedID, s.MovedTo, s.Low, s.High, s.Step, touched.UnixMicro())
	if err != nil {
		return fmt.Errorf("show long move: %w", err)
	}
	return nil
}

// openShift returns the shift of a group, or nil when it has none or the shift is settled.
func openShift(ctx context.Context, q database.Querier, g domain.Group) (*shift, error) {
	var rows []shift
	err := q.Select(ctx, &rows, "SELECT id, shown_at, moved_id, moved_to, low, high, step FROM shifts WHERE scope = ? AND element_type = ?", g.Scope, g.ElementType)
	if err != nil {
		return nil, fmt.Errorf("look for a long move: %w", err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	return &rows[0], nil
}

// shift returns the shift of this order, or nil when it has none or the shift is settled.
func (o *Order) shift(ctx context.Context, q database.Querier) (*shift, error) {
	s, err := openShift(ctx, q, o.Group)
	if err != nil || s == nil || s.ID != o.ID {
		return nil, err
	}
	return s, nil
}

// settleShift writes the numbers that some elements are shown with to their rows. It begins at the end of the range next to which a number is free. The moved element comes last and ends the order.
func (o *Order) settleShift(ctx context.Context, tx *database.Tx, s *shift, at time.Time, mark func(context.Context, *database.Tx, []domain.Ref) error) (settled bool, err error) {
	if s.Low > s.High {
		return true, o.endShift(ctx, tx, s, mark)
	}
	n := int64(o.steps())
	from, to := s.Low, min(s.Low+n-1, s.High)
	low, high := to+1, s.High
	if s.Step > 0 {
		from, to = max(s.High-n+1, s.Low), s.High
		low, high = s.Low, from-1
	}
	ids, err := o.shiftRows(ctx, tx, s, from, to)
	if err != nil {
		return false, err
	}
	_, err = tx.Exec(ctx, "UPDATE shifts SET low = ?, high = ?, touched_at = ? WHERE scope = ? AND element_type = ?", low, high, at.UnixMicro(), o.Scope, o.ElementType)
	if err != nil {
		return false, fmt.Errorf("note settled numbers: %w", err)
	}
	return false, mark(ctx, tx, o.refs(ids))
}

// shiftRows adds Step to the numbers of the rows with a number between from and to, and returns the ids of their elements. It takes two steps, as renumber does. It fails with database.ErrDamaged when
// a number is missing.
func (o *Order) shiftRows(ctx context.Context, tx *database.Tx, s *shift, from, to int64) (ids []string, err error) {
	_, err = tx.Exec(ctx, `UPDATE elements SET number = -(number + ?), updated_at = CASE WHEN updated_at < ? THEN ? ELSE updated_at END
		WHERE scope = ? AND element_type = ? AND number BETWEEN ? AND ?`, s.Step, s.ShownAt, s.ShownAt, o.Scope, o.ElementType, from, to)
	if err != nil {
		return nil, fmt.Errorf("take elements from their places: %w", err)
	}
	err = tx.Select(ctx, &ids, "UPDATE elements SET number = -number WHERE scope = ? AND element_type = ? AND number BETWEEN ? AND ? RETURNING id",
		o.Scope, o.ElementType, -(to + s.Step), -(from + s.Step))
	if err != nil {
		return nil, fmt.Errorf("give elements their places: %w", err)
	}
	if int64(len(ids)) != to-from+1 {
		return nil, fmt.Errorf("%w: %d elements have the numbers from %d to %d", database.ErrDamaged, len(ids), from, to)
	}
	return ids, nil
}

// endShift writes the number of the moved element to its row, and ends the order.
func (o *Order) endShift(ctx context.Context, tx *database.Tx, s *shift, mark func(context.Context, *database.Tx, []domain.Ref) error) error {
	_, err := tx.ExecAll(ctx,
		database.Statement{
			Query: "UPDATE elements SET number = ?, updated_at = CASE WHEN updated_at < ? THEN ? ELSE updated_at END WHERE scope = ? AND element_type = ? AND id = ?",
			Args:  []any{s.MovedTo, s.ShownAt, s.ShownAt, o.Scope, o.ElementType, s.MovedID},
		},
		database.Statement{Query: "DELETE FROM shifts WHERE scope = ? AND element_type = ? AND id = ?", Args: []any{o.Scope, o.ElementType, o.ID}},
		database.Statement{Query: "DELETE FROM reorders WHERE scope = ? AND element_type = ? AND id = ?", Args: []any{o.Scope, o.ElementType, o.ID}},
	)
	if err != nil {
		return fmt.Errorf("end long move: %w", err)
	}
	return mark(ctx, tx, o.refs([]string{s.MovedID}))
}

func (o *Order) refs(ids []string) []domain.Ref {
	refs := make([]domain.Ref, len(ids))
	for i, id := range ids {
		refs[i] = domain.Ref{Group: o.Group, ID: id}
	}
	return refs
}
