package contract

import (
	"hash/maphash"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
	"unsafe"
)

// MaxDepth is the maximum nesting of arrays and objects in a JSON body.
const MaxDepth = 64

// maxNumber is the maximum length of a number literal, in bytes.
const maxNumber = 128

// tape holds the values of one JSON text in the order in which they begin. It is filled in one pass and builds no tree: a value is a position, and
// its content a part of the text. So a check may access any value repeatedly, and a malformed text is detected before any of it is checked. The
// memory is reused for other texts.
type tape struct {
	source  string
	scratch []byte // the decoded strings whose text contains escapes
	used    int    // how long scratch has been since it was cleared
	tokens  []token
	keys    []uint32 // hash tables of the keys of large objects that are open
	at      int      // cursor within source
	turned  int      // position at the last yield
}

// token is one value. An object's members are a string, which is the key, and a value in turn.
type token struct {
	start, end uint32 // of the text, within source or scratch; of an array or object, end is the number of members
	next       uint32 // the position after the value and all that it holds
	kind       kind
	decoded    bool // the text is in scratch
	wide       bool // the text has characters beyond ASCII
	opaque     bool // the text stands for bytes that are not held: only its type is known
}

// tokenSize is the memory of a token in bytes.
const tokenSize = int64(unsafe.Sizeof(token{}))

// kind is the type of a JSON value.
type kind uint8

const (
	kindNull kind = iota
	kindTrue
	kindFalse
	kindNumber
	kindString
	kindArray
	kindObject
)

// kindTypes maps each kind to the schema types that admit it.
var kindTypes = [...]typeSet{
	kindNull: typeNull, kindTrue: typeBoolean, kindFalse: typeBoolean, kindNumber: typeInteger | typeNumber, kindString: typeString, kindArray: typeArray, kindObject: typeObject,
}

