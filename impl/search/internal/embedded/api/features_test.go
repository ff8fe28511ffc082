package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
)

const shopLines = `{"id":"1","name":"blue shoes","cat":"shoes","price":50,"tags":["new","sale"],"at":[48.85,2.35],"maker":{"name":"Lund","town":"Oslo"},"sizes":[{"n":40,"left":true},{"n":41,"left":false}]}
{"id":"2","name":"red boots","cat":"shoes","price":120,"tags":["sale"],"at":[59.91,10.75],"maker":{"name":"Wren","town":"Bergen"},"sizes":[{"n":40,"left":false}]}
{"id":"3","name":"winter coat","cat":"coats","price":200,"tags":[],"sizes":[{"n":41,"left":true}]}
{"id":"4","name":"blue coat","cat":"coats","price":80}`

// openShop returns an engine with a few goods with fields of every kind.
func openShop(t *testing.T) *served {
	e := open(t, t.TempDir(), embedded.Limits{})
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	must(t, e, 201, "POST", "/collections", `{"name":"shop","enable_nested_fields":true,"fields":[{"name":"name","type":"string","infix":true},{"name":"cat","type":"string","facet":true},
		{"name":"price","type":"int32","facet":true},{"name":"tags","type":"string[]","facet":true,"optional":true},{"name":"at","type":"geopoint","optional":true},
		{"name":"maker","type":"object","optional":true},{"name":"sizes","type":"object[]","optional":true}]}`)
	require.NotContains(t, must(t, e, 200, "POST", "/collections/shop/documents/import", shopLines), "false,")
	return e
}

// ids searches and returns the IDs found, in order.
func ids(t *testing.T, e *served, params string) string {
	t.Helper()
	values, err := url.ParseQuery(params)
	require.NoError(t, err)
	var r struct {
		Hits []struct{ Document struct{ ID string } }
	}
	require.NoError(t, json.Unmarshal([]byte(must(t, e, 200, "GET", "/collections/shop/documents/search?"+values.Encode(), "")), &r))
	var out []string
	for _, h := range r.Hits {
		out = append(out, h.Document.ID)
	}
	return strings.Join(out, " ")
}

func TestSearch_filtersAndSortsWhatAnIndexOfWordsCannot(t *testing.T) {
	e := openShop(t)
	for params, want := range map[string]string{
		"q=*&filter_by=at:(48.8,2.3,20 km)":                                       "1",
		"q=*&filter_by=at:(58,9, 58,12, 61,12, 61,9)":                             "2",
		"q=*&filter_by=at:(48.8,2.3,20 km) || cat:=coats":                         "4 3 1",
		"q=*&filter_by=sizes.{n:40 && left:true}":                                 "1",
		"q=*&filter_by=sizes.n:40 %26%26 sizes.left:true":                         "1",
		"q=*&filter_by=sizes.{n:=[40,41] && left:false} && price:>100":            "2",
		"q=*&filter_by=maker.town:=Oslo":                                          "1",
		"q=lund&query_by=maker":                                                   "1",
		"q=*&sort_by=at(59,10):asc&filter_by=cat:=shoes":                          "2 1",
		"q=*&sort_by=_eval(cat:=coats):desc,price:asc":                            "4 3 1 2",
		"q=*&sort_by=_eval([(price:<60):3,(cat:=coats):2]):desc,price:desc":       "1 3 4 2",
		"q=oat&query_by=name&infix=always":                                        "4 3",
		"q=oat&query_by=name":                                                     "",
		"q=coat&query_by=name&pinned_hits=2:1,1:9&hidden_hits=4":                  "2 3 1",
		"q=*&pinned_hits=3:2&per_page=2&page=1&sort_by=price:asc":                 "1 3",
		"q=*&pinned_hits=3:2&per_page=2&page=2&sort_by=price:asc":                 "4 2",
		"q=*&pinned_hits=3:1&filter_by=cat:=shoes&filter_curated_hits=true":       "2 1",
		"q=*&sort_by=price:asc&page=2&per_page=2&offset=1":                        "2 3",
		"q=*&sort_by=price:asc&per_page=2&offset=1":                               "4 2",
		"q=blue&query_by=name&sort_by=_text_match(buckets: 1):desc,price:desc":    "4 1",
		"q=*&filter_by=cat:=shoes && (price:<60 || price:>100)&sort_by=price:asc": "1 2",
	} {
		require.Equal(t, want, ids(t, e, strings.ReplaceAll(strings.ReplaceAll(params, "&&", "%26%26"), "+", "%2B")), params)
	}
}

