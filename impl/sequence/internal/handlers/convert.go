package handlers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/fountainai/fountain/generated/sequenceapi"
	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/searchsync"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/internal/etag"
)

func toDrafts(in []sequenceapi.ElementCreate) []domain.Draft {
	out := make([]domain.Draft, len(in))
	for i, e := range in {
		out[i] = domain.Draft{Comment: e.Comment, Data: e.Data}
		if e.ID != nil {
			out[i].ID = *e.ID
		}
	}
	return out
}

func fromElement(e domain.Element) sequenceapi.Element {
	var formatted *string
	if e.Formatted != "" {
		formatted = &e.Formatted
	}
	return sequenceapi.Element{
		FormattedNumber: formatted,
		ID:              e.ID, Scope: e.Scope, ElementType: e.ElementType, Number: e.Number, Status: sequenceapi.ElementStatus(e.Status),
		Version: e.Version, Comment: e.Comment, Data: e.Data, CreatedAt: e.CreatedAt, UpdatedAt: e.UpdatedAt,
	}
}

func fromElements(in []domain.Element) []sequenceapi.Element {
	out := make([]sequenceapi.Element, len(in))
	for i, e := range in {
		out[i] = fromElement(e)
	}
	return out
}

func fromVersion(v domain.Version) sequenceapi.Version {
	return sequenceapi.Version{Version: v.Version, Comment: v.Comment, Data: v.Data, CreatedAt: v.CreatedAt, CreatedBy: v.CreatedBy}
}

func fromChanges(in []domain.NumberChange) []sequenceapi.NumberChange {
	out := make([]sequenceapi.NumberChange, len(in))
	for i, c := range in {
		out[i] = sequenceapi.NumberChange{ID: c.ID, From: c.From, To: c.To}
	}
	return out
}

func fromOrder(done store.Done) sequenceapi.ReorderResult {
	return sequenceapi.ReorderResult{Changes: fromChanges(done.Numbers), Shifted: fromShift(done.Shift)}
}

func fromShift(s *domain.Shift) *sequenceapi.Shifted {
	if s == nil {
		return nil
	}
	return &sequenceapi.Shifted{From: s.From, To: s.To, By: s.By}
}

func fromComparison(in domain.Comparison) sequenceapi.VersionComparison {
	out := sequenceapi.VersionComparison{From: in.From, To: in.To, Patch: make([]sequenceapi.PatchOperation, len(in.Patch))}
	for i, op := range in.Patch {
		out.Patch[i] = sequenceapi.PatchOperation{Op: sequenceapi.PatchOperationOp(op.Op), Path: op.Path}
		if op.Value != nil {
			out.Patch[i].Value = new(json.RawMessage(op.Value))
		}
	}
	return out
}

func fromChange(c domain.Change) sequenceapi.Change {
	out := sequenceapi.Change{Position: c.Position, Kind: sequenceapi.ChangeKind(c.Kind), ElementType: c.ElementType, At: c.At, By: c.Actor}
	if c.Kind == domain.Reordered {
		out.Numbers, out.Shifted = new(fromChanges(c.Numbers)), fromShift(c.Shift)
		return out
	}
	out.ElementID, out.Number = &c.ID, &c.Number
	if c.Kind == domain.Created || c.Kind == domain.Revised {
		out.Version = &c.Version
	}
	return out
}

func toQuery(scope string, in *sequenceapi.ElementSearch) searchsync.Query {
	q := searchsync.Query{Scope: scope, Words: in.Q, Page: 1, PerPage: 10}
	if in.ElementType != nil {
		q.ElementType = *in.ElementType
	}
	if in.Status != nil {
		q.Status = domain.Status(*in.Status)
	}
	if in.NumberFrom != nil {
		q.From = *in.NumberFrom
	}
	if in.NumberTo != nil {
		q.To = *in.NumberTo
	}
	if in.Filters != nil {
		for _, f := range *in.Filters {
			q.Filters = append(q.Filters, searchsync.Filter{Property: f.Property, Values: f.Values})
		}
	}
	if in.Facets != nil {
		q.Facets = *in.Facets
	}
	if in.Page != nil {
		q.Page = *in.Page
	}
	if in.PerPage != nil {
		q.PerPage = *in.PerPage
	}
	return q
}

