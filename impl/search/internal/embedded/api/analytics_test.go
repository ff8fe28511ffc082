package api

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/embedded/analytics"
	"github.com/fountainai/fountain/internal/clock"
)

// counting returns an engine that counts, with rules for the collection songs.
func counting(t *testing.T, counts bool) (*served, *clock.Fake) {
	t.Helper()
	now := clock.NewFake(time.Unix(1_700_000_000, 0))
	engine, err := embedded.Open(embedded.Config{Dir: t.TempDir(), Clock: now})
	require.NoError(t, err)
	require.NoError(t, engine.WaitReady(t.Context()))
	e := &served{engine, New(engine, Options{Analytics: counts, Key: func(k string) bool { return k == testKey }})}
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	must(t, e, 201, "POST", "/collections", `{"name":"songs_1","fields":[{"name":"title","type":"string"},{"name":"popularity","type":"int32","optional":true}]}`)
	must(t, e, 200, "PUT", "/aliases/songs", `{"collection_name":"songs_1"}`)
	must(t, e, 200, "POST", "/collections/songs/documents/import", `{"id":"1","title":"Running Shoes","popularity":5}`+"\n"+`{"id":"2","title":"Walking"}`)
	for _, name := range []string{"queries", "nothing"} {
		must(t, e, 201, "POST", "/collections", `{"name":"`+name+`","fields":[{"name":"q","type":"string"},{"name":"count","type":"int32"}]}`)
	}
	rule := func(name, kind, params string) {
		must(t, e, 200, "PUT", "/analytics/rules/"+name, `{"type":"`+kind+`","params":`+params+`}`)
	}
	rule("popular", "popular_queries", `{"source":{"collections":["songs"],"events":[{"type":"search","name":"searched"}]},"destination":{"collection":"queries"},"limit":2}`)
	rule("none", "nohits_queries", `{"source":{"collections":["songs_1"]},"destination":{"collection":"nothing"}}`)
	rule("clicks", "counter", `{"source":{"collections":["songs"],"events":[{"type":"click","weight":1,"name":"clicked"},{"type":"conversion","weight":2,"name":"bought"}]},"destination":{"collection":"songs","counter_field":"popularity"}}`)
	rule("lost", "popular_queries", `{"source":{"collections":["songs"]},"destination":{"collection":"there_is_none"}}`)
	return e, now
}