func TestSearch_groupsAndFacets(t *testing.T) {
	e := openShop(t)
	body := must(t, e, 200, "GET", "/collections/shop/documents/search?q=*&group_by=cat&group_limit=1&sort_by=price:asc&include_fields=id&facet_by=tags", "")
	require.JSONEq(t, `{"found":2,"found_docs":4,"grouped_hits":[
		{"found":2,"group_key":["shoes"],"hits":[{"document":{"id":"1"},"highlight":{},"highlights":[]}]},
		{"found":2,"group_key":["coats"],"hits":[{"document":{"id":"4"},"highlight":{},"highlights":[]}]}],
		"facet_counts":[{"field_name":"tags","sampled":false,"stats":{"total_values":2},"counts":[{"count":1,"highlighted":"sale","value":"sale"},{"count":1,"highlighted":"new","value":"new"}]}]}`,
		sortCounts(t, only(t, body, "found", "found_docs", "grouped_hits", "facet_counts")))
	body = must(t, e, 200, "GET", "/collections/shop/documents/search?per_page=0&q=*&facet_strategy=exhaustive&facet_by="+url.QueryEscape("price(low:[0,100], high:[100,])"), "")
	require.JSONEq(t, `{"facet_counts":[{"field_name":"price","sampled":false,"stats":{"avg":112.5,"max":200,"min":50,"sum":450,"total_values":2},
		"counts":[{"count":2,"highlighted":"","value":"low"},{"count":2,"highlighted":"","value":"high"}]}]}`, only(t, body, "facet_counts"))
	body = must(t, e, 200, "GET", "/collections/shop/documents/search?per_page=0&q=*&facet_by=cat,tags&facet_query=cat:sho", "")
	require.Contains(t, body, `{"count":2,"highlighted":"<mark>sho</mark>es","value":"shoes"}`)
	require.NotContains(t, body, `"value":"coats"`)
}

// sortCounts puts facet values with equal counts in a fixed order.
func sortCounts(t *testing.T, body string) string {
	return strings.ReplaceAll(body, `{"count":1,"highlighted":"new","value":"new"},{"count":1,"highlighted":"sale","value":"sale"}`,
		`{"count":1,"highlighted":"sale","value":"sale"},{"count":1,"highlighted":"new","value":"new"}`)
}

func TestRules_areInEffectFromOneSearchToTheNextAndEndWithTheCollection(t *testing.T) {
	e := openShop(t)
	require.Equal(t, "", ids(t, e, "q=parka&query_by=name"))
	must(t, e, 200, "PUT", "/collections/shop/synonyms/s", `{"synonyms":["parka","coat"]}`)
	require.Equal(t, "4 3", ids(t, e, "q=parka&query_by=name"))
	require.Equal(t, "", ids(t, e, "q=parka&query_by=name&enable_synonyms=false"))
	must(t, e, 200, "PUT", "/collections/shop/overrides/o", `{"rule":{"query":"coat","match":"exact"},"includes":[{"id":"1","position":1}],"excludes":[{"id":"4"}]}`)
	require.Equal(t, "1 3", ids(t, e, "q=Coat&query_by=name"))
	must(t, e, 200, "PUT", "/stopwords/w", `{"stopwords":["the"]}`)
	require.Equal(t, "", ids(t, e, "q=the&query_by=name&stopwords=w"))
	must(t, e, 200, "PUT", "/presets/p", `{"value":{"query_by":"name","sort_by":"price:desc"}}`)
	require.Equal(t, "4 1", ids(t, e, "q=blue&preset=p"))
	must(t, e, 200, "PUT", "/synonym_sets/set", `{"items":[{"id":"x","root":"wellies","synonyms":["boots"]}]}`)
	must(t, e, 200, "PATCH", "/collections/shop", `{"synonym_sets":["set"]}`)
	require.Equal(t, "2", ids(t, e, "q=wellies&query_by=name"))
	must(t, e, 200, "PUT", "/synonym_sets/set/items/x", `{"root":"wellies","synonyms":["shoes"]}`)
	require.Equal(t, "1", ids(t, e, "q=wellies&query_by=name"))
	must(t, e, 201, "POST", "/collections?src_name=shop", `{"name":"copy"}`)
	must(t, e, 200, "GET", "/collections/copy/synonyms/s", "")
	must(t, e, 200, "PUT", "/aliases/store", `{"collection_name":"shop"}`)
	must(t, e, 200, "GET", "/collections/store/documents/1", "")
	must(t, e, 200, "DELETE", "/collections/shop", "")
	must(t, e, 404, "GET", "/collections/store", "")
	must(t, e, 201, "POST", "/collections", `{"name":"shop","fields":[{"name":"name","type":"string"}]}`)
	require.JSONEq(t, `{"synonyms":[]}`, must(t, e, 200, "GET", "/collections/shop/synonyms", ""))
}