func fromSearch(in searchsync.Result, page int32) sequenceapi.ElementSearchResult {
	out := sequenceapi.ElementSearchResult{
		Found: in.Found, Page: page, Hits: make([]sequenceapi.ElementHit, len(in.Hits)), Facets: make([]sequenceapi.ElementFacet, len(in.Facets)),
	}
	for i, h := range in.Hits {
		out.Hits[i] = sequenceapi.ElementHit{Element: fromElement(h.Element)}
		if h.Snippet != "" {
			out.Hits[i].Snippet = &h.Snippet
		}
	}
	for i, f := range in.Facets {
		counts := make([]sequenceapi.FacetCount, len(f.Counts))
		for j, c := range f.Counts {
			counts[j] = sequenceapi.FacetCount{Value: c.Value, Count: c.Count}
		}
		out.Facets[i] = sequenceapi.ElementFacet{Property: f.Property, Counts: counts}
	}
	return out
}

// answer is a JSON response of any operation. The generated responses escape <, > and & in the callers' data; answer returns the
// data unchanged.
type answer struct {
	status int
	etag   string // empty: none
	body   any
}

func ok(body any) answer { return answer{status: http.StatusOK, body: body} }

// elementAnswer is an element with its ETag, which includes number and status because these can change without a new version.
func elementAnswer(status int, e domain.Element) answer {
	return answer{status: status, etag: etag.OfState(e.Version, domain.StateWords(e.Number, e.Status)...), body: fromElement(e)}
}

func (a answer) write(w http.ResponseWriter) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(a.body); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	if a.etag != "" {
		w.Header().Set("ETag", a.etag)
	}
	w.WriteHeader(a.status)
	_, err := text.WriteTo(w)
	return err
}

// The methods below make answer a response of each operation.

func (a answer) VisitCreateElementResponse(w http.ResponseWriter) error     { return a.write(w) }
func (a answer) VisitCreateElementsResponse(w http.ResponseWriter) error    { return a.write(w) }
func (a answer) VisitListElementsResponse(w http.ResponseWriter) error      { return a.write(w) }
func (a answer) VisitGetElementResponse(w http.ResponseWriter) error        { return a.write(w) }
func (a answer) VisitOmitElementResponse(w http.ResponseWriter) error       { return a.write(w) }
func (a answer) VisitRestoreElementResponse(w http.ResponseWriter) error    { return a.write(w) }
func (a answer) VisitReorderElementsResponse(w http.ResponseWriter) error   { return a.write(w) }
func (a answer) VisitCreateVersionResponse(w http.ResponseWriter) error     { return a.write(w) }
func (a answer) VisitListVersionsResponse(w http.ResponseWriter) error      { return a.write(w) }
func (a answer) VisitGetVersionResponse(w http.ResponseWriter) error        { return a.write(w) }
func (a answer) VisitReindexScopeResponse(w http.ResponseWriter) error      { return a.write(w) }
func (a answer) VisitSearchElementsResponse(w http.ResponseWriter) error    { return a.write(w) }
func (a answer) VisitListDeadLettersResponse(w http.ResponseWriter) error   { return a.write(w) }
func (a answer) VisitRetryDeadLettersResponse(w http.ResponseWriter) error  { return a.write(w) }
func (a answer) VisitListElementScopesResponse(w http.ResponseWriter) error { return a.write(w) }
func (a answer) VisitGetElementScopeResponse(w http.ResponseWriter) error   { return a.write(w) }
func (a answer) VisitListChangesResponse(w http.ResponseWriter) error       { return a.write(w) }
func (a answer) VisitUpdateElementResponse(w http.ResponseWriter) error     { return a.write(w) }
func (a answer) VisitMoveElementResponse(w http.ResponseWriter) error       { return a.write(w) }
func (a answer) VisitPreviewMoveResponse(w http.ResponseWriter) error       { return a.write(w) }
func (a answer) VisitRestoreVersionResponse(w http.ResponseWriter) error    { return a.write(w) }
func (a answer) VisitCompareVersionsResponse(w http.ResponseWriter) error   { return a.write(w) }
func (a answer) VisitPreviewReorderResponse(w http.ResponseWriter) error    { return a.write(w) }
