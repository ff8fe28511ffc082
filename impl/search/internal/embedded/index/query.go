package index

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/fountainai/fountain/impl/search/internal/embedded/filter"
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
	checkEvery = 1024
)

// search is the state of one Search.
type search struct {
	ctx   context.Context
	plan  *Plan
	areas []*area
	order comparison
	top   *worst
	texts bool // words were searched
	// ascending says that the worst text match comes first: then bounds of the score say nothing.
	ascending bool
	// matchOnly says that the text match decides, best first, and then the newest document.
	matchOnly bool
	found     int
	words     []*word
	// left are the words that were left out: a document need not have them, but those that it has count.
	left  []*word
	marks map[string]int
	// steps counts the blocks that were looked at; cut says that there was no time for more.
	steps int
	cut   bool
}

// giveWay lets other goroutines have the processor and returns the context's error. Searches keep all processors busy; without this each step of a request beside them,
// such as reading from its connection, waits until the runtime takes a processor away from one, which is up to 10 ms.
func (s *search) giveWay() error {
	s.steps++
	return s.look(s.steps > 1) // the first step is done in any case: an answer is not empty for want of time alone
}

// look gives way, and ends the search at the cutoff if it may be cut already. It says so once: what has been found by then is made an answer of.
func (s *search) look(begun bool) error {
	runtime.Gosched()
	if err := s.ctx.Err(); err != nil || s.plan.Cutoff.IsZero() || s.cut {
		return err
	}
	if begun && time.Now().After(s.plan.Cutoff) {
		s.cut = true
		return errCut
	}
	return nil
}

// errCut says that the plan's Cutoff has come.
var errCut = errors.New("the time of the search is over")

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

// word is one word of the query.
type word struct {
	text string
	// literal words (from a phrase) match only themselves.
	literal bool
	last    bool
	// levels[cost] are the candidates with that many typos, filled as far as asked for.
	levels [][]candidate
}

// scored is a document with its score.
type scored struct {
	area    int32
	doc     uint32
	seq     uint64
	dropped uint8
	score   fieldScores
}

func newSearch(ctx context.Context, plan *Plan, v *view) *search {
	s := &search{ctx: ctx, plan: plan, marks: make(map[string]int)}
	for i, p := range v.parts {
		a := &area{s: s, at: i, part: p, words: make([]*dictionary, len(plan.Fields)), found: roaring.New(), clauses: make(map[*filter.Clause]*roaring.Bitmap)}
		for k, qf := range plan.Fields {
			if f := p.seg.fields[qf.Field.Name]; f != nil {
				a.words[k] = f.words
			}
		}
		if plan.Among != nil {
			a.among = p.seg.numbered(plan.Among)
		}
		s.areas = append(s.areas, a)
	}
	s.order = s.comparison()
	s.top = &worst{order: s.order, want: plan.Offset + plan.Limit}
	return s
}

func (s *search) result(outOf int) (Result, error) {
	if err := s.ctx.Err(); err != nil {
		return Result{}, err
	}
	for _, a := range s.areas {
		for _, ex := range s.plan.Query.Excluded {
			if a.barred == nil {
				a.barred = roaring.New()
			}
			a.barred.Or(a.withPhrase(ex))
		}
		for _, ph := range s.plan.Query.Phrases {
			a.require(ph)
		}
	}
	if err := s.run(); err != nil && !errors.Is(err, errCut) {
		return Result{}, err
	}
	hits, err := s.page()
	if err != nil {
		return Result{}, err
	}
	res := Result{Found: s.found, OutOf: outOf, Marks: s.marks, Hits: hits}
	for _, a := range s.areas {
		if s.plan.FacetsOfAll {
			a.found.AddRange(0, uint64(a.part.seg.n))
			if a.part.dead != nil {
				a.found.AndNot(a.part.dead)
			}
		}
	}
	res.Facets, err = s.facets()
	res.Cut = s.cut
	return res, err
}

