package api

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
)

// documentedData are the collections of the examples below. Their documents are those of Typesense's public documentation (29.0), or were
// written to fit its text.
var documentedData = []struct{ name, schema, documents string }{
	{"companies", `[{"name":"company_name","type":"string","infix":true},{"name":"num_employees","type":"int32"},{"name":"country","type":"string","facet":true},{"name":"addresses","type":"string[]","optional":true}]`,
		`{"id":"124","company_name":"Stark Industries","num_employees":5215,"country":"USA","addresses":["10880 Malibu Point, Malibu, CA 90265","1 Park Avenue","10000 Malibu Point, Malibu, CA 90265"]}
{"id":"125","company_name":"Corporation of Acme","num_employees":40,"country":"UK"}
{"id":"126","company_name":"Stark Bakery","num_employees":12,"country":"USA"}
{"id":"127","company_name":"AK1243XYZ6789 Parts","num_employees":140,"country":"France"}`},
	{"people", `[{"name":"name","type":"string"}]`, `{"id":"jobs","name":"Steve Jobs"}
{"id":"stator","name":"Adam Stator"}`},
	{"shoes", `[{"name":"category","type":"string","facet":true},{"name":"brand","type":"string","facet":true},{"name":"price","type":"int32","facet":true},{"name":"in_stock","type":"bool"},{"name":"title","type":"string","sort":true,"optional":true}]`,
		`{"id":"1","category":"Shoe","brand":"Nike","price":50,"in_stock":false,"title":"b"}
{"id":"2","category":"Shoe Rack","brand":"Adidas","price":100,"in_stock":true,"title":"a"}
{"id":"3","category":"Outdoor Shoe","brand":"Puma","price":150,"in_stock":true}
{"id":"4","category":"Running Shoes, Men","brand":"Adidas","price":99,"in_stock":false,"title":""}
{"id":"5","category":"Sneaker (Men)","brand":"Nike","price":20,"in_stock":true,"title":"c"}`},
	{"songs", `[{"name":"genres","type":"string[]","facet":true},{"name":"rating","type":"float","facet":true}]`,
		`{"id":"1","genres":["Rock","Acoustic"],"rating":2.9}
{"id":"2","genres":["Pop"],"rating":3}
{"id":"3","genres":["Rock"],"rating":4.5}
{"id":"4","genres":["Jazz","Acoustic"],"rating":3.9}`},
	{"dishes", `[{"name":"name","type":"string"},{"name":"ingredients","type":"object[]","facet":true}]`,
		`{"id":"pasta","name":"Pasta","ingredients":[{"name":"cheese","concentration":40},{"name":"spinach","concentration":10}]}
{"id":"lasagna","name":"Lasagna","ingredients":[{"name":"cheese","concentration":20},{"name":"jalapeno","concentration":20}]}`},
	{"phones", `[{"name":"product_name","type":"string"},{"name":"timestamp","type":"int64","optional":true}]`,
		`{"id":"Samsung","product_name":"Samsung Smartphone","timestamp":1728383250}
{"id":"Vivo","product_name":"Vivo Smartphone","timestamp":1728384250}
{"id":"Oneplus","product_name":"Oneplus Smartphone","timestamp":1728385250}
{"id":"Pixel","product_name":"Pixel Smartphone","timestamp":1728386250}
{"id":"Moto","product_name":"Moto Smartphone","timestamp":1728387250}
{"id":"none","product_name":"Old Phone"}`},
	{"marks", `[{"name":"title","type":"string"},{"name":"points","type":"int32"}]`,
		`{"id":"Antony","title":"Mark Antony","points":100}
{"id":"Spencer","title":"Marks Spencer","points":200}
{"id":"Twain","title":"Mark Twain","points":100}
{"id":"Payne","title":"Mark Payne","points":300}
{"id":"Henry","title":"Marks Henry","points":200}
{"id":"Aurelius","title":"Mark Aurelius","points":200}`},
	{"territories", `[{"name":"name","type":"string"},{"name":"area","type":"geopolygon"}]`,
		`{"id":"square","name":"square","area":"0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0"}
{"id":"rectangle","name":"rectangle","area":"2.0, 2.0, 5.0, 2.0, 5.0, 4.0, 2.0, 4.0"}`},
	{"places", `[{"name":"title","type":"string"},{"name":"points","type":"int32"},{"name":"location","type":"geopoint"}]`,
		`{"id":"louvre","title":"Louvre Museuem","points":1,"location":[48.86093481609114, 2.33698396872901]}
{"id":"denis","title":"Saint-Denis","points":2,"location":[48.9362, 2.3574]}
{"id":"lyon","title":"Lyon","points":9,"location":[45.7640, 4.8357]}`},
	{"docs", `[{"name":"title","type":"string","facet":true},{"name":"points","type":"int32"},{"name":"embedding","type":"float[]","num_dim":4}]`,
		`{"id":"a","title":"Louvre Museuem","points":1,"embedding":[0.04, 0.234, 0.113, 0.001]}
{"id":"b","title":"Louvre Museuem","points":2,"embedding":[0.04, 0.230, 0.113, 0.001]}
{"id":"c","title":"Eiffel Tower","points":3,"embedding":[0.9, 0.01, 0.01, 0.3]}`},
	{"clothes", `[{"name":"color","type":"object","facet":true},{"name":"color.name","type":"string","facet":true},{"name":"n","type":"int32"}]`,
		`{"id":"1","n":1,"color":{"name":"red","hex":"#ff0000"}}
{"id":"2","n":2,"color":{"name":"red","hex":"#ee0000"}}
{"id":"3","n":3,"color":{"name":"blue","hex":"#0000ff"}}`},
}

