package sequence

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/problem"
)

// searchService stands in for the search service. It stores documents, checks requests and its own responses against the contract, implements just
// enough of the filter language, and can be made unavailable.
type searchService struct {
	t      testing.TB
	op     *contract.Contract
	server *httptest.Server

	mu        sync.Mutex
	away      bool
	exists    bool
	documents map[string]map[string]any
	refuse    map[string]func(doc map[string]any) bool // by id
	later     map[string]bool                          // ids whose refusal is not for good
	tokens    []string
	queries   []map[string]any
	changed   chan struct{} // gets a value after every sync
}

func newSearchService(t testing.TB) *searchService {
	c, err := contract.Load("search")
	require.NoError(t, err)
	s := &searchService{t: t, op: c, documents: map[string]map[string]any{}, refuse: map[string]func(map[string]any) bool{}, later: map[string]bool{}, changed: make(chan struct{}, 10_000)}
	s.server = httptest.NewServer(s)
	t.Cleanup(s.server.Close)
	return s
}

func (s *searchService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		problem.Write(w, r, problem.New(problem.EngineUnavailable, "away"))
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller has gone
	}
	var match contract.Match
	err = s.op.Match(r.Method, r.URL.EscapedPath(), &match)
	if err == nil {
		if match.Operation.HasBody() {
			err = match.Operation.CheckBody(r.Header.Get("Content-Type"), body)
		}
	}
	if err != nil {
		s.t.Errorf("request to the search service breaks its contract: %v", err)
		problem.Write(w, r, err)
		return
	}
	s.tokens = append(s.tokens, r.Header.Get("Authorization"))
	status, answer := s.answer(match.Operation.ID, body)
	if answer == nil {
		problem.Write(w, r, map[int]error{404: problem.New(problem.NotFound, "none"), 409: problem.New(problem.AlreadyExists, "is there"),
			422: problem.New(problem.UnsupportedQuery, "unknown field")}[status])
		return
	}
	text, _ := json.Marshal(answer)
	w.Header().Set("Content-Type", "application/json")
	if err := match.Operation.CheckResponse(status, w.Header(), text); err != nil {
		s.t.Errorf("the stand-in breaks the search contract: %v", err)
	}
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

func (s *searchService) answer(operation string, body []byte) (int, any) {
	switch operation {
	case "getCollection":
		if !s.exists {
			return 404, nil
		}
		return 200, s.collection()
	case "createCollection":
		if s.exists {
			return 409, nil
		}
		s.exists = true
		return 201, s.collection()
	case "syncDocuments":
		if !s.exists {
			return 404, nil
		}
		return 200, s.sync(body)
	default:
		if !s.exists {
			return 404, nil
		}
		return s.search(body)
	}
}

func (s *searchService) collection() any {
	fields := []any{map[string]any{"name": "text", "type": "string"}}
	seen := map[string]bool{}
	for _, d := range s.documents {
		for name := range d {
			if strings.HasPrefix(name, "attr_") && !seen[name] {
				seen[name] = true
				fields = append(fields, map[string]any{"name": name, "type": "string", "facet": true, "optional": true})
			}
		}
	}
	return map[string]any{"name": "elements", "fields": fields, "documents": len(s.documents), "createdAt": "2026-11-23T10:00:00.000000Z",
		"owner": "service:svc_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", "access": "own", "tenantScoped": false}
}

