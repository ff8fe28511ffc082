package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/job"
	"github.com/fountainai/fountain/impl/search/internal/lease"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// jobRow is a row of jobs.
type jobRow struct {
	ID, Tenant, Name    string
	ClaimedAt           int64 `db:"claimed_at"`
	Whose, Reach, State string
	Sender              string
	SenderTenant        string `db:"sender_tenant"`
	SenderRoles         string `db:"sender_roles"`
	Items, Parts        int64
	NextPart            int64 `db:"next_part"`
	Succeeded, Failed   int64
	Failure, Reason     string
	Attempts            int64
	CreatedAt           int64 `db:"created_at"`
	ChangedAt           int64 `db:"changed_at"`
	EndedAt             int64 `db:"ended_at"`
}

const selectJobs = `SELECT id, tenant, name, claimed_at, whose, reach, sender, sender_tenant, sender_roles, state, items, parts, next_part, succeeded, failed, failure, reason, attempts, created_at, changed_at, ended_at FROM jobs `

func (r *jobRow) job() *job.Job {
	j := &job.Job{
		ID: r.ID, Name: owner.Name{Tenant: r.Tenant, Local: r.Name}, Claimed: at(r.ClaimedAt), Whose: r.Whose, Reach: r.Reach, State: job.State(r.State),
		Sender: job.Sender{Who: r.Sender, Tenant: r.SenderTenant, Roles: strings.Fields(r.SenderRoles)},
		Items:  r.Items, Parts: r.Parts, Next: r.NextPart, Succeeded: r.Succeeded, Failed: r.Failed, Failure: r.Failure, Reason: r.Reason, Attempts: r.Attempts,
		Created: at(r.CreatedAt), Changed: at(r.ChangedAt),
	}
	if r.EndedAt > 0 {
		j.Ended = at(r.EndedAt)
	}
	return j
}

// jobUnderWay and jobWaits are SQL conditions on the state: jobs that count against the limits, and jobs that are yet to be carried out.
const (
	jobUnderWay = "state IN ('receiving', 'queued', 'running')"
	jobWaits    = "state IN ('queued', 'running')"
)

// room locks the single row that guards the space for jobs. Transactions that take space or accept a job are thereby serialised until they
// commit.
func (s *Store) room(ctx context.Context, tx *store.Tx) error {
	_, err := tx.Exec(ctx, "UPDATE job_room SET taken = taken + 1 WHERE id = 'jobs'")
	return err
}

// fits reports whether a tenant or caller (whose) may store this many more bytes.
func (s *Store) fits(ctx context.Context, tx *store.Tx, whose string, bytes int64) (bool, error) {
	var sum struct{ Own, Sum int64 }
	err := tx.Get(ctx, &sum, "SELECT CAST(COALESCE(SUM(CASE WHEN whose = ? THEN bytes ELSE 0 END), 0) AS BIGINT) AS own, CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS sum FROM jobs WHERE "+jobUnderWay, whose)
	return sum.Own+bytes <= job.MaxWhose && sum.Sum+bytes <= job.MaxWaiting, err
}

// BeginJob implements job.SpoolRows.
func (s *Store) BeginJob(ctx context.Context, j *job.Job, l lease.Lease) (err error) {
	defer tried.To(&err, "begin job")
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.room(ctx, tx); err != nil {
			return err
		}
		var n int64
		if err := tx.Get(ctx, &n, "SELECT COUNT(*) FROM jobs WHERE whose = ? AND "+jobUnderWay, j.Whose); err != nil {
			return err
		}
		room, err := s.fits(ctx, tx, j.Whose, job.PartBytes)
		if err != nil {
			return err
		}
		if n >= job.MaxUnderWay || !room {
			return job.ErrFull
		}
		now, err := s.time(ctx, tx)
		if err != nil {
			return err
		}
		j.Created, j.Changed = now, now
		n, err = tx.Exec(ctx, `INSERT INTO jobs (id, tenant, name, claimed_at, whose, reach, sender, sender_tenant, sender_roles, state, items, bytes, parts, next_part, succeeded, failed, failure, reason, attempts,
				lease, leased_until, due_at, accepted_at, created_at, changed_at, ended_at)
			SELECT ?, tenant, name, claimed_at, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, 0, '', '', 0, ?, ?, 0, 0, ?, ?, 0 FROM collections WHERE `+ofCollection,
			append([]any{j.ID, j.Whose, j.Reach, j.Sender.Who, j.Sender.Tenant, strings.Join(j.Sender.Roles, " "), string(job.Receiving), l.Name, now.Add(l.Last).UnixMicro(), now.UnixMicro(), now.UnixMicro()}, key(j.Collection())...)...)
		if err == nil && n == 0 {
			return owner.ErrGone
		}
		return err
	})
}