// documentedExamples are statements of the documentation about searches, with its own examples where it has any. They were written from its
// pages and not from recorded answers. want lists the IDs of the hits in order, or, after an !, the status of a refusal.
var documentedExamples = []struct{ section, collection, search, want string }{
	{"search: overview", "companies", "q=stark&query_by=company_name&filter_by=num_employees:>100&sort_by=num_employees:desc", "124"},
	{"search: q, all documents of a filter", "companies", "q=*&filter_by=num_employees:40", "125"},
	{"search: q, exclusion", "companies", "q=stark -bakery&query_by=company_name", "124"},
	{"search: q, phrase", "companies", `q="of acme"&query_by=company_name`, "125"},
	{"search: q, a phrase's order and no typos", "companies", `q="acme of"&query_by=company_name`, ""},
	{"search: infix", "companies", "q=XYZ&query_by=company_name&infix=always", "127"},
	{"search: max_extra_prefix", "companies", "q=XYZ&query_by=company_name&infix=always&max_extra_prefix=2", ""},
	{"search: infix is off by default", "companies", "q=XYZ&query_by=company_name", ""},
	{"search: filter, one value", "companies", "q=*&filter_by=country: USA&sort_by=num_employees:asc", "126 124"},
	{"search: filter, either value", "companies", "q=*&filter_by=country: [USA, UK]&sort_by=num_employees:asc", "126 125 124"},
	{"search: filter, whole value", "shoes", "q=*&filter_by=category := Shoe", "1"},
	{"search: filter, word of a value", "shoes", "q=*&filter_by=category:Shoe&sort_by=price:asc", "1 2 3"},
	{"search: filter, backticks", "shoes", "q=*&filter_by=category:= [`Running Shoes, Men`, `Sneaker (Men)`, Boots]&sort_by=price:asc", "5 4"},
	{"search: filter, negation", "shoes", "q=*&filter_by=brand:!=Nike&sort_by=price:asc", "4 2 3"},
	{"search: filter, several negated", "shoes", "q=*&filter_by=brand:!=[Nike, Adidas]", "3"},
	{"search: filter, without a word", "shoes", "q=*&filter_by=category:! Shoe&sort_by=price:asc", "5 4"},
	{"search: filter, ids", "shoes", "q=*&filter_by=id:!=[1, 2, 3]&sort_by=price:asc", "5 4"},
	{"search: filter, less", "companies", "q=*&filter_by=num_employees:<40", "126"},
	{"search: filter, range", "companies", "q=*&filter_by=num_employees:[10..100]&sort_by=num_employees:asc", "126 125"},
	{"search: filter, comparisons in a list", "companies", "q=*&filter_by=num_employees:[<13, >1000]&sort_by=num_employees:asc", "126 124"},
	{"search: filter, range or value", "companies", "q=*&filter_by=num_employees:[10..100, 140]&sort_by=num_employees:asc", "126 125 127"},
	{"search: filter, numbers negated", "companies", "q=*&filter_by=num_employees:!= [12, 40, 140]", "124"},
	{"search: filter, and", "companies", "q=*&filter_by=num_employees:>100 && country: [USA, UK]", "124"},
	{"search: filter, or across fields", "shoes", "q=*&filter_by=(brand: Nike || category: rack) && in_stock: true&sort_by=price:asc", "5 2"},
	{"search: filter, one of an array", "songs", "q=*&filter_by=genres:=[Rock, Pop]&sort_by=rating:asc", "1 2 3"},
	{"search: filter, both of an array", "songs", "q=*&filter_by=genres:=Rock && genres:=Acoustic", "1"},
	{"search: filter, one object of a list", "dishes", "q=*&filter_by=ingredients.{name:=cheese && concentration:<30}", "lasagna"},
	{"search: filter, prefix of a word", "companies", "q=*&filter_by=company_name: Acm*", "125"},
	{"search: filter, prefix of a value", "people", "q=*&filter_by=name := S*", "jobs"},
	{"search: sort, strings need sort: true", "people", "q=*&sort_by=name:asc", "!404"},
	{"search: sort, empty strings are highest", "shoes", "q=*&filter_by=id:[1,2,5,4]&sort_by=title:asc", "2 1 5 4"},
	{"search: sort, missing first", "shoes", "q=*&filter_by=id:[1,2,3]&sort_by=title(missing_values: first):asc", "3 2 1"},
	{"search: sort, missing last", "shoes", "q=*&filter_by=id:[1,2,3]&sort_by=title(missing_values: last):desc", "1 2 3"},
	{"search: sort, condition", "shoes", "q=*&sort_by=_eval(in_stock:true):desc,price:desc", "3 2 5 4 1"},
	{"search: sort, filter score", "shoes", "q=*&sort_by=_eval([ (brand:Nike):3, (brand:Adidas):2 ]):desc,price:asc", "5 1 4 2 3"},
	{"search: sort, decay", "phones", "q=smartphone&query_by=product_name&sort_by=timestamp(origin: 1728385250, func: gauss, scale: 1000, decay: 0.5):desc", "Oneplus Pixel Vivo Moto Samsung"},
	{"search: sort, exponential decay", "phones", "q=smartphone&query_by=product_name&sort_by=timestamp(origin: 1728385250, func: exp, scale: 1000):desc", "Oneplus Pixel Vivo Moto Samsung"},
	{"search: sort, linear decay ends at nothing", "phones", "q=smartphone&query_by=product_name&sort_by=timestamp(origin: 1728383250, func: linear, scale: 1000, decay: 0.5):desc", "Samsung Vivo Moto Pixel Oneplus"},
	{"search: sort, decay the other way", "phones", "q=smartphone&query_by=product_name&sort_by=timestamp(origin: 1728385250, func: gauss, scale: 1000):asc", "Moto Samsung Pixel Vivo Oneplus"},
	{"search: sort, decay with an offset", "phones", "q=smartphone&query_by=product_name&sort_by=timestamp(origin: 1728385250, func: gauss, scale: 1000, offset: 1000):desc", "Pixel Oneplus Vivo Moto Samsung"},
	{"search: sort, pivot", "phones", "q=*&sort_by=timestamp(origin: 1728386250, func: diff):asc", "Pixel Moto Oneplus Vivo Samsung none"},
	{"search: sort, furthest from a pivot", "phones", "q=*&filter_by=timestamp:>0&sort_by=timestamp(origin: 1728386250, func: diff):desc", "Samsung Vivo Moto Oneplus Pixel"},
	{"search: sort, pivot with an offset", "phones", "q=*&filter_by=timestamp:>0&sort_by=timestamp(origin: 1728386250, func: diff, offset: 1000):asc", "Moto Pixel Oneplus Vivo Samsung"},
	{"search: sort, a decay needs its function", "phones", "q=*&sort_by=timestamp(origin: 1728386250):asc", "!400"},
	{"search: sort, a decay needs a scale that is not 0", "phones", "q=*&sort_by=timestamp(origin: 1, func: gauss, scale: 0):asc", "!400"},
	{"search: sort, an origin is a whole number", "phones", "q=*&sort_by=timestamp(origin: 1.5, func: diff):asc", "!400"},
	{"search: sort, a decay is from 0 to 1", "phones", "q=*&sort_by=timestamp(origin: 1, func: exp, scale: 1, decay: 1.5):asc", "!400"},
	{"search: sort, three fields at the most", "shoes", "q=*&sort_by=price:asc,brand:asc,in_stock:asc,title:asc", "!400"},
	{"search: bucket_size", "marks", "q=mark&query_by=title&sort_by=_text_match(bucket_size: 4):desc,points:desc", "Payne Aurelius Twain Antony Henry Spencer"},
	{"search: one bucket", "marks", "q=mark&query_by=title&sort_by=_text_match(buckets: 1):desc,points:desc", "Payne Aurelius Henry Spencer Twain Antony"},
	{"search: validate_field_names, filter", "shoes", "q=*&filter_by=nothing:1 || brand:Puma&validate_field_names=false", "3"},
	{"search: validate_field_names, facet", "shoes", "q=*&filter_by=brand:Puma&facet_by=nothing,brand&validate_field_names=false", "3"},
	{"search: validate_field_names, group", "shoes", "q=*&filter_by=brand:Puma&group_by=nothing&validate_field_names=false", "3"},
	{"search: per_page", "shoes", "q=*&per_page=251", "!422"},
	{"search: pinned and hidden", "shoes", "q=*&sort_by=price:asc&pinned_hits=3:1,2:3&hidden_hits=4", "3 5 2 1"},
	{"search: typo", "companies", "q=strak&query_by=company_name&sort_by=num_employees:asc", "126 124"},
	{"search: min_len_1typo", "companies", "q=strak&query_by=company_name&min_len_1typo=6", ""},
	{"search: split_join_tokens", "phones", "q=smart phone&query_by=product_name&filter_by=id:Moto", "Moto"},
	{"search: split_join_tokens off", "phones", "q=smartph one&query_by=product_name&split_join_tokens=off&drop_tokens_threshold=0", ""},
	{"search: prefix off", "companies", "q=sta&query_by=company_name&prefix=false&num_typos=0", ""},
	{"geosearch: radius", "places", "q=*&query_by=title&filter_by=location:(48.90615915923891, 2.3435897727061175, 5.1 km)&sort_by=location(48.853, 2.344):asc", "louvre denis"},
	{"geosearch: miles", "places", "q=*&filter_by=location:(48.86, 2.34, 1 mi)", "louvre"},
	{"geosearch: polygon", "places", "q=*&filter_by=location:(48.8662, 2.3255, 48.8581, 2.3209, 48.8561, 2.3448, 48.8641, 2.3469)", "louvre"},
	{"geosearch: exclude_radius", "places", "q=*&sort_by=location(48.853, 2.344, exclude_radius: 20mi):asc, points:desc", "denis louvre lyon"},
	{"geosearch: precision", "places", "q=*&sort_by=location(48.853, 2.344, precision: 20mi):asc, points:desc", "denis louvre lyon"},
	{"geosearch: geographic polygons", "territories", "q=*&filter_by=area:(0.5, 0.5)", "square"},
	{"geosearch: outside of every polygon", "territories", "q=*&filter_by=area:(1.5, 1.5)", ""},
	{"vector: nearest", "docs", "q=*&vector_query=embedding:([0.04, 0.234, 0.113, 0.001], k: 2)", "a b"},
	{"vector: of a document", "docs", "q=*&vector_query=embedding:([], id: a, k: 1)", "b"},
	{"vector: distance_threshold", "docs", "q=*&vector_query=embedding:([0.04, 0.234, 0.113, 0.001], distance_threshold: 0.3)", "a b"},
	{"vector: buckets of distances", "docs", "q=*&vector_query=embedding:([0.04, 0.234, 0.113, 0.001], k: 3)&sort_by=_vector_distance(buckets: 1):asc,points:desc", "c b a"},
	{"vector: grouping", "docs", "q=*&vector_query=embedding:([0.04, 0.234, 0.113, 0.001], k: 3)&group_by=title&group_limit=1", "a c"},
}

