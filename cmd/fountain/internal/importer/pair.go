package importer

import (
	"strings"
	"unicode"

	"github.com/fountainai/fountain/internal/screenplay"
)

// pair matches the elements of a screenplay with the stored ones. It first matches elements with the same content that
// are unique in their range, in order. Between these it matches elements with similar content.
func pair(play []*entry, old []*stored) {
	keys := make([]string, len(old))
	for i, s := range old {
		keys[i] = keyOf(s.ElementType, s.imported)
	}
	align(play, old, keys)
}

// pairNames matches characters by name. Each name exists once, so the order in which the characters speak does not
// matter.
func pairNames(play []*entry, old []*stored) {
	byName := map[string]*stored{}
	for _, s := range old {
		byName[keyOf(s.ElementType, s.imported)] = s
	}
	for _, e := range play {
		e.old = byName[e.key]
		delete(byName, e.key)
	}
}

func align(play []*entry, old []*stored, keys []string) {
	for len(play) > 0 && len(old) > 0 && play[0].key == keys[0] {
		play[0].old = old[0]
		play, old, keys = play[1:], old[1:], keys[1:]
	}
	for len(play) > 0 && len(old) > 0 && play[len(play)-1].key == keys[len(keys)-1] {
		play[len(play)-1].old = old[len(old)-1]
		play, old, keys = play[:len(play)-1], old[:len(old)-1], keys[:len(keys)-1]
	}
	if len(play) == 0 || len(old) == 0 {
		return
	}
	anchors := anchorsOf(play, keys)
	if len(anchors) == 0 {
		pairSimilar(play, old)
		return
	}
	i, j := 0, 0
	for _, a := range anchors {
		align(play[i:a[0]], old[j:a[1]], keys[j:a[1]])
		play[a[0]].old = old[a[1]]
		i, j = a[0]+1, a[1]+1
	}
	align(play[i:], old[j:], keys[j:])
}

// anchorsOf finds the longest sequence of elements, in the same order on both sides, whose key occurs exactly once on
// each side.
func anchorsOf(play []*entry, keys []string) [][2]int {
	places := map[string][3]int{} // count on the left, count on the right, index on the right
	for _, e := range play {
		p := places[e.key]
		p[0]++
		places[e.key] = p
	}
	for j, key := range keys {
		p := places[key]
		p[1]++
		p[2] = j
		places[key] = p
	}
	var pairs [][2]int
	for i, e := range play {
		if p := places[e.key]; p[0] == 1 && p[1] == 1 {
			pairs = append(pairs, [2]int{i, p[2]})
		}
	}
	return increasing(pairs)
}

// increasing returns the longest increasing subsequence of the pairs by their second number.
func increasing(pairs [][2]int) [][2]int {
	ends := []int{} // for each length, the index of the last pair of the best subsequence
	before := make([]int, len(pairs))
	for i, p := range pairs {
		low, high := 0, len(ends)
		for low < high {
			if middle := (low + high) / 2; pairs[ends[middle]][1] < p[1] {
				low = middle + 1
			} else {
				high = middle
			}
		}
		before[i] = -1
		if low > 0 {
			before[i] = ends[low-1]
		}
		ends = append(ends[:low], append([]int{i}, ends[min(low+1, len(ends)):]...)...)
	}
	if len(ends) == 0 {
		return nil
	}
	row := make([][2]int, len(ends))
	for k, i := len(ends)-1, ends[len(ends)-1]; i >= 0; k, i = k-1, before[i] {
		row[k] = pairs[i]
	}
	return row
}

// similar is the share of words that two elements must have in common to be versions of each other. window is how many
// stored elements are compared.
const (
	similar = 0.4
	window  = 50
)

// pairSimilar matches the elements left between two anchors, in order.
func pairSimilar(play []*entry, old []*stored) {
	if len(play) == 1 && len(old) == 1 && play[0].Type == screenplay.TypeScript {
		play[0].old = old[0]
		return
	}
	j := 0
	for _, e := range play {
		best, at := similar, -1
		for k := j; k < min(j+window, len(old)); k++ {
			if s := likeness(gistWords(e.Data), gistWords(old[k].imported)); s > best {
				best, at = s, k
			}
		}
		if at >= 0 {
			e.old = old[at]
			j = at + 1
		}
	}
}

// gistWords returns the words of an element's content. In scripts without spaces between words it returns the
// characters.
func gistWords(data map[string]any) []string {
	var words []string
	for _, property := range []string{"heading", "name", "character", "text", "kind"} {
		text, _ := data[property].(string)
		for _, word := range strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r) }) {
			if first := []rune(word); unicode.In(first[0], unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai) {
				words = append(words, strings.Split(word, "")...)
				continue
			}
			words = append(words, word)
		}
	}
	return words
}

// likeness returns the share of words that two texts have in common, from 0 to 1.
func likeness(a, b []string) float64 {
	if len(a)+len(b) == 0 {
		return 1
	}
	count := map[string]int{}
	for _, word := range a {
		count[word]++
	}
	shared := 0
	for _, word := range b {
		if count[word] > 0 {
			count[word]--
			shared++
		}
	}
	return 2 * float64(shared) / float64(len(a)+len(b))
}
