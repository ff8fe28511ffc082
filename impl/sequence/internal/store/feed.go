package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	database "github.com/fountainai/fountain/internal/store"
)

// numbersInChange is how many number changes one entry of a feed lists at most.
const numbersInChange = 100

// changeRow is one row of a feed.
type changeRow struct {
	Scope       string `db:"scope"`
	Position    int64  `db:"position"`
	Kind        string `db:"kind"`
	ElementType string `db:"element_type"`
	ID          string `db:"id"`
	Version     int64  `db:"version"`
	Number      int64  `db:"number"`
	Numbers     []byte `db:"numbers"`
	Shifted     []byte `db:"shifted"`
	At          int64  `db:"at"`
	Actor       string `db:"actor"`
}

// record appends what the changes did to the feeds of their scopes. The feeds are locked here at the latest, in one order, and stay locked until the commit. Every
// other transaction that changes one of these scopes waits for that lock. Therefore positions are in the order of the commits.
func (b *batch) record(ctx context.Context, changes []*Change) error {
	var rows []changeRow
	for _, turn := range []func(c *Change) bool{ // the order of Apply
		func(c *Change) bool { return c.Create != nil }, func(c *Change) bool { return c.Revise != nil },
		func(c *Change) bool { return c.Restate != nil && c.Restate.Status == domain.Omitted },
		func(c *Change) bool { return c.Restate != nil && c.Restate.Status == domain.Active },
		func(c *Change) bool { return c.Reorder != nil || c.Move != nil },
	} {
		for _, c := range pick(changes, turn) {
			told, err := c.rows()
			if err != nil {
				return err
			}
			rows = append(rows, told...)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	next, err := b.advanceFeeds(ctx, rows)
	if err != nil {
		return err
	}
	for i := range rows {
		next[rows[i].Scope]++
		rows[i].Position, rows[i].At = next[rows[i].Scope], b.at
	}
	return b.insertChanges(ctx, rows)
}

// rows returns the entries of a change, without positions and times; none when it failed or changed nothing.
func (c *Change) rows() (out []changeRow, err error) {
	if c.Err != nil || len(c.Done.Touched) == 0 {
		return nil, nil
	}
	one := func(kind domain.Kind, actor domain.Actor) {
		for _, e := range c.Done.Elements {
			out = append(out, changeRow{
				Scope: e.Scope, Kind: string(kind), ElementType: e.ElementType, ID: e.ID, Version: e.Version, Number: e.Number, Actor: actor.Subject,
			})
		}
	}
	switch {
	case c.Create != nil:
		one(domain.Created, c.Create.Actor)
	case c.Revise != nil:
		one(domain.Revised, c.Revise.Actor)
	case c.Restate != nil && c.Restate.Status == domain.Omitted:
		one(domain.LeftOut, c.Restate.Actor)
	case c.Restate != nil:
		one(domain.Restored, c.Restate.Actor)
	default:
		return c.orderRows()
	}
	return out, nil
}

func (c *Change) orderRows() (out []changeRow, err error) {
	actor := domain.Actor{}
	if c.Move != nil {
		actor = c.Move.Actor
	} else {
		actor = c.Reorder.Actor
	}
	if err := c.Tell(); err != nil {
		return nil, err
	}
	g := c.Group()
	for _, text := range c.told {
		out = append(out, changeRow{Scope: g.Scope, Kind: string(domain.Reordered), ElementType: g.ElementType, Numbers: text, Actor: actor.Subject})
	}
	if s := c.Done.Shift; s != nil { // then Tell has made exactly one row
		if out[0].Shifted, err = json.Marshal(shiftedText{s.From, s.To, s.By}); err != nil {
			return nil, fmt.Errorf("encode shift: %w", err)
		}
	}
	return out, nil
}

// shiftedText is the JSON form of a domain.Shift in a row of a feed.
type shiftedText struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
	By   int64 `json:"by"`
}

// farNumbers is the JSON form of the column numbers in a row with a shift; other rows have a list there. The previous release does not know shifts: the object makes an instance of it fail to
// decode such a row, instead of showing only half of the change.
type farNumbers struct {
	Moved []domain.NumberChange `json:"moved"`
}

// Tell encodes the feed entries of a planned reorder or move. Calling it before the transaction keeps the work out of the time for which other transactions wait. A second call does nothing.
func (c *Change) Tell() error {
	if c.told != nil {
		return nil
	}
	var parts []any
	for part := range slices.Chunk(c.Done.Numbers, numbersInChange) {
		parts = append(parts, part)
	}
	if c.Done.Shift != nil {
		parts = []any{farNumbers{c.Done.Numbers}}
	}
	for _, part := range parts {
		text, err := json.Marshal(part)
		if err != nil {
			return fmt.Errorf("encode numbers: %w", err)
		}
		c.told = append(c.told, text)
	}
	return nil
}

// advanceFeeds reserves a block of positions in every scope, and returns the last position before each block.
func (b *batch) advanceFeeds(ctx context.Context, rows []changeRow) (before map[string]int64, err error) {
	grow := map[string]int64{}
	for _, r := range rows {
		grow[r.Scope]++
	}
	scopes := slices.Sorted(maps.Keys(grow)) // in one order, so that two replicas do not deadlock
	before = make(map[string]int64, len(grow))
	err = inChunks(scopes, func(part []string) error {
		args := make([]any, 0, 2*len(part))
		for _, scope := range part {
			args = append(args, scope, grow[scope])
		}
		var feeds []struct {
			Scope string `db:"scope"`
			Last  int64  `db:"last"`
		}
		err := b.tx.Select(ctx, &feeds, "INSERT INTO feeds (scope, last) "+database.Values(len(part), database.Text, database.Bigint)+`
			ON CONFLICT (scope) DO UPDATE SET last = feeds.last + excluded.last RETURNING scope, last`, args...)
		for _, f := range feeds {
			before[f.Scope] = f.Last - grow[f.Scope]
		}
		return err
	})
	return before, err
}

func (b *batch) insertChanges(ctx context.Context, rows []changeRow) error {
	err := inChunks(rows, func(part []changeRow) error {
		args := make([]any, 0, 10*len(part))
		for _, r := range part {
			args = append(args, r.Scope, r.Position, r.Kind, r.ElementType, r.ID, r.Version, r.Number, r.Numbers, r.At, r.Actor)
		}
		_, err := b.tx.Exec(ctx, "INSERT INTO changes (scope, position, kind, element_type, id, version, number, numbers, at, actor) "+
			database.Values(len(part), database.Text, database.Bigint, database.Text, database.Text, database.Text, database.Bigint, database.Bigint,
				database.Text, database.Bigint, database.Text), args...)
		return err
	})
	if err != nil {
		return err
	}
	for _, r := range rows { // a shift is rare, so the insert of all rows does without its column
		if r.Shifted == nil {
			continue
		}
		if _, err := b.tx.Exec(ctx, "UPDATE changes SET shifted = ? WHERE scope = ? AND position = ?", r.Shifted, r.Scope, r.Position); err != nil {
			return err
		}
	}
	return nil
}
