package embedded

import (
	"cmp"
	"maps"
	"slices"

	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// infixField is a field that is searched inside words too: always, or only if nothing else is found.
type infixField struct {
	field    *schema.Field
	fallback bool
}

// maxInfixWords limits the number of words that contain a word of the query.
const maxInfixWords = 100

// inside returns the words that contain the query's only word. It looks at all words of the fields.
func (r *run) inside(q index.Query) ([]string, error) {
	if len(r.infix) == 0 || len(q.Words) != 1 || len(q.Phrases) > 0 {
		return nil, nil
	}
	found, counted := 0, false
	var fields []*schema.Field
	for _, f := range r.infix {
		if f.fallback && !counted {
			var err error
			if found, err = r.count(r.index.Filter, q); err != nil {
				return nil, err
			}
			counted = true
		}
		if !f.fallback || found == 0 {
			fields = append(fields, f.field)
		}
	}
	if len(fields) == 0 {
		return nil, nil
	}
	counts, err := r.wordsHolding(q.Words[0], fields)
	if err != nil {
		return nil, err
	}
	words := slices.SortedFunc(maps.Keys(counts), func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
	return words[:min(len(words), maxInfixWords)], nil
}

// wordsHolding counts the words of the fields that contain the text, with at most max_extra_prefix letters before and max_extra_suffix
// letters after it, in the documents that match the filter.
func (r *run) wordsHolding(text string, fields []*schema.Field) (counts map[string]int, err error) {
	plan := *r.index
	plan.Query, plan.Facets, plan.Limit = index.Query{All: true}, nil, 0
	in := index.Inside{Text: text, Fields: fields, Before: r.params.Number("max_extra_prefix"), After: r.params.Number("max_extra_suffix")}
	err = r.collection.with(func(x *index.Segments) error {
		counts, err = x.WordsHolding(r.ctx, plan, in)
		return err
	})
	return counts, err
}
