package api

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
)

// The rules of this file were derived from recorded answers of 29.0. The inputs here are different.

func openStars(t *testing.T) *served {
	e := open(t, t.TempDir(), embedded.Limits{})
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	must(t, e, 201, "POST", "/collections", `{"name":"shop","default_sorting_field":"mass","fields":[{"name":"name","type":"string","infix":true},
		{"name":"kind","type":"string","facet":true},{"name":"year","type":"int32","facet":true},{"name":"mass","type":"int32"}]}`)
	lines := ""
	for i, s := range []struct {
		name, kind string
		year, mass int
	}{
		{"sun dwarf", "g", 1, 9}, {"red sun", "g", 2, 1}, {"sun", "k", 3, 5}, {"sunflower", "k", 2, 7}, {"moon un/dwarf", "m", 4, 3}, {"sun sun dwarf", "m", 5, 2},
	} {
		lines += fmt.Sprintf(`{"id":"%d","name":"%s","kind":"%s","year":%d,"mass":%d}`+"\n", i+1, s.name, s.kind, s.year, s.mass)
	}
	require.NotContains(t, must(t, e, 200, "POST", "/collections/shop/documents/import", lines), "false,")
	return e
}

// facets returns the values of the only facet, in order.
func facets(t *testing.T, e *served, params string) string {
	t.Helper()
	body := must(t, e, 200, "GET", "/collections/shop/documents/search?per_page=0&"+params, "")
	var out []string
	for i, part := range strings.Split(only(t, body, "facet_counts"), `"value":"`) {
		if i > 0 {
			value, _, _ := strings.Cut(part, `"`)
			out = append(out, value)
		}
	}
	return strings.Join(out, " ")
}

func TestRules_ofEquallyFrequentValuesTheNewestDocumentsCount(t *testing.T) {
	e := openStars(t)
	require.Equal(t, "2 5 4", facets(t, e, "q=*&facet_by=year&max_facet_values=3"))
	require.Equal(t, "m k", facets(t, e, "q=*&facet_by=kind&max_facet_values=2"))
	must(t, e, 200, "PATCH", "/collections/shop/documents/1", `{"year":3}`)
	require.Equal(t, "2 3 5", facets(t, e, "q=*&facet_by=year&max_facet_values=3"), "the order is that of the insertion, whatever was changed last")
	require.Contains(t, must(t, e, 200, "GET", "/collections/shop/documents/search?q=*&facet_by=kind&hidden_hits=1,2", ""), `{"count":2,"highlighted":"g","value":"g"}`,
		"the most frequent values are those of the collection")
	require.NotContains(t, must(t, e, 200, "GET", "/collections/shop/documents/search?q=*&facet_by=kind&hidden_hits=1,2&facet_strategy=exhaustive", ""), `"value":"g"`)
}

func TestRules_theCollectionsOwnOrderCountsOnlyWithoutAnother(t *testing.T) {
	e := openStars(t)
	body := must(t, e, 200, "GET", "/collections/shop/documents/search?q=*&group_by=kind&group_limit=1&include_fields=id&sort_by=_group_found:desc", "")
	require.Less(t, strings.Index(body, `["m"]`), strings.Index(body, `["k"]`), "the newest document leads: %s", body)
	require.Less(t, strings.Index(body, `["k"]`), strings.Index(body, `["g"]`), "%s", body)
	require.Equal(t, "6 5 4 3 2 1", ids(t, e, "q=*&sort_by=_eval(mass:>0):desc"))
	require.Equal(t, "1 4 3 5 6 2", ids(t, e, "q=*"))
}

func TestRules_wordsInsideWordsComeLast(t *testing.T) {
	e := openStars(t)
	require.Equal(t, "5 1 4 3 6 2", ids(t, e, "q=un&query_by=name&infix=always"), "a word that begins so comes before those that hold it")
	body := must(t, e, 200, "GET", "/collections/shop/documents/search?q=nd&query_by=name&infix=always&include_fields=id", "")
	require.Contains(t, body, `"id":"5"`)
	require.NotContains(t, body, "<mark>", "un/dwarf does not hold nd as it is written")
	body = must(t, e, 200, "GET", "/collections/shop/documents/search?q=low&query_by=name&infix=always", "")
	require.Contains(t, body, "<mark>sunflower</mark>")
}

func TestRules_aWordThatWasLeftOutCountsWhereItIs(t *testing.T) {
	e := openStars(t)
	require.Equal(t, "2", strings.Fields(ids(t, e, "q=sun dragon red&query_by=name&drop_tokens_threshold=10"))[0], "red and sun, though the words were left out one by one")
	require.Equal(t, "1 6 3 2", ids(t, e, "q=sun dwarf cat&query_by=name&drop_tokens_threshold=10"), "then what sun alone finds, in the collection's own order")
}

