package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/job"
	"github.com/fountainai/fountain/impl/search/internal/lease"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// leasedJobs selects the jobs that wait and are the first of their collection.
var leasedJobs = leasedTable{
	name: "jobs",
	due: jobWaits + ` AND NOT EXISTS (SELECT 1 FROM jobs o WHERE o.tenant = jobs.tenant AND o.name = jobs.name AND o.claimed_at = jobs.claimed_at
		AND o.state IN ('queued', 'running') AND o.accepted_at < jobs.accepted_at)`,
	take: "changed_at = CASE WHEN state = 'queued' THEN ? ELSE changed_at END, state = 'running',",
}

// ClaimJob implements job.Rows.
func (s *Store) ClaimJob(ctx context.Context, l lease.Lease) (j *job.Job, err error) {
	defer tried.To(&err, "claim job")
	return claim(ctx, s, leasedJobs, l, func(ctx context.Context, tx *store.Tx, id string) (*job.Job, error) {
		var row jobRow
		if err := tx.Get(ctx, &row, selectJobs+"WHERE id = ?", id); err != nil {
			return nil, err
		}
		return row.job(), nil
	})
}

// working changes a job under its lease, and renews the lease. Error: lease.ErrLost.
func (s *Store) working(ctx context.Context, j *job.Job, l lease.Lease, do func(ctx context.Context, tx *store.Tx, now int64) error) error {
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		now, err := s.keep(ctx, tx, leasedJobs, j.ID, l, "state = 'running' AND next_part = ?", j.Next)
		if err != nil {
			return err
		}
		return do(ctx, tx, now.UnixMicro())
	})
}

// KeepJob implements job.Rows.
func (s *Store) KeepJob(ctx context.Context, j *job.Job, l lease.Lease) (err error) {
	defer tried.To(&err, "keep job")
	return s.working(ctx, j, l, func(context.Context, *store.Tx, int64) error { return nil })
}

// PartOf implements job.Rows. A missing part means that the job was cancelled.
func (s *Store) PartOf(ctx context.Context, j *job.Job) (p job.Part, err error) {
	defer tried.To(&err, "read part of job")
	var row struct {
		First int64
		Items []byte
	}
	err = s.db.Read(ctx).Get(ctx, &row, "SELECT first, items FROM job_parts WHERE job = ? AND part = ?", j.ID, j.Next)
	if errors.Is(err, sql.ErrNoRows) {
		return p, lease.ErrLost
	}
	return job.Part{Number: j.Next, First: row.First, Items: row.Items}, err
}

// failuresAtOnce keeps a statement well below the placeholder limits of both databases.
const failuresAtOnce = 100

// CarriedOut implements job.Rows.
func (s *Store) CarriedOut(ctx context.Context, j *job.Job, l lease.Lease, succeeded int64, failures []job.Failure) (err error) {
	defer tried.To(&err, "note part of job")
	next := *j
	next.Next, next.Attempts = j.Next+1, 0
	next.Succeeded, next.Failed = j.Succeeded+succeeded, j.Failed+int64(len(failures))
	switch {
	case next.Next >= j.Parts:
		next.State = job.Done
	case next.Failed >= job.MaxFailures:
		next.State, next.Failure, next.Reason = job.Failed, "limit_reached", "As many items have failed as may."
	}
	err = s.working(ctx, j, l, func(ctx context.Context, tx *store.Tx, now int64) error {
		next.Changed = at(now)
		if err := s.noteFailures(ctx, tx, j.ID, failures); err != nil {
			return err
		}
		var ended int64
		gone, args := "job = ? AND part = ?", []any{j.ID, j.Next}
		if next.State != job.Running {
			next.Ended, ended = next.Changed, now
			gone, args = "job = ?", []any{j.ID}
		}
		var length int64
		if err := tx.Get(ctx, &length, "SELECT LENGTH(items) FROM job_parts WHERE job = ? AND part = ?", j.ID, j.Next); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM job_parts WHERE "+gone, args...); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE jobs SET state = ?, next_part = ?, succeeded = ?, failed = ?, failure = ?, reason = ?, attempts = 0, changed_at = ?, ended_at = ?,
				bytes = CASE WHEN CAST(? AS BIGINT) > 0 THEN 0 ELSE bytes - ? END,
				lease = CASE WHEN CAST(? AS BIGINT) > 0 THEN '' ELSE lease END, leased_until = CASE WHEN CAST(? AS BIGINT) > 0 THEN 0 ELSE leased_until END WHERE id = ?`,
			string(next.State), next.Next, next.Succeeded, next.Failed, next.Failure, next.Reason, now, ended, ended, length, ended, ended, j.ID)
		return err
	})
	if err == nil {
		*j = next
	}
	return err
}

func (s *Store) noteFailures(ctx context.Context, tx *store.Tx, id string, failures []job.Failure) error {
	for len(failures) > 0 {
		some := failures[:min(len(failures), failuresAtOnce)]
		failures = failures[len(some):]
		args := make([]any, 0, 6*len(some))
		for _, f := range some {
			args = append(args, id, f.Item, f.ID, f.Tenant, f.Code, f.Message)
		}
		marks := ""
		for i := range some {
			if i > 0 {
				marks += ", "
			}
			marks += "(" + store.Marks(6) + ")"
		}
		if _, err := tx.Exec(ctx, "INSERT INTO job_failures (job, item, id, tenant, code, message) VALUES "+marks, args...); err != nil {
			return err
		}
	}
	return nil
}

// FailJob implements job.Rows.
func (s *Store) FailJob(ctx context.Context, j *job.Job, l lease.Lease) (err error) {
	defer tried.To(&err, "fail job")
	return s.working(ctx, j, l, func(ctx context.Context, tx *store.Tx, now int64) error {
		if _, err := tx.Exec(ctx, "DELETE FROM job_parts WHERE job = ?", j.ID); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "UPDATE jobs SET state = 'failed', failure = ?, reason = ?, lease = '', leased_until = 0, due_at = 0, bytes = 0, changed_at = ?, ended_at = ? WHERE id = ?",
			j.Failure, j.Reason, now, now, j.ID)
		return err
	})
}

// LeaveJob implements job.Rows.
func (s *Store) LeaveJob(ctx context.Context, j *job.Job, l lease.Lease, after time.Duration) (err error) {
	defer tried.To(&err, "leave job")
	return s.leave(ctx, leasedJobs, j.ID, l, "due_at = ?, attempts = attempts + 1", func(now time.Time) []any { return []any{now.Add(after).UnixMicro()} })
}
