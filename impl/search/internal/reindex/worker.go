package reindex

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/lease"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/problem"
)

const (
	againAfter  = 2 * time.Second  // after a step that can't be carried out at the moment
	keptPause   = 5 * time.Second  // between two updates of an old collection that is kept
	drainLimit  = 10 * time.Second // for writes under way to end, while others wait
	drainPause  = 20 * time.Millisecond
	notesAtOnce = 500
	fewNotes    = 200 // so many are applied while writes wait
	mostRounds  = 50  // of applying notes before writes wait, however much is written
)

// Worker takes reindexes from state to state.
type Worker struct {
	*lease.Worker
	Engine  *engine.Engine
	Rows    Rows
	Replica *Replica
	Log     *slog.Logger
	Failed  func()               // counts a step that failed
	Reached func(*Reindex, bool) // called at the start of each state, and when writes are held in it; may be nil
}

// NewWorker returns a Worker.
func NewWorker(e *engine.Engine, rows Rows, r *Replica, log *slog.Logger, failed func()) *Worker {
	made := &Worker{Engine: e, Rows: rows, Replica: r, Log: log, Failed: failed}
	made.Worker = lease.NewWorker(made.Once, log, "a reindex can't continue at the moment", failed)
	return made
}

// Wake makes Run look for due work at once, because a reindex is due.
func (w *Worker) Wake() {
	w.Replica.Wake()
	w.Worker.Wake()
}

// Once works on one due reindex until it can't continue. It reports whether there was one.
func (w *Worker) Once(ctx context.Context) (bool, error) {
	return lease.Work[steps]{Claim: w.claim, Do: w.run, Leave: w.left}.Once(ctx)
}

func (w *Worker) claim(ctx context.Context, l lease.Lease) (*steps, error) {
	r, err := w.Rows.ClaimReindex(ctx, l)
	if err != nil || r == nil {
		return nil, err
	}
	return &steps{Worker: w, Reindex: r, lease: l}, nil
}

func (w *Worker) run(ctx context.Context, s *steps, _ lease.Lease) error { return s.run(ctx) }

// left releases the lease, unless a step has already done so.
func (w *Worker) left(ctx context.Context, s *steps, l lease.Lease, cause error) error {
	switch {
	case cause == nil:
		return nil
	case errors.Is(cause, lease.ErrLost): // it was aborted, its collection was deleted, or another worker has it
		return w.Rows.LeaveReindex(ctx, s.Reindex, l, againAfter)
	case errors.Is(cause, lease.ErrStopped):
		return s.leave(ctx)
	}
	return errors.Join(fmt.Errorf("reindex %s, %s: %w", s.ID, s.State, cause), s.leave(ctx))
}

// steps is the work on one reindex.
type steps struct {
	*Worker
	*Reindex
	lease lease.Lease
	held  bool // writes wait
	left  bool // the lease was released
}

// leave releases the lease, and lets waiting writes continue.
func (s *steps) leave(ctx context.Context) error {
	if !s.held {
		return s.Rows.LeaveReindex(ctx, s.Reindex, s.lease, againAfter)
	}
	to := s.State
	if to == Swapping {
		to = Verifying
	}
	return s.Rows.LetWrites(ctx, s.Reindex, s.lease, to, againAfter)
}