// aliased returns the bytes as a string without copying them. The bytes must not change while the string is used.
func aliased(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// text returns a string's value or a number's literal. It must not outlive the check.
func (t *tape) text(v int) string {
	k := &t.tokens[v]
	if k.decoded {
		return aliased(t.scratch[k.start:k.end])
	}
	return t.source[k.start:k.end]
}

// length returns the number of characters of a string.
func (t *tape) length(v int) int {
	if k := &t.tokens[v]; !k.wide {
		return int(k.end - k.start)
	}
	return utf8.RuneCountInString(t.text(v))
}

// count returns the number of members of an array or object.
func (t *tape) count(v int) int { return int(t.tokens[v].end) }

// after returns the position after a value.
func (t *tape) after(v int) int { return int(t.tokens[v].next) }

// get returns an object's member, or -1.
func (t *tape) get(object int, key string) int {
	at := object + 1
	for range t.count(object) {
		if t.text(at) == key {
			return at + 1
		}
		at = t.after(at + 1)
	}
	return -1
}

// reset empties the tape and sets its source.
func (t *tape) reset(source string) {
	t.source, t.at, t.turned, t.used = source, 0, 0, max(t.used, len(t.scratch))
	t.scratch, t.tokens, t.keys = t.scratch[:0], t.tokens[:0], t.keys[:0]
}

// Yielding while a text is parsed and checked. The scheduler alone would let others wait for ten milliseconds.
const (
	turnEvery = 512       // number of values after which it yields
	largeTurn = 256 << 10 // size of a text in bytes after which it sleeps
)

// GiveWay sleeps briefly during long work, so that a processor becomes idle and polls for new requests. With runtime.Gosched processors that always
// have something to run would not poll for ten milliseconds.
func GiveWay() { time.Sleep(20 * time.Microsecond) }

// push adds a value without members whose text is a part of the source.
func (t *tape) push(k kind, start, end int, wide bool) {
	if len(t.tokens)&(turnEvery-1) == turnEvery-1 || t.at-t.turned >= largeTurn {
		t.turn()
	}
	t.tokens = append(t.tokens, token{start: uint32(start), end: uint32(end), next: uint32(len(t.tokens) + 1), kind: k, wide: wide})
}

func (t *tape) turn() {
	if t.at-t.turned < largeTurn {
		runtime.Gosched()
		return
	}
	t.turned = t.at
	GiveWay()
}

// add adds a value without members whose text is copied.
func (t *tape) add(k kind, text string) {
	start := len(t.scratch)
	t.scratch = append(t.scratch, text...)
	t.push(k, start, len(t.scratch), !ascii(text))
	t.tokens[len(t.tokens)-1].decoded = true
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// open begins an array or an object and returns its position; close ends it.
func (t *tape) open(k kind) int {
	t.tokens = append(t.tokens, token{kind: k})
	return len(t.tokens) - 1
}

func (t *tape) close(v, count int) {
	t.tokens[v].end, t.tokens[v].next = uint32(count), uint32(len(t.tokens))
}

// syntaxError says which rule of JSON was violated, at which byte, and within which value.
type syntaxError struct {
	rule   Rule
	offset int
	within []string // steps from the innermost value outwards
}

// in adds the member or item that contains the fault.
func (e *syntaxError) in(step string) *syntaxError {
	e.within = append(e.within, strings.Clone(step))
	return e
}

// pointer returns the place of the fault.
func (e *syntaxError) pointer() string {
	slices.Reverse(e.within)
	return joinPointer(e.within)
}

func (e *syntaxError) Error() string { return string(e.rule) + " at byte " + strconv.Itoa(e.offset) }

// read parses exactly one JSON text (RFC 8259), followed only by white space. It refuses what parsers may read differently: duplicate keys, invalid
// UTF-8, lone surrogates, U+0000, nesting deeper than MaxDepth. The text must not change while the tape is used.
func (t *tape) read(text []byte) *syntaxError {
	t.reset(aliased(text))
	if len(text) > math.MaxInt32 || strings.HasPrefix(t.source, "\xEF\xBB\xBF") {
		return t.fail(RuleJSONUTF8)
	}
	t.makeRoom()
	t.space()
	if err := t.value(0); err != nil {
		return err
	}
	t.space()
	if t.at != len(t.source) {
		return t.fail(RuleJSONTrailing)
	}
	return nil
}

// maxTokens returns the maximum number of tokens of a text of this size: except for the first values of open arrays, each takes two bytes.
func maxTokens(size int) int { return size/2 + MaxDepth + 2 }

// room returns the slice with capacity for n more elements, and no more than that if it must grow.
func room[T any](s []T, n int) []T {
	if cap(s)-len(s) >= n {
		return s
	}
	return append(make([]T, 0, len(s)+n), s...)
}

// makeRoom allocates the tokens of the source at once, so that the tape is not copied while it grows. Every value but the first is preceded by one of
// the counted characters.
func (t *tape) makeRoom() {
	most := maxTokens(len(t.source))
	if cap(t.tokens) >= most {
		return
	}
	count := 1
	for _, before := range []string{",", ":", "[", "{"} {
		count += strings.Count(t.source, before)
	}
	most = min(count, most)
	if kept, ok := largeTokens.Get().(*[]token); ok && cap(*kept) >= most {
		t.tokens = (*kept)[:0]
	}
	t.tokens = room(t.tokens, most)
}

// largeTokens keeps the tokens of large texts for reuse. The garbage collector frees those that were not used for a while.
var largeTokens sync.Pool

func (t *tape) fail(rule Rule) *syntaxError { return faultAt(rule, t.at) }

func faultAt(rule Rule, offset int) *syntaxError { return &syntaxError{rule: rule, offset: offset} }

func (t *tape) space() {
	for t.at < len(t.source) {
		switch t.source[t.at] {
		case ' ', '\t', '\r', '\n':
			t.at++
		default:
			return
		}
	}
}

// next returns the byte at the cursor, or 0 at the end; 0 is never valid JSON outside an escape.
func (t *tape) next() byte {
	if t.at < len(t.source) {
		return t.source[t.at]
	}
	return 0
}

func (t *tape) value(depth int) *syntaxError {
	switch c := t.next(); {
	case c == '"':
		return t.str()
	case c == '{':
		return t.object(depth + 1)
	case c == '[':
		return t.array(depth + 1)
	case c == '-' || isDigit(c):
		return t.number()
	case c == 't':
		return t.literal("true", kindTrue)
	case c == 'f':
		return t.literal("false", kindFalse)
	case c == 'n':
		return t.literal("null", kindNull)
	}
	return t.fail(RuleJSONSyntax)
}

func (t *tape) literal(word string, k kind) *syntaxError {
	if !strings.HasPrefix(t.source[t.at:], word) {
		return t.fail(RuleJSONSyntax)
	}
	t.push(k, t.at, t.at+len(word), false)
	t.at += len(word)
	return nil
}

func (t *tape) object(depth int) *syntaxError {
	if depth > MaxDepth {
		return t.fail(RuleJSONDepth)
	}
	t.at++
	keys := keySet{object: t.open(kindObject), table: len(t.keys)}
	t.space()
	if t.next() == '}' {
		t.at++
		t.close(keys.object, 0)
		return nil
	}
	for {
		start, key := t.at, len(t.tokens)
		if t.next() != '"' {
			return t.fail(RuleJSONSyntax)
		}
		if err := t.str(); err != nil {
			return err
		}
		t.space()
		if t.next() != ':' {
			return t.fail(RuleJSONSyntax)
		}
		t.at++
		t.space()
		if err := t.value(depth); err != nil {
			return err.in(t.text(key))
		}
		if !keys.add(t, key) {
			return faultAt(RuleJSONDuplicateKey, start).in(t.text(key))
		}
		t.space()
		switch t.next() {
		case ',':
			t.at++
			t.space()
		case '}':
			t.at++
			t.close(keys.object, keys.count)
			t.keys = t.keys[:keys.table]
			return nil
		default:
			return t.fail(RuleJSONSyntax)
		}
	}
}

func (t *tape) array(depth int) *syntaxError {
	if depth > MaxDepth {
		return t.fail(RuleJSONDepth)
	}
	t.at++
	list, count := t.open(kindArray), 0
	t.space()
	if t.next() == ']' {
		t.at++
		t.close(list, 0)
		return nil
	}
	for {
		if err := t.value(depth); err != nil {
			return err.in(strconv.Itoa(count))
		}
		count++
		t.space()
		switch t.next() {
		case ',':
			t.at++
			t.space()
		case ']':
			t.at++
			t.close(list, count)
			return nil
		default:
			return t.fail(RuleJSONSyntax)
		}
	}
}

// keySet detects duplicate keys of an open object. Few keys are compared with each other when some bits of their hashes agree; for more there is a
// hash table at the end of tape.keys, with a seed that a sender cannot know.
type keySet struct {
	object, count int
	marks         uint64
	table, size   int // where the table begins, and its size: 0 while there is none
}

// fewKeys is the maximum number of keys of an object without a table.
const fewKeys = 16

// add adds the key at a position. It returns false when the object has it already.
func (s *keySet) add(t *tape, key int) bool {
	s.count++
	if s.count > fewKeys {
		return s.addLarge(t, key)
	}
	text := t.text(key)
	mark := uint64(1) << (nameHash(text) >> 26)
	if s.marks&mark == 0 {
		s.marks |= mark
		return true
	}
	at := s.object + 1
	for range s.count - 1 {
		if t.text(at) == text {
			return false
		}
		at = t.after(at + 1)
	}
	return true
}

var keySeed = maphash.MakeSeed()

func (s *keySet) addLarge(t *tape, key int) bool {
	if 2*s.count <= s.size {
		return s.insert(t, key)
	}
	s.size = max(4*fewKeys, 2*s.size)
	t.keys = room(t.keys[:s.table], s.size)[:s.table+s.size]
	clear(t.keys[s.table:])
	at := s.object + 1
	for range s.count - 1 {
		s.insert(t, at)
		at = t.after(at + 1)
	}
	return s.insert(t, key)
}

func (s *keySet) insert(t *tape, key int) bool {
	text, table := t.text(key), t.keys[s.table:s.table+s.size]
	mask := uint64(s.size - 1)
	for i := maphash.String(keySeed, text) & mask; ; i = (i + 1) & mask {
		if table[i] == 0 { // the position of a key is never 0
			table[i] = uint32(key)
			return true
		}
		if t.text(int(table[i])) == text {
			return false
		}
	}
}

func (t *tape) number() *syntaxError {
	start := t.at
	for t.at < len(t.source) && isNumberByte(t.source[t.at]) {
		t.at++
	}
	literal := t.source[start:t.at]
	if !numberLiteral(literal) {
		return faultAt(RuleJSONSyntax, start)
	}
	if len(literal) > maxNumber || !inRange(literal) {
		return faultAt(RuleJSONNumber, start)
	}
	t.push(kindNumber, start, t.at, false)
	return nil
}

// inRange reports whether a number can be represented as a float64. Without an exponent, maxNumber ensures that.
func inRange(literal string) bool {
	if !strings.ContainsAny(literal, "eE") {
		return true
	}
	_, err := strconv.ParseFloat(literal, 64)
	return err == nil
}

func isNumberByte(c byte) bool {
	return isDigit(c) || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
}

// numberLiteral reports whether s is a number by the grammar of RFC 8259, section 6.
func numberLiteral(s string) bool {
	i := 0
	if i < len(s) && s[i] == '-' {
		i++
	}
	digits := func() int {
		start := i
		for i < len(s) && '0' <= s[i] && s[i] <= '9' {
			i++
		}
		return i - start
	}
	first := i
	if n := digits(); n == 0 || (n > 1 && s[first] == '0') {
		return false
	}
	if i < len(s) && s[i] == '.' {
		i++
		if digits() == 0 {
			return false
		}
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if digits() == 0 {
			return false
		}
	}
	return i == len(s)
}
