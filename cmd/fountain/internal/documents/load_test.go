package documents

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/search"
)

// shelf stores documents, and refuses some as the search service does.
type shelf struct {
	kept     map[string]string
	requests int
	failAt   int // the request that fails with an error, from 1
}

func (s *shelf) SyncDocuments(_ context.Context, _ string, body search.DocumentSync, _ ...fountain.CallOption) (*search.DocumentSyncResult, error) {
	if s.requests++; s.requests == s.failAt {
		return nil, errors.New("the connection broke")
	}
	for _, item := range body.Items {
		switch {
		case strings.Contains(string(*item.Document), "poison"):
			return nil, &fountain.Error{Status: 422, Code: fountain.CodeInvalidBody, Detail: "The body does not match the contract.", Errors: []fountain.FieldError{{Pointer: "/items/0/document"}}}
		case strings.Contains(string(*item.Document), "stranger"):
			return nil, &fountain.Error{Status: 422, Code: fountain.CodeValidationFailed, Errors: []fountain.FieldError{{Pointer: "/items/0/tenant"}}}
		}
	}
	out := &search.DocumentSyncResult{}
	for _, item := range body.Items {
		r := search.SyncOutcome{ID: item.ID, Status: search.SyncOutcomeStatusOk}
		if strings.Contains(string(*item.Document), "bad") {
			code, message := "validation_failed", "It does not fit."
			r.Status, r.Code, r.Message = search.SyncOutcomeStatusError, &code, &message
		} else {
			s.kept[item.ID] = string(*item.Document)
		}
		out.Results = append(out.Results, r)
	}
	return out, nil
}

// load returns a Load that records its failures and positions.
func load(s *shelf, batch int) (*Load, *[]Failure, *[]Position) {
	var failures []Failure
	var positions []Position
	return &Load{
		Store: s, Collection: "plays", Batch: batch,
		Fail: func(f Failure) error { failures = append(failures, f); return nil },
		Done: func(p Position) error { positions = append(positions, p); return nil },
	}, &failures, &positions
}

func TestLoad_tellsEveryLineThatIsNotStored(t *testing.T) {
	lines := []string{
		`{"id":"1","n":9007199254740993}`, ``, `no json`, `{"n":1}`, `{"id":2}`, `[]`, `{"id":".."}`, `{"id":"a b"}`, `{"id":"2","t":"bad"}`, `{"id":"3","t":"poison"}`, "\t{\"id\":\"4\"}\r",
		`{"id":"` + strings.Repeat("x", lineBytes+10) + `"}`, `{"id":"5"}`,
	}
	s := &shelf{kept: map[string]string{}}
	l, failures, positions := load(s, 100)
	text := strings.Join(lines, "\n")
	at, err := l.Run(t.Context(), strings.NewReader(text), Position{})
	require.NoError(t, err)
	require.Equal(t, Position{Offset: int64(len(text)), Lines: 13, Stored: 3, Failed: 9}, at)
	require.Equal(t, at, (*positions)[len(*positions)-1])
	require.Equal(t, map[string]string{"1": lines[0], "4": `{"id":"4"}`, "5": `{"id":"5"}`}, s.kept)
	told := map[int64]string{}
	for _, f := range *failures {
		told[f.Line] = f.Code
	}
	require.Equal(t, map[int64]string{
		3: "malformed_body", 4: "invalid_body", 5: "invalid_body", 6: "invalid_body", 7: "invalid_body", 8: "invalid_body", 9: "validation_failed", 10: "invalid_body", 12: "body_too_large",
	}, told)
}

func TestLoad_goesOnWhereItWasEnded(t *testing.T) {
	var text strings.Builder
	for i := range 95 {
		fmt.Fprintf(&text, "{\"id\":\"%d\",\"t\":\"%s\"}\n", i, map[bool]string{true: "bad", false: "good"}[i%10 == 3])
	}
	s := &shelf{kept: map[string]string{}, failAt: 4}
	l, failures, _ := load(s, 10)
	at, err := l.Run(t.Context(), strings.NewReader(text.String()), Position{})
	require.ErrorContains(t, err, "broke")
	require.Equal(t, Position{Offset: at.Offset, Lines: 30, Stored: 27, Failed: 3}, at)
	s.failAt = 0
	again, more, _ := load(s, 7)
	end, err := again.Run(t.Context(), strings.NewReader(text.String()[at.Offset:]), at)
	require.NoError(t, err)
	require.Equal(t, Position{Offset: int64(text.Len()), Lines: 95, Stored: 85, Failed: 10}, end)
	require.Len(t, s.kept, 85)
	require.Len(t, append(*failures, *more...), 10)
	require.EqualValues(t, 34, (*more)[0].Line)
}

func TestLoad_endsByWhatAllLinesHaveInCommon(t *testing.T) {
	s := &shelf{kept: map[string]string{}}
	l, failures, _ := load(s, 10)
	_, err := l.Run(t.Context(), strings.NewReader("{\"id\":\"1\",\"t\":\"stranger\"}\n{\"id\":\"2\"}\n"), Position{})
	require.Error(t, err)
	require.Equal(t, 1, s.requests)
	require.Empty(t, *failures)
	full := errors.New("no room")
	l.Fail = func(Failure) error { return full }
	_, err = l.Run(t.Context(), strings.NewReader("nothing\n"), Position{})
	require.ErrorIs(t, err, full)
}