// TestDocumented_examplesOfTheDocumentationHold complements the tests with recorded answers: nothing in it was recorded.
func TestDocumented_examplesOfTheDocumentationHold(t *testing.T) {
	e := openDocumented(t)
	for _, x := range documentedExamples {
		query, err := url.ParseQuery(strings.ReplaceAll(strings.ReplaceAll(x.search, "+", "%2B"), " && ", " %26%26 "))
		require.NoError(t, err, x.section)
		w := call(e, "GET", "/collections/"+x.collection+"/documents/search?"+query.Encode(), "")
		if status, refused := strings.CutPrefix(x.want, "!"); refused {
			require.Equal(t, status, w.Result().Status[:3], "%s: %s", x.section, w.Body)
			continue
		}
		require.Equal(t, 200, w.Code, "%s: %s", x.section, w.Body)
		require.Equal(t, x.want, strings.Join(idsIn(t, w.Body.Bytes()), " "), "%s: %s", x.section, x.search)
	}
}

func openDocumented(t *testing.T) *served {
	t.Helper()
	e := open(t, t.TempDir(), embedded.Limits{})
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	for _, c := range documentedData {
		must(t, e, 201, "POST", "/collections", `{"name":"`+c.name+`","enable_nested_fields":true,"fields":`+c.schema+`}`)
		lines := must(t, e, 200, "POST", "/collections/"+c.name+"/documents/import", c.documents)
		require.NotContains(t, lines, "false", c.name)
	}
	return e
}

