package reindex

import (
	"context"

	"github.com/fountainai/fountain/impl/search/internal/lease"
	"github.com/fountainai/fountain/internal/problem"
)

// verify applies the notes of the writes during the copy until few are left, and then compares the collections.
func (s *steps) verify(ctx context.Context) error {
	for range mostRounds {
		n, err := s.catchUp(ctx, s.Source, s.Target, false)
		if err != nil {
			return err
		}
		if err := s.checkRefused(ctx); err != nil {
			return err
		}
		if n <= fewNotes {
			break
		}
	}
	if err := s.compare(ctx); err != nil {
		return err
	}
	call, cancel, err := s.call(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	if err := s.Engine.CopyRules(call, s.Source, s.Target); err != nil {
		return err
	}
	// A process that has died is waited for here, before writes have to wait.
	if err := s.drained(ctx, lease.CallLimit); err != nil {
		return err
	}
	return s.hold(ctx, Swapping)
}

// checkRefused returns an error if the target has refused a document that was written during the reindex.
func (s *steps) checkRefused(ctx context.Context) error {
	refused, err := s.Rows.Refused(ctx, s.ID)
	if err == nil && refused > 0 {
		return problem.New(problem.ValidationFailed, "A document that was written in the meantime does not match the new schema.")
	}
	return err
}

func (s *steps) hold(ctx context.Context, to State) error {
	if err := s.Rows.HoldWrites(ctx, s.Reindex, s.lease, to); err != nil {
		return err
	}
	s.State, s.held = to, true
	return nil
}

// settled applies the last notes while writes wait, and checks that both collections have the same number of documents.
func (s *steps) settled(ctx context.Context, from, to string) error {
	if s.Reached != nil {
		s.Reached(s.Reindex, true)
	}
	if err := s.drained(ctx, drainLimit); err != nil {
		return err
	}
	if _, err := s.catchUp(ctx, from, to, true); err != nil {
		return err
	}
	if err := s.checkRefused(ctx); err != nil {
		return err
	}
	call, cancel, err := s.call(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	a, err := s.Engine.Collection(call, from)
	if err != nil {
		return err
	}
	b, err := s.Engine.Collection(call, to)
	if err != nil {
		return err
	}
	if a.Documents != b.Documents {
		return errDiffers("it holds another number of documents.")
	}
	return nil
}

// swap replaces the source by the target.
func (s *steps) swap(ctx context.Context) error {
	if err := s.hold(ctx, Swapping); err != nil { // another worker's hold may have been ended
		return err
	}
	if err := s.settled(ctx, s.Source, s.Target); err != nil {
		return err
	}
	if err := s.Rows.SwapReindex(ctx, s.Reindex, s.lease, s.event("swapReindex", map[string]string{"collection": s.Target})); err != nil {
		return err
	}
	s.Log.InfoContext(ctx, "a collection was replaced by its reindex", "reindex", s.ID, "collection", s.Name.Engine(), "documents", s.Documents)
	s.held, s.left = false, true
	return s.Rows.LeaveReindex(ctx, &Reindex{ID: s.ID, State: Done}, s.lease, 0)
}

// rollBack replaces the target by the source, if the source accepts everything that was written since. If it does not, the reindex stays in
// state Done and records the reason.
func (s *steps) rollBack(ctx context.Context) error {
	err := s.ready(ctx)
	if final(err) {
		p := problem.From(err)
		s.Log.WarnContext(ctx, "reindex can't be rolled back", "reindex", s.ID, "error", err)
		s.Failure, s.Reason, s.left = string(p.Code), "The previous collection can't be put back: "+p.Detail, true
		return s.Rows.LetWrites(ctx, s.Reindex, s.lease, Done, 0)
	}
	if err != nil {
		return err
	}
	s.held, s.left = false, true
	return s.Rows.UnswapReindex(ctx, s.Reindex, s.lease, s.event("unswapReindex", map[string]string{"collection": s.Source}))
}

// ready brings the source up to date and makes writes wait.
func (s *steps) ready(ctx context.Context) error {
	for range mostRounds {
		n, err := s.catchUp(ctx, s.Target, s.Source, false)
		if err != nil {
			return err
		}
		if n <= fewNotes {
			break
		}
	}
	if err := s.checkRefused(ctx); err != nil {
		return err // no write has waited
	}
	if err := s.drained(ctx, lease.CallLimit); err != nil {
		return err
	}
	if err := s.hold(ctx, RollingBack); err != nil {
		return err
	}
	return s.settled(ctx, s.Target, s.Source)
}