// with sends a request with a key other than the admin key.
func with(e *served, key, method, target, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("X-TYPESENSE-API-KEY", key)
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w
}

// scopedKey returns a key derived from the parent, with embedded parameters.
func scopedKey(parent, params string) string {
	h := hmac.New(sha256.New, []byte(parent))
	h.Write([]byte(params))
	return base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString(h.Sum(nil)) + parent[:4] + params))
}

func TestScopedKey_hiddenFieldsStayHidden(t *testing.T) {
	e := openShop(t)
	parent := "search-parent"
	must(t, e, 201, "POST", "/keys", `{"description":"s","actions":["documents:search"],"collections":["shop"],"value":"`+parent+`"}`)
	must(t, e, 200, "PUT", "/presets/marks", `{"value":{"highlight_fields":"cat"}}`)
	const search = "/collections/shop/documents/search?per_page=50&"
	for _, embeds := range []string{`{"exclude_fields":"cat,ta*"}`, `{"include_fields":"name,price"}`} {
		key := scopedKey(parent, embeds)
		for query, status := range map[string]int{
			"q=*&facet_by=cat": 404, "q=*&facet_by=ta*": 200, "q=*&group_by=cat": 404, "q=*&group_by=price": 200, "q=*&facet_by=price": 200,
			"q=shoes&query_by=cat&preset=marks": 200, "q=shoes&query_by=cat&highlight_fields=cat": 200, "q=*&facet_by=tags&include_fields=tags": 404,
		} {
			w := with(e, key, "GET", search+query, "")
			require.Equal(t, status, w.Code, "%s %s", embeds, query)
			require.NotRegexp(t, `coats|sale|shoes<|>shoes`, w.Body.String(), "%s %s", embeds, query)
		}
	}
}

func TestSearch_aNegatedPrefixFilterForbidsEveryCompletion(t *testing.T) {
	e := openShop(t)
	must(t, e, 201, "POST", "/collections/shop/documents", `{"id":"5","name":"black hat","cat":"hats","price":9}`)
	require.Equal(t, "3 2", ids(t, e, "q=*&filter_by=name:!=b*&max_filter_by_candidates=1"))
}

func TestScopedKey_filterCannotBeLeft(t *testing.T) {
	e := openShop(t)
	parent := "search-parent"
	must(t, e, 201, "POST", "/keys", `{"description":"s","actions":["documents:search"],"collections":["shop"],"value":"`+parent+`"}`)
	key := scopedKey(parent, `{"filter_by":"cat:=shoes","per_page":1}`)
	for _, filter := range []string{"", "cat:=coats", "price:>0 || cat:=coats", "price:>0) || (cat:=coats", "id:*", ")", "cat:=coats) || (id:*"} {
		w := with(e, key, "GET", "/collections/shop/documents/search?q=*&per_page=50&filter_by="+url.QueryEscape(filter), "")
		require.NotContains(t, w.Body.String(), `"coats"`, filter)
		body, err := json.Marshal(map[string]any{"searches": []any{map[string]any{"collection": "shop", "q": "*", "filter_by": filter, "per_page": 50}}})
		require.NoError(t, err)
		w = with(e, key, "POST", "/multi_search?filter_by="+url.QueryEscape(filter), string(body))
		require.NotContains(t, w.Body.String(), `"coats"`, filter)
	}
	w := with(e, key, "GET", "/collections/shop/documents/search?q=*&pinned_hits=3:1", "")
	require.Equal(t, 200, w.Code)
	require.NotContains(t, w.Body.String(), `"coats"`, "a document that is pinned has to pass the filter too")
	w = with(e, key, "GET", "/collections/shop/documents/search?q=*&per_page=50", "")
	require.JSONEq(t, `{"found":2}`, only(t, w.Body.String(), "found"))
	require.Equal(t, 1, strings.Count(w.Body.String(), `"document"`), "an embedded parameter wins")
	for _, target := range []string{"/collections", "/collections/shop", "/collections/shop/documents/1", "/keys", "/debug"} {
		require.Equal(t, 401, with(e, key, "GET", target, "").Code, target)
	}
	must(t, e, 201, "POST", "/collections", `{"name":"other","fields":[{"name":"name","type":"string"}]}`)
	require.Equal(t, 401, with(e, key, "POST", "/multi_search", `{"searches":[{"collection":"shop","q":"*"},{"collection":"other","q":"*"}]}`).Code)
	must(t, e, 200, "DELETE", "/keys/0", "")
	require.Equal(t, 401, with(e, key, "GET", "/collections/shop/documents/search?q=*", "").Code, "a deleted parent ends its keys")
}

