package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/sequence"
)

const (
	readAttempts = 5
	window       = 100 // numbers in one search request: one page
	searchPause  = 250 * time.Millisecond
)

// ErrBusy means that the scope changes all the time, so that its contents and its feed can't be read at the same state.
var ErrBusy = errors.New("the scope keeps changing: read it while nothing writes to it")

// Read reads the contents of a scope as of one moment, for all types: feed, elements, versions, and what search finds
// within searchWithin (0: search is not asked). It writes nothing. Error: ErrBusy.
func Read(ctx context.Context, c *fountain.Client, scope string, searchWithin time.Duration) (*History, error) {
	for range readAttempts {
		h := &History{Scope: scope}
		place := &fountain.FeedPlace{}
		if err := h.readFeed(ctx, c, place); err != nil {
			return nil, err
		}
		reader := &exportReader{into: h}
		if _, err := c.Sequence.WriteScope(ctx, scope, reader); err != nil {
			return nil, err
		}
		known := len(h.Feed)
		if err := h.readFeed(ctx, c, place); err != nil {
			return nil, err
		}
		if len(h.Feed) > known {
			continue // the export may be from before or after the new changes
		}
		if searchWithin > 0 {
			if err := h.readSearch(ctx, c, searchWithin); err != nil {
				return nil, err
			}
			if err := h.readFeed(ctx, c, place); err != nil {
				return nil, err
			}
		}
		if len(h.Feed) == known {
			return h, nil
		}
	}
	return nil, ErrBusy
}

func (h *History) readFeed(ctx context.Context, c *fountain.Client, place *fountain.FeedPlace) error {
	for change, err := range c.Sequence.Changes(ctx, h.Scope, place) {
		if err != nil {
			return err
		}
		h.Feed = append(h.Feed, changeOf(change))
	}
	return nil
}

func changeOf(c sequence.Change) Change {
	out := Change{Position: c.Position, Kind: string(c.Kind), ElementType: c.ElementType, ID: value(c.ElementID), Version: value(c.Version), Number: value(c.Number)}
	for _, n := range value(c.Numbers) {
		out.Numbers = append(out.Numbers, Renumber{ID: n.ID, From: n.From, To: n.To})
	}
	if s := c.Shifted; s != nil {
		out.Shifted = &Shifted{From: s.From, To: s.To, By: s.By}
	}
	return out
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// exportReader parses the lines of an export. Each Write gets one line.
type exportReader struct{ into *History }

// Write parses one line.
func (r *exportReader) Write(text []byte) (int, error) {
	var l sequence.ScopeLine
	if err := json.Unmarshal(text, &l); err != nil {
		return 0, fmt.Errorf("read line of the export: %w", err)
	}
	h := r.into
	switch {
	case l.NumberFormat != nil:
		f := l.NumberFormat
		h.Formats = append(h.Formats, Format{
			ElementType: f.ElementType, Prefix: f.Prefix, Padding: int(f.Padding), Resets: string(f.Resets), Period: f.Period, Last: f.Last,
		})
	case l.Element != nil:
		e := l.Element
		h.Elements = append(h.Elements, Element{
			ElementType: e.ElementType, ID: e.ID, Number: e.Number, FormattedNumber: value(e.FormattedNumber), Omitted: string(e.Status) == omitted, Version: e.Version,
		})
	case l.Version != nil:
		if len(h.Elements) == 0 {
			return 0, errors.New("the export begins with a version")
		}
		e := &h.Elements[len(h.Elements)-1]
		e.Versions = append(e.Versions, Version{Version: l.Version.Version, Sum: sum(l.Version.Data)})
	}
	return len(text), nil
}

// readSearch asks search for all elements by their numbers, until each window matches what is stored or the time is up.
func (h *History) readSearch(ctx context.Context, c *fountain.Client, within time.Duration) error {
	h.Searched = true
	began := time.Now()
	last := map[string]int64{}
	stored := map[string][]*Element{}
	for i := range h.Elements {
		e := &h.Elements[i]
		stored[e.ElementType] = append(stored[e.ElementType], e)
		last[e.ElementType] = max(last[e.ElementType], e.Number)
	}
	whole := true
	for elementType, elements := range stored {
		for from := int64(1); from <= last[elementType]; from += window {
			hits, fits, err := h.searchWindow(ctx, c, elementType, from, elements, began.Add(within))
			if err != nil {
				return err
			}
			h.Hits, whole = append(h.Hits, hits...), whole && fits
		}
		count, err := h.searchCount(ctx, c, elementType, int64(len(elements)), began.Add(within))
		if err != nil {
			return err
		}
		h.Found, whole = append(h.Found, Found{ElementType: elementType, Count: count}), whole && count == int64(len(elements))
	}
	if whole {
		h.SearchLag = time.Since(began)
	}
	return nil
}

// searchWindow searches for the elements in a range of numbers, again and again until the result matches what is
// stored. The range uses the numbers that search itself has indexed; the elements in the result have their current
// number from the database.
func (h *History) searchWindow(ctx context.Context, c *fountain.Client, elementType string, from int64, elements []*Element, until time.Time) (hits []Hit, fits bool, err error) {
	want := map[string]*Element{}
	for _, e := range elements {
		if e.Number >= from && e.Number < from+window {
			want[e.ID] = e
		}
	}
	err = again(ctx, until, func() (bool, error) {
		found, err := c.Sequence.SearchElements(ctx, h.Scope, sequence.ElementSearch{
			Q: "*", ElementType: &elementType, NumberFrom: &from, NumberTo: fountain.Ptr(from + window - 1), PerPage: fountain.Ptr(int32(window)),
		})
		if err != nil {
			return false, err
		}
		hits, fits = nil, len(found.Hits) == len(want)
		for _, one := range found.Hits {
			e := want[one.Element.ID]
			fits = fits && e != nil && e.Number == one.Element.Number && e.Version == one.Element.Version
			hits = append(hits, Hit{ElementType: elementType, ID: one.Element.ID, Number: one.Element.Number, Version: one.Element.Version})
		}
		return fits, nil
	})
	return hits, fits, err
}

func (h *History) searchCount(ctx context.Context, c *fountain.Client, elementType string, want int64, until time.Time) (count int64, err error) {
	err = again(ctx, until, func() (bool, error) {
		found, err := c.Sequence.SearchElements(ctx, h.Scope, sequence.ElementSearch{Q: "*", ElementType: &elementType, PerPage: fountain.Ptr(int32(1))})
		if err != nil {
			return false, err
		}
		count = found.Found
		return count == want, nil
	})
	return count, err
}

// again repeats do until it reports that it is done or the time is up. An unavailable search engine is retried.
func again(ctx context.Context, until time.Time, do func() (bool, error)) error {
	for {
		enough, err := do()
		if enough || (err != nil && !errors.Is(err, fountain.ErrUnavailable)) || !time.Now().Before(until) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(searchPause):
		}
	}
}