func (s *steps) run(ctx context.Context) error {
	for !s.left {
		if s.Reached != nil {
			s.Reached(s.Reindex, false)
		}
		if err := s.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *steps) step(ctx context.Context) error {
	var err error
	switch s.State {
	case Created:
		err = s.create(ctx)
	case Copying:
		err = s.copy(ctx)
	case Verifying:
		err = s.verify(ctx)
	case Swapping:
		err = s.swap(ctx)
	case RollingBack:
		err = s.rollBack(ctx)
	default:
		return s.after(ctx)
	}
	if s.State.UnderWay() && final(err) {
		return s.fail(ctx, err)
	}
	return err
}

// final reports whether an error would occur again if the step were repeated, as a refusal of the engine would.
func final(err error) bool {
	return err != nil && !errors.Is(err, lease.ErrLost) && !engine.Passing(err)
}

func (s *steps) fail(ctx context.Context, cause error) error {
	p := problem.From(cause)
	s.Failure, s.Reason = string(p.Code), p.Detail
	s.Log.WarnContext(ctx, "reindex failed", "reindex", s.ID, "state", s.State, "error", cause)
	s.left = true
	return s.Rows.FailReindex(ctx, s.Reindex, s.lease, s.event("failReindex", map[string]string{"code": s.Failure}))
}

func (s *steps) event(action string, detail map[string]string) audit.Event {
	e := audit.Event{Action: action, ActorKind: audit.System, Target: s.Name.Engine(), Outcome: audit.OK, Detail: map[string]string{"reindex": s.ID}}
	for k, v := range detail {
		e.Detail[k] = v
	}
	return e
}

func (s *steps) move(ctx context.Context, to State) error {
	if err := s.Rows.MoveReindex(ctx, s.Reindex, s.lease, to); err != nil {
		return err
	}
	s.State = to
	return nil
}

// call renews the lease, and returns a context for the engine calls that follow.
func (s *steps) call(ctx context.Context) (context.Context, context.CancelFunc, error) {
	return lease.Fenced(ctx, func(ctx context.Context) error { return s.Rows.KeepReindex(ctx, s.Reindex, s.lease) })
}

// create creates the target. Copying starts once all writes are noted.
func (s *steps) create(ctx context.Context) error {
	call, cancel, err := s.call(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	source, err := s.Engine.Collection(call, s.Source)
	if err != nil {
		return err
	}
	target := s.Wanted.Collection(s.Target, source.Scoped())
	target.SynonymSets, target.CurationSets = source.SynonymSets, source.CurationSets
	if err := s.Engine.CreateLike(call, target, s.Source); err != nil && !errors.Is(err, problem.AlreadyExists) {
		return err
	}
	s.Documents = source.Documents
	if err := s.drained(ctx, lease.CallLimit); err != nil {
		return err
	}
	return s.move(ctx, Copying)
}

// errBusy reports that writes that began earlier are still under way.
var errBusy = errors.New("writes that began earlier are still under way")

// drained waits until every write that read its mapping before now has ended. All writes after that know what was committed before.
func (s *steps) drained(ctx context.Context, limit time.Duration) error {
	since, err := s.Rows.Now(ctx)
	if err != nil {
		return err
	}
	s.Replica.Wake()
	for began := time.Now(); ; {
		oldest, err := s.Rows.OldestWrite(ctx)
		switch {
		case err != nil:
			return err
		case !oldest.Before(since):
			return s.Rows.KeepReindex(ctx, s.Reindex, s.lease)
		case time.Since(began) > limit:
			return errBusy
		}
		if !rest(ctx, drainPause, nil) {
			return ctx.Err()
		}
	}
}

// gone reports whether an error means that the source no longer exists.
func (s *steps) gone(ctx context.Context, err error) bool {
	if !errors.Is(err, problem.NotFound) {
		return false
	}
	call, cancel := context.WithTimeout(ctx, lease.CallLimit)
	defer cancel()
	_, err = s.Engine.Collection(call, s.Source)
	return errors.Is(err, problem.NotFound)
}

// after does what remains once the target has replaced the source, or the reindex has ended without that.
func (s *steps) after(ctx context.Context) error {
	now, err := s.Rows.Now(ctx)
	if err != nil {
		return err
	}
	s.left = true
	switch kept := now.Before(s.CleanupAt); {
	case kept && s.State == Done:
		_, err := s.catchUp(ctx, s.Target, s.Source, false)
		if err == nil {
			return s.Rows.LeaveReindex(ctx, s.Reindex, s.lease, min(keptPause, s.CleanupAt.Sub(now)))
		}
		if !s.gone(ctx, err) {
			return err
		}
		s.Log.WarnContext(ctx, "the previous collection of a reindex no longer exists: it can't be rolled back", "reindex", s.ID)
	case kept:
		return s.Rows.LeaveReindex(ctx, s.Reindex, s.lease, s.CleanupAt.Sub(now))
	}
	if err := s.Rows.StopNoting(ctx, s.Reindex, s.lease); err != nil {
		return err
	}
	return s.Rows.CleanReindex(ctx, s.Reindex, s.lease, func(ctx context.Context) error {
		call, cancel := context.WithTimeout(ctx, lease.CallLimit)
		defer cancel()
		if err := s.Engine.Delete(call, s.Cleanup); err != nil && !errors.Is(err, problem.NotFound) {
			return err
		}
		return nil
	})
}