// AddPart implements job.SpoolRows.
func (s *Store) AddPart(ctx context.Context, j *job.Job, l lease.Lease, items []byte, n int64) (err error) {
	defer tried.To(&err, "store part of job")
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.room(ctx, tx); err != nil {
			return err
		}
		room, err := s.fits(ctx, tx, j.Whose, int64(len(items)))
		if err != nil {
			return err
		}
		if !room {
			return job.ErrFull
		}
		now, err := s.time(ctx, tx)
		if err != nil {
			return err
		}
		changed, err := tx.Exec(ctx, "UPDATE jobs SET parts = parts + 1, items = items + ?, bytes = bytes + ?, leased_until = ? WHERE id = ? AND state = 'receiving' AND lease = ?",
			n, len(items), now.Add(l.Last).UnixMicro(), j.ID, l.Name)
		if err != nil {
			return err
		}
		if changed == 0 {
			return lease.ErrLost
		}
		_, err = tx.Exec(ctx, "INSERT INTO job_parts (job, part, first, items) VALUES (?, ?, ?, ?)", j.ID, j.Parts, j.Items+1, items)
		return err
	})
}

// AcceptJob implements job.SpoolRows. Jobs are carried out in the order in which they were accepted, even if two replicas accept at once.
func (s *Store) AcceptJob(ctx context.Context, j *job.Job, l lease.Lease) (err error) {
	defer tried.To(&err, "accept job")
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.room(ctx, tx); err != nil {
			return err
		}
		now, err := s.time(ctx, tx)
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE jobs SET state = 'queued', lease = '', leased_until = 0, due_at = ?, changed_at = ?,
			accepted_at = (SELECT CASE WHEN COALESCE(MAX(o.accepted_at), 0) >= ? THEN MAX(o.accepted_at) + 1 ELSE CAST(? AS BIGINT) END FROM jobs o) WHERE id = ? AND state = 'receiving' AND lease = ?`,
			now.UnixMicro(), now.UnixMicro(), now.UnixMicro(), now.UnixMicro(), j.ID, l.Name)
		if err == nil && n == 0 {
			return lease.ErrLost
		}
		j.Changed = now
		return err
	})
	if err == nil {
		j.State = job.Queued
	}
	return err
}

// DropJob implements job.SpoolRows.
func (s *Store) DropJob(ctx context.Context, id string, l lease.Lease) (err error) {
	defer tried.To(&err, "drop job")
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		n, err := tx.Exec(ctx, "DELETE FROM jobs WHERE id = ? AND state = 'receiving' AND lease = ?", id, l.Name)
		if err != nil || n == 0 {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM job_parts WHERE job = ?", id)
		return err
	})
}

// reachedJobs is the condition for the jobs of a collection that a caller may see. Its placeholders take the key of the collection and
// then, twice, the tenant that the caller reaches, or job.Every.
const reachedJobs = "tenant = ? AND name = ? AND claimed_at = ? AND state <> 'receiving' AND (reach = ? OR ? = '*')"

func reachedBy(c *owner.Collection, reach string) []any { return append(key(c), reach, reach) }

// Job reads one job of a collection, if a caller with this reach may see it. Error: job.ErrNone.
func (s *Store) Job(ctx context.Context, c *owner.Collection, reach, id string) (_ *job.Job, err error) {
	defer tried.To(&err, "read job")
	return s.job(ctx, s.db.Read(ctx), c, reach, id)
}

func (s *Store) job(ctx context.Context, q store.Querier, c *owner.Collection, reach, id string) (*job.Job, error) {
	var row jobRow
	err := q.Get(ctx, &row, selectJobs+"WHERE id = ? AND "+reachedJobs, append([]any{id}, reachedBy(c, reach)...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, job.ErrNone
	}
	if err != nil {
		return nil, err
	}
	return row.job(), nil
}

// Jobs lists at most limit jobs of a collection, newest first, that are older than the ID before ("" for no bound).
func (s *Store) Jobs(ctx context.Context, c *owner.Collection, reach, before string, limit int) (all []*job.Job, err error) {
	defer tried.To(&err, "list jobs")
	var rows []jobRow
	err = s.db.Read(ctx).Select(ctx, &rows, selectJobs+"WHERE "+reachedJobs+" AND (id < ? OR ? = '') ORDER BY id DESC LIMIT ?", append(reachedBy(c, reach), before, before, limit)...)
	for i := range rows {
		all = append(all, rows[i].job())
	}
	return all, err
}

// JobFailures lists at most limit failures of a job, ordered by item, of the items behind number after.
func (s *Store) JobFailures(ctx context.Context, id string, after int64, limit int) (all []job.Failure, err error) {
	defer tried.To(&err, "list failures of job")
	err = s.db.Read(ctx).Select(ctx, &all, "SELECT item, id, tenant, code, message FROM job_failures WHERE job = ? AND item > ? ORDER BY item LIMIT ?", id, after, limit)
	return all, err
}

// CancelJob ends a job on request of a caller. A worker that is carrying it out keeps the lease until none of its writes is in flight.
// Errors: job.ErrNone, job.ErrPast.
func (s *Store) CancelJob(ctx context.Context, c *owner.Collection, reach, id string, e audit.Event) (j *job.Job, err error) {
	defer tried.To(&err, "cancel job")
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		now, err := s.time(ctx, tx)
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, "UPDATE jobs SET state = 'cancelled', due_at = 0, bytes = 0, changed_at = ?, ended_at = ? WHERE id = ? AND "+jobWaits+" AND "+reachedJobs,
			append([]any{now.UnixMicro(), now.UnixMicro(), id}, reachedBy(c, reach)...)...)
		if err != nil {
			return err
		}
		if j, err = s.job(ctx, tx, c, reach, id); err != nil {
			return err
		}
		if n == 0 {
			return job.ErrPast
		}
		if _, err := tx.Exec(ctx, "DELETE FROM job_parts WHERE job = ?", id); err != nil {
			return err
		}
		return audit.Append(ctx, tx, e)
	})
	return j, err
}

// SweepJobs deletes expired jobs. It is the part of Sweep that concerns jobs.
func (s *Store) SweepJobs(ctx context.Context) (err error) {
	defer tried.To(&err, "delete old jobs")
	return s.db.Write(ctx, s.sweepJobs)
}

// sweepJobs deletes jobs whose upload was given up, jobs that are old and jobs whose collection is gone, with their parts and failures.
func (s *Store) sweepJobs(ctx context.Context, tx *store.Tx) error {
	now, err := s.time(ctx, tx)
	if err != nil {
		return err
	}
	orphan := "NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = "
	for _, old := range []store.Rows{
		{Table: "jobs", Key: []string{"id"}, Where: "state = 'receiving' AND leased_until < ?", Args: []any{now.UnixMicro()}},
		{Table: "jobs", Key: []string{"id"}, Where: "leased_until < ? AND NOT EXISTS (SELECT 1 FROM collections c WHERE c.tenant = jobs.tenant AND c.name = jobs.name AND c.claimed_at = jobs.claimed_at)",
			Args: []any{now.UnixMicro()}},
		{Table: "jobs", Key: []string{"id"}, Where: `ended_at > 0 AND (ended_at < ? OR (SELECT COUNT(*) FROM jobs later WHERE later.tenant = jobs.tenant AND later.name = jobs.name
			AND later.claimed_at = jobs.claimed_at AND later.ended_at > 0 AND later.id > jobs.id) >= ?)`, Args: []any{now.Add(-job.Life).UnixMicro(), job.Kept}},
	} {
		if _, err := old.Delete(ctx, tx); err != nil {
			return err
		}
	}
	// A part is inserted after its job, so that a part without a job belongs to one that was deleted.
	for _, table := range []string{"job_parts", "job_failures"} {
		if _, err := tx.Exec(ctx, "DELETE FROM "+table+" WHERE "+orphan+table+".job)"); err != nil {
			return err
		}
	}
	return nil
}

// EndJobs ends the unfinished jobs of a database that was restored from a backup. They would overwrite what was written after the backup.
func EndJobs(ctx context.Context, tx *store.Tx, now time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE jobs SET state = 'failed', failure = 'state_conflict', reason = 'A backup was restored while the job was under way.', lease = '', leased_until = 0, due_at = 0,
		bytes = 0, changed_at = ?, ended_at = ? WHERE `+jobUnderWay, now.UnixMicro(), now.UnixMicro())
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "DELETE FROM job_parts")
	return err
}
