package sets_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/sets"
	"github.com/fountainai/fountain/impl/search/internal/tsclient"
	"github.com/fountainai/fountain/internal/problem"
)

var update = flag.Bool("update", false, "write what the service sends into the table")

// table lists the differences between Typesense 29 and 30 that matter to this service: what it sends to each, what each answers, and how it
// understands the answer.
const table = "testdata/engines.json"

// difference is a row of the table.
type difference struct {
	Place   string                   `json:"place"`
	Does    string                   `json:"does"` // one of deeds
	Engines map[string]*conversation `json:"engines"`
}

// conversation is what is sent to one version, and the final result.
type conversation struct {
	Exchanges []*exchange `json:"exchanges"`
	Means     string      `json:"means"`
}

// exchange is a request and its answer, with the source of the answer: "recorded: <case>" for a recorded answer of 29.0, "documented:
// <page>" for the public documentation, or another text.
type exchange struct {
	Send   string            `json:"send"`
	Body   json.RawMessage   `json:"body,omitempty"`
	Status int               `json:"status"`
	Answer json.RawMessage   `json:"answer,omitempty"`
	Lines  []json.RawMessage `json:"lines,omitempty"`
	From   string            `json:"from"`
}

// script answers as a version does, in the order of the table, and records deviations from it.
type script struct {
	left   []*exchange
	faults []string
}

// ServeHTTP implements http.Handler.
func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	sent := r.Method + " " + r.URL.RequestURI()
	if err != nil || len(s.left) == 0 {
		s.faults = append(s.faults, fmt.Sprintf("not in the table: %s %s", sent, body))
		w.WriteHeader(http.StatusTeapot)
		return
	}
	next := s.left[0]
	s.left = s.left[1:]
	switch {
	case *update:
		next.Send, next.Body = sent, body
	case next.Send != sent || !same(next.Body, body):
		s.faults = append(s.faults, fmt.Sprintf("sent: %s %s\nin the table: %s %s", sent, body, next.Send, next.Body))
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(next.Status)
	for _, line := range next.Lines {
		_, _ = w.Write(append(compact(line), '\n'))
	}
	_, _ = w.Write(compact(next.Answer))
}

func compact(text json.RawMessage) []byte {
	var out bytes.Buffer
	if json.Compact(&out, text) != nil {
		return nil
	}
	return out.Bytes()
}

func same(a, b json.RawMessage) bool {
	var x, y any
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && fmt.Sprint(x) == fmt.Sprint(y)
}

// deeds are operations of the service on an engine. Each returns as text how it understood the answers.
var deeds = map[string]func(ctx context.Context, e *engine.Engine) (string, error){
	"version": func(ctx context.Context, e *engine.Engine) (string, error) {
		version, _, err := e.Version(ctx)
		return version, err
	},
	"put": func(ctx context.Context, e *engine.Engine) (string, error) {
		kept := &rows{sets: []*sets.Set{
			{Kind: sets.Synonyms, ID: "Y", Version: 1, Body: `[{"words":["sofa","couch"]}]`},
			{Kind: sets.Curations, ID: "C", Version: 1, Body: `[{"query":"bed","match":"exact","pinned":[{"id":"2","position":1}]}]`},
			{Kind: sets.Stopwords, ID: "W", Version: 1, Body: `["the"]`},
		}, attached: []sets.Attached{{Collection: &owner.Collection{Name: owner.Name{Local: "books"}}, Synonyms: []string{"Y"}, Curations: []string{"C"}}}}
		applier := sets.NewApplier(e, kept, slog.New(slog.DiscardHandler))
		if err := applier.Apply(ctx); err != nil {
			return "", err
		}
		var told []string
		for _, s := range kept.sets {
			told = append(told, s.ID+" "+string(applier.Status(s).State))
		}
		return strings.Join(slices.Sorted(slices.Values(told)), ", "), nil
	},
	"drop": func(ctx context.Context, e *engine.Engine) (string, error) {
		kept := &rows{attached: []sets.Attached{{Collection: &owner.Collection{Name: owner.Name{Local: "books"}}}}}
		return "done", sets.NewApplier(e, kept, slog.New(slog.DiscardHandler)).Apply(ctx)
	},
	"copy rules": func(ctx context.Context, e *engine.Engine) (string, error) {
		return "done", e.CopyRules(ctx, "books", "books2")
	},
	"create like": func(ctx context.Context, e *engine.Engine) (string, error) {
		old, err := e.Collection(ctx, "books")
		if err != nil {
			return "", err
		}
		made := engine.Collection{Name: "books2", Fields: []engine.Field{{Name: "text", Type: "string"}}, SynonymSets: old.SynonymSets, CurationSets: old.CurationSets}
		return "done", e.CreateLike(ctx, made, "books")
	},
	"export": func(ctx context.Context, e *engine.Engine) (string, error) {
		export, err := e.ExportWhole(ctx, "books")
		if err != nil {
			return "", err
		}
		defer export.Close()
		for n := 0; ; n++ {
			_, err := export.Next()
			if errors.Is(err, io.EOF) {
				return fmt.Sprint(n, " document"), nil
			}
			if err != nil {
				return fmt.Sprintf("%d document, %s", n, problem.From(err).Code), nil
			}
		}
	},
	"count": func(ctx context.Context, e *engine.Engine) (string, error) {
		found, err := e.Search(ctx, engine.CountSearch("books", "nope:=1"))
		if err != nil {
			return "", err
		}
		return fmt.Sprint(found[0].Found, " found"), nil
	},
	"union": func(ctx context.Context, e *engine.Engine) (string, error) {
		ask := func(filter string) map[string]any {
			return map[string]any{"collection": "books", "q": "*", "filter_by": filter}
		}
		found, err := e.Union(ctx, 1, 10, ask("n:1"), ask("n:<2"))
		if err != nil {
			return "", err
		}
		return fmt.Sprint(found.Found, " found, ", len(found.Hits), " shown"), nil
	},
}

