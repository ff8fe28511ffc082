package handlers

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/tsclient"
)

// searched is an answer to a search, written.
type searched []byte

// VisitSearchDocumentsResponse implements the generated answer of searchDocuments.
func (s searched) VisitSearchDocumentsResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(s)))
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(s)
	return err
}

// render writes DocumentSearchResult of parts of the engine's answer, which stay as they are: the digits of large numbers too. Documents of a
// tenant-scoped collection get the ids that their writers gave them.
func render(r *tsclient.Result, c held) (out []byte, err error) {
	size := 256
	for _, h := range r.Hits {
		size += len(h.Document) + 256
	}
	out = append(make([]byte, 0, size), `{"found":`...)
	out = strconv.AppendInt(out, r.Found, 10)
	out = strconv.AppendInt(append(out, `,"outOf":`...), r.OutOf, 10)
	out = strconv.AppendInt(append(out, `,"page":`...), r.Page, 10)
	out = strconv.AppendInt(append(out, `,"tookMs":`...), r.TookMs, 10)
	if r.Embedded {
		out = append(out, `,"engine":"embedded","hits":[`...)
	} else {
		out = append(out, `,"engine":"typesense","hits":[`...)
	}
	for i := range r.Hits {
		if out, err = hit(comma(out, i), &r.Hits[i], c); err != nil {
			return nil, err
		}
	}
	out = append(out, `],"facets":[`...)
	for i := range r.Facets {
		out = facet(comma(out, i), &r.Facets[i])
	}
	return append(out, `]}`...), nil
}

func comma(out []byte, i int) []byte {
	if i > 0 {
		return append(out, ',')
	}
	return out
}

func hit(out []byte, h *tsclient.ResultHit, c held) ([]byte, error) {
	out = append(out, `{"document":`...)
	if c.TenantScoped {
		tenant, document, err := engine.Restore(h.Document)
		if err != nil {
			return nil, err
		}
		if out = append(out, document...); c.whole && tenant != "" {
			quoted, err := json.Marshal(tenant)
			if err != nil {
				return nil, err
			}
			out = append(append(out, `,"tenant":`...), quoted...)
		}
	} else {
		out = append(out, h.Document...)
	}
	if len(h.Score) > 0 {
		out = append(append(append(out, `,"textMatch":"`...), h.Score...), '"')
	}
	for i, m := range h.Highlights {
		if i == 0 {
			out = append(out, `,"highlights":[`...)
		}
		out = append(append(comma(out, i), `{"field":`...), m.Field...)
		out = append(append(append(out, `,"snippet":`...), m.Snippet...), '}')
		if i == len(h.Highlights)-1 {
			out = append(out, ']')
		}
	}
	return append(out, '}'), nil
}

func facet(out []byte, f *tsclient.ResultFacet) []byte {
	out = append(append(append(out, `{"field":`...), f.Field...), `,"counts":[`...)
	for i, c := range f.Counts {
		out = append(append(append(comma(out, i), `{"value":`...), c.Value...), `,"count":`...)
		out = append(strconv.AppendInt(out, c.Count, 10), '}')
	}
	return append(out, `]}`...)
}
