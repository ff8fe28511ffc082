package contract

import "github.com/fountainai/fountain/internal/problem"

// Maximum size of the head of any request, in bytes, whatever its contract says. internal/httpserver enforces it.
const (
	MaxTarget = 8 << 10
	MaxHeader = 16 << 10
)

// Parts of a request's memory that do not depend on its contract, in bytes. They are generous upper bounds.
const (
	// headMemory: the raw bytes, the strings and maps that net/http makes of them, and the decoded parameters.
	headMemory = 6 * (MaxTarget + MaxHeader)
	// pairsMemory: the pairs of a query or form while the slice grows, and the tokens and fields made from them.
	pairsMemory = maxPairs * 256
	// violationsMemory: pointers of at most 480 bytes, messages of at most maxSentence, and the problem made from them, which is copied for each.
	violationsMemory = problem.MaxFields * 5 << 10
	// streamMemory: the part of a streamed body or answer that is in transit.
	streamMemory = 64 << 10
	// formOverhead is by how many bytes the canonical form of a value may be longer than its text.
	formOverhead = 26
	// itemMemory is the memory for remembering one item of a large array, besides its form.
	itemMemory = 64
)

// MemoryBound returns how many bytes one request of this operation may take at most, in the gateway or in a service's server: its head, its body, the
// answer where it is checked, and the state of the checks. It follows from the contract alone (body.max, response.max, media types, schemas) and is
// computed at compile time. Not included are what a handler allocates, and the header of an answer, which the client's transport bounds.
func (op *Operation) MemoryBound() int64 { return op.memory }

func (op *Operation) computeMemory() {
	var held, checking int64 // the body is held until the answer has been written
	switch {
	case op.body == nil:
	case op.adopted && op.body.onlyUploads():
		held, checking = streamMemory, checkMemory(op.body.media, min(op.Policy.Body.Max, maxAdoptedLine))
		if op.body.takesLines() {
			held += op.lineMax()
		}
	case op.StreamsBody():
		held, checking = streamMemory, op.lineMax()+checkMemory(op.body.media, op.lineMax())
		if !op.adopted && op.body.holds() {
			held, checking = max(held, 2*op.HeldBody()), max(checking, checkMemory(op.body.media, op.HeldBody()))
		}
	default:
		held, checking = 2*op.Policy.Body.Max, checkMemory(op.body.media, op.Policy.Body.Max) // twice: it is read into memory that grows
	}
	answer := int64(streamMemory)
	if !op.StreamsAnswer() {
		most := op.Policy.Response.Max
		var check int64
		for _, r := range op.statuses {
			check = max(check, checkMemory(r.media, most))
		}
		answer = 2*most + check
	}
	op.memory = headMemory + pairsMemory + violationsMemory + held + max(checking, answer)
}

// checkMemory bounds the memory for checking a text of this size, of any of the media types.
func checkMemory(media map[string]*mediaContract, size int64) int64 {
	var most int64
	for _, m := range media {
		switch m.kind {
		case mediaJSON, mediaLines:
			most = max(most, tapeMemory(size)+m.schema.comparing(size))
		case mediaMultipart:
			most = max(most, 8*maxPartsText+m.schema.comparing(maxPartsText))
		case mediaForm:
			most = max(most, 4*size+m.schema.comparing(size)) // the pairs decoded, and once more on the tape, which grows
		}
	}
	return most
}

// tapeMemory bounds the tape of a JSON text. A value takes at least two bytes of text, a large object's key six; the hash tables of keys have at most
// four slots for each and are copied when they grow.
func tapeMemory(size int64) int64 {
	const place, copied = 4 * 4, 2
	return tokenSize*int64(maxTokens(int(size))) + size + copied*place*(size/6+1)
}

// comparing bounds the canonical forms of the values that are compared with each other or with an enum.
func (s *schema) comparing(size int64) int64 {
	var forms bool
	var items int64
	if s != nil && s.adopted != nil {
		return s.adopted.comparing(size)
	}
	s.walk(map[*schema]bool{}, func(one *schema) {
		forms = forms || one.uniqueItems || one.enum != nil && len(one.enum.others) > 0
		if one.uniqueItems {
			most := size/2 + 1
			if one.maxItems >= 0 {
				most = min(most, int64(one.maxItems))
			}
			items = max(items, most)
		}
	})
	if !forms {
		return 0
	}
	return formsMemory(size, items)
}

func formsMemory(size, items int64) int64 { return size + formOverhead*(size/2+1) + itemMemory*items }

// walk visits s and every schema that it reaches, once.
func (s *schema) walk(seen map[*schema]bool, visit func(*schema)) {
	if s == nil || seen[s] {
		return
	}
	seen[s] = true
	visit(s)
	for _, list := range [][]*schema{s.oneOf, s.anyOf, s.allOf, {s.not, s.items, s.additional}} {
		for _, one := range list {
			one.walk(seen, visit)
		}
	}
	for _, p := range s.properties {
		p.walk(seen, visit)
	}
}
