package importer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/internal/screenplay"
)

// stored is an element in the scope.
type stored struct {
	sequence.Element
	data     map[string]any
	imported map[string]any // its data as of the last import; it may have been edited since
}

func (s *stored) edited() bool { return !same(s.data, s.imported) }

// readImported reads the data that the last import stored: that of the first version, or of the last version with the
// comment of an import.
func (s *stored) readImported(ctx context.Context, client *fountain.Client) error {
	if s.imported = s.data; s.Version == 1 {
		return nil
	}
	for v, err := range client.Sequence.Versions(ctx, s.Scope, s.ElementType, s.ID) {
		if err != nil {
			return fmt.Errorf("read versions of %s: %w", s.ID, err)
		}
		if v.Version > 1 && (v.Comment == nil || *v.Comment != comment) {
			continue
		}
		s.imported = nil
		if err := json.Unmarshal(v.Data, &s.imported); err != nil {
			return fmt.Errorf("read version %d of %s: %w", v.Version, s.ID, err)
		}
	}
	return nil
}

// comment is the comment of the versions that an import creates.
const comment = "import --update"

// position returns the element's position in the whole screenplay. An element that was not imported has none.
func (s stored) position() (float64, bool) {
	p, ok := s.data["position"].(float64)
	return p, ok
}

// read returns the elements of a scope by type, in the order of their numbers. It returns none if the scope does not
// exist.
func read(ctx context.Context, client *fountain.Client, scope string) (map[string][]stored, error) {
	all := map[string][]stored{}
	for _, kind := range types {
		for e, err := range client.Sequence.Elements(ctx, scope, kind, fountain.WithQuery("limit", "200")) {
			if errors.Is(err, fountain.ErrNotFound) {
				return all, nil
			}
			if err != nil {
				return nil, fmt.Errorf("read %s elements: %w", kind, err)
			}
			s := stored{Element: e}
			if err := json.Unmarshal(e.Data, &s.data); err != nil {
				return nil, fmt.Errorf("read element %s: %w", e.ID, err)
			}
			all[kind] = append(all[kind], s)
		}
	}
	return all, nil
}

// Export returns the screenplay in a scope in the Fountain format. notices say what could not be kept. Error:
// fountain.ErrNotFound if the scope does not exist or contains no screenplay.
func Export(ctx context.Context, client *fountain.Client, scope string) (text string, notices []string, err error) {
	all, err := read(ctx, client, scope)
	if err != nil {
		return "", nil, err
	}
	type placed struct {
		screenplay.Item
		position float64
	}
	var items []placed
	elements, disordered := 0, false
	for _, kind := range types {
		last := 0.0
		for _, s := range all[kind] {
			elements++
			position, ok := s.position()
			if !ok {
				position = last // after the element with the previous number
			}
			disordered = disordered || position < last
			last = position
			if s.Status == sequence.ElementStatusActive {
				items = append(items, placed{screenplay.Item{Type: kind, Data: s.data}, position})
			}
		}
	}
	if elements == 0 {
		return "", nil, fmt.Errorf("the scope %q contains no play: %w", scope, fountain.ErrNotFound)
	}
	slices.SortStableFunc(items, func(a, b placed) int { return cmp.Compare(a.position, b.position) })
	play := make([]screenplay.Item, len(items))
	for i, it := range items {
		play[i] = it.Item
	}
	text, notices = screenplay.Export(play)
	if disordered {
		notices = append(notices, "the numbers are in another order than the play: the order of the import was used")
	}
	return text, notices, nil
}
