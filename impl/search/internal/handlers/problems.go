package handlers

import (
	"errors"

	"github.com/fountainai/fountain/impl/search/internal/job"
	"github.com/fountainai/fountain/impl/search/internal/lease"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/reindex"
	"github.com/fountainai/fountain/internal/problem"
)

// refuse turns an error of a domain package into a problem. Other errors, and problems, are returned unchanged.
func refuse(err error) error {
	switch {
	case errors.Is(err, owner.ErrTaken):
		return problem.New(problem.AlreadyExists, "There is a collection with this name already.")
	case errors.Is(err, owner.ErrGone):
		return problem.New(problem.NotFound, "There is no such collection.")
	case errors.Is(err, reindex.ErrUnderWay):
		return problem.New(problem.StateConflict, "A reindex of the collection is under way.")
	case errors.Is(err, reindex.ErrNone):
		return problem.New(problem.NotFound, "The collection has no such reindex.")
	case errors.Is(err, reindex.ErrPast):
		return problem.New(problem.StateConflict, "The reindex is in a state that does not allow this.")
	case errors.Is(err, reindex.ErrVersion):
		return problem.New(problem.StateConflict, "The schema was changed meanwhile.")
	case errors.Is(err, reindex.ErrAlter):
		return problem.New(problem.ValidationFailed, "The collection can't be changed as it is: the schema needs a reindex.").WithField("body", "/mode", "enum", "must be auto or reindex")
	case errors.Is(err, job.ErrNone):
		return problem.New(problem.NotFound, "The collection has no such job.")
	case errors.Is(err, job.ErrPast):
		return problem.New(problem.StateConflict, "The job has ended.")
	case errors.Is(err, job.ErrFull):
		return problem.New(problem.ConcurrencyLimited, "Too many jobs are in progress, or too much data is waiting.").WithRetryAfter(fullWait)
	case errors.Is(err, lease.ErrLost):
		return problem.New(problem.RequestTimeout, "The items arrived too slowly.").Wrap(err)
	case errors.Is(err, owner.ErrManyGrants):
		return problem.New(problem.LimitReached, "The collection has the maximum number of grants.")
	case errors.Is(err, owner.ErrNoGrant):
		return problem.New(problem.NotFound, "The collection has no such grant.")
	}
	return err
}
