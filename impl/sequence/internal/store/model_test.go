package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/internal/etag"
	database "github.com/fountainai/fountain/internal/store"
)

// model is the expected content of the store, in plain maps.
type model struct {
	groups map[domain.Group]map[string]*thing
}

type thing struct {
	number   int64
	omitted  bool
	versions []string // their data
}

func (m *model) group(g domain.Group) map[string]*thing {
	if m.groups[g] == nil {
		m.groups[g] = map[string]*thing{}
	}
	return m.groups[g]
}

// apply changes the model and returns the expected outcome of each change: "ok" or the name of an error.
func (m *model) apply(changes []*store.Change) []string {
	out := make([]string, len(changes))
	for _, turn := range []func(c *store.Change) bool{
		func(c *store.Change) bool { return c.Create != nil }, func(c *store.Change) bool { return c.Revise != nil },
		func(c *store.Change) bool { return c.Restate != nil && c.Restate.Status == domain.Omitted },
		func(c *store.Change) bool { return c.Restate != nil && c.Restate.Status == domain.Active }, func(c *store.Change) bool { return c.Reorder != nil || c.Move != nil },
	} {
		for i, c := range changes {
			if turn(c) {
				out[i] = m.one(c)
			}
		}
	}
	return out
}

func (m *model) one(c *store.Change) string {
	switch {
	case c.Create != nil:
		return m.create(c.Create)
	case c.Revise != nil:
		t := m.group(c.Revise.Group)[c.Revise.ID]
		switch {
		case t == nil:
			return "unknown"
		case !c.Revise.Expected.HoldsState(int64(len(t.versions)), domain.StateWords(t.number, t.status())...):
			return fmt.Sprintf("stale %d %d %s", len(t.versions), t.number, t.status())
		case t.omitted:
			return domain.ErrOmitted.Error()
		}
		data := string(c.Revise.Data)
		if c.Revise.Merge != nil {
			data = merged(t.versions[len(t.versions)-1], c.Revise.Merge)
		}
		t.versions = append(t.versions, data)
	case c.Restate != nil:
		t := m.group(c.Restate.Group)[c.Restate.ID]
		if t == nil {
			return "unknown"
		}
		t.omitted = c.Restate.Status == domain.Omitted
	case c.Reorder != nil:
		return m.reorder(c.Reorder)
	case c.Move != nil:
		return m.move(c.Move)
	}
	return "ok"
}

func (m *model) move(c *domain.Move) string {
	g := m.group(c.Group)
	anchor := c.Before + c.After
	switch {
	case g[c.ID] == nil:
		return "unknown"
	case g[anchor] == nil:
		return "invalid"
	}
	var order []string
	for id := range g {
		if id != c.ID {
			order = append(order, id)
		}
	}
	sort.Slice(order, func(i, j int) bool { return g[order[i]].number < g[order[j]].number })
	at := slices.Index(order, anchor)
	if c.After != "" {
		at++
	}
	for i, id := range slices.Insert(order, at, c.ID) {
		g[id].number = int64(i) + 1
	}
	return "ok"
}

// merged applies a merge patch of one level as RFC 7396, section 2 describes it.
func merged(data string, patch []byte) string {
	var target, changes map[string]any
	if err := errors.Join(json.Unmarshal([]byte(data), &target), json.Unmarshal(patch, &changes)); err != nil {
		return err.Error()
	}
	for name, value := range changes {
		if value == nil {
			delete(target, name)
		} else {
			target[name] = value
		}
	}
	text, err := json.Marshal(target)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (m *model) create(c *domain.Create) string {
	g := m.group(c.Group)
	for _, d := range c.Drafts {
		if g[d.ID] != nil {
			return "exists"
		}
	}
	for _, d := range c.Drafts {
		g[d.ID] = &thing{number: int64(len(g)) + 1, versions: []string{string(d.Data)}}
	}
	return "ok"
}

func (m *model) reorder(r *domain.Reorder) string {
	g := m.group(r.Group)
	var numbers []int64
	for _, id := range r.Order {
		if g[id] == nil {
			return "invalid"
		}
		numbers = append(numbers, g[id].number)
	}
	slices.Sort(numbers)
	for i, id := range r.Order {
		g[id].number = numbers[i]
	}
	return "ok"
}

func (t *thing) status() domain.Status {
	if t.omitted {
		return domain.Omitted
	}
	return domain.Active
}

func outcome(err error) string {
	var exists *domain.Exists
	var stale *domain.Stale
	var invalid *domain.InvalidItems
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &exists):
		return "exists"
	case errors.As(err, &stale):
		return fmt.Sprintf("stale %d %d %s", stale.Version, stale.Number, stale.Status)
	case errors.As(err, &invalid):
		return "invalid"
	case errors.Is(err, domain.ErrUnknownElement):
		return "unknown"
	}
	return err.Error()
}

var ids = rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h"})

