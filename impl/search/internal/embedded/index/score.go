package index

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// The score of one field, from the most to the least significant part: words in the best window, words matched, typos and prefixes,
// proximity, whole field, position of the first match. The order is the documented one. The encoding is our own.
const (
	windowShift    = 40
	matchedShift   = 32
	costShift      = 24
	closenessShift = 16
	exactShift     = 8
	maxByte        = 255
	closest        = 100
	// windowWords is the distance within which words count as being together.
	windowWords = 10
	// maxScoredWords is the maximum that fits in the four bits of the document's score.
	maxScoredWords = 15
	// TopWeight is the weight of the most important field.
	TopWeight = 15
)

// fieldScores holds the parts of a document's score.
type fieldScores struct {
	total   uint64
	best    uint64
	weight  uint8
	fields  uint8
	matched uint8
}

// typoCost returns the cost of typos and prefixes in the best field's score.
func (f fieldScores) typoCost() int { return maxByte - int(f.best>>costShift&maxByte) }

// occurrence is one position of a word of the query.
type occurrence struct {
	pos  uint32
	word int
	last bool
}

// scorer scores the documents of one part. An upper bound of a document's score follows from its words, typos and lengths, which the
// postings give. Positions are read only for documents whose bound is high enough to be kept.
type scorer struct {
	a       *area
	plan    *Plan
	dropped uint8
	// cursors[word][field][candidate] have the cheapest candidates first.
	cursors [][][]costed
	// apart reports that no word of the vocabulary stands for two words of the query, so that two words always have two positions.
	apart bool

	// classes[word*fields+field][i] is 1 plus the cost of the cheapest candidate in document i of the block, or 0 without any. The bit
	// exactly in the class of the first word means that the field may consist of exactly the words of the query.
	classes [][]byte
	dense   []byte
	bounds  map[uint64]fieldScores

	places []place
	hits   []occurrence
	seen   []int
	costs  []int // by word; -1: not in the field
}

const (
	exactly = 0x80
	// blockDocs is the number of documents that are processed together.
	blockDocs = 4096
	// denseSpan is the average distance of documents up to which postings are scanned instead of searched.
	denseSpan = 16
	// keyClasses is the number of classes that fit in one integer.
	keyClasses = 8
)

// firstBlock is the size of the first block. Each following block is twice as large, up to blockDocs. Tests make it small.
var firstBlock = 256

// costed holds a candidate's postings, limited to the current block.
type costed struct {
	cursor
	cost int
}

func newScorer(a *area, lists [][]candidate, dropped int) *scorer {
	words, fields := len(lists), len(a.words)
	sc := &scorer{
		a: a, plan: a.s.plan, dropped: uint8(dropped), cursors: make([][][]costed, words), apart: true, classes: make([][]byte, words*fields),
		bounds: make(map[uint64]fieldScores), seen: make([]int, words), costs: make([]int, words),
	}
	for i := range sc.classes {
		sc.classes[i] = make([]byte, blockDocs)
	}
	texts := make(map[string]int)
	for w, list := range lists {
		sc.cursors[w] = make([][]costed, fields)
		for _, c := range list {
			if other, ok := texts[c.text]; ok && other != w {
				sc.apart = false
			}
			texts[c.text] = w
			for _, t := range c.terms {
				if t.area == a.at {
					sc.cursors[w][t.field] = append(sc.cursors[w][t.field], costed{newCursor(t.p), c.cost})
				}
			}
		}
		for f := range fields {
			slices.SortStableFunc(sc.cursors[w][f], func(a, b costed) int { return cmp.Compare(a.cost, b.cost) })
		}
	}
	return sc
}