func TestDirty_aDroppedElementLeavesNothing(t *testing.T) {
	e := open(t, t.TempDir(), embedded.Limits{})
	defer e.Close()
	must(t, e, 201, "POST", "/collections", `{"name":"shop","fields":[{"name":"n","type":"int32[]","facet":true},{"name":"v","type":"float[]","num_dim":2,"optional":true}]}`)
	must(t, e, 200, "POST", "/collections/shop/documents/import?dirty_values=coerce_or_drop", `{"id":"1","n":[1,"a"],"v":[1,"x"]}`)
	require.Equal(t, "1", ids(t, e, "q=*&filter_by=n:=1"))
	require.Equal(t, "", ids(t, e, "q=*&filter_by=n:=0"))
	require.JSONEq(t, `{"id":"1","n":[1]}`, must(t, e, 200, "GET", "/collections/shop/documents/1", ""))
}

// TestScopedKey_tellsNoDistanceToAHiddenDocument names a hidden document in a vector query, which could reveal its vector.
func TestScopedKey_tellsNoDistanceToAHiddenDocument(t *testing.T) {
	e := open(t, t.TempDir(), embedded.Limits{})
	defer e.Close()
	must(t, e, 201, "POST", "/collections", `{"name":"vec","fields":[{"name":"v","type":"float[]","num_dim":2,"optional":true},{"name":"owner","type":"string"},{"name":"s","type":"string"}]}`)
	must(t, e, 200, "POST", "/collections/vec/documents/import", `{"id":"1","owner":"me","v":[1,0],"s":"sun"}
{"id":"2","owner":"me","v":[0,1],"s":"sun"}
{"id":"3","owner":"you","v":[1,1],"s":"sun"}
{"id":"4","owner":"me","s":"sun"}`)
	must(t, e, 201, "POST", "/keys", `{"description":"s","actions":["documents:search"],"collections":["vec"],"value":"search-parent"}`)
	key := scopedKey("search-parent", `{"filter_by":"owner:=me"}`)
	for _, words := range []string{"q=*", "q=sun&query_by=s"} {
		for id, status := range map[string]int{"1": 200, "3": 400, "4": 400, "nobody": 400} {
			w := with(e, key, "GET", "/collections/vec/documents/search?"+words+"&vector_query="+url.QueryEscape("v:([], id: "+id+")"), "")
			require.Equal(t, status, w.Code, "%s of %s", id, words)
			require.NotContains(t, w.Body.String(), `"you"`)
		}
		must(t, e, 200, "GET", "/collections/vec/documents/search?"+words+"&vector_query="+url.QueryEscape("v:([], id: 3)"), "")
	}
}

func TestAlter_refusesWhatTheDocumentsDoNotFit(t *testing.T) {
	e := openShop(t)
	must(t, e, 400, "PATCH", "/collections/shop", `{"fields":[{"name":"colour","type":"string"}]}`)
	must(t, e, 400, "PATCH", "/collections/shop", `{"fields":[{"name":"name","drop":true},{"name":"name","type":"int32"}]}`)
	require.Equal(t, "2", ids(t, e, "q=boots&query_by=name"), "nothing was changed")
	must(t, e, 200, "PATCH", "/collections/shop", `{"fields":[{"name":"price","drop":true},{"name":"price","type":"string"},{"name":"colour","type":"string","optional":true}]}`)
	require.Equal(t, "3", ids(t, e, "q=200&query_by=price"))
	must(t, e, 201, "POST", "/collections/shop/documents", `{"id":"9","name":"x","cat":"y","price":"7","colour":"green"}`)
	require.Equal(t, "9", ids(t, e, "q=green&query_by=colour"))
}

