package searchsync

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/clients/search"
	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/internal/contract"
)

func element(data string) domain.Element {
	return domain.Element{
		Ref: domain.Ref{Group: domain.Group{Scope: "hamlet", ElementType: "spokenWord"}, ID: "a"}, Number: 7, Version: 2,
		Status: domain.Active, Data: []byte(data), UpdatedAt: time.UnixMicro(1_700_000_000_000_001).UTC(),
	}
}

func fields(t require.TestingT, e domain.Element, attributes bool) (out map[string]any) {
	text, err := document(e, attributes)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &out))
	return out
}

func TestDocument_hasEveryTextAndTheAttributes(t *testing.T) {
	e := element(`{"character":"HAMLET","n":12345678901234567890123,"ok":true,"none":null,"list":["a",{"deep":"b","x":[[ "c" ]]}],
		"bad name":"d","text":"e","empty":"","long":"` + strings.Repeat("x", 257) + `","edge":"` + strings.Repeat("é", 256) + `"}`)
	doc := fields(t, e, true)
	require.Equal(t, "HAMLET\na\nb\nc\nd\ne\n"+strings.Repeat("x", 257)+"\n"+strings.Repeat("é", 256), doc["text"], "in the order of the data, without names")
	require.Equal(t, "hamlet", doc["scope"])
	require.Equal(t, 7.0, doc["number"])
	require.Equal(t, 1_700_000_000_000_001.0, doc["updatedAt"])
	var attributes []string
	for name := range doc {
		if strings.HasPrefix(name, "attr_") {
			attributes = append(attributes, name)
		}
	}
	require.ElementsMatch(t, []string{"attr_character", "attr_text", "attr_edge"}, attributes)
	require.NotContains(t, fields(t, e, false), "attr_character")
}

func TestDocument_boundsTheTextAtACharacter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "é", "€", "𝄞", strings.Repeat("𝄞€x", 3000)}), 1, 40).Draw(rt, "parts")
		data, err := json.Marshal(map[string]any{"list": parts})
		require.NoError(rt, err)
		text := fields(rt, element(string(data)), true)["text"].(string)
		require.LessOrEqual(rt, len(text), maxText)
		require.True(rt, utf8.ValidString(text))
		require.True(rt, strings.HasPrefix(strings.Join(parts, "\n"), text))
	})
}

func TestEachText_seesWhatEncodingJSONSees(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		value := rapid.MapOfN(rapid.StringMatching(`[a-z]{1,4}`), drawValue(3), 0, 6).Draw(rt, "data")
		text, err := json.Marshal(value)
		require.NoError(rt, err)
		want := map[string]int{}
		count(value, want)
		got := map[string]int{}
		top := map[string]any{}
		require.NoError(rt, eachText(text, func(property, s string) {
			got[s]++
			if property != "" {
				top[property] = s
			}
		}))
		require.Equal(rt, want, got)
		for name, v := range value {
			if s, ok := v.(string); ok {
				require.Equal(rt, s, top[name])
			} else {
				require.NotContains(rt, top, name)
			}
		}
	})
}

func drawValue(depth int) *rapid.Generator[any] {
	leaf := rapid.OneOf(rapid.String().AsAny(), rapid.Int().AsAny(), rapid.Bool().AsAny(), rapid.Just[any](nil))
	if depth == 0 {
		return leaf
	}
	return rapid.OneOf(leaf,
		rapid.SliceOfN(drawValue(depth-1), 0, 4).AsAny(),
		rapid.MapOfN(rapid.StringMatching(`[a-z]{1,4}`), drawValue(depth-1), 0, 4).AsAny())
}

// count counts the strings of a value. It writes strings that are not valid UTF-8 as JSON does.
func count(v any, into map[string]int) {
	switch v := v.(type) {
	case string:
		into[strings.ToValidUTF8(v, "\uFFFD")]++
	case []any:
		for _, x := range v {
			count(x, into)
		}
	case map[string]any:
		for _, x := range v {
			count(x, into)
		}
	}
}

func TestKey_isReadBack(t *testing.T) {
	r := domain.Ref{Group: domain.Group{Scope: "a.b_~-", ElementType: "type"}, ID: "x.y"}
	back, err := ParseKey(Key(r))
	require.NoError(t, err)
	require.Equal(t, r, back)
	for _, bad := range []string{"", "a", "a:b", "a:b:", ":b:c", "a:b:c:d"} {
		_, err := ParseKey(bad)
		require.Error(t, err, bad)
	}
}

func TestSchema_fitsTheSearchContract(t *testing.T) {
	c, err := contract.Load("search")
	require.NoError(t, err)
	body, err := json.Marshal(schema())
	require.NoError(t, err)
	require.NoError(t, c.Operation("createCollection").CheckBody("application/json", body))
	long := strings.Repeat("x", 128)
	doc, err := document(element(`{"text":"x"}`), true)
	require.NoError(t, err)
	body, err = json.Marshal(search.DocumentSync{Items: []search.SyncItem{
		{Op: search.SyncItemOpUpsert, ID: Key(domain.Ref{Group: domain.Group{Scope: long, ElementType: long[:64]}, ID: long}), Document: &doc}, {Op: search.SyncItemOpDelete, ID: "a:b:c"},
	}})
	require.NoError(t, err)
	require.NoError(t, c.Operation("syncDocuments").CheckBody("application/json", body))
}

func TestQuery_fitsTheSearchContract(t *testing.T) {
	c, err := contract.Load("search")
	require.NoError(t, err)
	q, err := Query{
		Scope: "hamlet", Words: "x", ElementType: "spokenWord", Status: domain.Omitted, Page: 1000, PerPage: 100,
		Filters: []Filter{{"character", []string{"A", "B && scope:=c"}}}, Facets: []string{"scene"},
	}.document()
	require.NoError(t, err)
	require.Equal(t, "scopeKey:=`"+exactKey("hamlet")+"` && typeKey:=`"+exactKey("hamlet", "spokenWord")+"` && status:=`omitted` && attr_character:=[`A`,`B && scope:=c`]", *q.FilterBy)
	body, err := json.Marshal(q)
	require.NoError(t, err)
	require.NoError(t, c.Operation("searchDocuments").CheckBody("application/json", body))
	for _, bad := range []Query{
		{Filters: []Filter{{"a b", []string{"x"}}}}, {Filters: []Filter{{"a", []string{"`"}}}}, {Filters: []Filter{{"a", []string{""}}}},
		{Filters: []Filter{{"a", []string{"x", "y: [ (1, 2) || status:*"}}}}, {Filters: []Filter{{"a", []string{"x:(1"}}}},
		{Filters: []Filter{{"a", []string{"x\\", ","}}}}, {Filters: []Filter{{"a", []string{"x\\ "}}}},
		{Filters: []Filter{{"a", []string{strings.Repeat("x", 5000)}}}}, {Facets: []string{"a,b"}},
	} {
		_, err := bad.document()
		require.Error(t, err)
	}
}