// rank offers the documents of a set. If the order is by text match and then newest first, documents that may consist of exactly the words
// of the query are scored first. No other document can exceed the ceiling, so that a full page of such documents ends the search.
func (sc *scorer) rank(set *roaring.Bitmap) error {
	if !sc.a.s.matchOnly || len(sc.cursors) > mostWhole {
		return sc.scan(set, nil)
	}
	if !sc.plan.NoExactPriority {
		whole := roaring.New()
		for _, d := range sc.a.words {
			if d != nil {
				whole.Or(d.ofLength(len(sc.cursors)))
			}
		}
		if err := sc.scan(roaring.And(set, whole), nil); err != nil {
			return err
		}
		set = roaring.AndNot(set, whole)
	}
	ceiling := sc.ceiling()
	return sc.scan(set, &ceiling)
}

// ceiling returns the best possible score of a document that also contains other words.
func (sc *scorer) ceiling() fieldScores {
	for w := range sc.cursors {
		for f := range sc.a.words {
			class := byte(0)
			for _, c := range sc.cursors[w][f] { // the first one is the cheapest
				if c.p.n() > 0 {
					class = byte(c.cost + 1)
					break
				}
			}
			sc.classes[w*len(sc.a.words)+f][0] = class
		}
	}
	return sc.best(0)
}

// scan offers the documents of a set, newest first, so that newer documents win ties. It ends when even the ceiling is too low.
func (sc *scorer) scan(set *roaring.Bitmap, ceiling *fieldScores) error {
	s, seqs := sc.a.s, sc.a.part.seg.seqs
	block := make([]uint32, 0, blockDocs)
	size := firstBlock
	for it := set.ReverseIterator(); it.HasNext(); size = min(2*size, blockDocs) {
		for block = block[:0]; len(block) < size && it.HasNext(); {
			block = append(block, it.Next())
		}
		if err := s.giveWay(); err != nil {
			return err
		}
		if ceiling != nil && s.top.full() && !s.top.admits(&scored{area: int32(sc.a.at), doc: block[0], seq: seqs[block[0]], score: *ceiling}) {
			return nil // all further documents are older
		}
		slices.Reverse(block)
		sc.classify(block)
		for i := len(block) - 1; i >= 0; i-- {
			d := scored{area: int32(sc.a.at), doc: block[i], seq: seqs[block[i]], dropped: sc.dropped}
			if s.top.full() && !s.ascending {
				if d.score = sc.bound(i); !s.top.admits(&d) {
					continue
				}
			}
			d.score = sc.score(block[i])
			s.top.offer(d)
		}
	}
	return nil
}

// classify sets the classes for a block of ascending documents, and moves the cursors to the block.
func (sc *scorer) classify(block []uint32) {
	fields := len(sc.a.words)
	low, high := block[0], block[len(block)-1]
	walk := int(high-low) < denseSpan*len(block)
	for w := range sc.cursors {
		for f := range fields {
			class := sc.classes[w*fields+f][:len(block)]
			clear(class)
			list := sc.cursors[w][f]
			for k := range list {
				list[k].enter(low, high)
			}
			if walk {
				sc.walk(class, block, list)
			} else {
				look(class, block, list)
			}
		}
	}
	if sc.plan.NoExactPriority {
		return
	}
	for f, d := range sc.a.words {
		if d == nil {
			continue
		}
		for i, doc := range block {
			if n := int(d.lengths[doc]); n == len(sc.cursors) || n == anyLength {
				sc.classes[f][i] |= exactly
			}
		}
	}
}

// enter limits the cursor to the documents from low to high.
func (c *costed) enter(low, high uint32) {
	all := c.p.docs()
	from, _ := slices.BinarySearch(all, low)
	size, _ := slices.BinarySearch(all[from:], high+1)
	c.docs, c.i = all[from:from+size], 0
	c.from = from
}

// walk sets the classes by scanning all postings in the block's range.
func (sc *scorer) walk(class []byte, block []uint32, list []costed) {
	if len(list) == 0 {
		return
	}
	low, span := block[0], int(block[len(block)-1]-block[0])+1
	if cap(sc.dense) < span {
		sc.dense = make([]byte, span)
	}
	dense := sc.dense[:span]
	clear(dense)
	for k := range list {
		cost := byte(list[k].cost + 1)
		for _, doc := range list[k].docs {
			if at := doc - low; dense[at] == 0 {
				dense[at] = cost
			}
		}
	}
	for i, doc := range block {
		class[i] = dense[doc-low]
	}
}

