package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"syscall"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/embedded/docstore"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
	"github.com/fountainai/fountain/impl/search/internal/embedded/settings"
)

// Texts that clients may recognise.
var (
	errNotFound = &schema.Error{Status: http.StatusNotFound, Text: "Not Found"}
	errKey      = &schema.Error{Status: http.StatusUnauthorized, Text: "Forbidden - a valid `x-typesense-api-key` header must be sent."}
	errLoading  = &schema.Error{Status: http.StatusServiceUnavailable, Text: "Not Ready or Lagging"}
	errTimeout  = &schema.Error{Status: http.StatusRequestTimeout, Text: "Request Timeout"}
)

const (
	contentJSON = "application/json; charset=utf-8"
	contentText = "text/plain; charset=utf-8"
	// EngineHeader names the engine in every response, so that callers can distinguish it from a real Typesense.
	EngineHeader = "X-Search-Engine"
	engineName   = "embedded"
)

// refusal converts any error to the one for the caller. Unknown errors are logged and become status 500.
func (h *Handler) refusal(err error) *schema.Error {
	var known *schema.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, docstore.ErrNoCollection):
		return embedded.ErrCollection
	case errors.Is(err, settings.ErrFull):
		return &schema.Error{Status: http.StatusUnprocessableEntity, Text: "Rejecting write: there is no room for more settings."}
	case errors.Is(err, docstore.ErrDiskFull), errors.Is(err, syscall.ENOSPC):
		return &schema.Error{Status: http.StatusUnprocessableEntity, Text: "Rejecting write: running out of resource type: OUT_OF_DISK"}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return errTimeout
	}
	h.engine.Log().Error("embedded engine: internal error", "error", err)
	return &schema.Error{Status: http.StatusInternalServerError, Text: "Internal error."}
}

func (h *Handler) fail(w http.ResponseWriter, err error) {
	refused := h.refusal(err)
	reply(w, refused.Status, map[string]string{"message": refused.Text})
}

func reply(w http.ResponseWriter, status int, body any) {
	b, err := encode(body)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"message":"Internal error."}`)
	}
	w.Header().Set("Content-Type", contentJSON)
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// encode encodes JSON without HTML escapes.
func encode(v any) ([]byte, error) {
	if raw, ok := v.(json.RawMessage); ok {
		return raw, nil
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

func tooLarge(limit int64) error {
	return &schema.Error{Status: http.StatusUnprocessableEntity, Text: fmt.Sprintf("Rejecting write: a request of the embedded engine is at most %d bytes.", limit)}
}
