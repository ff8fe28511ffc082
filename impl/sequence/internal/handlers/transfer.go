package handlers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/fountainai/fountain/generated/sequenceapi"
	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/scopefile"
	"github.com/fountainai/fountain/impl/sequence/internal/transfer"
	"github.com/fountainai/fountain/internal/problem"
)

// Transfer exports and imports scopes.
type Transfer interface {
	Export(ctx context.Context, scope string, begin func() io.Writer) error
	Import(ctx context.Context, scope string, who domain.Actor, file io.Reader) (transfer.Imported, error)
}

// ExportScope exports a scope line by line.
func (s *Server) ExportScope(ctx context.Context, r sequenceapi.ExportScopeRequestObject) (sequenceapi.ExportScopeResponseObject, error) {
	return scopeExport{ctx: ctx, from: s.Transfer, scope: r.Scope}, nil
}

// scopeExport is a response that is produced while it is sent.
type scopeExport struct {
	ctx   context.Context
	from  Transfer
	scope string
}

// VisitExportScopeResponse writes the export. A failure before the first line is answered by a problem. After that the connection is closed before the last line.
func (e scopeExport) VisitExportScopeResponse(w http.ResponseWriter) error {
	err := e.from.Export(e.ctx, e.scope, func() io.Writer {
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.WriteHeader(http.StatusOK)
		return w
	})
	if err != nil {
		return refuseTransfer(err)
	}
	return nil
}

// ImportScope creates the content of a scope from a file.
func (s *Server) ImportScope(ctx context.Context, r sequenceapi.ImportScopeRequestObject) (sequenceapi.ImportScopeResponseObject, error) {
	done, err := s.Transfer.Import(ctx, r.Scope, actor(ctx), r.Body)
	if err != nil {
		return nil, refuseTransfer(err)
	}
	return ok(sequenceapi.ScopeImport{Scope: r.Scope, Imported: done.New, Elements: done.Elements, Versions: done.Versions, Sha256: done.SHA256}), nil
}

func (a answer) VisitImportScopeResponse(w http.ResponseWriter) error { return a.write(w) }

// busyPause is how long a caller is asked to wait before it tries an export or an import again.
const busyPause = 5 * time.Second

// refuseTransfer is refuse for exports and imports, whose errors it translates first.
func refuseTransfer(err error) error {
	var fault *scopefile.Fault
	var invalid *domain.InvalidItems
	switch {
	case errors.As(err, &fault):
		return problem.New(problem.ValidationFailed, fmt.Sprintf("Line %d of the file %s; nothing was changed.", fault.Line, fault.Why)).
			WithField("body", "", fault.Rule, "is not a complete export")
	case errors.As(err, &invalid):
		return problem.New(problem.ValidationFailed, "An id of the file "+invalid.Faults[0].Message+"; nothing was changed.").
			WithField("body", "", invalid.Faults[0].Rule, invalid.Faults[0].Message)
	case errors.Is(err, domain.ErrScopeTaken):
		return problem.New(problem.AlreadyExists, "The scope has or had elements that are not from this file; nothing was changed.")
	case errors.Is(err, domain.ErrImportLost):
		return problem.New(problem.Unavailable, "The import was aborted, because it sent nothing for too long; nothing was changed.").WithRetryAfter(busyPause)
	case errors.Is(err, transfer.ErrBusy):
		return problem.New(problem.Overloaded, "Too many exports are running.").WithRetryAfter(busyPause)
	}
	return refuse(err, nil)
}
