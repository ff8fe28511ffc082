package api

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/embedded/settings"
)

const plurals = `{"word": "people", "root": "person"}
{"word": "children", "root": "child"}

{"word": "Mäuse", "root": "maus"}
`

// stemmed returns an engine with the dictionary plurals and a collection whose field s uses it. The field t uses Snowball's rules.
func stemmed(t *testing.T, dir string) *served {
	e := open(t, dir, embedded.Limits{})
	must(t, e, 200, "POST", "/stemming/dictionaries/import?id=plurals", plurals)
	must(t, e, 201, "POST", "/collections", `{"name":"shop","fields":[{"name":"s","type":"string","stem_dictionary":"plurals"},{"name":"t","type":"string","stem":true,"optional":true},
		{"name":"x_.*","type":"string","stem_dictionary":"plurals","optional":true}]}`)
	must(t, e, 200, "POST", "/collections/shop/documents/import", `{"id":"1","s":"a person walks","t":"walking"}
{"id":"2","s":"the People, walking"}
{"id":"3","s":"zwei Mause","x_a":"children"}`)
	return e
}

func TestStemming_aDictionaryIsAnsweredAsItWasImported(t *testing.T) {
	e := open(t, t.TempDir(), embedded.Limits{})
	defer e.Close()
	require.JSONEq(t, `{"dictionaries":[]}`, must(t, e, 200, "GET", "/stemming/dictionaries", ""))
	w := call(e, "POST", "/stemming/dictionaries/import?id=plurals", plurals)
	require.Equal(t, 200, w.Code)
	require.Equal(t, "application/octet-stream", w.Header().Get("Content-Type"))
	require.Equal(t, `{"root":"person","word":"people"}`+"\n"+`{"root":"child","word":"children"}`+"\n"+`{"root":"maus","word":"Mäuse"}`, w.Body.String())
	require.JSONEq(t, `{"dictionaries":["plurals"]}`, must(t, e, 200, "GET", "/stemming/dictionaries", ""))
	require.JSONEq(t, `{"id":"plurals","words":[{"root":"person","word":"people"},{"root":"child","word":"children"},{"root":"maus","word":"Mäuse"}]}`,
		must(t, e, 200, "GET", "/stemming/dictionaries/plurals", ""))
	must(t, e, 404, "GET", "/stemming/dictionaries/other", "")
	must(t, e, 404, "DELETE", "/stemming/dictionaries/other", "")
	require.JSONEq(t, `{"id":"plurals"}`, must(t, e, 200, "DELETE", "/stemming/dictionaries/plurals", ""))
	must(t, e, 404, "GET", "/stemming/dictionaries/plurals", "")
}

func TestStemming_whatIsNoDictionaryIsRefusedWhole(t *testing.T) {
	e := open(t, t.TempDir(), embedded.Limits{})
	defer e.Close()
	good := `{"word":"a","root":"b"}` + "\n"
	for name, body := range map[string]string{
		"nothing": "", "blank lines": "\n \n", "no JSON": good + "{", "a list": good + `["a","b"]`, "no root": good + `{"word":"a"}`, "an empty word": good + `{"word":"","root":"b"}`,
		"a number": good + `{"word":1,"root":"b"}`, "a long word": good + `{"word":"` + strings.Repeat("a", 257) + `","root":"b"}`,
	} {
		require.Equal(t, 400, call(e, "POST", "/stemming/dictionaries/import?id=d", body).Code, name)
	}
	must(t, e, 400, "POST", "/stemming/dictionaries/import", good)
	must(t, e, 400, "POST", "/stemming/dictionaries/import?id="+strings.Repeat("d", 256), good)
	require.Equal(t, 422, call(e, "POST", "/stemming/dictionaries/import?id=d", strings.Repeat(" ", settings.MaxLargeBytes+1)).Code)
	require.JSONEq(t, `{"dictionaries":[]}`, must(t, e, 200, "GET", "/stemming/dictionaries", ""))
	must(t, e, 400, "POST", "/collections", `{"name":"c","fields":[{"name":"s","type":"string","stem_dictionary":"d"}]}`)
	must(t, e, 400, "POST", "/collections", `{"name":"c","fields":[{"name":"s","type":"string","stem_dictionary":1}]}`)
	must(t, e, 201, "POST", "/collections", `{"name":"c","fields":[{"name":"s","type":"string"}]}`)
	must(t, e, 400, "PATCH", "/collections/c", `{"fields":[{"name":"u","type":"string","optional":true,"stem_dictionary":"d"}]}`)
	must(t, e, 200, "POST", "/stemming/dictionaries/import?id=d", good)
	must(t, e, 400, "POST", "/collections", `{"name":"n","fields":[{"name":"s","type":"int32","stem_dictionary":"d"}]}`)
	must(t, e, 200, "PATCH", "/collections/c", `{"fields":[{"name":"u","type":"string","optional":true,"stem_dictionary":"d"}]}`)
	must(t, e, 409, "DELETE", "/stemming/dictionaries/d", "")
	must(t, e, 200, "DELETE", "/collections/c", "")
	must(t, e, 200, "DELETE", "/stemming/dictionaries/d", "")
}