func (s *searchService) sync(body []byte) any {
	var in struct {
		Items []struct {
			Op, ID   string
			Document map[string]any
		}
	}
	_ = json.Unmarshal(body, &in)
	failed := 0
	var results []any
	for _, i := range in.Items {
		if refuses := s.refuse[i.ID]; refuses != nil && refuses(i.Document) {
			failed++
			results = append(results, map[string]any{"id": i.ID, "status": "error", "code": "validation_failed", "retryable": s.later[i.ID]})
			continue
		}
		if i.Op == "delete" {
			delete(s.documents, i.ID)
		} else {
			i.Document["id"] = i.ID
			s.documents[i.ID] = i.Document
		}
		results = append(results, map[string]any{"id": i.ID, "status": "ok"})
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return map[string]any{"succeeded": len(in.Items) - failed, "failed": failed, "results": results}
}

var condition = regexp.MustCompile("^([A-Za-z0-9_]+):=(?:`([^`]*)`|\\[(`[^`]*`(?:,`[^`]*`)*)\\])$")

// numberBound is one end of a range of numbers.
var numberBound = regexp.MustCompile(`^number:([<>])=([0-9]+)$`)

// search supports conditions joined by &&, and words that must all occur.
func (s *searchService) search(body []byte) (int, any) {
	var in map[string]any
	_ = json.Unmarshal(body, &in)
	s.queries = append(s.queries, in)
	facets, _ := in["facetBy"].([]any)
	known := map[string]bool{"scopeKey": true, "typeKey": true, "status": true}
	for _, d := range s.documents {
		for name := range d {
			known[name] = true
		}
	}
	var conditions [][]string
	from, to := 0.0, 1e18
	for _, text := range splitConditions(in["filterBy"].(string)) {
		if bound := numberBound.FindStringSubmatch(text); bound != nil {
			n, _ := strconv.ParseFloat(bound[2], 64)
			if bound[1] == ">" {
				from = n
			} else {
				to = n
			}
			continue
		}
		m := condition.FindStringSubmatch(text)
		if m == nil || !known[m[1]] {
			return 422, nil
		}
		values := []string{m[2]}
		if m[3] != "" {
			values = strings.Split(strings.Trim(m[3], "`"), "`,`")
		}
		conditions = append(conditions, append([]string{m[1]}, values...))
	}
	for _, f := range facets {
		if !known[f.(string)] {
			return 422, nil
		}
	}
	return 200, s.find(in["q"].(string), conditions, facets, from, to)
}

// normalised removes what the engine ignores: case and punctuation.
func normalised(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}

// splitConditions splits at && outside backticks.
func splitConditions(filter string) (out []string) {
	parts := strings.Split(filter, "`")
	for i := 0; i < len(parts); i += 2 {
		parts[i] = strings.ReplaceAll(parts[i], " && ", "\x01")
	}
	return strings.Split(strings.Join(parts, "`"), "\x01")
}

func (s *searchService) find(words string, conditions [][]string, facets []any, from, to float64) any {
	var found []map[string]any
	for _, d := range s.documents {
		number, _ := d["number"].(float64)
		matches := number >= from && number <= to
		for _, c := range conditions {
			value, _ := d[c[0]].(string)
			matches = matches && slices.ContainsFunc(c[1:], func(want string) bool { return normalised(want) == normalised(value) })
		}
		for _, w := range strings.Fields(words) {
			matches = matches && (w == "*" || strings.Contains(d["text"].(string), w))
		}
		if matches {
			found = append(found, d)
		}
	}
	sort.Slice(found, func(i, j int) bool { return found[i]["number"].(float64) < found[j]["number"].(float64) })
	hits := []any{}
	for _, d := range found {
		hit := map[string]any{"document": d}
		if words != "*" {
			hit["highlights"] = []any{map[string]any{"field": "text", "snippet": strings.ReplaceAll(d["text"].(string), words, "<mark>"+words+"</mark>")}}
		}
		hits = append(hits, hit)
	}
	counted := []any{}
	for _, f := range facets {
		counts := map[string]int{}
		for _, d := range found {
			if v, ok := d[f.(string)].(string); ok {
				counts[v]++
			}
		}
		list := []any{}
		for v, n := range counts {
			list = append(list, map[string]any{"value": v, "count": n})
		}
		counted = append(counted, map[string]any{"field": f, "counts": list})
	}
	return map[string]any{"found": len(hits), "outOf": len(s.documents), "page": 1, "tookMs": 0, "engine": "embedded", "hits": hits, "facets": counted}
}

// set changes the behaviour of the stand-in.
func (s *searchService) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// await waits until a condition holds after a sync.
func (s *searchService) await(t testing.TB, condition func(documents map[string]map[string]any) bool) {
	for {
		s.mu.Lock()
		holds := condition(s.documents)
		state := fmt.Sprint(len(s.documents), " documents")
		s.mu.Unlock()
		if holds {
			return
		}
		select {
		case <-s.changed:
		case <-time.After(30 * time.Second):
			t.Fatal("the search service never got there: " + state)
		}
	}
}
