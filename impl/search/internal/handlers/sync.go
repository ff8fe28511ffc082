package handlers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/job"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/internal/problem"
)

// syncBytes limits a synchronous sync, and syncLine one line of items, both in bytes, as in the contract.
const (
	syncBytes = 16 << 20
	syncLine  = 2 << 20
)

// fullWait is the Retry-After value if there is no room for a job.
const fullWait = 10 * time.Second

// respondAsync is the preference for a job (RFC 7240, section 4.1). The contract allows no other.
const respondAsync = "respond-async"

// SyncDocuments implements searchapi.StrictServerInterface.
func (h *Handlers) SyncDocuments(ctx context.Context, r searchapi.SyncDocumentsRequestObject) (searchapi.SyncDocumentsResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	c, err := core.hold(ctx, p, r.Collection, owner.Write)
	if err != nil {
		return nil, err
	}
	if r.Params.Prefer != nil {
		j, err := core.spool(ctx, c, r)
		if err != nil {
			return nil, refuse(err)
		}
		core.JobDue()
		return searchapi.SyncDocuments202JSONResponse{Body: jobTo(j, c), Headers: searchapi.SyncDocuments202ResponseHeaders{
			Location: new(h.Contract.BasePath + "/collections/" + c.shown() + "/jobs/" + j.ID), PreferenceApplied: new(respondAsync),
		}}, nil
	}
	items, err := c.all(r)
	if err != nil {
		return nil, err
	}
	results, err := core.Writer.SyncVersions(ctx, c.Collection, items)
	if err != nil {
		return nil, err
	}
	return outcomesTo(items, results, c.Versioned), nil
}

// all reads the items of a synchronous sync. Problems: validation_failed, body_too_large.
func (c held) all(r searchapi.SyncDocumentsRequestObject) ([]engine.Item, error) {
	if r.JSONBody != nil {
		return itemsFrom(r.JSONBody.Items, c)
	}
	var items []engine.Item
	left := int64(syncBytes)
	err := c.lines(r.Body, func(item engine.Item, size int) error {
		left -= int64(size)
		if len(items) == syncItems || left < 0 {
			return problem.New(problem.BodyTooLarge, fmt.Sprintf("At most %d items of %d MiB are accepted at once; send more with Prefer: %s.", syncItems, syncBytes>>20, respondAsync))
		}
		items = append(items, item)
		return nil
	})
	return items, err
}

// lines reads items line by line. The contract validates each line as it is read, so that an invalid line is an error of the read, which is
// a problem.
func (c held) lines(body io.Reader, each func(item engine.Item, size int) error) error {
	in := bufio.NewScanner(body)
	in.Buffer(nil, syncLine+2)
	n := 0
	for in.Scan() {
		n++
		sent, err := readItem(in.Bytes())
		if err != nil {
			return problem.New(problem.MalformedBody, fmt.Sprintf("Line %d of the body can't be read.", n)).Wrap(err)
		}
		item, err := itemFrom(&sent, c, place{line: n})
		if err != nil {
			return err
		}
		if err := each(item, len(in.Bytes())); err != nil {
			return err
		}
	}
	var known *problem.Error
	var tooLarge *http.MaxBytesError
	switch err := in.Err(); {
	case err == nil || errors.As(err, &known):
		return err
	case errors.As(err, &tooLarge):
		return problem.New(problem.BodyTooLarge, "The body is larger than this operation accepts.")
	default:
		return problem.New(problem.MalformedBody, "The body could not be read completely.").Wrap(err)
	}
}

// reach returns the tenant whose documents the caller reaches, in the form that jobs store.
func (c held) reach() string {
	if c.whole {
		return job.Every
	}
	return c.caller.Tenant
}

// counted returns against whose limit a job of the caller counts: that of the tenant, or else of the caller.
func (c held) counted() string {
	if c.caller.Tenant != "" {
		return owner.OfTenant(c.caller.Tenant)
	}
	return c.caller.Kind + ":" + c.caller.Subject
}

// spool stores the request body as a job. If the body is incomplete or an item is invalid, nothing is stored.
func (core *Core) spool(ctx context.Context, c held, r searchapi.SyncDocumentsRequestObject) (*job.Job, error) {
	s, err := job.NewSpool(ctx, core.Store, &job.Job{Name: c.Name, Claimed: c.Claimed, Sender: job.SentBy(c.caller), Whose: c.counted(), Reach: c.reach()})
	if err != nil {
		return nil, err
	}
	if err := receive(ctx, s, c, r); err != nil {
		return nil, s.Drop(ctx, err)
	}
	if err := s.Accept(ctx); err != nil {
		return nil, s.Drop(ctx, err)
	}
	return s.Job, nil
}

func receive(ctx context.Context, s *job.Spool, c held, r searchapi.SyncDocumentsRequestObject) error {
	if r.JSONBody == nil {
		return c.lines(r.Body, func(item engine.Item, _ int) error { return s.Add(ctx, item) })
	}
	items, err := itemsFrom(r.JSONBody.Items, c)
	if err != nil {
		return err
	}
	for _, item := range items {
		if err := s.Add(ctx, item); err != nil {
			return err
		}
	}
	return nil
}