// idsIn returns the IDs of the hits in an answer, including those in groups.
func idsIn(t *testing.T, body []byte) (ids []string) {
	t.Helper()
	type hit struct{ Document struct{ ID string } }
	var answer struct {
		Hits        []hit
		GroupedHits []struct{ Hits []hit } `json:"grouped_hits"`
	}
	require.NoError(t, json.Unmarshal(body, &answer))
	for _, g := range answer.GroupedHits {
		answer.Hits = append(answer.Hits, g.Hits...)
	}
	for _, h := range answer.Hits {
		ids = append(ids, h.Document.ID)
	}
	return ids
}

// The documentation's facets: labelled ranges, whose upper end is excluded, and the parent of a value. Also answers without what
// exclude_fields names.
func TestDocumented_facetsAndWhatIsLeftOut(t *testing.T) {
	e := openDocumented(t)
	facets := func(collection, by string) string {
		body := must(t, e, 200, "GET", "/collections/"+collection+"/documents/search?q=*&per_page=0&facet_by="+url.QueryEscape(by), "")
		var answer struct {
			Facets []struct {
				Counts []struct {
					Value string `json:"value"`
					Count int    `json:"count"`
				} `json:"counts"`
			} `json:"facet_counts"`
		}
		require.NoError(t, json.Unmarshal([]byte(body), &answer))
		counts, err := json.Marshal(answer.Facets[0].Counts)
		require.NoError(t, err)
		return string(counts)
	}
	require.JSONEq(t, `[{"value":"Good","count":2},{"value":"Average","count":1},{"value":"Great","count":1}]`, facets("songs", "rating(Average:[0, 3], Good:[3, 4], Great:[4, 5])"))
	require.JSONEq(t, `[{"value":"economy","count":3},{"value":"others","count":2}]`, facets("shoes", "price(economy:[0, 100], others:[100, ])"))

	counts := func(search string) string {
		var answer struct {
			Facets []struct{ Counts json.RawMessage } `json:"facet_counts"`
		}
		require.NoError(t, json.Unmarshal([]byte(must(t, e, 200, "GET", "/collections/"+search, "")), &answer))
		return string(answer.Facets[0].Counts)
	}
	require.JSONEq(t, `[{"count":2,"highlighted":"red","value":"red","parent":{"name":"red","hex":"#ee0000"}},{"count":1,"highlighted":"blue","value":"blue","parent":{"name":"blue","hex":"#0000ff"}}]`,
		counts("clothes/documents/search?q=*&facet_by=color.name&facet_return_parent=color.name&filter_by=n:>0"))
	require.JSONEq(t, `[{"count":1,"highlighted":"red","value":"red","parent":{"name":"red","hex":"#ff0000"}}]`, counts("clothes/documents/search?q=*&facet_by=color.name&facet_return_parent=color.name&filter_by=n:1"),
		"the parent is of a document that was found")
	require.JSONEq(t, `[{"count":2,"highlighted":"<mark>cheese</mark>","value":"cheese","parent":{"name":"cheese","concentration":20}}]`,
		counts("dishes/documents/search?q=*&facet_by=ingredients.name&facet_return_parent=ingredients.name&facet_query=ingredients.name:cheese"), "of a list it is the object that has the value")

	body := must(t, e, 200, "GET", "/collections/songs/documents/search?q=*&exclude_fields=out_of,search_time_ms,genres&per_page=1", "")
	require.NotContains(t, body, "out_of")
	require.NotContains(t, body, "search_time_ms")
	require.NotContains(t, body, "genres")
	require.Contains(t, body, `"found":4`)
}

