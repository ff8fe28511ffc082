package index

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/fountainai/fountain/impl/search/internal/embedded/text"
)

// Bounds of the work for one search.
const (
	// MaxWords is the number of words of a query that are looked at.
	MaxWords = 32
	// maxAttempts bounds the combinations of typos that are tried, maxSteps the way to find them.
	maxAttempts = 100
	maxSteps    = 20_000
	// checkEvery is the number of documents between two looks at the context.
	checkEvery = 4096
)

// search is the state of one Search.
type search struct {
	m    *Memory
	ctx  context.Context
	plan *Plan
	// base holds the documents that filter, phrases and exclusions let through.
	base    *roaring.Bitmap
	found   *roaring.Bitmap
	scored  []scored
	words   []*word
	marks   map[string]int
	checked int
}

// word is one word of the query.
type word struct {
	text string
	// literal words (from a phrase) match only themselves.
	literal bool
	last    bool
	// levels[cost] are the candidates with that many typos, filled as far as asked for.
	levels [][]candidate
}

// candidate is a word of the vocabulary that may stand for a word of the query.
type candidate struct {
	text string
	// cost orders candidates: two for each typo, one for a prefix.
	cost   int
	fields []*postings // by query field; nil: not there
	n      int
}

// scored is a document with its score.
type scored struct {
	doc     uint32
	dropped uint8
	score   fieldScores
}

// Search implements Index.
func (m *Memory) Search(ctx context.Context, plan Plan) (Result, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	s := &search{m: m, ctx: ctx, plan: &plan, found: roaring.New(), marks: make(map[string]int)}
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	s.base = m.matching(plan.Filter, max(plan.FilterCandidates, 1))
	for _, ex := range plan.Query.Excluded {
		s.base.AndNot(s.withPhrase(ex))
	}
	for _, ph := range plan.Query.Phrases {
		s.base.And(s.withPhrase(ph))
	}
	if err := s.run(); err != nil {
		return Result{}, err
	}
	res := Result{Found: int(s.found.GetCardinality()), OutOf: int(m.live.GetCardinality()), Marks: s.marks}
	var err error
	if res.Hits, err = s.page(); err != nil {
		return Result{}, err
	}
	for _, f := range plan.Facets {
		r, err := s.facet(f)
		if err != nil {
			return Result{}, err
		}
		res.Facets = append(res.Facets, r)
	}
	return res, nil
}

// withPhrase returns the documents in which one of the fields holds the words side by side.
func (s *search) withPhrase(words []string) *roaring.Bitmap {
	set := roaring.New()
	for _, qf := range s.plan.Fields {
		f, ok := s.m.fields[qf.Field.Name]
		if !ok || f.words == nil {
			continue
		}
		variants := make([][]*postings, 0, len(words))
		for _, w := range words {
			if p, ok := f.words.terms[w]; ok {
				variants = append(variants, []*postings{p})
			}
		}
		if len(variants) < len(words) || len(words) == 0 {
			continue
		}
		in := intersection(variants)
		if len(words) > 1 {
			keepPhrases(in, variants, phraseAt{})
		}
		set.Or(in)
	}
	return set
}

func (s *search) run() error {
	q := s.plan.Query
	switch {
	case q.None:
		return nil
	case q.All:
		s.found = s.base
		return nil
	}
	loose := s.loose(q.Words)
	var literal []*word
	for _, ph := range q.Phrases {
		for _, w := range ph {
			literal = append(literal, &word{text: w, literal: true})
		}
	}
	if err := s.attempt(append(slices.Clone(literal), loose...), 0); err != nil {
		return err
	}
	for _, words := range q.Also {
		if err := s.attempt(append(slices.Clone(literal), s.loose(words)...), 0); err != nil {
			return err
		}
	}
	if err := s.rejoined(loose, literal); err != nil {
		return err
	}
	return s.dropping(loose, literal)
}

func (s *search) loose(words []string) []*word {
	words = words[:min(len(words), MaxWords)]
	out := make([]*word, len(words))
	for i, w := range words {
		out[i] = &word{text: w, last: i == len(words)-1}
	}
	return out
}

