package handlers

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/job"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/problem"
)

func jobTo(j *job.Job, c held) searchapi.Job {
	out := searchapi.Job{
		ID: j.ID, Collection: c.shown(), State: searchapi.JobState(j.State), Items: j.Items, Succeeded: j.Succeeded, Failed: j.Failed, CreatedAt: j.Created, ChangedAt: j.Changed,
	}
	if !j.Ended.IsZero() {
		out.EndedAt = &j.Ended
	}
	if j.Failure != "" {
		out.Failure = &searchapi.JobFailure{Code: j.Failure, Message: j.Reason}
	}
	return out
}

// writable returns a collection that the caller may write. Only writers may see its jobs.
func (h *Handlers) writable(ctx context.Context, collection string) (*Core, held, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, held{}, err
	}
	c, err := core.hold(ctx, p, collection, owner.Write)
	return core, c, err
}

// ListJobs implements searchapi.StrictServerInterface.
func (h *Handlers) ListJobs(ctx context.Context, r searchapi.ListJobsRequestObject) (searchapi.ListJobsResponseObject, error) {
	core, c, err := h.writable(ctx, r.Collection)
	if err != nil {
		return nil, err
	}
	before := ""
	if r.Params.Cursor != nil {
		if err := page.Decode("jobs", *r.Params.Cursor, &before); err != nil {
			return nil, problem.BadCursor().Wrap(err)
		}
	}
	limit := limitFrom(r.Params.Limit)
	all, err := core.Store.Jobs(ctx, c.Collection, c.reach(), before, limit+1)
	if err != nil {
		return nil, err
	}
	list := searchapi.JobList{Items: []searchapi.Job{}}
	if len(all) > limit {
		all = all[:limit]
		next := page.Encode("jobs", all[limit-1].ID)
		list.NextCursor = &next
	}
	for _, one := range all {
		list.Items = append(list.Items, jobTo(one, c))
	}
	return searchapi.ListJobs200JSONResponse(list), nil
}

// GetJob implements searchapi.StrictServerInterface.
func (h *Handlers) GetJob(ctx context.Context, r searchapi.GetJobRequestObject) (searchapi.GetJobResponseObject, error) {
	core, c, err := h.writable(ctx, r.Collection)
	if err != nil {
		return nil, err
	}
	one, err := core.Store.Job(ctx, c.Collection, c.reach(), r.JobID)
	if err != nil {
		return nil, refuse(err)
	}
	return searchapi.GetJob200JSONResponse(jobTo(one, c)), nil
}

// CancelJob implements searchapi.StrictServerInterface.
func (h *Handlers) CancelJob(ctx context.Context, r searchapi.CancelJobRequestObject) (searchapi.CancelJobResponseObject, error) {
	core, c, err := h.writable(ctx, r.Collection)
	if err != nil {
		return nil, err
	}
	e := event(ctx, c.caller, "cancelJob", c.Name.Engine())
	e.Detail = map[string]string{"job": r.JobID}
	one, err := core.Store.CancelJob(ctx, c.Collection, c.reach(), r.JobID, e)
	if err != nil {
		return nil, refuse(err)
	}
	return searchapi.CancelJob200JSONResponse(jobTo(one, c)), nil
}

// GetJobFailures implements searchapi.StrictServerInterface.
func (h *Handlers) GetJobFailures(ctx context.Context, r searchapi.GetJobFailuresRequestObject) (searchapi.GetJobFailuresResponseObject, error) {
	core, c, err := h.writable(ctx, r.Collection)
	if err != nil {
		return nil, err
	}
	one, err := core.Store.Job(ctx, c.Collection, c.reach(), r.JobID)
	if err != nil {
		return nil, refuse(err)
	}
	first, err := core.Store.JobFailures(ctx, one.ID, 0, failuresPage)
	if err != nil {
		return nil, err
	}
	return failures{ctx: ctx, core: core, job: one.ID, some: first}, nil
}

// failuresPage is how many failures are read at once.
const failuresPage = 1000

// failures writes the failures of a job as NDJSON.
type failures struct {
	ctx  context.Context
	core *Core
	job  string
	some []job.Failure // the first page
}

// VisitGetJobFailuresResponse implements the generated response interface. An error after the first line closes the connection before the
// last line is sent.
func (f failures) VisitGetJobFailuresResponse(w http.ResponseWriter) (err error) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	out, n := json.NewEncoder(w), int64(0)
	for some := f.some; len(some) > 0; {
		for _, one := range some {
			line := searchapi.JobFailureLine{Item: &one.Item, ID: &one.ID, Code: &one.Code, Message: &one.Message}
			if one.Tenant != "" {
				line.Tenant = &one.Tenant
			}
			if err := out.Encode(line); err != nil {
				return fmt.Errorf("write failures of job: %w", err)
			}
			n++
		}
		if some, err = f.core.Store.JobFailures(f.ctx, f.job, some[len(some)-1].Item, failuresPage); err != nil {
			return err
		}
	}
	return out.Encode(searchapi.JobFailureLine{Failures: &n})
}