// Fields that a scoped key excludes are not in the parents of facets. A key that excludes `out_of` does not reveal how many documents
// others have, whatever its holder requests.
func TestDocumented_aScopedKeyHoldsForParentsAndTotals(t *testing.T) {
	e := openDocumented(t)
	must(t, e, 201, "POST", "/keys", `{"description":"s","actions":["documents:search"],"collections":["clothes"],"value":"search-parent"}`)
	key := scopedKey("search-parent", `{"filter_by":"n:<3","exclude_fields":"color.hex,out_of"}`)
	for _, search := range []string{
		"q=*&facet_by=color.name&facet_return_parent=color.name", "q=*&facet_by=color.name&facet_return_parent=color.name&exclude_fields=n&include_fields=color",
		"q=*&group_by=color.name&facet_by=color.name&facet_return_parent=color.name",
	} {
		w := with(e, key, "GET", "/collections/clothes/documents/search?"+search, "")
		require.Equal(t, 200, w.Code, w.Body)
		require.NotContains(t, w.Body.String(), "hex", search)
		require.NotContains(t, w.Body.String(), "out_of", search)
		require.NotContains(t, w.Body.String(), "blue", search)
		require.Contains(t, w.Body.String(), `"parent":{"name":"red"}`, search)
	}
	w := with(e, key, "POST", "/multi_search", `{"union":true,"searches":[{"collection":"clothes","q":"*"},{"collection":"clothes","q":"*"}]}`)
	require.Equal(t, 200, w.Code, w.Body)
	require.NotContains(t, w.Body.String(), "out_of")
}

