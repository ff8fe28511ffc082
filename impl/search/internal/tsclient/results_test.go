package tsclient

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

const example = `{"results": [ {"facet_counts":[{"counts":[{"count":2,"highlighted":"a","value":"a \"q\" \\"}],"field_name":"kind","stats":{}}],
	"found":2,"out_of":9007199254740993,"page":1,"search_time_ms":3,"request_params":{"q":"]}"},
	"hits":[{"document":{"id":"1","n":9007199254740993,"t":"}]\\"},"highlight":{"t":{"snippet":"x"}},"highlights":[{"field":"t","snippet":"<mark>x</mark>"},
	{"field":"l","indices":[0],"snippets":["a","b"]},{"field":"e","snippet":""}],"text_match":578730123365187705},{"document":{}}]} ]}`

func TestResults_arePartsOfTheAnswer(t *testing.T) {
	all, err := results([]byte(example), true)
	require.NoError(t, err)
	require.Len(t, all, 1)
	r := all[0]
	require.Equal(t, []int64{2, 9007199254740993, 1, 3}, []int64{r.Found, r.OutOf, r.Page, r.TookMs})
	require.True(t, r.Embedded)
	require.Equal(t, `{"id":"1","n":9007199254740993,"t":"}]\\"}`, string(r.Hits[0].Document))
	require.Equal(t, "578730123365187705", string(r.Hits[0].Score))
	var marks []string
	for _, m := range r.Hits[0].Highlights {
		marks = append(marks, string(m.Field)+string(m.Snippet))
	}
	require.Equal(t, []string{`"t""<mark>x</mark>"`, `"l""a"`, `"l""b"`}, marks)
	require.Equal(t, "{}", string(r.Hits[1].Document))
	require.Equal(t, `"a \"q\" \\"`, string(r.Facets[0].Counts[0].Value))
	require.EqualValues(t, 2, r.Facets[0].Counts[0].Count)
}

func TestResults_refuseWhatIsNoAnswer(t *testing.T) {
	for _, bad := range []string{
		"", "null", "{", `{"results":[}`, `{"results":[{"found":1.5}]}`, `{"results":[{"hits":[{"document":[]}]}]}`, `{"results":[{"hits":[{"document":{},"text_match":"1\",\"x\":\""}]}]}`,
		`{"results":[{"hits":[{}]}]}`, `{"results":[]} x`, `{"results":[{"found":"1"}]}`, `{"results":["a]}`, `{results:[]}`, `{"results":[{"hits":[{"document":{"a":?}}]}]}`,
	} {
		_, err := results([]byte(bad), false)
		require.ErrorIs(t, err, error(errBadAnswer), bad)
	}
	all, err := results([]byte(`{"results":[{"found":1},{"code":404,"error":"Not \"there\"."},{"found":2}]}`), true)
	require.NoError(t, err)
	require.Equal(t, []Result{{Found: 1, Embedded: true}, {Embedded: true, Refused: &Error{Status: 404, Message: `Not "there".`, Embedded: true}}, {Found: 2, Embedded: true}}, all)
}

func TestUnited_readsBothFormsOfAUnion(t *testing.T) {
	const one = `{"found":3,"out_of":7,"page":2,"search_time_ms":1,"hits":[{"collection":"a","document":{"id":"1"},"search_index":1,"text_match":5},{"document":{"id":"2"},"search_index":0}]}`
	for _, text := range []string{one, `{"results":[` + one + `]}`} {
		r, err := united([]byte(text), true, 2)
		require.NoError(t, err)
		require.Equal(t, []int64{3, 7, 2, 1, 0}, []int64{r.Found, r.OutOf, r.Page, r.Hits[0].Search, r.Hits[1].Search})
		_, err = united([]byte(text), true, 1)
		require.ErrorIs(t, err, error(errBadAnswer), "no search has that place")
	}
	var refused *Error
	_, err := united([]byte(`{"code":404,"error":"Not found."}`), true, 1)
	require.ErrorAs(t, err, &refused)
	require.Equal(t, Error{Status: 404, Message: "Not found.", Embedded: true}, *refused)
	for _, bad := range []string{"", "[]", one + "x", `{"results":[]}`, `{"results":{}}`, `{"hits":[{"document":{},"search_index":"0"}]}`, `{"hits":[{"document":{},"search_index":-1}]}`} {
		_, err := united([]byte(bad), false, 2)
		require.ErrorIs(t, err, error(errBadAnswer), bad)
	}
}

// FuzzResults holds what is read against encoding/json: of a text that is JSON every document is JSON, of others there is an end.
func FuzzResults(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte(`{"results":[{"hits":[{"document":{"a":[{"b":"\\\""}]}}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if r, err := united(text, false, 1); err == nil && json.Valid(text) {
			for _, h := range r.Hits {
				require.True(t, json.Valid(h.Document), "%q", h.Document)
			}
		}
		all, err := results(text, false)
		var want struct {
			Results []struct {
				Found int64
				Hits  []struct{ Document json.RawMessage }
			} `json:"results"`
		}
		if err != nil || json.Unmarshal(text, &want) != nil || len(all) != len(want.Results) {
			return // a name with an escape, in other letters or repeated is read by one of the two alone
		}
		for i, r := range all {
			if len(r.Hits) != len(want.Results[i].Hits) {
				continue
			}
			for _, h := range r.Hits {
				require.True(t, json.Valid(h.Document), "%q", h.Document)
				require.Equal(t, byte('{'), h.Document[0])
			}
		}
	})
}

func TestInProcess_anAbortedSearchIsAnError(t *testing.T) {
	c := with(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, Deadlines{})
	_, err := c.MultiSearch(t.Context(), map[string]any{"q": "x"})
	require.ErrorIs(t, err, ErrAborted)
}
