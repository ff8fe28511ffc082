package embedded

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/fountainai/fountain/impl/search/internal/embedded/docstore"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// Texts that clients know.
var (
	errNotFound = &schema.Error{Status: http.StatusNotFound, Text: "Not Found"}
	errKey      = &schema.Error{Status: http.StatusUnauthorized, Text: "Forbidden - a valid `x-typesense-api-key` header must be sent."}
	errLoading  = &schema.Error{Status: http.StatusServiceUnavailable, Text: "Not Ready or Lagging"}
	errBusy     = &schema.Error{Status: http.StatusTooManyRequests, Text: "Too many searches at once."}
	errTimeout  = &schema.Error{Status: http.StatusRequestTimeout, Text: "Request Timeout"}
)

const (
	contentJSON = "application/json; charset=utf-8"
	contentText = "text/plain; charset=utf-8"
	// EngineHeader names the engine on every answer, so that a caller can tell it from a real Typesense.
	EngineHeader = "X-Search-Engine"
	engineName   = "embedded"
)

// refusal turns any error into the one for the caller; what it does not know is logged and answered 500.
func (e *Engine) refusal(err error) *schema.Error {
	var known *schema.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, docstore.ErrNoCollection):
		return errCollection
	case errors.Is(err, docstore.ErrDiskFull):
		return errDisk
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return errTimeout
	}
	e.log.Error("embedded engine: internal error", "error", err)
	return &schema.Error{Status: http.StatusInternalServerError, Text: "Internal error."}
}

func (e *Engine) fail(w http.ResponseWriter, err error) {
	r := e.refusal(err)
	reply(w, r.Status, map[string]string{"message": r.Text})
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

// encode writes JSON without escaping for HTML.
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
