package index

import (
	"github.com/RoaringBitmap/roaring/v2"

	"github.com/fountainai/fountain/impl/search/internal/embedded/filter"
)

// area is the state of one search in one part of the index.
type area struct {
	s    *search
	at   int
	part part
	// words are the dictionaries of the query's fields; nil for a field that the part does not have.
	words []*dictionary
	// phrases holds the documents with all required phrases (nil if no phrase is required), barred those with an excluded phrase.
	phrases, barred *roaring.Bitmap
	// among holds the documents of Plan.Among; nil for all.
	among   *roaring.Bitmap
	found   *roaring.Bitmap
	clauses map[*filter.Clause]*roaring.Bitmap
}

// phrased finds the documents with the required phrases of a query, and those with an excluded one.
func (a *area) phrased(q Query) error {
	for _, words := range q.Excluded {
		set, err := a.withPhrase(words)
		if err != nil {
			return err
		}
		if a.barred == nil {
			a.barred = roaring.New()
		}
		a.barred.Or(set)
	}
	for _, words := range q.Phrases {
		if err := a.require(words); err != nil {
			return err
		}
	}
	return nil
}

// require adds a required phrase.
func (a *area) require(words []string) error {
	set, err := a.withPhrase(words)
	if err != nil {
		return err
	}
	if a.phrases != nil {
		set.And(a.phrases)
	}
	a.phrases = set
	return nil
}

// allow removes from set the documents that are dead or excluded, lack a required phrase, or don't match the filter. If it returns errCut,
// the documents left in set match, and there was no time to check the others.
func (a *area) allow(set *roaring.Bitmap) error {
	if a.among != nil {
		set.And(a.among)
	}
	if a.part.dead != nil {
		set.AndNot(a.part.dead)
	}
	if a.barred != nil {
		set.AndNot(a.barred)
	}
	if a.phrases != nil {
		set.And(a.phrases)
	}
	return a.restrict(set, a.s.plan.Filter)
}

// withPhrase returns the documents in which one of the fields contains the words next to each other.
func (a *area) withPhrase(words []string) (*roaring.Bitmap, error) {
	set := roaring.New()
	for _, d := range a.words {
		if err := a.s.ctx.Err(); err != nil {
			return nil, err
		}
		if d == nil || len(words) == 0 {
			continue
		}
		variants := make([][]postings, len(words))
		for i, w := range words {
			variants[i] = []postings{d.find(w)}
		}
		in := intersection(a.part.seg.n, variants)
		if len(words) > 1 && !in.IsEmpty() {
			if err := keepPhrases(a.s.ctx, in, variants, phraseAt{}); err != nil {
				return nil, err
			}
		}
		set.Or(in)
	}
	return set, nil
}

// addInside adds documents without a score.
func (a *area) addInside(set *roaring.Bitmap) error {
	s := a.s
	set.AndNot(a.found)
	a.found.Or(set)
	s.found += int(set.GetCardinality())
	if s.top.want == 0 {
		return nil
	}
	return a.eachOf(set, func(doc uint32) {
		s.top.offer(scored{area: int32(a.at), doc: doc, seq: a.part.seg.seqs[doc], dropped: 1})
	})
}
