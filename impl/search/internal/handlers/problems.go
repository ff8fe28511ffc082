package handlers

import (
	"errors"

	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/internal/problem"
)

// refuse turns an error about whose a collection is into a problem. Others, problems among them, pass unchanged.
func refuse(err error) error {
	switch {
	case errors.Is(err, owner.ErrTaken):
		return problem.New(problem.AlreadyExists, "There is a collection with this name already.")
	case errors.Is(err, owner.ErrGone):
		return problem.New(problem.NotFound, "There is no such collection.")
	case errors.Is(err, owner.ErrManyGrants):
		return problem.New(problem.LimitReached, "The collection has as many grants as it may have.")
	case errors.Is(err, owner.ErrNoGrant):
		return problem.New(problem.NotFound, "The collection has no such grant.")
	}
	return err
}
