package handlers

import (
	"encoding/json"
	"strconv"

	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/tsclient"
)

// render writes DocumentSearchResult from raw parts of the engine's answer, so that all digits of large numbers are preserved. Documents of
// a tenant-scoped collection get their original IDs back.
func render(out []byte, r *tsclient.Result, c held) (_ []byte, err error) {
	out = head(out, r)
	for i := range r.Hits {
		if out, err = hit(append(comma(out, i), '{'), &r.Hits[i], c); err != nil {
			return nil, err
		}
	}
	out = append(out, `],"facets":[`...)
	for i := range r.Facets {
		out = facet(comma(out, i), &r.Facets[i])
	}
	return append(out, `]}`...), nil
}

// room estimates the size in bytes of a rendered result.
func room(r *tsclient.Result) int {
	size := 256
	for _, h := range r.Hits {
		size += len(h.Document) + 256
	}
	return size
}

// head writes the members before the hits.
func head(out []byte, r *tsclient.Result) []byte {
	out = strconv.AppendInt(append(out, `{"found":`...), r.Found, 10)
	out = strconv.AppendInt(append(out, `,"outOf":`...), r.OutOf, 10)
	out = strconv.AppendInt(append(out, `,"page":`...), r.Page, 10)
	out = strconv.AppendInt(append(out, `,"tookMs":`...), r.TookMs, 10)
	if r.Embedded {
		return append(out, `,"engine":"embedded","hits":[`...)
	}
	return append(out, `,"engine":"typesense","hits":[`...)
}

func comma(out []byte, i int) []byte {
	if i > 0 {
		return append(out, ',')
	}
	return out
}

// hit writes the members of a hit and closes its object.
func hit(out []byte, h *tsclient.ResultHit, c held) ([]byte, error) {
	out = append(out, `"document":`...)
	out, err := shown(out, h.Document, c)
	if err != nil {
		return nil, err
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

// shown writes a document with its original ID. For callers who reach all tenants, the member tenant follows.
func shown(out, doc []byte, c held) ([]byte, error) {
	if !c.TenantScoped {
		return append(out, doc...), nil
	}
	tenant, restored, err := engine.Restore(doc)
	if err != nil {
		return nil, err
	}
	if out = append(out, restored...); !c.whole || tenant == "" {
		return out, nil
	}
	quoted, err := json.Marshal(tenant)
	return append(append(out, `,"tenant":`...), quoted...), err
}

func facet(out []byte, f *tsclient.ResultFacet) []byte {
	out = append(append(append(out, `{"field":`...), f.Field...), `,"counts":[`...)
	for i, c := range f.Counts {
		out = append(append(append(comma(out, i), `{"value":`...), c.Value...), `,"count":`...)
		out = append(strconv.AppendInt(out, c.Count, 10), '}')
	}
	return append(out, `]}`...)
}
