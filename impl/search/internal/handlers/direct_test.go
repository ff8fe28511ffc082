package handlers

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/rawjson"
	"github.com/fountainai/fountain/internal/contract"
)

// The direct decoder gives the same result as encoding/json, or leaves the text to it.
func TestPlainItems_readsTheBodyOfASync(t *testing.T) {
	body := []byte(` {"items": [ {"op":"upsert","id":"1","document":{"n":9007199254740993,"s":"\n\"","a":[{"id":"x"}]}},
		{"tenant":"red","id":"2","op":"delete","ifVersion":9007199254740993} ] } `)
	items, ok := plainItems(body)
	require.True(t, ok)
	var want searchapi.DocumentSync
	require.NoError(t, json.Unmarshal(body, &want))
	require.Equal(t, want.Items, items)
	for _, body := range []string{
		``, `{}x`, `null`, `[]`, `{"items":null}`, `{"items":{}}`, `{"items":[1]}`, `{"items":[],"more":1}`, `{"\u0069tems":[]}`, `{"items":[{"op":"upsert","id":"\u0031"}]}`, `{"items":[{"op":"upsert","id":1}]}`,
		`{"items":[{"op":"upsert","id":"1","document":"x"}]}`, `{"items":[{"op":"upsert","id":"1","ID":"2"}]}`, `{"items":[{"op":"delete","id":"1","ifVersion":1e3}]}`, `{"items":[{"op":"delete","id":"1"}]`,
	} {
		_, ok := plainItems([]byte(body))
		require.False(t, ok, body)
	}
}

func TestPlainSearch_readsTheBodyOfASearch(t *testing.T) {
	for body, direct := range map[string]bool{
		`{"q":"x","queryBy":["title","a.b"],"facetBy":["k"],"filterBy":"n:>1","preset":"p","stopwords":"s","maxFacetValues":3,"page":2,"perPage":250}`:                             true,
		`{"q":"é","sortBy":[{"field":"a","order":"desc"},{"field":"b"}],"filter":{"and":[{"field":"t","op":"eq","strings":["a\"b"]},{"not":{"field":"n","op":"gt","ints":[1]}}]}}`: true,
		`{"q":""}`: true, `{"q":"","queryBy":[],"facetBy":[],"sortBy":[]}`: true,
		`{"q":"a\"b"}`: false, `{"q":"\u0061"}`: false, `{"\u0071":"x"}`: false, `{"q":"x","page":1e0}`: false, `{"q":"x","Q":"y"}`: false, `{"q":"x"} {}`: false, ``: false, `{"q":"x","page":null}`: false,
		`{"q":"x","filter":{"and":1}}`: false, `{"q":"x","queryBy":["a\\b"]}`: false, `{"q":"x","perPage":99999999999}`: false,
	} {
		got, ok := plainSearch([]byte(body))
		require.Equal(t, direct, ok, body)
		if ok {
			var want searchapi.DocumentSearch
			require.NoError(t, json.Unmarshal([]byte(body), &want))
			require.Equal(t, &want, got, body)
		}
	}
}

// A search is decoded as json.Unmarshal decodes it, or not at all.
func FuzzPlainSearch(f *testing.F) {
	for _, body := range []string{
		`{"q":"x","queryBy":["title"],"facetBy":["k"],"filterBy":"n:>1","preset":"p","stopwords":"s","maxFacetValues":3,"page":2,"perPage":250}`, `{"q":"x","sortBy":[{"field":"a"}],"filter":{"or":[]}}`,
		`{"q":"\n","page":01}`, `{"q":null,"queryBy":null}`, ` { "q" : "x" } `,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		if !json.Valid([]byte(body)) || !utf8.ValidString(body) || repeats([]byte(body), "q", "queryBy", "facetBy", "filterBy", "preset", "stopwords", "maxFacetValues", "page", "perPage", "filter", "sortBy") {
			t.Skip() // the contract lets none through
		}
		got, ok := plainSearch([]byte(body))
		if !ok {
			return
		}
		var want searchapi.DocumentSearch
		require.NoError(t, json.Unmarshal([]byte(body), &want), body)
		require.Equal(t, &want, got, body)
	})
}

