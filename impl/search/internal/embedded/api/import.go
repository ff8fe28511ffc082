package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// importResult is one line of the response to an import.
type importResult struct {
	Success  bool            `json:"success"`
	Code     int             `json:"code,omitempty"`
	Error    string          `json:"error,omitempty"`
	Document json.RawMessage `json:"document,omitempty"`
	ID       string          `json:"id,omitempty"`
}

// importOptions are the parameters of an import.
type importOptions struct {
	action              embedded.Action
	dirty               string
	returnID, returnDoc bool
}

func importParams(r *request) (o importOptions, err error) {
	if r.params.Has("action") {
		if o.action, err = embedded.ParseAction(r.param("action")); err != nil {
			return o, err
		}
	}
	if v := r.param("batch_size"); r.params.Has("batch_size") {
		if n, err := strconv.Atoi(v); err != nil || n <= 0 {
			return o, &schema.Error{Status: http.StatusBadRequest, Text: "Parameter `batch_size` must be a positive integer."}
		}
	}
	for name, into := range map[string]*bool{"return_id": &o.returnID, "return_doc": &o.returnDoc} {
		switch v := r.param(name); {
		case !r.params.Has(name), v == "false":
		case v == "true":
			*into = true
		default:
			return o, &schema.Error{Status: http.StatusBadRequest, Text: "Parameter `" + name + "` must be a true|false."}
		}
	}
	o.dirty = r.param("dirty_values")
	_, err = (&schema.Schema{}).ParseDirty(o.dirty)
	return o, err
}

// importDocuments writes documents from JSON lines. The response is always 200, with one line for each line that is not blank.
func (h *Handler) importDocuments(w http.ResponseWriter, r *request) {
	c, err := h.engine.Collection(r.parts[1])
	if err != nil {
		h.fail(w, err)
		return
	}
	o, err := importParams(r)
	if err != nil {
		h.fail(w, err)
		return
	}
	body, err := h.body(w, r, h.engine.Limits().ImportBytes)
	if err != nil {
		h.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", contentText)
	out := bufio.NewWriter(w)
	defer func() { _ = out.Flush() }()
	first := true
	for len(body) > 0 {
		var lines [][]byte
		lines, body = chunk(body)
		for _, res := range h.importChunk(c, lines, o) {
			if !first {
				_ = out.WriteByte('\n')
			}
			first = false
			line, err := encode(res)
			if err != nil {
				line = []byte(`{"success":false,"code":500,"error":"Internal error."}`)
			}
			_, _ = out.Write(line)
		}
	}
}

// chunk splits off the lines of one transaction from the body. Blank lines are skipped.
func chunk(body []byte) (lines [][]byte, rest []byte) {
	size := 0
	for len(body) > 0 && len(lines) < embedded.ChunkDocs && size < embedded.ChunkBytes {
		line, after, _ := bytes.Cut(body, []byte("\n"))
		body = after
		if line = bytes.TrimSpace(line); len(line) > 0 {
			lines = append(lines, line)
			size += len(line)
		}
	}
	return lines, body
}

func (h *Handler) importChunk(c *embedded.Collection, lines [][]byte, o importOptions) []importResult {
	if len(lines) == 0 {
		return nil
	}
	writes := make([]embedded.Write, len(lines))
	for i, line := range lines {
		writes[i] = embedded.Write{Action: o.action, Line: line, Dirty: o.dirty}
	}
	results, err := c.Apply(writes)
	if err != nil { // nothing of the chunk was written
		results, err = make([]embedded.Written, len(lines)), h.refusal(err)
		for i := range results {
			results[i].Err = err
		}
	}
	out := make([]importResult, len(lines))
	for i, res := range results {
		out[i] = importResult{Success: res.Err == nil}
		if o.returnID {
			out[i].ID = res.ID
		}
		if res.Err != nil {
			refused := h.refusal(res.Err)
			out[i].Code, out[i].Error = refused.Status, refused.Text
			if o.returnDoc {
				out[i].Document, _ = encode(string(lines[i]))
			}
		} else if o.returnDoc {
			out[i].Document = res.Doc
		}
	}
	return out
}