// kept returns the queries of a collection with their counts, the most frequent first.
func kept(t *testing.T, e *served, collection string) string {
	t.Helper()
	var answer struct {
		Hits []struct {
			Document struct {
				Q     string
				Count int
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(must(t, e, 200, "GET", "/collections/"+collection+"/documents/search?q=*&sort_by=count:desc", "")), &answer))
	var out []string
	for _, h := range answer.Hits {
		out = append(out, fmt.Sprint(h.Document.Q, " ", h.Document.Count))
	}
	return strings.Join(out, ", ")
}

func TestAnalytics_queriesAreCountedInTheirCollections(t *testing.T) {
	e, now := counting(t, true)
	search := func(user, rest string) {
		r := httptest.NewRequest("GET", "/collections/songs/documents/search?query_by=title&num_typos=0&"+rest, nil)
		r.Header.Set("X-TYPESENSE-API-KEY", testKey)
		r.Header.Set("X-TYPESENSE-USER-ID", user)
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		require.Equal(t, 200, w.Code, w.Body)
	}
	for _, q := range []string{"r", "ru", "Run"} { // typed on
		search("me", "q="+q)
	}
	search("you", "q=run")
	search("they", "q=walking&page=2")
	search("those", "q=walking&enable_analytics=false")
	search("them", "q=*")
	search("him", "q=swimming")
	now.Advance(analytics.Pause)
	search("me", "q=walk")
	must(t, e, 200, "POST", "/multi_search?x-typesense-user-id=her", `{"searches":[{"collection":"songs_1","q":"Running  shoes","query_by":"title"}]}`)
	must(t, e, 201, "POST", "/analytics/events", `{"type":"search","name":"searched","data":{"q":"Running Shoes","user_id":"7"}}`)
	require.Equal(t, "", kept(t, e, "queries"), "they come when it is time")
	now.Advance(analytics.Pause)
	e.flushCounts(t.Context())
	require.Equal(t, "running shoes 2, run 2", kept(t, e, "queries"), "of three, the limit is two")
	require.Equal(t, "swimming 1", kept(t, e, "nothing"))

	search("you", "q=run")
	now.Advance(analytics.Pause)
	e.flushCounts(t.Context())
	require.Equal(t, "run 3, running shoes 2", kept(t, e, "queries"), "they add up")
	must(t, e, 200, "DELETE", "/analytics/rules/popular", "")
	search("you", "q=run")
	now.Advance(analytics.Pause)
	e.flushCounts(t.Context())
	require.Equal(t, "run 3, running shoes 2", kept(t, e, "queries"), "without the rule they stay as they are")
}

// A rule that keeps no queries, or that has no number, would otherwise empty its collection.
func TestAnalytics_aRuleWithoutALimitDeletesNothing(t *testing.T) {
	e, now := counting(t, true)
	for _, limit := range []string{"0", "-1", "null"} {
		must(t, e, 200, "PUT", "/analytics/rules/popular", `{"type":"popular_queries","params":{"source":{"collections":["songs"]},"destination":{"collection":"queries"},"limit":`+limit+`}}`)
		must(t, e, 200, "GET", "/collections/songs/documents/search?query_by=title&q=run", "")
		now.Advance(analytics.Pause)
		e.flushCounts(t.Context())
	}
	require.Equal(t, "run 3", kept(t, e, "queries"))
}

func TestAnalytics_eventsAddTheirWeightToADocument(t *testing.T) {
	e, _ := counting(t, true)
	for range 2 {
		must(t, e, 201, "POST", "/analytics/events", `{"type":"click","name":"clicked","data":{"doc_id":"1","user_id":"7"}}`)
		must(t, e, 201, "POST", "/analytics/events", `{"type":"conversion","name":"bought","data":{"doc_id":"2","user_id":"7"}}`)
		must(t, e, 201, "POST", "/analytics/events", `{"type":"click","name":"clicked","data":{"doc_id":"3","user_id":"7"}}`)
		must(t, e, 201, "POST", "/analytics/events", `{"type":"visit","name":"clicked","data":{"doc_id":"1","user_id":"7"}}`)
	}
	e.flushCounts(t.Context())
	require.JSONEq(t, `{"id":"1","title":"Running Shoes","popularity":7}`, must(t, e, 200, "GET", "/collections/songs/documents/1", ""))
	require.JSONEq(t, `{"id":"2","title":"Walking","popularity":4}`, must(t, e, 200, "GET", "/collections/songs/documents/2", ""), "one that had none begins with 0")
	must(t, e, 404, "GET", "/collections/songs/documents/3", "")
	e.flushCounts(t.Context())
	require.Contains(t, must(t, e, 200, "GET", "/collections/songs/documents/1", ""), `"popularity":7`, "an event counts once")
	require.Equal(t, 1, strings.Count(must(t, e, 200, "GET", "/collections/songs/documents/search?q=*&filter_by=popularity:7", ""), `"document"`), "it can be searched")
}

func TestAnalytics_withoutTheSwitchNothingIsCounted(t *testing.T) {
	e, now := counting(t, false)
	must(t, e, 200, "GET", "/collections/songs/documents/search?q=run&query_by=title", "")
	must(t, e, 201, "POST", "/analytics/events", `{"type":"click","name":"clicked","data":{"doc_id":"1","user_id":"7"}}`)
	now.Advance(analytics.Pause)
	e.CountQueries(t.Context(), time.Hour) // ends at once
	require.Equal(t, "", kept(t, e, "queries"))
	require.Contains(t, must(t, e, 200, "GET", "/collections/songs/documents/1", ""), `"popularity":5`)
}
