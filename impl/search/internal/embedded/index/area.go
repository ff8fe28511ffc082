package index

import (
	"github.com/RoaringBitmap/roaring/v2"

	"github.com/fountainai/fountain/impl/search/internal/embedded/filter"
)

// area is one part of the index in one search.
type area struct {
	s    *search
	at   int
	part part
	// words are the dictionaries of the query's fields; nil: not there.
	words []*dictionary
	// phrases holds the documents with all wanted phrases (nil: no phrase is wanted), barred those with an excluded one.
	phrases, barred *roaring.Bitmap
	// among are the documents of Plan.Among; nil: all.
	among   *roaring.Bitmap
	found   *roaring.Bitmap
	clauses map[*filter.Clause]*roaring.Bitmap
}

// phrased notes the documents with the wanted phrases of a query, and those with an excluded one.
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

// require wants a phrase.
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

// allow removes from set what is dead, excluded or without a wanted phrase, and what the filter does not let through. With errCut, what is left in set was
// let through, and there was no time for the rest.
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

// withPhrase returns the documents in which one of the fields holds the words side by side.
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

// addInside finds documents that have no score.
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
