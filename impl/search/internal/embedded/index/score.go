package index

import (
	"cmp"
	"math/bits"
	"slices"
)

// The score of one field, from the most to the least significant: words in the best window, words matched, typos and
// prefixes, closeness, whole field, position of the first match. The order is the documented one; the packing is ours.
const (
	windowShift    = 40
	matchedShift   = 32
	costShift      = 24
	closenessShift = 16
	exactShift     = 8
	maxByte        = 255
	closest        = 100
	// windowWords is how far apart words may be and still count as standing together.
	windowWords = 10
	// maxScoredWords fits the four bits of the document's score.
	maxScoredWords = 15
	// TopWeight is the weight of the most important field.
	TopWeight = 15
)

// fieldScores is what a document's score is made of.
type fieldScores struct {
	total   uint64
	best    uint64
	weight  uint8
	fields  uint8
	matched uint8
}

// typoCost is the part of the best field's score that tells typos and prefixes.
func (f fieldScores) typoCost() int { return maxByte - int(f.best>>costShift&maxByte) }

// occurrence is one place of one word of the query.
type occurrence struct {
	pos  uint32
	word int
	last bool
}

// scorer scores documents in ascending order.
type scorer struct {
	plan *Plan
	// cursors[word][field][candidate], cheapest candidates first; cost beside it.
	cursors [][][]costed
	places  []place
	hits    []occurrence
	seen    []int
	costs   []int // by word; -1: not in the field
}

type costed struct {
	cursor
	cost int
}

func newScorer(plan *Plan, lists [][]candidate) *scorer {
	sc := &scorer{plan: plan, cursors: make([][][]costed, len(lists)), seen: make([]int, len(lists)), costs: make([]int, len(lists))}
	for w, list := range lists {
		sc.cursors[w] = make([][]costed, len(plan.Fields))
		for f := range plan.Fields {
			for _, c := range list {
				if c.fields[f] != nil {
					sc.cursors[w][f] = append(sc.cursors[w][f], costed{cursor{p: c.fields[f]}, c.cost})
				}
			}
			slices.SortStableFunc(sc.cursors[w][f], func(a, b costed) int { return cmp.Compare(a.cost, b.cost) })
		}
	}
	return sc
}

// score weighs document doc.
func (sc *scorer) score(doc uint32) fieldScores {
	var out fieldScores
	var sum uint64
	matched := uint64(0)
	for f := range sc.plan.Fields {
		bfs, words := sc.field(doc, f)
		if words == 0 {
			continue
		}
		matched |= words
		out.fields++
		weight := uint8(sc.plan.Fields[f].Weight)
		sum += bfs * uint64(weight)
		better := bfs > out.best || bfs == out.best && weight > out.weight
		if sc.plan.MatchType == MaxWeight {
			better = weight > out.weight || weight == out.weight && bfs > out.best
		}
		if better {
			out.best, out.weight = bfs, weight
		}
	}
	out.matched = uint8(min(bits.OnesCount64(matched), maxScoredWords))
	fields := uint64(min(out.fields, 7))
	switch sc.plan.MatchType {
	case SumScore:
		out.total = sum<<3 | fields
	case MaxWeight:
		out.total = uint64(out.matched)<<59 | uint64(out.weight)<<50 | out.best<<3 | fields
	default:
		out.total = uint64(out.matched)<<59 | out.best<<11 | uint64(out.weight)<<3 | fields
	}
	return out
}

// field scores one field: its best element, if it is a list. words has a bit for each word of the query that matched.
func (sc *scorer) field(doc uint32, f int) (score, words uint64) {
	sc.hits = sc.hits[:0]
	for w := range sc.cursors {
		best := -1
		for k := range sc.cursors[w][f] {
			c := &sc.cursors[w][f][k]
			if best >= 0 && c.cost > best {
				break
			}
			if !c.seek(doc) {
				continue
			}
			best = c.cost
			sc.places = decodePlaces(sc.places[:0], c.positions())
			for _, p := range sc.places {
				sc.hits = append(sc.hits, occurrence{p.pos, w, p.last})
			}
		}
		sc.costs[w] = best
		if best >= 0 {
			words |= 1 << w
		}
	}
	if words == 0 {
		return 0, 0
	}
	if len(sc.cursors) > 1 {
		slices.SortFunc(sc.hits, func(a, b occurrence) int { return cmp.Or(cmp.Compare(a.pos, b.pos), cmp.Compare(a.word, b.word)) })
	}
	array := sc.plan.Fields[f].Field.Array
	for from := 0; from < len(sc.hits); {
		to := from + 1
		for to < len(sc.hits) && sc.hits[to].pos/elementStride == sc.hits[from].pos/elementStride {
			to++
		}
		score = max(score, sc.element(sc.hits[from:to], array))
		from = to
	}
	return score, words
}

// element scores the occurrences in one element.
func (sc *scorer) element(hits []occurrence, array bool) uint64 {
	words := uint64(0)
	for _, h := range hits {
		words |= 1 << h.word
	}
	matched, cost := bits.OnesCount64(words), 0
	for w, c := range sc.costs {
		if words>>w&1 == 1 {
			cost += c
		}
	}
	inWindow, span := sc.window(hits)
	score := uint64(inWindow)<<windowShift | uint64(min(matched, maxByte))<<matchedShift |
		uint64(maxByte-min(cost, maxByte))<<costShift | uint64(closest-span)<<closenessShift
	if !sc.plan.NoExactPriority && cost == 0 && (array || matched == len(sc.cursors)) && whole(hits, matched) {
		score |= 1 << exactShift
	}
	if sc.plan.PositionMatters {
		score |= uint64(max(0, maxByte-1-int(hits[0].pos%elementStride)))
	}
	return score
}

// window finds the most words that stand within one window, and the narrowest such window.
func (sc *scorer) window(hits []occurrence) (words, span int) {
	words = 1
	if len(sc.cursors) == 1 {
		return 1, 0
	}
	for i := range sc.seen {
		sc.seen[i] = 0
	}
	inside, from := 0, 0
	for _, h := range hits {
		if sc.seen[h.word]++; sc.seen[h.word] == 1 {
			inside++
		}
		for {
			first := hits[from]
			if h.pos-first.pos <= windowWords && sc.seen[first.word] == 1 {
				break
			}
			if sc.seen[first.word]--; sc.seen[first.word] == 0 {
				inside--
			}
			from++
		}
		width := int(h.pos - hits[from].pos)
		if inside > words || inside == words && inside > 1 && width < span {
			words, span = inside, width
		}
	}
	return words, span
}

// whole says that the words of the query are all the words of the element.
func whole(hits []occurrence, words int) bool {
	end := hits[len(hits)-1]
	if !end.last || int(end.pos%elementStride) != words-1 {
		return false
	}
	covered := 1
	for i := 1; i < len(hits); i++ {
		if hits[i].pos != hits[i-1].pos {
			covered++
		}
	}
	return covered == words
}