// remove_duplicates of Typesense 30: a document that several searches of a union find appears only at its first position and is counted
// once, whatever the page. Without it there is one hit for each search, as in 29.
func TestDocumented_unionRemovesDuplicates(t *testing.T) {
	e := openDocumented(t)
	union := func(paging, more, searches string) (found int, hits string) {
		var got struct {
			Found int
			Hits  []struct {
				Document struct{ ID string }
				Search   int `json:"search_index"`
			}
		}
		require.NoError(t, json.Unmarshal([]byte(must(t, e, 200, "POST", "/multi_search"+paging, `{"union":true`+more+`,"searches":[`+searches+`]}`)), &got))
		for _, h := range got.Hits {
			hits += fmt.Sprint(" ", h.Document.ID, ":", h.Search)
		}
		return got.Found, strings.TrimSpace(hits)
	}
	searches := `{"collection":"companies","q":"*","filter_by":"num_employees:>100","sort_by":"num_employees:asc"},{"collection":"companies","q":"*","filter_by":"country:USA","sort_by":"num_employees:asc"}`
	for _, more := range []string{"", `,"remove_duplicates":false`} {
		found, hits := union("", more, searches)
		require.Equal(t, 4, found)
		require.Equal(t, "126:1 127:0 124:0 124:1", hits)
	}
	once := `,"remove_duplicates":true`
	found, hits := union("", once, searches)
	require.Equal(t, 3, found)
	require.Equal(t, "126:1 127:0 124:0", hits)
	for page, want := range []string{"126:1 127:0", "124:0", ""} {
		found, hits = union(fmt.Sprintf("?per_page=2&page=%d", page+1), once, searches)
		require.Equal(t, 3, found, "on each page")
		require.Equal(t, want, hits)
	}
	shop := `{"collection":"shoes","q":"shoe","query_by":"category","sort_by":"_eval(in_stock:true):desc"}`
	found, hits = union("", once, shop+","+shop)
	require.Equal(t, 4, found, hits)
	require.NotContains(t, hits, ":1")
	found, _ = union("", once, `{"collection":"songs","q":"*"},{"collection":"dishes","q":"*"}`)
	require.Equal(t, 6, found, "ids of different collections are different documents")
}