// Whatever a file contains, each of its lines is stored, reported as a failure or empty.
func FuzzLoad(f *testing.F) {
	f.Add("{\"id\":\"1\"}\n\n{}\nx")
	f.Add("{\"id\":\"a\\u0000\"}\r\n{\"ID\":\"b\"}")
	f.Fuzz(func(t *testing.T, text string) {
		s := &shelf{kept: map[string]string{}}
		l, failures, _ := load(s, 3)
		at, err := l.Run(t.Context(), strings.NewReader(text), Position{})
		if err != nil {
			return // the shelf refuses the whole request, or its connection breaks
		}
		require.EqualValues(t, len(text), at.Offset)
		require.EqualValues(t, len(*failures), at.Failed)
		filled := 0
		for line := range strings.SplitSeq(text, "\n") {
			if strings.TrimSpace(line) != "" {
				filled++
			}
		}
		require.EqualValues(t, filled, at.Stored+at.Failed)
		for id, doc := range s.kept {
			require.True(t, json.Valid([]byte(doc)))
			require.Regexp(t, plainID, id)
		}
	})
}

func TestLoad_readsTheIDFromItsOwnMemberAlone(t *testing.T) {
	s := &shelf{kept: map[string]string{}}
	l, failures, _ := load(s, 100)
	text := `{"id":"1","ID":"2"}` + "\n" + `{"ID":"3"}` + "\n" + `{"Id":"4","id":"5"}` + "\n" + `{"id":null,"iD":"6"}`
	at, err := l.Run(t.Context(), strings.NewReader(text), Position{})
	require.NoError(t, err)
	require.Equal(t, Position{Offset: int64(len(text)), Lines: 4, Stored: 2, Failed: 2}, at)
	require.Equal(t, map[string]string{"1": `{"id":"1","ID":"2"}`, "5": `{"Id":"4","id":"5"}`}, s.kept)
	require.Equal(t, []int64{2, 4}, []int64{(*failures)[0].Line, (*failures)[1].Line})
}

func TestLoad_asksForTheVersionsThatDocumentsReplace(t *testing.T) {
	var sent []search.SyncItem
	refusing := storeFunc(func(items []search.SyncItem) *search.DocumentSyncResult {
		sent = append(sent, items...)
		out := &search.DocumentSyncResult{}
		code := "version_conflict"
		for _, item := range items {
			out.Results = append(out.Results, search.SyncOutcome{ID: item.ID, Status: search.SyncOutcomeStatusError, Code: &code})
		}
		return out
	})
	l, failures, _ := load(nil, 10)
	l.Store, l.VersionField = refusing, "_version"
	const lines = `{"id":"1","_version":7,"n":9007199254740993}
{"id":"2","n":1}
{"id":"3","_version":"x"}
{"id":"4","_version":-1}
{"id":"5","_version":null}
{"id":"6","_version":0}`
	_, err := l.Run(t.Context(), strings.NewReader(lines), Position{})
	require.NoError(t, err)
	require.Len(t, sent, 3)
	require.EqualValues(t, 7, *sent[0].IfVersion)
	require.JSONEq(t, `{"id":"1","n":9007199254740993}`, string(*sent[0].Document))
	require.Contains(t, string(*sent[0].Document), "9007199254740993")
	require.Nil(t, sent[1].IfVersion)
	require.Zero(t, *sent[2].IfVersion)
	told := map[int64]string{}
	for _, f := range *failures {
		told[f.Line] = f.Code + " " + string(f.Document)
	}
	require.Equal(t, map[int64]string{
		1: `version_conflict {"_version":7,"id":"1","n":9007199254740993}`, 2: `version_conflict {"id":"2","n":1}`, 3: `invalid_body {"id":"3","_version":"x"}`,
		4: `invalid_body {"id":"4","_version":-1}`, 5: `invalid_body {"id":"5","_version":null}`, 6: `version_conflict {"_version":0,"id":"6"}`,
	}, told, "what failed has its version still")

	sent = nil
	l, _, _ = load(nil, 10)
	l.Store, l.IfAbsent = refusing, true
	_, err = l.Run(t.Context(), strings.NewReader(`{"id":"1","_version":7}`), Position{})
	require.NoError(t, err)
	require.Zero(t, *sent[0].IfVersion)
	require.JSONEq(t, `{"id":"1","_version":7}`, string(*sent[0].Document))
}

// storeFunc is a Store.
type storeFunc func(items []search.SyncItem) *search.DocumentSyncResult

// SyncDocuments implements Store.
func (f storeFunc) SyncDocuments(_ context.Context, _ string, body search.DocumentSync, _ ...fountain.CallOption) (*search.DocumentSyncResult, error) {
	return f(body.Items), nil
}