func TestStemming_aKeyNeedsTheDocumentedActions(t *testing.T) {
	e := open(t, t.TempDir(), embedded.Limits{})
	defer e.Close()
	requests := map[string][2]string{
		"stemming/dictionaries:create": {"POST", "/stemming/dictionaries/import?id=plurals"}, "stemming/dictionaries:list": {"GET", "/stemming/dictionaries"},
		"stemming/dictionaries:get": {"GET", "/stemming/dictionaries/plurals"}, "stemming/dictionaries:delete": {"DELETE", "/stemming/dictionaries/other"},
	}
	must(t, e, 200, "POST", "/stemming/dictionaries/import?id=plurals", plurals)
	for action := range requests {
		must(t, e, 201, "POST", "/keys", fmt.Sprintf(`{"description":"d","actions":[%q],"collections":["*"],"value":%q}`, action, "key of "+action))
	}
	for action, r := range requests {
		for of := range requests {
			code := with(e, "key of "+of, r[0], r[1], plurals).Code
			require.Equal(t, of != action, code == http.StatusUnauthorized, "%s with the key for %s: %d", action, of, code)
		}
	}
}

func TestStemming_wordsOfADictionaryAreFoundByEachOther(t *testing.T) {
	dir := t.TempDir()
	e := stemmed(t, dir)
	look := func(e *served) {
		t.Helper()
		exact := "&num_typos=0&prefix=false&sort_by=_text_match:asc"
		require.Equal(t, "1 2", sorted(ids(t, e, "q=people&query_by=s"+exact)))
		require.Equal(t, "1 2", sorted(ids(t, e, "q=PERSON&query_by=s"+exact)))
		require.Equal(t, "3", ids(t, e, "q=maus&query_by=s"+exact), "with and without accents")
		require.Equal(t, "3", ids(t, e, "q=child&query_by=x_a"+exact), "a field made by a pattern")
		require.Equal(t, "1", ids(t, e, "q=walks&query_by=s"+exact), "a word that is not in the dictionary stays as it is")
		require.Equal(t, "1", ids(t, e, "q=walks&query_by=t"+exact), "the other field has Snowball's rules")
		require.Equal(t, "2", ids(t, e, "q=*&query_by=s&filter_by=s:persons || s:=`the person walking`"), "a filter compares the roots")
	}
	look(e)
	var shown struct {
		Fields []struct {
			Name           string
			Stem           bool
			StemDictionary string `json:"stem_dictionary"`
		}
	}
	require.NoError(t, json.Unmarshal([]byte(must(t, e, 200, "GET", "/collections/shop", "")), &shown))
	require.True(t, shown.Fields[0].Stem, "it is implied")
	require.Equal(t, "plurals", shown.Fields[0].StemDictionary)
	marks := must(t, e, 200, "GET", "/collections/shop/documents/search?q=person&query_by=s&highlight_full_fields=s", "")
	require.Contains(t, marks, "<mark>People</mark>")
	require.NoError(t, e.Close())
	e = open(t, dir, embedded.Limits{})
	look(e)
	must(t, e, 201, "POST", "/collections?src_name=shop", `{"name":"copy"}`)
	must(t, e, 201, "POST", "/collections/copy/documents", `{"id":"1","s":"children"}`)
	require.JSONEq(t, `{"found":1}`, only(t, must(t, e, 200, "GET", "/collections/copy/documents/search?q=child&query_by=s&prefix=false", ""), "found"))
	require.NoError(t, e.Close())
}

func sorted(list string) string {
	if list == "2 1" {
		return "1 2"
	}
	return list
}

// TestStemming_anotherDictionaryOfTheNameHoldsForAllDocuments replaces a dictionary. Existing documents are found by the new one.
func TestStemming_anotherDictionaryOfTheNameHoldsForAllDocuments(t *testing.T) {
	dir := t.TempDir()
	e := stemmed(t, dir)
	before := segmentFiles(t, dir)
	must(t, e, 200, "POST", "/stemming/dictionaries/import?id=plurals", plurals)
	require.Equal(t, before, segmentFiles(t, dir), "the same again changes nothing")
	must(t, e, 200, "POST", "/stemming/dictionaries/import?id=plurals", `{"word":"walks","root":"walking"}`)
	look := func(e *served) {
		t.Helper()
		require.Equal(t, "1 2", sorted(ids(t, e, "q=walks&query_by=s&num_typos=0&prefix=false")))
		require.Equal(t, "2", ids(t, e, "q=people&query_by=s&num_typos=0&prefix=false"))
	}
	look(e)
	must(t, e, 201, "POST", "/collections/shop/documents", `{"id":"4","s":"nobody runs"}`)
	require.NoError(t, e.Close())
	e = open(t, dir, embedded.Limits{})
	look(e)
	require.NoError(t, e.Close())
}

