package tsclient

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

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

// FuzzResults compares with encoding/json: if the text is JSON, every document in the result is JSON. For other texts, decoding ends.
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

// marked returns the nth document of an owner. Each of its words is the owner's name.
func marked(whose string, n, words int) string {
	return fmt.Sprintf(`{"id":"%d","text":"%s"}`, n, strings.Repeat(whose+" ", words))
}

// sizes returns how many hits a search of a round finds, and of how many words. Some answers are larger than what is reused.
func sizes(i, round int) (hits, words int) {
	if (i+round)%11 == 10 {
		return 6, 24_000
	}
	return 1 + (7*i+13*round)%16, 1 + (5*i+round)%40
}

// engineOf answers a search with documents of the owner that its collection names. If end returns a function, the engine aborts the answer
// in the middle and calls it.
func engineOf(end func(collection string) context.CancelFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Searches []struct {
				Collection  string
				Hits, Words int
			}
		}
		if json.NewDecoder(r.Body).Decode(&asked) != nil {
			panic(http.ErrAbortHandler)
		}
		var out strings.Builder
		out.WriteString(`{"results":[`)
		for i, s := range asked.Searches {
			if i > 0 {
				out.WriteByte(',')
			}
			fmt.Fprintf(&out, `{"found":%d,"hits":[`, s.Hits)
			for n := range s.Hits {
				if n > 0 {
					out.WriteByte(',')
				}
				fmt.Fprintf(&out, `{"document":%s,"highlights":[{"field":"text","snippet":"%s"}]}`, marked(s.Collection, n, s.Words), s.Collection)
			}
			out.WriteString(`]}`)
		}
		out.WriteString(`]}`)
		cancel := end(asked.Searches[0].Collection)
		if cancel == nil {
			_, _ = io.WriteString(w, out.String())
			return
		}
		_, _ = io.WriteString(w, out.String()[:out.Len()/2])
		_ = http.NewResponseController(w).Flush()
		cancel()
		<-r.Context().Done()
	}
}

// ofOne checks that an answer contains what was requested, and nothing of another owner.
func ofOne(t *testing.T, a *Answer, whose string, hits, words int) {
	for _, r := range a.Results {
		if r.Found != int64(hits) || len(r.Hits) != hits {
			t.Errorf("%s: %d found, %d hits, not %d", whose, r.Found, len(r.Hits), hits)
			return
		}
		for n, h := range r.Hits {
			if len(h.Highlights) != 1 || string(h.Document) != marked(whose, n, words) || string(h.Highlights[0].Snippet) != `"`+whose+`"` {
				t.Errorf("%s has %.100s with %d marks", whose, h.Document, len(h.Highlights))
				return
			}
		}
	}
}

// The buffer of an answer is reused only after it was freed. Many clients request answers of all sizes at the same time, and some
// disconnect in the middle of theirs.
func TestMultiSearch_answersKeepApart(t *testing.T) {
	for name, over := range map[string]func(t *testing.T, h http.Handler) (string, Doer){
		"in the process": func(_ *testing.T, h http.Handler) (string, Doer) { return "http://engine", InProcess(h) },
		"elsewhere": func(t *testing.T, h http.Handler) (string, Doer) {
			s := httptest.NewServer(h)
			t.Cleanup(s.Close)
			transport := &http.Transport{}
			t.Cleanup(transport.CloseIdleConnections)
			return s.URL, OverHTTP(transport)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var leaving sync.Map
			base, doer := over(t, engineOf(func(collection string) context.CancelFunc {
				if cancel, ok := leaving.Load(collection); ok {
					return cancel.(context.CancelFunc)
				}
				return nil
			}))
			c, err := New(base, doer, func() string { return "k" }, Deadlines{Search: time.Minute})
			require.NoError(t, err)
			var group sync.WaitGroup
			for i := range 4 {
				group.Go(func() {
					for round := range 16 {
						whose := fmt.Sprintf("tenant%c%dx", 'a'+i, round)
						hits, words := sizes(i, round)
						search := map[string]any{"collection": whose, "hits": hits, "words": words}
						ctx, cancel := context.WithCancel(t.Context())
						if round%4 == 3 {
							leaving.Store(whose, cancel)
						}
						a, err := c.MultiSearch(ctx, search, search)
						cancel()
						if round%4 == 3 {
							if err == nil {
								t.Errorf("%s has an answer that was broken off", whose)
							}
							continue
						}
						if err != nil {
							t.Errorf("%s: %v", whose, err)
							return
						}
						runtime.Gosched() // others have their turn
						ofOne(t, a, whose, hits, words)
						a.Free()
					}
				})
			}
			group.Wait()
		})
	}
}
