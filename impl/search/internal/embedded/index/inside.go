package index

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// Inside requests words that contain a text, with at most Before letters before it and After letters after it.
type Inside struct {
	Text          string
	Fields        []*schema.Field
	Before, After int
}

// WordsHolding returns the words of the fields that contain the text, each with the number of documents that have the word and match the
// plan's filter. If the plan's Cutoff passes, it returns what it has found so far.
func (x *Segments) WordsHolding(ctx context.Context, plan Plan, in Inside) (words map[string]int, err error) {
	v := x.view.Load()
	err = guard(v.parts, func() error {
		s := newSearch(ctx, &plan, v)
		words = map[string]int{}
		for _, a := range s.areas {
			if err := a.wordsHolding(in, words); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, errCut) {
		err = nil
	}
	return words, err
}

func (a *area) wordsHolding(in Inside, words map[string]int) error {
	allowed := roaring.New()
	allowed.AddRange(0, uint64(a.part.seg.n))
	if err := a.allow(allowed); err != nil {
		return err
	}
	for _, f := range in.Fields {
		own := a.part.seg.fields[f.Name]
		if own == nil || own.words == nil {
			continue
		}
		for term := range uint32(own.words.terms.len()) {
			if term%checkEvery == 0 {
				if err := a.s.giveWay(); err != nil {
					return err
				}
			}
			word := own.words.terms.at(term)
			if !in.holds(word) {
				continue
			}
			n := 0
			for _, doc := range own.words.postings(term).docs() {
				if allowed.Contains(doc) {
					n++
				}
			}
			if n > 0 {
				words[strings.Clone(word)] += n
			}
		}
	}
	return nil
}

func (in Inside) holds(word string) bool {
	at := strings.Index(word, in.Text)
	return at >= 0 && utf8.RuneCountInString(word[:at]) <= in.Before && utf8.RuneCountInString(word[at+len(in.Text):]) <= in.After
}
