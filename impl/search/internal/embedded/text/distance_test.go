package text

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// slow is the textbook distance with transpositions of adjacent letters.
func slow(a, b []rune) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range b {
		d[0][j+1] = j + 1
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			c := 1
			if a[i-1] == b[j-1] {
				c = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+c)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}

func slowCost(query, word string, prefix bool) int {
	q, w := []rune(query), []rune(word)
	best := slow(q, w)
	for k := len(q); prefix && k <= len(w); k++ {
		best = min(best, slow(q, w[:k]))
	}
	return best
}

func TestMatcher_agreesWithTheTextbook(t *testing.T) {
	letters := rapid.StringMatching(`[abcü]{0,9}`)
	rapid.Check(t, func(t *rapid.T) {
		query, most, prefix := letters.Draw(t, "query"), rapid.IntRange(0, 3).Draw(t, "max"), rapid.Bool().Draw(t, "prefix")
		words := rapid.SliceOfN(letters, 1, 60).Draw(t, "words")
		slices.Sort(words)
		m := NewMatcher(query, most, prefix)
		deadPrefix, dead := "", false
		for _, w := range words {
			want := slowCost(query, w, prefix)
			if dead && len(w) >= len(deadPrefix) && w[:len(deadPrefix)] == deadPrefix && want <= most {
				t.Fatalf("%q was called dead by prefix %q of query %q", w, deadPrefix, query)
			}
			cost, ok, n := m.Match(w)
			if ok != (want <= most) || ok && cost.Typos != want {
				t.Fatalf("query %q word %q prefix %v: got %+v %v, want %d", query, w, prefix, cost, ok, want)
			}
			if n > 0 {
				deadPrefix, dead = w[:n], true
			}
		}
	})
}

func TestMatcher_countsPrefixesApart(t *testing.T) {
	for _, c := range []struct {
		query, word string
		want        Cost
	}{
		{"keybaord", "keyboard", Cost{Typos: 1}},
		{"keybaord", "keyboards", Cost{Typos: 1}},
		{"kyboard", "keyboards", Cost{Typos: 1, Prefix: true}},
		{"tomrr", "tomorrow", Cost{Typos: 1, Prefix: true}},
	} {
		if got, ok, _ := NewMatcher(c.query, 2, true).Match(c.word); !ok || got != c.want {
			t.Errorf("%s for %s: got %+v, want %+v", c.word, c.query, got, c.want)
		}
	}
	if _, ok, _ := NewMatcher("wicth", 1, true).Match("within"); ok {
		t.Error("a prefix shorter than the query must not count")
	}
}