// rejoined tries the words joined to one and each of two words split, as split_join_tokens says.
func (s *search) rejoined(loose, literal []*word) error {
	if s.plan.SplitJoin == Off || s.plan.SplitJoin == Fallback && !s.found.IsEmpty() || len(loose) == 0 {
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
	for i := range t {
		if i == 0 || !s.known(t[:i]) || !s.known(t[i:]) {
			continue
		}
		whole := s.base
		s.base = roaring.And(s.base, s.withPhrase([]string{t[:i], t[i:]}))
		err := s.attempt(append(slices.Clone(literal), &word{text: t[:i], literal: true}, &word{text: t[i:], literal: true}), 0)
		s.base = whole
		if err != nil || !s.found.IsEmpty() {
			return err
		}
	}
	return nil
}

func (s *search) known(text string) bool {
	for _, qf := range s.plan.Fields {
		if f, ok := s.m.fields[qf.Field.Name]; ok && f.words != nil && f.words.terms[text] != nil {
			return true
		}
	}
	return false
}

// dropping leaves out words from one side and then from the other until there are enough documents.
func (s *search) dropping(loose, literal []*word) error {
	enough := func() bool { return int(s.found.GetCardinality()) >= s.plan.DropThreshold }
	for side := range 2 {
		for n := 1; n < len(loose) && !enough(); n++ {
			part := loose[:len(loose)-n]
			if s.plan.DropLeft != (side == 1) {
				part = loose[n:]
			}
			if err := s.attempt(append(slices.Clone(literal), part...), n); err != nil {
				return err
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
	// combine walks all cost vectors with the given sum, cheapest last words first.
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
			enough := int(s.found.GetCardinality()) >= s.plan.TypoThreshold
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

// possible says that a word has candidates at all: without them no combination can succeed.
func (s *search) possible(w *word, limit int) bool {
	for c := 0; c <= limit; c++ {
		if s.ctx.Err() != nil {
			return false
		}
		if len(s.candidates(w, c)) > 0 {
			return true
		}
	}
	return false
}

func (s *search) maxTypos(w *word) int {
	if w.literal || s.plan.NoTyposInNumbers && strings.IndexFunc(w.text, func(r rune) bool { return !unicode.IsDigit(r) }) < 0 {
		return 0
	}
	allowed := 0
	for _, f := range s.plan.Fields {
		allowed = max(allowed, f.NumTypos)
	}
	n := utf8.RuneCountInString(w.text)
	switch {
	case n > 100, n < s.plan.MinLen1Typo:
		return 0
	case n < s.plan.MinLen2Typo:
		return min(allowed, 1)
	}
	return min(allowed, 2)
}

// candidates returns the commonest words that cost exactly so many typos.
func (s *search) candidates(w *word, typos int) []candidate {
	for len(w.levels) <= typos {
		w.levels = append(w.levels, s.level(w, len(w.levels)))
	}
	return w.levels[typos]
}

func (s *search) level(w *word, typos int) []candidate {
	byText := make(map[string]*candidate)
	for i, qf := range s.plan.Fields {
		f, ok := s.m.fields[qf.Field.Name]
		if !ok || f.words == nil || typos > qf.NumTypos && typos > 0 {
			continue
		}
		prefix := qf.Prefix && w.last && !w.literal
		f.words.similar(w.text, typos, prefix, func(term string, cost text.Cost) {
			if cost.Typos != typos {
				return
			}
			c := byText[term]
			if c == nil {
				c = &candidate{text: term, cost: 2 * cost.Typos, fields: make([]*postings, len(s.plan.Fields))}
				if cost.Prefix {
					c.cost++
				}
				byText[term] = c
			}
			p := f.words.terms[term]
			c.fields[i], c.n = p, c.n+p.n
		})
	}
	out := make([]candidate, 0, len(byText))
	for _, c := range byText {
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b candidate) int {
		exact := cmp.Compare(boolInt(b.text == w.text), boolInt(a.text == w.text))
		return cmp.Or(exact, cmp.Compare(b.n, a.n), cmp.Compare(a.text, b.text))
	})
	keep := max(s.plan.MaxCandidates, 1)
	if s.plan.Exhaustive {
		keep = len(out)
	}
	return out[:min(keep, len(out))]
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// collect scores the documents that hold a candidate of the given cost for every word.
func (s *search) collect(costs []int, dropped int) error {
	lists := make([][]candidate, len(costs))
	set := s.base.Clone()
	for i, w := range s.words {
		lists[i] = s.candidates(w, costs[i])
		some := roaring.New()
		for _, c := range lists[i] {
			for _, p := range c.fields {
				if p != nil {
					p.addTo(some)
				}
			}
		}
		if set.And(some); set.IsEmpty() {
			return nil
		}
	}
	set.AndNot(s.found)
	if set.IsEmpty() {
		return nil
	}
	for i, w := range s.words {
		for _, c := range lists[i] {
			s.mark(w, c)
		}
	}
	sc := newScorer(s.plan, lists)
	for it := set.Iterator(); it.HasNext(); {
		if s.checked++; s.checked%checkEvery == 0 && s.ctx.Err() != nil {
			return s.ctx.Err()
		}
		doc := it.Next()
		s.scored = append(s.scored, scored{doc: doc, dropped: uint8(dropped), score: sc.score(doc)})
	}
	s.found.Or(set)
	return nil
}

// mark notes how many letters of a candidate to mark: of a prefix without typos only what was typed.
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