func readTable(t *testing.T) (all []*difference) {
	t.Helper()
	body, err := os.ReadFile(table)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(body, &all))
	require.NotEmpty(t, all)
	return all
}

// What the service sends to Typesense 29 and 30, and how it understands their answers, matches the table.
func TestEngines_areSpokenToAsTheTableSays(t *testing.T) {
	all := readTable(t)
	for _, d := range all {
		for version, c := range d.Engines {
			t.Run(d.Place+"/"+version, func(t *testing.T) {
				s := &script{left: c.Exchanges}
				client, err := tsclient.New("http://engine", tsclient.InProcess(s), func() string { return "k" }, tsclient.Deadlines{})
				require.NoError(t, err)
				means, err := deeds[d.Does](t.Context(), engine.New(client, noKeys{}))
				if err != nil {
					means = string(problem.From(err).Code)
				}
				require.Empty(t, s.faults)
				require.Empty(t, s.left, "it was not asked for all")
				require.Equal(t, c.Means, means, "%v", err)
			})
		}
	}
	if *update {
		body, err := json.MarshalIndent(all, "", " ")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(table, append(body, '\n'), 0o600))
	}
}

// An answer that the table calls recorded has the status of that recording, and no content that is not in it.
func TestEngines_recordedAnswersAreThoseOfTheRecording(t *testing.T) {
	recorded := recordings(t)
	compared := 0
	for _, d := range readTable(t) {
		for version, c := range d.Engines {
			for _, x := range c.Exchanges {
				id, is := strings.CutPrefix(x.From, "recorded: ")
				if !is {
					require.NotEmpty(t, x.From)
					continue
				}
				require.Equal(t, "29", version, "of 30 there is no recording")
				method, path, _ := strings.Cut(x.Send, " ")
				require.True(t, slices.ContainsFunc(recorded[id], func(r recording) bool {
					if r.Request.Method != method || strings.Count(r.Request.Path, "/") != strings.Count(path, "/") || r.Response.Status != x.Status {
						return false
					}
					return len(r.Response.Lines) > 0 && len(x.Lines) > 0 || len(x.Lines) == 0 && fits(read(t, x.Answer), read(t, r.Response.Body))
				}), "%s: %s is not as in %s", d.Place, x.Send, id)
				compared++
			}
		}
	}
	require.Greater(t, compared, 20)
}

func read(t *testing.T, text json.RawMessage) (value any) {
	t.Helper()
	if len(text) > 0 {
		require.NoError(t, json.Unmarshal(text, &value))
	}
	return value
}

// recording is a request of a recorded case, and its answer.
type recording struct {
	Request  struct{ Method, Path string }
	Response struct {
		Status int
		Body   json.RawMessage
		Lines  []json.RawMessage
	}
}

// recordings returns the recorded cases of Typesense 29.0 by their IDs. They are stored outside of the repository.
func recordings(t *testing.T) map[string][]recording {
	t.Helper()
	shared := os.Getenv("FOUNTAIN_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "..", "..", "shared")
	}
	files, err := filepath.Glob(filepath.Join(shared, "data", "typesense", "cases", "*.jsonl"))
	require.NoError(t, err)
	if len(files) == 0 {
		require.NotContains(t, os.Getenv("FOUNTAIN_TEST_REQUIRE"), "recordings", "the recorded answers are not in %s", shared)
		t.Skip("the recorded answers of a Typesense are not there")
	}
	all := map[string][]recording{}
	for _, name := range files {
		file, err := os.Open(name)
		require.NoError(t, err)
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			var c struct {
				ID string
				recording
				Then []recording
			}
			require.NoError(t, json.Unmarshal(lines.Bytes(), &c), name)
			all[c.ID] = append([]recording{c.recording}, c.Then...)
		}
		require.NoError(t, lines.Err())
		require.NoError(t, file.Close())
	}
	return all
}

// fits reports whether an answer contains nothing that a recorded one lacks. It compares the names of members and the types of values, but
// not inside empty lists.
func fits(answer, recorded any) bool {
	switch a := answer.(type) {
	case map[string]any:
		r, ok := recorded.(map[string]any)
		for name, value := range a {
			told, is := r[name]
			ok = ok && is && fits(value, told)
		}
		return ok
	case []any:
		r, ok := recorded.([]any)
		return ok && (len(a) == 0 || len(r) == 0 || fits(a[0], r[0]))
	}
	return reflect.TypeOf(answer) == reflect.TypeOf(recorded)
}