// TestStemming_besideWritesWhatIsFoundIsByTheLastDictionary alternates between dictionaries, while others write, search, and create and
// alter collections that use them.
func TestStemming_besideWritesWhatIsFoundIsByTheLastDictionary(t *testing.T) {
	dir := t.TempDir()
	e := stemmed(t, dir)
	const rounds = 12
	other := strings.ReplaceAll(plurals, "person", "walking")
	var all sync.WaitGroup
	all.Go(func() {
		for i := range rounds {
			call(e, "POST", "/stemming/dictionaries/import?id=plurals", []string{other, plurals}[i%2])
		}
	})
	for w := range 3 {
		all.Go(func() {
			for i := range rounds {
				call(e, "POST", "/collections/shop/documents?action=upsert", fmt.Sprintf(`{"id":"w%d-%d","s":"many people"}`, w, i))
				call(e, "GET", "/collections/shop/documents/search?q=person&query_by=s", "")
			}
		})
	}
	all.Go(func() {
		for i := range rounds {
			name := fmt.Sprintf("c%d", i)
			call(e, "POST", "/collections", `{"name":"`+name+`","fields":[{"name":"s","type":"string"}]}`)
			call(e, "PATCH", "/collections/"+name, `{"fields":[{"name":"u","type":"string","optional":true,"stem_dictionary":"plurals"}]}`)
			call(e, "POST", "/collections/"+name+"/documents", `{"id":"1","s":"x","u":"people"}`)
		}
	})
	all.Wait()
	look := func(e *served) {
		t.Helper()
		query := "/documents/search?q=person&num_typos=0&prefix=false&per_page=0&query_by="
		require.JSONEq(t, fmt.Sprintf(`{"found":%d}`, 2+3*rounds), only(t, must(t, e, 200, "GET", "/collections/shop"+query+"s", ""), "found"))
		for i := range rounds {
			require.JSONEq(t, `{"found":1}`, only(t, must(t, e, 200, "GET", fmt.Sprintf("/collections/c%d%su", i, query), ""), "found"))
		}
	}
	look(e)
	require.NoError(t, e.Close())
	e = open(t, dir, embedded.Limits{})
	look(e)
	require.NoError(t, e.Close())
}

// TestStemming_aDictionaryThatCannotBeKeptChangesNothing makes the settings unwritable by putting a directory in their place. The old
// dictionary remains in use.
func TestStemming_aDictionaryThatCannotBeKeptChangesNothing(t *testing.T) {
	dir := t.TempDir()
	e := stemmed(t, dir)
	path := filepath.Join(dir, settings.FileName)
	kept, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.MkdirAll(filepath.Join(path, "in the way"), 0o700)) // a file can't take the place of a directory
	must(t, e, 500, "POST", "/stemming/dictionaries/import?id=plurals", `{"word":"walks","root":"walking"}`)
	require.Equal(t, "1", ids(t, e, "q=walks&query_by=s&num_typos=0&prefix=false"))
	require.Equal(t, "1 2", sorted(ids(t, e, "q=people&query_by=s&num_typos=0&prefix=false")))
	require.NoError(t, os.RemoveAll(path))
	require.NoError(t, os.WriteFile(path, kept, 0o600))
	require.NoError(t, e.Close())
}

// TestStemming_withoutItsDictionaryACollectionStillOpens deletes the settings. That is logged, and the dictionary can be imported again.
func TestStemming_withoutItsDictionaryACollectionStillOpens(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, stemmed(t, dir).Close())
	require.NoError(t, os.Remove(filepath.Join(dir, settings.FileName)))
	var log strings.Builder
	engine, err := embedded.Open(embedded.Config{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	require.NoError(t, engine.WaitReady(t.Context()))
	e := serve(engine)
	require.Contains(t, log.String(), "words of a collection are not stemmed")
	must(t, e, 200, "GET", "/collections/shop/documents/search?q=walks&query_by=s", "")
	must(t, e, 200, "POST", "/stemming/dictionaries/import?id=plurals", plurals)
	require.Equal(t, "1 2", sorted(ids(t, e, "q=people&query_by=s&num_typos=0&prefix=false")))
	require.NoError(t, e.Close())
}
