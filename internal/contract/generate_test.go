package contract

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"pgregory.net/rapid"
)

// generator generates JSON texts for schemas: mostly valid ones, sometimes invalid ones, sometimes no JSON. It is fast; rapid can shrink.
type generator struct{ *rand.Rand }

func newGenerator(seed uint64) generator { return generator{rand.New(rand.NewPCG(seed, 7))} }

func (g generator) once(in int) bool { return g.IntN(in) == 0 }

func pick[T any](g generator, from []T) T { return from[g.IntN(len(from))] }

// text returns a body for a schema.
func (g generator) text(ref *openapi3.SchemaRef) []byte {
	out := g.value(nil, ref.Value, 0)
	switch g.IntN(24) {
	case 0: // a byte more, less or another
		at := g.IntN(len(out))
		out = append(out[:at:at], append([]byte(pick(g, oddBytes)), out[min(len(out), at+g.IntN(2)):]...)...)
	case 1:
		out = out[:g.IntN(len(out))]
	case 2:
		out = append(out, pick(g, []string{" ", "\n", "{}", "x", "\x00"})...)
	}
	return out
}

var oddBytes = []string{"\"", "{", "}", "[", "]", ",", ":", " ", "\t", "\\", "\\u0041", "\\ud83d\\ude00", "\\ud800", "\\u0000", "\x00", "\xff", "\xc3", "ä", "e", ".", "-", "0", "9", "1e400", "null", "true", "\u212a"}

var oddValues = []string{"null", "true", "false", "0", "-1", "1.5", "1e2", "1.0", "9223372036854775808", "1e30", "-0", "0.015", "2147483648", "3", "6", "[]", `["a",1,1,"a"]`, "{}", `{"name":"x"}`,
	`{"x":{"y":[{}]}}`, `{"shape":"circle"}`, `{"n":1,"n":1}`, `{"N":1}`, `""`, `"a"`, `"äöü"`, `"red"`, `"2026-02-30"`, `"2026-11-23T10:00:00Z"`, `"a@b.de"`, `"::1"`, `"YQ=="`, `"circle"`, `"\u0061"`,
	`[[[[[[]]]]]]`, `{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"j":10,"k":11,"l":12,"m":13,"n":14,"o":15,"p":16,"q":17,"r":18,"s":19}`, "1000.00000000000000000001", "0.1e1", "1e-400"}

func (g generator) value(out []byte, s *openapi3.Schema, depth int) []byte {
	if depth > 6 || g.once(24) {
		return append(out, pick(g, oddValues)...)
	}
	if s.Nullable && g.once(4) {
		return append(out, "null"...)
	}
	if len(s.Enum) > 0 && !g.once(8) {
		text, _ := json.Marshal(pick(g, s.Enum))
		return append(out, text...)
	}
	if members := g.members(s, nil, depth); len(members) > 0 || s.Type.Is("object") {
		return g.object(out, s, members)
	}
	for _, alternatives := range []openapi3.SchemaRefs{s.OneOf, s.AnyOf, s.AllOf} {
		if len(alternatives) > 0 {
			return g.value(out, pick(g, alternatives).Value, depth+1)
		}
	}
	switch {
	case s.Type.Is("array"):
		out = append(out, '[')
		for i := range int(min(s.MinItems, 4)) + g.IntN(3) {
			if i > 0 {
				out = append(out, ',')
			}
			out = g.value(out, s.Items.Value, depth+1)
		}
		return append(out, ']')
	case s.Type.Is("string"):
		return g.quoted(out, g.str(s))
	case s.Type.Is("integer"), s.Type.Is("number"):
		return append(out, g.number(s)...)
	case s.Type.Is("boolean"):
		return strconv.AppendBool(out, g.once(2))
	}
	return append(out, pick(g, oddValues)...)
}