// facets counts until the time is over: a facet that it came too late for has no counts, since some of them would be wrong ones.
func (s *search) facets() ([]FacetResult, error) {
	var all []FacetResult
	over := false
	for _, f := range s.plan.Facets {
		r, err := FacetResult{Field: f.Field, Counts: []FacetCount{}}, error(nil)
		if !over {
			r, err = s.facet(f)
		}
		if errors.Is(err, errCut) {
			over, r, err = true, FacetResult{Field: f.Field, Counts: []FacetCount{}}, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// require wants a phrase.
func (a *area) require(words []string) {
	set := a.withPhrase(words)
	if a.phrases != nil {
		set.And(a.phrases)
	}
	a.phrases = set
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
func (a *area) withPhrase(words []string) *roaring.Bitmap {
	set := roaring.New()
	for _, d := range a.words {
		if d == nil || len(words) == 0 {
			continue
		}
		variants := make([][]postings, len(words))
		for i, w := range words {
			variants[i] = []postings{d.find(w)}
		}
		in := intersection(a.part.seg.n, variants)
		if len(words) > 1 && !in.IsEmpty() {
			keepPhrases(in, variants, phraseAt{})
		}
		set.Or(in)
	}
	return set
}

// all finds every document that is allowed.
func (s *search) all() error {
	for _, a := range s.areas {
		a.found.AddRange(0, uint64(a.part.seg.n))
		cut := a.allow(a.found)
		if cut != nil && !errors.Is(cut, errCut) {
			return cut
		}
		s.found += int(a.found.GetCardinality())
		if s.top.want > 0 {
			if err := a.each(func(doc uint32) { s.top.offer(scored{area: int32(a.at), doc: doc, seq: a.part.seg.seqs[doc]}) }); err != nil {
				return err
			}
		}
		if cut != nil {
			return cut
		}
	}
	return nil
}

func (s *search) run() error {
	q := s.plan.Query
	switch {
	case q.None:
		return nil
	case q.All:
		return s.all()
	}
	s.texts = true
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
	if err := s.inside(q.Inside); err != nil {
		return err
	}
	if err := s.rejoined(loose, literal); err != nil {
		return err
	}
	return s.dropping(append([][]*word{loose}, s.looseAll(q.Also)...), literal)
}

func (s *search) looseAll(lists [][]string) [][]*word {
	out := make([][]*word, len(lists))
	for i, words := range lists {
		out[i] = s.loose(words)
	}
	return out
}

// inside finds the documents with one of the words. They have no score, and so come after all that have one, the newest first.
func (s *search) inside(words []string) error {
	for _, w := range words {
		found := false
		for _, a := range s.areas {
			set := a.withPhrase([]string{w})
			cut := a.allow(set)
			if cut != nil && !errors.Is(cut, errCut) {
				return cut
			}
			found = found || !set.IsEmpty()
			if err := a.addInside(set); err != nil {
				return err
			}
			if cut != nil {
				return cut
			}
		}
		if _, known := s.marks[w]; found && !known {
			s.marks[w] = MarkInside
		}
	}
	return nil
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
	for i := range t {
		if i == 0 || !s.known(t[:i]) || !s.known(t[i:]) {
			continue
		}
		phrases := make([]*roaring.Bitmap, len(s.areas))
		for k, a := range s.areas {
			phrases[k] = a.phrases
			a.require([]string{t[:i], t[i:]})
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

// dropping leaves out words from one side and then from the other until there are enough documents: of the query, which is the first list,
// and in the same step of those that synonyms made of it.
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

// candidates returns the commonest words that cost exactly so many typos. Words with typos are found for all costs in one walk.
func (s *search) candidates(w *word, typos int) []candidate {
	if len(w.levels) == 0 {
		w.levels = append(w.levels, s.literal(w))
	}
	if len(w.levels) <= typos {
		w.levels = append(w.levels, s.misspelt(w, s.maxTypos(w))...)
	}
	return w.levels[typos]
}

// literal finds the word itself and, where prefixes are allowed, the words that begin with it.
func (s *search) literal(w *word) []candidate {
	t := newTally(s)
	for i, a := range s.areas {
		for f, d := range a.words {
			switch {
			case d == nil:
			case s.prefix(w, f):
				d.withPrefix(w.text, func(term uint32) { t.add(i, d, f, term, boolInt(d.terms.at(term) != w.text)) })
			default:
				if term, ok := d.terms.search(w.text); ok {
					t.add(i, d, f, term, 0)
				}
			}
		}
	}
	return s.commonestOf(t, w)
}

func (s *search) prefix(w *word, field int) bool {
	return s.plan.Fields[field].Prefix && w.last && !w.literal
}

// misspelt finds the words with 1 to most typos.
func (s *search) misspelt(w *word, most int) [][]candidate {
	tallies := make([]*tally, most)
	for i := range tallies {
		tallies[i] = newTally(s)
	}
	for f, qf := range s.plan.Fields {
		limit := min(most, qf.NumTypos)
		if limit == 0 || s.ctx.Err() != nil {
			continue
		}
		m := text.NewMatcher(w.text, limit, s.prefix(w, f))
		for i, a := range s.areas {
			if d := a.words[f]; d != nil {
				d.similar(m, func(term uint32, cost text.Cost) {
					if cost.Typos > 0 {
						tallies[cost.Typos-1].add(i, d, f, term, 2*cost.Typos+boolInt(cost.Prefix))
					}
				})
			}
		}
	}
	out := make([][]candidate, most)
	for i, t := range tallies {
		out[i] = s.commonestOf(t, w)
	}
	return out
}

func (s *search) commonestOf(t *tally, w *word) []candidate {
	keep := max(s.plan.MaxCandidates, 1)
	if s.plan.Exhaustive {
		keep = len(t.byText)
	}
	return t.best(keep, w.text)
}

// collect scores the documents that hold a candidate of the given cost for every word.
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

// holdingAll returns the documents that hold a candidate of every word, or nil: the rarest word first, and of the others only what is
// needed to look at its documents.
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

// among returns the documents of a small set that hold one of the words.
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
