package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/lease"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/internal/problem"
)

const (
	longest  = time.Minute // between two attempts
	patience = time.Hour   // without progress, after which a job is given up
	turn     = 20          // parts, after which due jobs of other collections come first
)

// Writer writes documents of a collection.
type Writer interface {
	Sync(ctx context.Context, c *owner.Collection, items []engine.Item) ([]engine.Outcome, error)
}

// Worker carries out jobs. Several may share one database.
type Worker struct {
	*lease.Worker
	Rows    Rows
	Writer  Writer
	Log     *slog.Logger
	Failed  func()     // counts a step, or a job, that failed
	Written func(*Job) // called when a part is written, before that is recorded; may be nil
}

// NewWorker returns a Worker.
func NewWorker(rows Rows, w Writer, log *slog.Logger, failed func()) *Worker {
	made := &Worker{Rows: rows, Writer: w, Log: log, Failed: failed}
	made.Worker = lease.NewWorker(made.Once, log, "a job can't continue at the moment", failed)
	return made
}

// Once works on one due job, until it can't continue or has used its turn. It reports whether there was a due job.
func (w *Worker) Once(ctx context.Context) (bool, error) {
	return lease.Work[Job]{Claim: w.Rows.ClaimJob, Do: w.parts, Leave: w.left}.Once(ctx)
}

// parts carries out parts until the job ends or has used its turn.
func (w *Worker) parts(ctx context.Context, j *Job, l lease.Lease) (err error) {
	for n := 0; err == nil && j.State == Running && n < turn; n++ {
		err = w.part(ctx, j, l)
	}
	return err
}

// left releases the lease, unless the job has ended.
func (w *Worker) left(ctx context.Context, j *Job, l lease.Lease, cause error) error {
	switch {
	case cause == nil && j.State != Running:
		return nil
	case cause == nil, errors.Is(cause, lease.ErrLost), errors.Is(cause, lease.ErrStopped): // other jobs have their turn; or the job was cancelled or another worker has it, and all calls have ended
		return w.Rows.LeaveJob(ctx, j, l, 0)
	}
	return w.settle(ctx, j, l, cause)
}

// part carries out the next part. Its writes are bounded in time, so that none arrives after another worker may hold the lease.
func (w *Worker) part(ctx context.Context, j *Job, l lease.Lease) error {
	limited, cancel, err := lease.Fenced(ctx, func(ctx context.Context) error { return w.Rows.KeepJob(ctx, j, l) })
	if err != nil {
		return err
	}
	defer cancel()
	p, err := w.Rows.PartOf(limited, j)
	if err != nil {
		return err
	}
	items, err := p.items(j.ID)
	if err != nil {
		return err
	}
	c, err := w.permitted(limited, j)
	if err != nil {
		return err
	}
	outcomes, err := w.Writer.Sync(limited, c, items)
	if err != nil {
		return err
	}
	if w.Written != nil {
		w.Written(j)
	}
	failures := failuresOf(p, items, outcomes)
	if err := w.Rows.CarriedOut(ctx, j, l, int64(len(items)-len(failures)), failures); err != nil {
		return err
	}
	if j.State == Failed {
		w.reportFailed(ctx, j, errors.New("too many items failed"))
	}
	return nil
}

// failuresOf returns the items of a part that failed.
func failuresOf(p Part, items []engine.Item, outcomes []engine.Outcome) (failures []Failure) {
	for i, outcome := range outcomes {
		if outcome == nil {
			continue
		}
		told := problem.From(outcome)
		f := Failure{Item: p.First + int64(i), ID: items[i].ID, Code: string(told.Code), Message: told.Detail}
		if items[i].Tenant != nil {
			f.Tenant = *items[i].Tenant
		}
		failures = append(failures, f)
	}
	return failures
}

// permitted reads the collection of the job. It must still be the collection that the job was sent to, not a later one of the same name,
// and the sender must still be allowed to write it. Problems: not_found, forbidden.
func (w *Worker) permitted(ctx context.Context, j *Job) (*owner.Collection, error) {
	c, err := w.Rows.CollectionNow(ctx, j.Name)
	switch {
	case err != nil:
		return nil, err
	case c == nil || !c.Claimed.Equal(j.Claimed):
		return nil, problem.New(problem.NotFound, "There is no such collection.")
	case c.Access(j.Sender.principal()) < owner.Write:
		return nil, problem.New(problem.Forbidden, "Whoever sent the job may not write the collection any more.")
	}
	return c, nil
}

// settle postpones a job after a transient error. After any other error, or if the job has not progressed for too long, it ends the job as
// failed.
func (w *Worker) settle(ctx context.Context, j *Job, l lease.Lease, cause error) error {
	now, err := w.Rows.Now(ctx)
	if err != nil {
		return errors.Join(cause, err)
	}
	if engine.Passing(cause) && now.Sub(j.Changed) < patience {
		err := w.Rows.LeaveJob(ctx, j, l, pause(j.Attempts))
		return errors.Join(fmt.Errorf("job %s: %w", j.ID, cause), err)
	}
	told := problem.From(cause)
	j.Failure, j.Reason = string(told.Code), told.Detail
	if err := w.Rows.FailJob(ctx, j, l); err != nil {
		return errors.Join(cause, err)
	}
	w.reportFailed(ctx, j, cause)
	return nil
}

func (w *Worker) reportFailed(ctx context.Context, j *Job, cause error) {
	w.Log.WarnContext(ctx, "job failed", "job", j.ID, "collection", j.Name.Engine(), "code", j.Failure, "error", cause)
	w.Failed()
}

// pause returns how long a job is postponed after this many attempts. It doubles from one second up to longest.
func pause(attempts int64) time.Duration {
	return min(time.Second<<min(attempts, 10), longest)
}
