package handlers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/filters"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/internal/problem"
)

// ExportDocuments implements searchapi.StrictServerInterface.
func (h *Handlers) ExportDocuments(ctx context.Context, r searchapi.ExportDocumentsRequestObject) (searchapi.ExportDocumentsResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	c, err := core.hold(ctx, p, r.Collection, owner.Read)
	if err != nil {
		return nil, err
	}
	filter, err := exportFilter(r.Body, c)
	if err != nil {
		return nil, err
	}
	var fields []string
	if r.Body.Fields != nil {
		fields = *r.Body.Fields
	}
	for i, field := range fields {
		if reserved(field) {
			return nil, problem.New(problem.ValidationFailed, "There is no field of that name.").
				WithField("body", fmt.Sprintf("/fields/%d", i), "enum", "is not a field of the collection")
		}
	}
	export, err := core.Engine.Export(ctx, c.Engine(), filter, fields)
	if err != nil {
		return nil, err
	}
	reader, writer := io.Pipe()
	go func() {
		err := errors.Join(exportLines(writer, export, c), export.Close())
		writer.CloseWithError(err) // nil ends the response; another error breaks the connection before the last line
	}()
	return searchapi.ExportDocuments200ApplicationXNdjsonResponse{Body: reader}, nil
}

// exportFilter combines the filter of the request with the part of the collection that the caller reaches. Problem: validation_failed.
func exportFilter(b *searchapi.DocumentExport, c held) (string, error) {
	item, err := c.item("", b.Tenant, "body", "/tenant")
	if err != nil {
		return "", err
	}
	reach := c.filter()
	if b.Tenant != nil {
		reach = engine.Only(*item.Tenant)
	}
	if b.Filter == nil {
		return reach, nil
	}
	own, err := filters.Write(b.Filter, filters.Options{Reserved: reserved, ID: c.storedID})
	if err != nil || reach == "" {
		return own, err
	}
	return reach + " && " + own, nil
}

// exportLines writes one line per document, and a last line with their number.
func exportLines(w io.Writer, export *engine.Export, c held) error {
	out := bufio.NewWriterSize(w, 64<<10)
	for n := 0; ; n++ {
		doc, err := export.Next()
		if errors.Is(err, io.EOF) {
			fmt.Fprintf(out, "{\"documents\":%d}\n", n)
			return out.Flush()
		}
		if err != nil {
			return err
		}
		line := append(make([]byte, 0, len(doc)+64), `{"document":`...)
		if line, err = shown(line, doc, c); err != nil {
			return err
		}
		if _, err := out.Write(append(line, "}\n"...)); err != nil {
			return err
		}
	}
}
