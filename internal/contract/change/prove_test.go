package change

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// maker generates schemas and values from a small set, so that values often fit and often do not.
type maker struct {
	*rand.Rand
	edits bool // no properties are declared that were not: a request that has one already, of another type, is a break that is not told
}

func (m maker) one(of ...any) any { return of[m.IntN(len(of))] }

func (m maker) schema(depth int) map[string]any {
	s := map[string]any{}
	if m.IntN(6) > 0 {
		s["type"] = m.one("string", "integer", "number", "boolean", "array", "object", "object", []any{"string", "null"}, []any{"integer", "string"})
	}
	for range m.IntN(4) {
		m.keyword(s, depth)
	}
	return s
}

// keyword adds a keyword to a schema, or replaces one.
func (m maker) keyword(s map[string]any, depth int) {
	sub := func() any {
		if depth <= 0 {
			return map[string]any{"type": m.one("string", "integer")}
		}
		return m.schema(depth - 1)
	}
	name := func() string { return m.one("a", "b", "k").(string) }
	switch m.IntN(22) {
	case 0:
		s["enum"] = []any{m.one("a", "b", 1, 2, nil), m.one("ab", 0, true)}
	case 1:
		s["const"] = m.one("a", "b", 1)
	case 2:
		s["minimum"] = m.IntN(3)
	case 3:
		s["maximum"] = m.IntN(3)
	case 4:
		s["exclusiveMinimum"] = m.IntN(3)
	case 5:
		s["multipleOf"] = m.one(1, 2, 0.5)
	case 6:
		s["minLength"] = m.IntN(3)
	case 7:
		s["maxLength"] = m.IntN(3)
	case 8:
		s["pattern"] = m.one("^a", "b$")
	case 9:
		s["minItems"] = m.IntN(3)
	case 10:
		s["maxItems"] = m.IntN(3)
	case 11:
		s["uniqueItems"] = true
	case 12:
		s["items"] = sub()
	case 13:
		s["prefixItems"] = []any{sub()}
	case 14:
		s["required"] = []any{name()}
	case 15, 16:
		if !m.edits {
			s["properties"] = map[string]any{"a": sub(), "b": sub(), "k": sub()}
		}
	case 17:
		s["additionalProperties"] = m.one(false, true, sub())
	case 18:
		keyword := m.one("oneOf", "anyOf").(string)
		if _, had := s[keyword]; !had || keyword == "anyOf" {
			s[keyword] = []any{sub(), sub()}
		}
	case 19:
		s["allOf"] = []any{sub(), sub()}
	case 20:
		s["not"] = sub()
	case 21:
		s["minProperties"] = m.IntN(3)
	}
}

// edited returns a schema with a change: a keyword more, less or different, at this level or inside.
func (m maker) edited(s map[string]any, depth int) map[string]any {
	out := maps.Clone(s)
	keys := slices.Sorted(maps.Keys(out))
	if len(keys) == 0 || m.IntN(3) == 0 {
		m.keyword(out, depth)
		return out
	}
	key := keys[m.IntN(len(keys))]
	switch inner := out[key].(type) {
	case map[string]any:
		if key == "properties" {
			inner = maps.Clone(inner)
			for _, name := range slices.Sorted(maps.Keys(inner)) {
				inner[name] = m.edited(inner[name].(map[string]any), depth-1)
			}
			out[key] = inner
			return out
		}
		out[key] = m.edited(inner, depth-1)
		return out
	case []any:
		i := m.IntN(len(inner))
		if part, ok := inner[i].(map[string]any); ok {
			inner = slices.Clone(inner)
			if key != "oneOf" { // one that becomes wider may fit beside another, which is not told
				inner[i] = m.edited(part, depth-1)
			}
			if m.IntN(3) == 0 {
				inner = append(inner, m.schema(0))
			}
			out[key] = inner
			return out
		}
	}
	delete(out, key)
	return out
}

func (m maker) value(depth int) any {
	kind := m.IntN(8)
	if depth <= 0 {
		kind = m.IntN(5)
	}
	switch kind {
	case 0:
		return nil
	case 1:
		return m.IntN(2) == 0
	case 2:
		return m.one(-1, 0, 1, 2, 3, 0.5, 1.5)
	case 3, 4:
		return m.one("", "a", "b", "ab", "abc")
	case 5:
		list := []any{}
		for range m.IntN(3) {
			list = append(list, m.value(depth-1))
		}
		return list
	}
	object := map[string]any{}
	for range m.IntN(4) {
		object[m.one("a", "b", "k", "z").(string)] = m.value(depth - 1)
	}
	return object
}

// The compiled contracts are the oracle: when the live one accepts a body and the next one refuses it, the comparison must have reported a breaking
// change.
func TestCompare_missesNoBreak(t *testing.T) {
	pairs, values := 3000, 60
	if os.Getenv("FOUNTAIN_PROVE") != "" {
		pairs = 100_000
	}
	refused, told := 0, 0
	for seed := range uint64(pairs) {
		m := maker{Rand: rand.New(rand.NewPCG(seed, 7))}
		one := m.schema(2)
		two := one
		m.edits = true
		for range 1 + m.IntN(2) {
			two = m.edited(two, 2)
		}
		live, next := adopted(t, petsOf(one)), adopted(t, petsOf(two))
		if live.Contract.Operations[0].Unsupported+next.Contract.Operations[0].Unsupported != "" {
			continue
		}
		changes, err := Compare(live, next)
		require.NoError(t, err)
		if len(changes) > 0 {
			told++
			continue
		}
		for range values {
			body, err := json.Marshal(m.value(3))
			require.NoError(t, err)
			was, is := live.Contract.Operations[0].CheckBody("application/json", body), next.Contract.Operations[0].CheckBody("application/json", body)
			if was == nil && is != nil {
				t.Fatalf("seed %d: nothing is told\nfrom %s\nto   %s\nbut %s is refused: %v", seed, text(one), text(two), body, is)
			}
			if was != nil {
				refused++
			}
		}
	}
	require.Greater(t, told, pairs/10)
	require.Greater(t, refused, pairs) // else the values show nothing
}

func text(schema any) string {
	out, err := json.Marshal(schema)
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(out)
}

func petsOf(schema map[string]any) string {
	return strings.Replace(`{"openapi":"3.1.0","info":{"title":"Pets","version":"1"},"paths":{"/pets":{"post":{"operationId":"makePet",
		"requestBody":{"content":{"application/json":{"schema":SCHEMA}}},"responses":{"204":{"description":"Made."}}}}}}`, "SCHEMA", text(schema), 1)
}
