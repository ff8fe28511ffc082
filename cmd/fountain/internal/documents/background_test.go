package documents

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"iter"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/search"
)

// fakeJobs run what they are sent, except for ids that start with bad.
type fakeJobs struct {
	jobs  int
	state search.JobState
	items []search.SyncItem
}

func (f *fakeJobs) StartSync(_ context.Context, _ string, items io.ReadSeeker, _ ...fountain.CallOption) (*search.Job, error) {
	f.jobs++
	f.items = nil
	for lines := bufio.NewScanner(items); lines.Scan(); {
		var item search.SyncItem
		if err := json.Unmarshal(lines.Bytes(), &item); err != nil {
			return nil, err
		}
		f.items = append(f.items, item)
	}
	return &search.Job{ID: "job_1"}, nil
}

func (f *fakeJobs) AwaitJob(context.Context, string, string, func(*search.Job), ...fountain.CallOption) (*search.Job, error) {
	j := &search.Job{ID: "job_1", State: f.state}
	for _, item := range f.items {
		if strings.HasPrefix(item.ID, "bad") {
			j.Failed++
		}
	}
	return j, nil
}

func (f *fakeJobs) JobFailures(context.Context, string, string, ...fountain.CallOption) iter.Seq2[search.JobFailureLine, error] {
	return func(yield func(search.JobFailureLine, error) bool) {
		for i, item := range f.items {
			at, code, message := int64(i+1), "validation_failed", "It does not fit."
			if strings.HasPrefix(item.ID, "bad") && !yield(search.JobFailureLine{Item: &at, ID: &item.ID, Code: &code, Message: &message}, nil) {
				return
			}
		}
	}
}

func TestBackground_tellsTheLineOfWhatAJobRefused(t *testing.T) {
	jobs := &fakeJobs{state: search.JobStateDone}
	var failures []Failure
	l := &Load{
		Store: Background{Jobs: jobs}, Collection: "plays", Batch: 2,
		Fail: func(f Failure) error { failures = append(failures, f); return nil }, Done: func(Position) error { return nil },
	}
	at, err := l.Run(t.Context(), strings.NewReader(`{"id":"a","n":9007199254740993}`+"\n\n"+`{"id":"bad1"}`+"\n"+`{"id":"bad2"}`+"\n"), Position{})
	require.NoError(t, err)
	require.Equal(t, 2, jobs.jobs)
	require.EqualValues(t, 1, at.Stored)
	require.EqualValues(t, 2, at.Failed)
	require.Len(t, failures, 2)
	require.EqualValues(t, 3, failures[0].Line)
	require.EqualValues(t, 4, failures[1].Line)
	require.Equal(t, "validation_failed", failures[1].Code)
}

func TestBackground_ofAJobThatWasGivenUpIsAnError(t *testing.T) {
	l := &Load{Store: Background{Jobs: &fakeJobs{state: search.JobStateCancelled}}, Batch: 2, Done: func(Position) error { return nil }}
	at, err := l.Run(t.Context(), strings.NewReader(`{"id":"a"}`), Position{})
	require.ErrorContains(t, err, "cancelled")
	require.Zero(t, at.Offset, "it is sent again")
}
