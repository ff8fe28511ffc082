package fountain

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/search"
)

// StartSync upserts and deletes documents in the background. items is NDJSON with a search.SyncItem on each line, up to
// 64 MiB. It is read from its current position, and again from there if the call is retried. Only ctx limits the time
// of the call.
//
// Repeating is safe, and each call starts its own job. If items have ifVersion, a second job gets conflicts from the
// changes of the first; WithoutRetry leaves the decision to the caller. Errors: ErrRateLimited while the number of
// running jobs or the amount of waiting writes is at its limit; ErrInvalid if an item is invalid, and then no item is
// applied.
func (s *Search) StartSync(ctx context.Context, collection string, items io.ReadSeeker, opts ...CallOption) (*search.Job, error) {
	begin, err := items.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", opSyncDocuments.id, err)
	}
	prefer := "respond-async"
	return send[search.Job](ctx, s.client, opSyncDocuments, append(opts, withoutTimeout), func(server string) (*http.Request, error) {
		req, err := search.NewSyncDocumentsRequestWithBody(server, collection, &search.SyncDocumentsParams{Prefer: &prefer}, "application/x-ndjson", http.NoBody)
		if err != nil {
			return nil, err
		}
		req.ContentLength, req.GetBody = -1, again(items, begin)
		return req, nil
	})
}

// ListJobs reads one page of the jobs of a collection, newest first; Jobs reads all.
func (s *Search) ListJobs(ctx context.Context, collection string, params *search.ListJobsParams, opts ...CallOption) (*search.JobList, error) {
	return send[search.JobList](ctx, s.client, opListJobs, opts, func(server string) (*http.Request, error) {
		return search.NewListJobsRequest(server, collection, params)
	})
}

// Jobs yields the jobs of a collection, newest first.
func (s *Search) Jobs(ctx context.Context, collection string, opts ...CallOption) iter.Seq2[search.Job, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]search.Job, *string, error) {
		page, err := s.ListJobs(ctx, collection, &search.ListJobsParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// GetJob reads the progress of a job.
func (s *Search) GetJob(ctx context.Context, collection, jobID string, opts ...CallOption) (*search.Job, error) {
	return send[search.Job](ctx, s.client, opGetJob, opts, func(server string) (*http.Request, error) {
		return search.NewGetJobRequest(server, collection, jobID)
	})
}

// CancelJob cancels a job. Changes already made remain. Error: ErrConflict if the job has ended.
func (s *Search) CancelJob(ctx context.Context, collection, jobID string, opts ...CallOption) (*search.Job, error) {
	return send[search.Job](ctx, s.client, opCancelJob, opts, func(server string) (*http.Request, error) {
		return search.NewCancelJobRequest(server, collection, jobID)
	})
}

// GetJobFailures reads all failures of a job: NDJSON whose last line has their number. JobFailures yields them.
func (s *Search) GetJobFailures(ctx context.Context, collection, jobID string, opts ...CallOption) ([]byte, error) {
	return fetch(ctx, s.client, opGetJobFailures, opts, func(server string) (*http.Request, error) {
		return search.NewGetJobFailuresRequest(server, collection, jobID)
	}, "application/x-ndjson")
}

// ErrCutFailures says that a list of failures broke off. The failures before it are not all of them.
var ErrCutFailures = errors.New("the list of failures has no last line: the connection broke off")

// JobFailures yields the failed items of a job in their order. They are complete only if the iteration ends without an
// error.
func (s *Search) JobFailures(ctx context.Context, collection, jobID string, opts ...CallOption) iter.Seq2[search.JobFailureLine, error] {
	return func(yield func(search.JobFailureLine, error) bool) {
		text, err := s.GetJobFailures(ctx, collection, jobID, opts...)
		if err != nil {
			yield(search.JobFailureLine{}, err)
			return
		}
		lines := bufio.NewScanner(bytes.NewReader(text))
		for read := int64(0); lines.Scan(); read++ {
			var line search.JobFailureLine
			switch err := json.Unmarshal(lines.Bytes(), &line); {
			case err != nil:
				yield(search.JobFailureLine{}, fmt.Errorf("%s: read line: %w", opGetJobFailures.id, err))
				return
			case line.Failures != nil && *line.Failures == read:
				return
			case line.Item == nil:
				yield(search.JobFailureLine{}, ErrCutFailures)
				return
			case !yield(line, nil):
				return
			}
		}
		yield(search.JobFailureLine{}, ErrCutFailures)
	}
}

// jobPause is the time between two polls in AwaitJob.
const jobPause = 500 * time.Millisecond

// AwaitJob waits until a job has ended and returns it, also if it failed or was cancelled. It calls show with the job
// after each poll; show may be nil.
func (s *Search) AwaitJob(ctx context.Context, collection, jobID string, show func(*search.Job), opts ...CallOption) (*search.Job, error) {
	for {
		j, err := s.GetJob(ctx, collection, jobID, opts...)
		if err != nil {
			return nil, err
		}
		if show != nil {
			show(j)
		}
		if j.EndedAt != nil {
			return j, nil
		}
		timer := time.NewTimer(jobPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
	}
}