func TestRules_synonymsLoseWordsAsTheQueryDoes(t *testing.T) {
	e := openStars(t)
	must(t, e, 200, "PUT", "/collections/shop/synonyms/s", `{"root":"lantern","synonyms":["moon"]}`)
	require.Equal(t, "5", ids(t, e, "q=lantern dragon&query_by=name"))
	require.Equal(t, "", ids(t, e, "q=lantern dragon&query_by=name&drop_tokens_threshold=0"))
}

func TestRules_aWordTwiceAsksForTwoWords(t *testing.T) {
	e := openStars(t)
	require.Equal(t, "2", strings.Fields(ids(t, e, "q=sun sun&query_by=name"))[0], "red sun has two words and ends with sun")
	require.Equal(t, "3", strings.Fields(ids(t, e, "q=sun&query_by=name"))[0])
}

func TestRules_twoAmpersandsAreTheFiltersOwn(t *testing.T) {
	e := openStars(t)
	body := must(t, e, 200, "GET", "/collections/shop/documents/search?q=*&filter_by=year:>=2&&mass:<=2&include_fields=id", "")
	require.Contains(t, body, `"found":2`)
	require.Contains(t, must(t, e, 200, "GET", "/collections/shop/documents/search?q=*&", ""), `"found":6`)
	require.Contains(t, must(t, e, 404, "GET", "/collections/shop/documents/search?q=x&query_by=kind&&", ""), "`kind&`")
}

func TestRules_fieldsOfObjectsComeInTheOrderOfTheirHashes(t *testing.T) {
	e := open(t, t.TempDir(), embedded.Limits{})
	defer func() { require.NoError(t, e.Close()) }()
	must(t, e, 201, "POST", "/collections", `{"name":"deep","enable_nested_fields":true,"fields":[{"name":"o","type":"object","facet":true}]}`)
	must(t, e, 201, "POST", "/collections/deep/documents", `{"id":"1","o":{"alpha":"x","beta":"y"}}`)
	body := must(t, e, 200, "GET", "/collections/deep", "")
	require.Less(t, strings.Index(body, `"o.beta"`), strings.Index(body, `"o.alpha"`), "two names of two buckets: the later one first")
	must(t, e, 200, "PATCH", "/collections/deep/documents/1", `{"o":{"aa":"z"}}`)
	body = must(t, e, 200, "GET", "/collections/deep", "")
	require.Less(t, strings.Index(body, `"o.alpha"`), strings.Index(body, `"o.aa"`), "what is added later comes after all")
}

func TestSearch_whatIsFoundInTimeIsAnswered(t *testing.T) {
	e := openStars(t)
	body := must(t, e, 200, "GET", "/collections/shop/documents/search?q=sun&query_by=name&search_cutoff_ms=60000", "")
	require.Contains(t, body, `"search_cutoff":false`)
	body = must(t, e, 200, "GET", "/collections/shop/documents/search?q=sun+dwarf&query_by=name&drop_tokens_threshold=10&facet_by=kind&search_cutoff_ms=0", "")
	require.Contains(t, body, `"search_cutoff":true`)
	require.Contains(t, body, `"id":"1"`, "the first block is looked at in any case")
	require.Contains(t, body, `"value":"g"`, "and counted")
	require.NotContains(t, body, `"id":"3"`, "there was no time to leave out a word")
	body = must(t, e, 200, "GET", "/collections/shop/documents/search?q=*&facet_by=kind,year&search_cutoff_ms=0", "")
	require.Contains(t, body, `"search_cutoff":true`, "there was no time to count")
	require.Contains(t, body, `"found":6`)
	body = must(t, e, 200, "GET", "/collections/shop/documents/search?q=*&group_by=kind&search_cutoff_ms=0", "")
	require.Contains(t, body, `"search_cutoff":true`, "what is made of documents is whole or nothing")
}

func TestSearch_anOrderByChanceIsTheSameForASeed(t *testing.T) {
	e := openStars(t)
	first := ids(t, e, "q=*&sort_by=_rand(42):asc")
	require.Equal(t, first, ids(t, e, "q=*&sort_by=_rand(42):asc"))
	require.Len(t, strings.Fields(first), 6)
	orders := map[string]bool{}
	for seed := range 20 {
		orders[ids(t, e, fmt.Sprintf("q=*&sort_by=_rand(%d):asc", seed+1))] = true
	}
	require.Greater(t, len(orders), 10, "seeds give different orders")
	require.Equal(t, strings.Fields(first)[:2], strings.Fields(ids(t, e, "q=*&sort_by=_rand(42):asc&per_page=2")), "pages are parts of it")
}