// look sets the classes by searching for each of the block's documents.
func look(class []byte, block []uint32, list []costed) {
	for k := range list {
		for i, doc := range block {
			if class[i] == 0 && list[k].seek(doc) {
				class[i] = byte(list[k].cost + 1)
			}
		}
		list[k].i = 0
	}
}

// bound returns the best possible score of document i of the block.
func (sc *scorer) bound(i int) fieldScores {
	if len(sc.classes) > keyClasses {
		return sc.best(i)
	}
	key := uint64(0)
	for _, class := range sc.classes {
		key = key<<8 | uint64(class[i])
	}
	b, known := sc.bounds[key]
	if !known {
		b = sc.best(i)
		sc.bounds[key] = b
	}
	return b
}

func (sc *scorer) best(i int) fieldScores {
	fields := len(sc.a.words)
	return sc.combine(func(f int) (score, words uint64) {
		matched, cost := 0, 0
		for w := range sc.cursors {
			if class := sc.classes[w*fields+f][i] &^ exactly; class > 0 {
				words |= 1 << w
				matched++
				cost += int(class) - 1
			}
		}
		if matched == 0 {
			return 0, 0
		}
		span := 0
		if sc.apart {
			span = min(matched-1, windowWords)
		}
		score = pack(matched, matched, cost, span)
		if cost == 0 && sc.classes[f][i]&exactly != 0 {
			score |= 1 << exactShift
		}
		if sc.plan.PositionMatters {
			score |= maxByte - 1
		}
		return score, words
	})
}

// pack encodes the part of a field's score that does not depend on the whole field or the position.
func pack(inWindow, matched, cost, span int) uint64 {
	return uint64(inWindow)<<windowShift | uint64(min(matched, maxByte))<<matchedShift |
		uint64(maxByte-min(cost, maxByte))<<costShift | uint64(closest-span)<<closenessShift
}

// score computes the score of document doc of the block.
func (sc *scorer) score(doc uint32) fieldScores {
	return sc.combine(func(f int) (score, words uint64) { return sc.field(doc, f) })
}

// combine computes a document's score from the scores of its fields.
func (sc *scorer) combine(field func(f int) (score, words uint64)) fieldScores {
	var out fieldScores
	var sum uint64
	matched := uint64(0)
	for f := range sc.plan.Fields {
		bfs, words := field(f)
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
	if sc.plan.NoFieldPriority {
		fields = 0
	}
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

// field scores one field, or its best element if it is a list. words has a bit set for each word of the query that matched.
func (sc *scorer) field(doc uint32, f int) (score, words uint64) {
	sc.hits = sc.hits[:0]
	for w := range sc.cursors {
		best := -1
		for k := range sc.cursors[w][f] {
			c := &sc.cursors[w][f][k]
			if best >= 0 && c.cost > best {
				break
			}
			at, ok := slices.BinarySearch(c.docs, doc)
			if !ok {
				continue
			}
			best = c.cost
			sc.places = decodePlaces(sc.places[:0], c.placesAt(at))
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
	if len(sc.hits) > 1 && (len(sc.cursors) > 1 || len(sc.cursors[0][f]) > 1) {
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
	score := pack(inWindow, matched, cost, span)
	if !sc.plan.NoExactPriority && cost == 0 && (array || matched == len(sc.cursors)) && whole(hits, matched) {
		score |= 1 << exactShift
	}
	if sc.plan.PositionMatters {
		score |= uint64(max(0, maxByte-1-int(hits[0].pos%elementStride)))
	}
	return score
}

// window finds the maximum number of words within one window, and the narrowest window with that many.
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

// whole reports whether the element ends with a word of the query and has as many words as the query. Repeated words of the query count
// each time.
func whole(hits []occurrence, words int) bool {
	end := hits[len(hits)-1]
	return end.last && int(end.pos%elementStride) == words-1
}
