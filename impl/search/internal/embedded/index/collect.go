package index

import (
	"cmp"
	"errors"
	"slices"
	"unicode/utf8"

	"github.com/RoaringBitmap/roaring/v2"
)

// collect scores the documents that contain, for every word, a candidate of the given cost.
func (s *search) collect(costs []int, dropped int) error {
	lists := make([][]candidate, len(costs))
	for i, w := range s.words {
		lists[i] = s.candidates(w, costs[i])
	}
	scored, words := slices.Clone(lists), slices.Clone(s.words)
	for _, w := range s.left {
		scored, words = append(scored, s.candidates(w, 0)), append(words, w)
	}
	hit := false
	var err error
	for _, a := range s.areas {
		set := a.holdingAll(lists)
		if set == nil {
			continue
		}
		if err = a.allow(set); err != nil && !errors.Is(err, errCut) {
			return err
		}
		if set.AndNot(a.found); !set.IsEmpty() {
			hit = true
			if s.top.want > 0 {
				err = cmp.Or(newScorer(a, scored, dropped).rank(set), err)
			}
			s.found += int(set.GetCardinality())
			a.found.Or(set)
		}
		if err != nil {
			break
		}
	}
	for i, w := range words {
		for _, c := range scored[i] {
			if hit {
				s.mark(w, c)
			}
		}
	}
	return err
}

// holdingAll returns the documents that contain a candidate of every word, or nil if there are none. It starts with the rarest word, and
// then reads only what is needed to check the documents of that word.
func (a *area) holdingAll(lists [][]candidate) *roaring.Bitmap {
	words, sizes := make([][]postings, len(lists)), make([]int, len(lists))
	order := make([]int, len(lists))
	for w, list := range lists {
		order[w] = w
		for _, c := range list {
			for _, t := range c.terms {
				if t.area == a.at {
					words[w] = append(words[w], t.p)
					sizes[w] += t.p.n()
				}
			}
		}
		if sizes[w] == 0 {
			return nil
		}
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(sizes[x], sizes[y]) })
	var set *roaring.Bitmap
	for _, w := range order {
		switch {
		case set == nil:
			set = union(a.part.seg.n, words[w])
		case int(set.GetCardinality())*len(words[w])*rareShare < sizes[w]:
			set = among(set, words[w])
		default:
			set.And(union(a.part.seg.n, words[w]))
		}
		if set.IsEmpty() {
			return nil
		}
	}
	return set
}

// among returns the documents of a small set that contain one of the words.
func among(set *roaring.Bitmap, lists []postings) *roaring.Bitmap {
	cursors := make([]cursor, len(lists))
	for i, p := range lists {
		cursors[i] = newCursor(p)
	}
	var keep []uint32
	for it := set.Iterator(); it.HasNext(); {
		doc := it.Next()
		for i := range cursors {
			if cursors[i].seek(doc) {
				keep = append(keep, doc)
				break
			}
		}
	}
	return roaring.BitmapOf(keep...)
}

// mark records how many letters of a candidate are highlighted: for a prefix match without typos, only the letters that were typed.
func (s *search) mark(w *word, c candidate) {
	n := 0
	if c.cost == 1 {
		n = utf8.RuneCountInString(w.text)
	}
	if old, ok := s.marks[c.text]; ok && (old == 0 || n != 0 && old > n) {
		return
	}
	s.marks[c.text] = n
}
