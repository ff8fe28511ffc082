package index

import (
	"slices"
	"unicode/utf8"

	"github.com/RoaringBitmap/roaring/v2"
)

func (s *search) looseAll(lists [][]string) [][]*word {
	out := make([][]*word, len(lists))
	for i, words := range lists {
		out[i] = s.loose(words)
	}
	return out
}

func (s *search) loose(words []string) []*word {
	words = words[:min(len(words), MaxWords)]
	out := make([]*word, len(words))
	for i, w := range words {
		out[i] = &word{text: w, last: i == len(words)-1}
	}
	return out
}

// rejoined tries the words joined into one, and a single word split in two, as split_join_tokens says.
func (s *search) rejoined(loose, literal []*word) error {
	if s.plan.SplitJoin == Off || s.plan.SplitJoin == Fallback && s.found > 0 || len(loose) == 0 {
		return nil
	}
	if len(loose) > 1 {
		joined := ""
		for _, w := range loose {
			joined += w.text
		}
		return s.attempt(append(slices.Clone(literal), &word{text: joined, literal: true}), 0)
	}
	t := loose[0].text
	if utf8.RuneCountInString(t) > MostLetters {
		return nil
	}
	for i := range t {
		if i == 0 || !s.known(t[:i]) || !s.known(t[i:]) {
			continue
		}
		phrases := make([]*roaring.Bitmap, len(s.areas))
		for k, a := range s.areas {
			phrases[k] = a.phrases
			if err := a.require([]string{t[:i], t[i:]}); err != nil {
				return err
			}
		}
		err := s.attempt(append(slices.Clone(literal), &word{text: t[:i], literal: true}, &word{text: t[i:], literal: true}), 0)
		for k, a := range s.areas {
			a.phrases = phrases[k]
		}
		if err != nil || s.found > 0 {
			return err
		}
	}
	return nil
}

func (s *search) known(text string) bool {
	for _, a := range s.areas {
		for _, d := range a.words {
			if d == nil {
				continue
			}
			if p := d.find(text); p.n() > 0 && (a.part.dead == nil || p.n() > deadAmong(p.docs(), a.part.dead)) {
				return true
			}
		}
	}
	return false
}

// dropping leaves out words, first from one side and then from the other, until there are enough documents. lists[0] holds the words of the
// query. The other lists come from synonyms, and are shortened in the same steps.
func (s *search) dropping(lists [][]*word, literal []*word) error {
	enough := func() bool { return s.found >= s.plan.DropThreshold }
	for side := range 2 {
		for n := 1; n < len(lists[0]) && !enough(); n++ {
			for _, loose := range lists {
				if n >= len(loose) || enough() {
					continue
				}
				part, left := loose[:len(loose)-n], loose[len(loose)-n:]
				if s.plan.DropLeft != (side == 1) {
					part, left = loose[n:], loose[:n]
				}
				s.left = left
				if err := s.attempt(append(slices.Clone(literal), part...), n); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// attempt searches for all words together, with more and more typos until there are enough documents.
func (s *search) attempt(words []*word, dropped int) error {
	if len(words) == 0 {
		return nil
	}
	s.words = words
	limits := make([]int, len(words))
	for i, w := range words {
		limits[i] = s.maxTypos(w)
		if !s.possible(w, limits[i]) {
			return s.ctx.Err()
		}
	}
	tried, steps, done := 0, 0, false
	var err error
	costs := make([]int, len(words))
	// combine visits all cost vectors with the given sum, those with low costs of the last words first.
	var combine func(i, left int)
	combine = func(i, left int) {
		if steps++; steps > maxSteps {
			done = true
		}
		if done || err != nil {
			return
		}
		if err = s.ctx.Err(); err != nil {
			return
		}
		if i == len(words) {
			if left > 0 {
				return
			}
			tried++
			err = s.collect(costs, dropped)
			enough := s.found >= s.plan.TypoThreshold
			done = tried >= maxAttempts || enough && !s.plan.Exhaustive
			return
		}
		for c := 0; c <= min(left, limits[i]); c++ {
			if len(s.candidates(words[i], c)) == 0 {
				continue
			}
			costs[i] = c
			combine(i+1, left-c)
		}
	}
	total := 0
	for _, l := range limits {
		total += l
	}
	for sum := 0; sum <= total && !done && err == nil; sum++ {
		combine(0, sum)
	}
	return err
}
