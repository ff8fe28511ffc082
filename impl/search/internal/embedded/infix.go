package embedded

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// infixField is a field that is searched inside words too: always, or only when nothing else is found.
type infixField struct {
	field    *schema.Field
	fallback bool
}

// maxInfixWords bounds the words that hold one of the query.
const maxInfixWords = 100

// inside returns the words that hold the query's only word inside. An index of words can't tell them, so the texts of the
// documents that the filter lets through are read: infix is for fields with few and short texts, as its documentation says.
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

// wordsHolding counts the words of the fields that have the text inside, within max_extra_prefix and max_extra_suffix letters.
func (r *run) wordsHolding(text string, fields []*schema.Field) (map[string]int, error) {
	plan := *r.index
	plan.Query, plan.Facets, plan.Limit = index.Query{All: true}, nil, r.everything()
	res, err := r.collection.find(r.ctx, plan)
	if err != nil {
		return nil, err
	}
	rows := make([]row, len(res.Hits))
	for i, h := range res.Hits {
		rows[i] = row{seq: h.Seq}
	}
	before, after := r.params.Number("max_extra_prefix"), r.params.Number("max_extra_suffix")
	counts := map[string]int{}
	typed, err := r.typed(rows, fields)
	for _, t := range typed {
		for _, f := range fields {
			for _, value := range t.Values[f.Name].Strings {
				for _, w := range f.Analyzer().Words(value) {
					at := strings.Index(w, text)
					if at >= 0 && utf8.RuneCountInString(w[:at]) <= before && utf8.RuneCountInString(w[at+len(text):]) <= after {
						counts[w]++
					}
				}
			}
		}
	}
	return counts, err
}
