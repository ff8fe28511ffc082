package embedded

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/projection"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// parents sets the parent objects of the values of those facets that facet_return_parent names. If several documents have a value, the
// newest document found is used, and in it the first object that has the value. Only fields that the key and the schema let the caller see
// are included.
func (r *run) parents(answers []FacetAnswer, results []index.FacetResult) error {
	named := r.params.Names("facet_return_parent")
	seen := keyShows(r.params).Without(r.schema.HiddenFields())
	for n := range answers {
		field := results[n].Field
		at := strings.LastIndexByte(field.Name, '.')
		if at < 0 || !slices.Contains(named, field.Name) {
			continue
		}
		newest := map[string]uint64{}
		for _, c := range results[n].Counts {
			newest[c.Value] = c.Last
		}
		rows, counts := []row{}, []*FacetCount{}
		for i := range answers[n].Counts {
			if last, ok := newest[answers[n].Counts[i].Value]; ok { // otherwise it is a range
				rows, counts = append(rows, row{seq: last}), append(counts, &answers[n].Counts[i])
			}
		}
		path, next := field.Name[:at], 0
		var failed error
		err := r.documents(rows, []*schema.Field{{Name: path}}, func(doc schema.Document) {
			c := counts[next]
			next++
			var err error
			if c.Parent, err = parentOf(doc, path, field, c.Value, seen); err != nil && failed == nil {
				failed = fmt.Errorf("show the parent of a facet: %w", err)
			}
		})
		if err != nil {
			return err
		}
		if failed != nil {
			return failed
		}
	}
	return nil
}

// parentOf returns the first of the objects at a path whose field has the value, or nil if there is none any more.
func parentOf(doc schema.Document, path string, field *schema.Field, value string, seen projection.Projection) (json.RawMessage, error) {
	for _, element := range schema.Elements(doc, path) {
		if slices.Contains(field.Texts(nil, field.Inside(element, path+".")), value) {
			return seen.Object(element, path).Encode()
		}
	}
	return nil, nil
}