// An item is decoded as json.Unmarshal decodes it, however it is written.
func FuzzReadItem(f *testing.F) {
	for _, line := range []string{
		`{"op":"upsert","id":"1","document":{"a":[1,{"id":"x"}],"s":"\n"}}`, `{"op":"delete","id":"1","ifVersion":9007199254740993,"tenant":"red"}`, `{"op":"upsert","id":"\u0031","document":{}}`,
		`{"\u006fp":"delete","id":"1"}`, `{"op":"upsert","id":"1","document":null}`, `{"op":"delete","id":"1","ifVersion":1e3}`, `{"op":"delete","id":"1","tenant":null}`, ` { "op" : "delete" , "id" : "" } `,
		`{"op":"delete","id":"1","ifVersion":01}`, `{"op":1,"id":"1"}`, `{"op":"upsert","id":"1","document":{"a":1}}x`, `{}`, `[]`, `null`, ``,
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if !json.Valid([]byte(line)) || !utf8.ValidString(line) || repeats([]byte(line), "op", "id", "tenant", "document", "ifVersion") {
			t.Skip() // the contract lets none through
		}
		var want searchapi.SyncItem
		refused := json.Unmarshal([]byte(line), &want)
		got, err := readItem([]byte(line))
		require.Equal(t, refused == nil, err == nil, line)
		if err == nil {
			require.Equal(t, want, got, line)
		}
	})
}

// repeats reports whether an object has members other than these, or one of them twice.
func repeats(text []byte, names ...string) bool {
	var members map[string]json.RawMessage
	if json.Unmarshal(text, &members) != nil {
		return false
	}
	for name := range members {
		if !slices.Contains(names, name) {
			return true
		}
	}
	n := 0
	return rawjson.Members(text, func(_, _ []byte) error { n++; return nil }) == nil && n != len(members)
}

// Whatever the contract accepts is decoded as json.Unmarshal decodes it, or left to that. The body that was validated is therefore the body
// that is carried out.
func FuzzDirect_readsWhatTheContractHasJudged(f *testing.F) {
	c, err := contract.Load("search")
	require.NoError(f, err)
	sync, search := c.Operation("syncDocuments"), c.Operation("searchDocuments")
	for _, body := range []string{
		`{"items":[{"op":"upsert","id":"1","document":{"a":[1,{"id":"x"}],"s":"\n","n":1e400}},{"tenant":"red","id":"2","op":"delete","ifVersion":9007199254740993}]}`,
		`{"items":[{"op":"upsert","id":"\u0031","\u0069d":"2","document":{}}]}`, `{"items":[{"op":"upsert","id":"1","ID":"2","document":{"op":"delete"}}]}`, `{"items":[{"op":"delete","id":"1"}],"items":[]}`,
		`{"q":"x","queryBy":["title"],"filter":{"and":[{"field":"t","op":"eq","strings":["a\"b"]},{"not":{"field":"n","op":"gt","ints":[1]}}]},"sortBy":[{"field":"a","order":"desc"}],"page":1}`,
		`{"q":"x","queryBy":["a"],"page":1.0,"perPage":1e1}`, `{"q":"x","filterBy":"a:=1","filter\u0042y":"b:=1"}`, "{\"q\":\"\xff\"}", `{"op":"upsert","id":"1","document":{"a":{"b":[[[]]]}}}`, ` {"op":"delete","id":"1","tenant":"red"}` + "\r",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if sync.CheckBody("application/json", body) == nil {
			var want searchapi.DocumentSync
			refused := json.Unmarshal(body, &want)
			if items, ok := plainItems(body); ok {
				require.NoError(t, refused, "%q", body)
				require.Equal(t, want.Items, items, "%q", body)
			}
		}
		if search.CheckBody("application/json", body) == nil {
			var want searchapi.DocumentSearch
			refused := json.Unmarshal(body, &want)
			if got, ok := plainSearch(body); ok {
				require.NoError(t, refused, "%q", body)
				require.Equal(t, &want, got, "%q", body)
			}
		}
		if !bytes.ContainsRune(body, '\n') && sync.CheckBody("application/x-ndjson", body) == nil {
			var want searchapi.SyncItem
			refused := json.Unmarshal(body, &want)
			got, err := readItem(body)
			require.Equal(t, refused == nil, err == nil, "%q", body)
			if err == nil {
				require.Equal(t, want, got, "%q", body)
			}
		}
	})
}
