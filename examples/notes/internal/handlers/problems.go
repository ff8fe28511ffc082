package handlers

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/fountainai/fountain/clients/fountain/verify"
	"github.com/fountainai/fountain/examples/notes/internal/api"
	"github.com/fountainai/fountain/examples/notes/internal/domain"
)

var errCursor = errors.New("the cursor was not made by this list")

// refusals is the single table from errors of the domain to responses.
var refusals = []struct {
	err     error
	problem verify.Problem
}{
	{domain.ErrUnknown, verify.Problem{Status: http.StatusNotFound, Code: "not_found", Title: "Not found", Detail: "There is no such note."}},
	{domain.ErrStale, verify.Problem{Status: http.StatusPreconditionFailed, Code: "precondition_failed", Title: "Precondition failed", Detail: "The note has changed."}},
	{domain.ErrFull, verify.Problem{Status: http.StatusConflict, Code: "limit_reached", Title: "Limit reached", Detail: "Nobody keeps more notes than that."}},
	{domain.ErrInvalid, verify.Problem{Status: http.StatusUnprocessableEntity, Code: "invalid_body", Title: "Invalid body", Detail: "The body does not match the contract."}},
	{errCursor, verify.Problem{Status: http.StatusBadRequest, Code: "invalid_cursor", Title: "Invalid cursor", Detail: "The cursor was not made by this list."}},
}

// refuse writes the response for an error of an operation. An error that is not in the table is a fault of this
// service, and its text goes only to the log.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	for _, one := range refusals {
		if errors.Is(err, one.err) {
			verify.WriteProblem(w, r, &one.problem)
			return
		}
	}
	if !errors.Is(err, context.Canceled) {
		slog.ErrorContext(r.Context(), "a request failed", "path", r.URL.Path, "error", err)
	}
	verify.WriteProblem(w, r, &verify.Problem{Status: http.StatusInternalServerError, Code: "internal_error", Title: "Internal error", Detail: "The service failed."})
}

// refuseRequest answers a request whose parameters or body cannot be decoded. Behind the gateway there are none.
func refuseRequest(w http.ResponseWriter, r *http.Request, err error) {
	p := &verify.Problem{Status: http.StatusBadRequest, Code: "invalid_request", Title: "Invalid request", Detail: "The request does not match the contract."}
	var missing *api.RequiredHeaderError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &missing):
		p = &verify.Problem{Status: http.StatusPreconditionRequired, Code: "precondition_missing", Title: "Precondition required", Detail: "If-Match is needed."}
	case errors.As(err, &tooLarge):
		p = &verify.Problem{Status: http.StatusRequestEntityTooLarge, Code: "body_too_large", Title: "Body too large", Detail: "The body is larger than this operation accepts."}
	}
	verify.WriteProblem(w, r, p)
}