// members returns the members of an object of s and of its parts.
func (g generator) members(s *openapi3.Schema, have []string, depth int) []string {
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) { // in order, so that a seed repeats a run
		p := s.Properties[name]
		if !g.once(3) && !slices.Contains(s.Required, name) || g.once(24) || p.Value.ReadOnly && !g.once(24) && !slices.Contains(s.Required, name) {
			continue
		}
		if g.once(48) {
			name = strings.ToUpper(name)
		}
		have = append(have, string(append(append(g.quoted(nil, name), ':'), g.value(nil, p.Value, depth+1)...)))
	}
	for _, part := range s.AllOf {
		have = g.members(part.Value, have, depth)
	}
	alternatives := append(append(openapi3.SchemaRefs(nil), s.OneOf...), s.AnyOf...)
	if len(alternatives) > 0 {
		have = g.members(pick(g, alternatives).Value, have, depth)
	}
	if extra := s.AdditionalProperties.Schema; extra != nil && g.once(2) {
		have = append(have, `"`+pick(g, []string{"x", "y z", "é", "long-name_1"})+`":`+string(g.value(nil, extra.Value, depth+1)))
	}
	return have
}

func (g generator) object(out []byte, s *openapi3.Schema, members []string) []byte {
	if g.once(24) {
		members = append(members, pick(g, []string{`"extra":1`, `"N":{}`, `"x y":null`, `"<":[1]`, `"":0`}))
	}
	if len(members) > 0 && g.once(48) {
		members = append(members, members[0])
	}
	g.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	space := pick(g, []string{"", "", "", " ", "\n\t"})
	out = append(out, '{')
	for i, m := range members {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(out, space...), m...)
	}
	return append(append(out, space...), '}')
}

// quoted appends a JSON string, sometimes with unnecessary escapes.
func (g generator) quoted(out []byte, s string) []byte {
	text, _ := json.Marshal(s)
	if len(text) > 2 && text[1] != '\\' && text[1] < 0x80 && g.once(12) {
		return append(append(append(out, `"\u00`...), strconv.FormatUint(uint64(text[1]), 16)...), text[2:]...)
	}
	return append(out, text...)
}

func (g generator) number(s *openapi3.Schema) string {
	if g.once(8) {
		return pick(g, []string{"1.5", "1e2", "1.0", "0.01", "999.99", "1000", "-0", "1E+2", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "2147483648", "0.1", "0.30000000000000004", "12345678901234567890.5"})
	}
	low, high := -20, 120
	if s.Min != nil {
		low = int(*s.Min) - 1
	}
	if s.Max != nil && *s.Max < 1e15 {
		high = int(*s.Max) + 1
	}
	n := strconv.Itoa(low + g.IntN(max(1, high-low+1)))
	if s.Type.Is("number") && g.once(2) {
		n += "." + strconv.Itoa(g.IntN(100))
	}
	return n
}

func (g generator) str(s *openapi3.Schema) string {
	switch s.Format {
	case "":
	case "date-time":
		return pick(g, []string{"2026-11-23T10:00:00Z", "2026-11-23T10:00:00.000001+02:00", "2026-11-23T10:00:00.5Z", "2026-13-01T00:00:00Z", "2026-11-23 10:00:00Z"})
	case "byte":
		return pick(g, []string{"", "YQ==", "YWI=", "YQ", "-_=="})
	case "uuid":
		return pick(g, []string{"5f1f6ca4-6d2a-4f0e-9e3b-2f0f0f0f0f0f", "x"})
	default:
		return pick(g, []string{"a@b.de", "https://a.de/x", "2026-02-28", "2026-02-30", "1.2.3.4", "::1", "a.de"})
	}
	if s.Pattern != "" && !g.once(12) {
		return pick(g, examples(s.Pattern))
	}
	length := int(s.MinLength) + g.IntN(8)
	if s.MaxLength != nil && g.once(12) {
		length = int(min(*s.MaxLength+uint64(g.IntN(2)), 300))
	}
	return strings.Repeat(pick(g, []string{"a", "b", "ä", "Z", "7", " ", "_"}), length)
}

// patternExamples keeps some strings for each pattern.
var patternExamples sync.Map

func examples(pattern string) []string {
	if have, ok := patternExamples.Load(pattern); ok {
		return have.([]string)
	}
	var out []string
	for i := range 20 {
		out = append(out, rapid.StringMatching(pattern).Example(i))
	}
	patternExamples.Store(pattern, out)
	return out
}
