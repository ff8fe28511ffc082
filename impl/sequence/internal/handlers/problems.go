package handlers

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/problem"
	database "github.com/fountainai/fountain/internal/store"
)

const (
	readyPause       = time.Second
	unavailablePause = 2 * time.Second
)

// pointer returns the JSON pointer of an item in the body.
type pointer func(index int) string

// body is the pointer of an operation whose body is the item.
func body(int) string { return "" }

// itemOf returns the pointer of an operation whose items are in the array with this name.
func itemOf(array string) pointer {
	return func(index int) string { return "/" + array + "/" + strconv.Itoa(index) }
}

// refuse translates an error of the domain or the database into a problem. It returns all other errors, problems among them, unchanged.
func refuse(err error, at pointer) error {
	var invalid *domain.InvalidItems
	var exists *domain.Exists
	var stale *domain.Stale
	switch {
	case errors.As(err, &invalid):
		return refuseItems(invalid, at)
	case errors.As(err, &exists):
		p := problem.New(problem.AlreadyExists, "An element of this type has this id already; nothing was added.")
		for _, index := range exists.Indexes {
			p = p.WithField("body", at(index)+"/id", "unique", "is the id of another element")
		}
		return p
	case errors.As(err, &stale):
		return problem.New(problem.PreconditionFailed, fmt.Sprintf("The element has changed: version %d is current.", stale.Version)).
			WithHeader("ETag", etag.OfState(stale.Version, domain.StateWords(stale.Number, stale.Status)...))
	case errors.Is(err, domain.ErrImporting):
		return problem.New(problem.StateConflict, "The scope is being imported: wait until the import ends.")
	case errors.Is(err, domain.ErrOrderChanged):
		return problem.New(problem.OrderChanged, "The order of the elements has changed since the first page: begin again without a cursor.")
	case errors.Is(err, domain.ErrFormatUsed):
		return problem.New(problem.StateConflict, "The type has assigned numbers in another format, which can no longer be changed.")
	case errors.Is(err, domain.ErrNoFormat):
		return problem.New(problem.NotFound, "The type has no number format in this scope.")
	case errors.Is(err, domain.ErrUnknownScope):
		return problem.New(problem.NotFound, "The scope has no element.")
	case errors.Is(err, domain.ErrUnknownElement):
		return problem.New(problem.NotFound, "There is no such element.")
	case errors.Is(err, domain.ErrUnknownVersion):
		return problem.New(problem.NotFound, "The element has no such version.")
	case errors.Is(err, domain.ErrOmitted):
		return problem.New(problem.ElementOmitted, "The element is omitted: restore it before it gets a new version.")
	case errors.Is(err, domain.ErrOtherFeed):
		return problem.New(problem.ValidationFailed, "The position belongs to another feed, from before a restore: begin again.").
			WithField("query", "feed", "enum", "is not the feed's current name")
	case errors.Is(err, domain.ErrBeyondFeed):
		return problem.New(problem.ValidationFailed, "The position is beyond the end of the feed: begin again.").
			WithField("query", "after", "maximum", "is beyond the end of the feed")
	case errors.Is(err, domain.ErrExhausted):
		return problem.New(problem.SequenceExhausted, "No number is left for this type in this scope.")
	case errors.Is(err, context.Canceled):
		return problem.New(problem.RequestTimeout, "The client disconnected; nothing was changed.").Wrap(err)
	case errors.Is(err, database.ErrUnavailable):
		return problem.New(problem.Unavailable, "The database is unavailable.").WithRetryAfter(unavailablePause).Wrap(err)
	}
	return err
}

func refuseItems(invalid *domain.InvalidItems, at pointer) error {
	p := problem.New(problem.ValidationFailed, "The body breaks a rule; nothing was changed.")
	for _, f := range invalid.Faults {
		where := at(f.Index)
		if f.Property != "" {
			where += "/" + f.Property
		}
		p = p.WithField("body", where, f.Rule, f.Message)
	}
	return p
}