// drawChange draws a random change to a few elements in a few groups, so that changes conflict.
func drawChange(rt *rapid.T, scope string) *store.Change {
	g := domain.Group{Scope: scope, ElementType: rapid.SampledFrom([]string{"spokenWord", "section"}).Draw(rt, "type")}
	kind := rapid.IntRange(0, 8).Draw(rt, "kind")
	switch kind {
	case 0:
		return create(g, rapid.SliceOfNDistinct(ids, 1, 3, rapid.ID[string]).Draw(rt, "drafts")...)
	case 1:
		return omit(g, ids.Draw(rt, "id"))
	case 2:
		return reorder(g, rapid.SliceOfNDistinct(ids, 2, 5, rapid.ID[string]).Draw(rt, "order")...)
	case 3:
		return restore(g, ids.Draw(rt, "id"))
	case 4:
		c := revise(g, ids.Draw(rt, "id"), 0, fmt.Sprintf(`{"v":%d}`, rapid.IntRange(0, 99).Draw(rt, "data")))
		c.Revise.Expected = etag.ParseMatch(rapid.SampledFrom([]string{`*`, `"1-1-active"`, `"1-1-omitted"`, `"1-2-active"`, `"2-1-active", "1-3-active"`, `"1-1"`, `"2-%-active"`}).Draw(rt, "tag"))
		return c
	}
	if kind == 7 {
		pair := rapid.SliceOfNDistinct(ids, 2, 2, rapid.ID[string]).Draw(rt, "pair")
		move := &domain.Move{Ref: domain.Ref{Group: g, ID: pair[0]}, Before: pair[1], Actor: author}
		if rapid.Bool().Draw(rt, "behind") {
			move.Before, move.After = "", pair[1]
		}
		return &store.Change{Move: move}
	}
	if kind == 8 {
		c := revise(g, ids.Draw(rt, "id"), rapid.Int64Range(1, 3).Draw(rt, "expected"), "")
		c.Revise.Data, c.Revise.Merge = nil, []byte(rapid.SampledFrom([]string{`{"v":null}`, `{"w":1}`, `{"v":7,"w":null}`}).Draw(rt, "patch"))
		return c
	}
	return revise(g, ids.Draw(rt, "id"), rapid.Int64Range(0, 4).Draw(rt, "expected"), fmt.Sprintf(`{"v":%d}`, rapid.IntRange(0, 99).Draw(rt, "data")))
}

// dump renders a group of the model as the store should list it.
func (m *model) dump(g domain.Group) (out []string) {
	things := m.groups[g]
	names := make([]string, 0, len(things))
	for id := range things {
		names = append(names, id)
	}
	sort.Slice(names, func(i, j int) bool { return things[names[i]].number < things[names[j]].number })
	for _, id := range names {
		t := things[id]
		out = append(out, fmt.Sprintf("%d %s %t %q", t.number, id, t.omitted, t.versions))
	}
	return out
}

// list renders the content of the store.
func list(t require.TestingT, s *store.Store, g domain.Group) (out []string) {
	elements, err := s.List(context.Background(), g, "", 0, 1000)
	if errors.Is(err, domain.ErrUnknownScope) {
		return nil
	}
	require.NoError(t, err)
	for _, e := range elements {
		versions, err := s.Versions(context.Background(), e.Ref, 0, 1000)
		require.NoError(t, err)
		data := make([]string, len(versions))
		for i, v := range versions {
			require.EqualValues(t, i+1, v.Version)
			data[i] = string(v.Data)
		}
		require.EqualValues(t, len(versions), e.Version)
		require.Equal(t, data[len(data)-1], string(e.Data))
		out = append(out, fmt.Sprintf("%d %s %t %q", e.Number, e.ID, e.Status == domain.Omitted, data))
	}
	return out
}

func TestApply_behavesAsThePlainModel(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		run := 0
		rapid.Check(t, func(rt *rapid.T) {
			run++
			scope := fmt.Sprintf("run%d", run)
			m := &model{groups: map[domain.Group]map[string]*thing{}}
			for range rapid.IntRange(1, 12).Draw(rt, "commits") {
				if rapid.IntRange(0, 15).Draw(rt, "restart") == 0 {
					require.NoError(rt, db.Close())
					db = open(t)
				}
				var changes []*store.Change
				for range rapid.IntRange(1, 8).Draw(rt, "requests") {
					changes = append(changes, drawChange(rt, scope))
				}
				want := m.apply(changes)
				apply(rt, db, changes...)
				for i, c := range changes {
					require.Equal(rt, want[i], outcome(c.Err), "request %d", i)
				}
				replay(rt, db, scope, m)
				for _, elementType := range []string{"spokenWord", "section"} {
					g := domain.Group{Scope: scope, ElementType: elementType}
					require.Equal(rt, m.dump(g), list(rt, store.New(db), g))
				}
			}
		})
	})
}

// replay reconstructs the elements of a scope from its feed alone, and compares them with the model. So the feed is complete and in order.
func replay(t require.TestingT, db *database.DB, scope string, m *model) {
	changes, err := store.New(db).Changes(context.Background(), scope, 0, 100_000)
	require.NoError(t, err)
	type state struct {
		number, version int64
		omitted         bool
	}
	got := map[domain.Ref]*state{}
	for i, c := range changes {
		require.EqualValues(t, i+1, c.Position)
		g := domain.Group{Scope: scope, ElementType: c.ElementType}
		ref := domain.Ref{Group: g, ID: c.ID}
		if c.Kind == domain.Created {
			require.Nil(t, got[ref])
			got[ref] = &state{}
		}
		if s := c.Shift; s != nil {
			for r, one := range got {
				if r.Group == g && one.number >= s.From && one.number <= s.To {
					one.number += s.By
				}
			}
		}
		for _, n := range c.Numbers {
			one := got[domain.Ref{Group: g, ID: n.ID}]
			require.Equal(t, one.number, n.From)
			one.number = n.To
		}
		if c.Kind == domain.Reordered {
			continue
		}
		if c.Kind == domain.Created || c.Kind == domain.Revised {
			require.Equal(t, got[ref].version+1, c.Version)
			got[ref].version = c.Version
		}
		got[ref].number, got[ref].omitted = c.Number, c.Kind == domain.LeftOut
	}
	want := map[domain.Ref]*state{}
	for g, things := range m.groups {
		for id, one := range things {
			want[domain.Ref{Group: g, ID: id}] = &state{number: one.number, version: int64(len(one.versions)), omitted: one.omitted}
		}
	}
	require.Equal(t, want, got)
}