func TestVector_findsTheNearestExactly(t *testing.T) {
	e := open(t, t.TempDir(), embedded.Limits{})
	defer e.Close()
	must(t, e, 201, "POST", "/collections", `{"name":"shop","fields":[{"name":"s","type":"string"},{"name":"v","type":"float[]","num_dim":2}]}`)
	for i, v := range []string{"[1,0]", "[0.9,0.1]", "[0,1]"} {
		must(t, e, 201, "POST", "/collections/shop/documents", fmt.Sprintf(`{"id":"%d","s":"word%d","v":%s}`, i, i, v))
	}
	must(t, e, 400, "POST", "/collections/shop/documents", `{"id":"x","s":"y","v":[1]}`)
	require.Equal(t, "0 1", ids(t, e, "q=*&vector_query=v:([1,0], k: 2)"))
	require.Equal(t, "2 1 0", ids(t, e, "q=*&vector_query=v:([0,1])"))
	require.Equal(t, "1", ids(t, e, "q=*&vector_query=v:([], id: 0, distance_threshold: 0.5)"))
	require.Equal(t, "2 0 1", ids(t, e, "q=word2&query_by=s&vector_query=v:([1,0])"), "words weigh more than the vector")
	require.Equal(t, "0 1 2", ids(t, e, "q=word2&query_by=s&num_typos=0&vector_query=v:([1,0], alpha: 0.9)"))
}

// rerank_hybrid_matches finds no further documents. Documents found by words get a distance, documents found by vector get a match of the
// words that they contain, and the ranks of all of them are fused.
func TestVector_matchesOfBothKindsAreRankedInBothOrders(t *testing.T) {
	e := open(t, t.TempDir(), embedded.Limits{})
	defer func() { require.NoError(t, e.Close()) }()
	must(t, e, 201, "POST", "/collections", `{"name":"c","fields":[{"name":"title","type":"string"},{"name":"v","type":"float[]","num_dim":2,"optional":true}]}`)
	for _, doc := range []string{`{"id":"1","title":"red shoe","v":[1,0]}`, `{"id":"2","title":"red","v":[0,1]}`, `{"id":"3","title":"shoe","v":[0.9,0.1]}`, `{"id":"4","title":"hat","v":[1,0.05]}`,
		`{"id":"5","title":"red shoe"}`, `{"id":"6","title":"red shoe","v":[0,1]}`} {
		must(t, e, 201, "POST", "/collections/c/documents", doc)
	}
	type hit struct {
		Document       struct{ ID string }
		TextMatch      *uint64  `json:"text_match"`
		VectorDistance *float64 `json:"vector_distance"`
		Hybrid         struct {
			Score float64 `json:"rank_fusion_score"`
		} `json:"hybrid_search_info"`
	}
	search := func(more string) (order string, hits map[string]hit) {
		var got struct {
			Found int
			Hits  []hit
		}
		body := must(t, e, 200, "GET", "/collections/c/documents/search?q=red+shoe&query_by=title&vector_query="+url.QueryEscape("v:([1,0], k: 3)")+more, "")
		require.NoError(t, json.Unmarshal([]byte(body), &got))
		require.Equal(t, 5, got.Found)
		hits = map[string]hit{}
		for _, h := range got.Hits {
			order += h.Document.ID
			hits[h.Document.ID] = h
		}
		return order, hits
	}
	order, hits := search("")
	require.Equal(t, "61543", order)
	require.Nil(t, hits["6"].VectorDistance)
	require.Nil(t, hits["3"].TextMatch)
	order, hits = search("&rerank_hybrid_matches=true")
	require.Equal(t, "61534", order, "by words 6, 5, 1, 3, by vector 1, 4, 3, 6")
	require.InDelta(t, 1, *hits["6"].VectorDistance, 1e-6)
	require.Nil(t, hits["5"].VectorDistance, "it has no vector")
	require.Positive(t, *hits["3"].TextMatch)
	require.Less(t, *hits["3"].TextMatch, *hits["1"].TextMatch)
	require.Zero(t, *hits["4"].TextMatch, "none of the words")
	for id, score := range map[string]float64{"6": 0.7 + 0.3/4, "1": 0.7/3 + 0.3, "5": 0.7 / 2, "3": 0.7/4 + 0.3/3, "4": 0.3 / 2} {
		require.InDelta(t, score, hits[id].Hybrid.Score, 1e-9, id)
	}
}
