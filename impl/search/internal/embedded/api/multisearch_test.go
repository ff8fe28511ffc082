package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/tsclient"
)

func multi(searches []string) string { return `{"searches":[` + strings.Join(searches, ",") + `]}` }

// The answers of a multi_search have a common limit. A search that does not fit any more is refused in its own place.
func TestMultiSearch_boundsItsAnswersTogether(t *testing.T) {
	e := open(t, t.TempDir(), embedded.Limits{SearchTime: time.Hour}) // it is about room, on a machine that may be slow
	defer func() { require.NoError(t, e.Close()) }()
	must(t, e, 201, "POST", "/collections", `{"name":"large","fields":[{"name":"s","type":"string"}]}`)
	must(t, e, 201, "POST", "/collections", `{"name":"small","fields":[{"name":"s","type":"string"}]}`)
	for i := range 4 {
		must(t, e, 201, "POST", "/collections/large/documents", fmt.Sprintf(`{"id":"%d","s":"large","scan":"%s"}`, i, strings.Repeat("x", 1000<<10)))
	}
	must(t, e, 201, "POST", "/collections/small/documents", `{"id":"s","s":"small"}`)
	asks, params := make([]string, 20), make([]map[string]any, 20)
	for i := range asks {
		name := "large"
		if i == 19 {
			name = "small"
		}
		asks[i], params[i] = `{"collection":"`+name+`","q":"*"}`, map[string]any{"collection": name, "q": "*"}
	}
	body := must(t, e, 200, "POST", "/multi_search", multi(asks))
	require.LessOrEqual(t, len(body), maxAnswers+len(asks)*smallAnswer)
	var got struct {
		Results []struct {
			Found, Code int
			Error       string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(body), &got))
	for i, r := range got.Results {
		switch {
		case i < 16:
			require.Equal(t, 4, r.Found, i)
		case i < 19:
			require.Equal(t, 422, r.Code, i)
			require.Equal(t, "Rejecting search: the results of one multi_search are at most 67108864 bytes together. Ask for fewer documents or fields.", r.Error)
		default:
			require.Equal(t, 1, r.Found, "what is small has a place")
		}
	}
	patient, err := tsclient.New("http://embedded", tsclient.InProcess(e), func() string { return testKey }, tsclient.Deadlines{Search: time.Hour})
	require.NoError(t, err)
	results, err := patient.MultiSearch(t.Context(), params...)
	require.NoError(t, err, "our own client reads all of it")
	require.NotNil(t, results.Results[18].Refused)
	require.EqualValues(t, 1, results.Results[19].Found)
	for i := range asks {
		asks[i] = `{"collection":"large","q":"*"}`
	}
	union := strings.TrimSuffix(multi(asks), "}") + `,"union":true}`
	require.Contains(t, must(t, e, 200, "POST", "/multi_search?per_page=250", union), `"code":422`)
	require.Contains(t, must(t, e, 200, "POST", "/multi_search?per_page=2", union), `"found":80`)
}

// However many multi-searches there are, a single search is admitted beside them.
func TestMultiSearch_manyStarveNobody(t *testing.T) {
	e := open(t, t.TempDir(), embedded.Limits{SearchTime: time.Minute})
	defer func() { require.NoError(t, e.Close()) }()
	must(t, e, 201, "POST", "/collections", `{"name":"c","fields":[{"name":"s","type":"string"}]}`)
	for i := range 100 {
		must(t, e, 201, "POST", "/collections/c/documents", fmt.Sprintf(`{"id":"%d","s":"one two three"}`, i))
	}
	asks := make([]string, maxSearches)
	for i := range asks {
		asks[i] = `{"collection":"c","q":"on two","query_by":"s"}`
	}
	union := strings.TrimSuffix(multi(asks), "}") + `,"union":true}`
	var group sync.WaitGroup
	stop := make(chan struct{})
	for i := range 64 {
		body := multi(asks)
		if i%4 == 0 {
			body = union
		}
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if code := call(e, "POST", "/multi_search", body).Code; code != 200 && code != 503 {
					t.Errorf("status %d", code)
				}
			}
		})
	}
	for range 10 {
		must(t, e, 200, "GET", "/collections/c/documents/search?q=one&query_by=s", "")
		must(t, e, 200, "POST", "/multi_search", multi(asks[:fewSearches]))
	}
	close(stop)
	group.Wait()
	require.Contains(t, must(t, e, 200, "POST", "/multi_search", multi(asks)), `"found":100`, "and every place is free again")
}
