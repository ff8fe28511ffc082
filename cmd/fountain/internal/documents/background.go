package documents

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/search"
)

// BackgroundBytes is the size of one job. With what surrounds the documents, it is within the limit in the Caddyfile.
const BackgroundBytes = 12 << 20

// Jobs are the operations of the search service that a Background uses.
type Jobs interface {
	StartSync(ctx context.Context, collection string, items io.ReadSeeker, opts ...fountain.CallOption) (*search.Job, error)
	AwaitJob(ctx context.Context, collection, jobID string, show func(*search.Job), opts ...fountain.CallOption) (*search.Job, error)
	JobFailures(ctx context.Context, collection, jobID string, opts ...fountain.CallOption) iter.Seq2[search.JobFailureLine, error]
}

// Background is a Store that runs each request as a job and waits for it. A job continues if its caller stops waiting.
type Background struct{ Jobs Jobs }

// SyncDocuments implements Store.
func (b Background) SyncDocuments(ctx context.Context, collection string, body search.DocumentSync, opts ...fountain.CallOption) (*search.DocumentSyncResult, error) {
	var lines bytes.Buffer
	out := json.NewEncoder(&lines)
	out.SetEscapeHTML(false)
	for _, item := range body.Items {
		if err := out.Encode(item); err != nil {
			return nil, fmt.Errorf("write items: %w", err)
		}
	}
	j, err := b.Jobs.StartSync(ctx, collection, bytes.NewReader(lines.Bytes()), opts...)
	if err == nil {
		j, err = b.Jobs.AwaitJob(ctx, collection, j.ID, nil, opts...)
	}
	if err != nil {
		return nil, err
	}
	if j.State != search.JobStateDone {
		why := "it was cancelled"
		if j.Failure != nil {
			why = j.Failure.Message
		}
		return nil, fmt.Errorf("job %s of %s: %s", j.ID, collection, why)
	}
	return b.results(ctx, collection, j, body.Items, opts)
}

// results returns the outcome of each item.
func (b Background) results(ctx context.Context, collection string, j *search.Job, items []search.SyncItem, opts []fountain.CallOption) (*search.DocumentSyncResult, error) {
	done := &search.DocumentSyncResult{Succeeded: j.Succeeded, Failed: j.Failed, Results: make([]search.SyncOutcome, len(items))}
	for i, item := range items {
		done.Results[i] = search.SyncOutcome{ID: item.ID, Status: search.SyncOutcomeStatusOk}
	}
	if j.Failed == 0 {
		return done, nil
	}
	for f, err := range b.Jobs.JobFailures(ctx, collection, j.ID, opts...) {
		if err != nil {
			return nil, err
		}
		if *f.Item < 1 || *f.Item > int64(len(items)) {
			return nil, fmt.Errorf("job %s of %s reports item %d of %d", j.ID, collection, *f.Item, len(items))
		}
		r := &done.Results[*f.Item-1]
		r.Status, r.Code, r.Message = search.SyncOutcomeStatusError, f.Code, f.Message
	}
	return done, nil
}
