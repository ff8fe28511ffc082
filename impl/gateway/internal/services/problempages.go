package services

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/fountainai/fountain/generated/gatewayapi"
	"github.com/fountainai/fountain/impl/gateway/internal/docsui"
	"github.com/fountainai/fountain/impl/gateway/internal/problempages"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/problem"
)

const (
	typeJSON = "application/json"
	typeHTML = "text/html"
)

type preferredKey struct{}

// Negotiated selects the form of answers that have two: JSON, unless the request prefers HTML, as browsers do.
func Negotiated(next gatewayapi.StrictHandlerFunc, operation string) gatewayapi.StrictHandlerFunc {
	if operation != "ListProblemPages" && operation != "GetProblemPage" {
		return next
	}
	return func(ctx context.Context, w http.ResponseWriter, r *http.Request, request any) (any, error) {
		return next(context.WithValue(ctx, preferredKey{}, contract.Preferred(r.Header, typeJSON, typeHTML)), w, r, request)
	}
}

// twoForms is an answer as JSON or as HTML. It adds to the server's Vary header, which the generated response type would overwrite.
type twoForms struct {
	mediaType string
	content   []byte
}

func inForm(ctx context.Context, html []byte, value any) (twoForms, error) {
	if ctx.Value(preferredKey{}) == typeHTML {
		return twoForms{typeHTML, html}, nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return twoForms{}, fmt.Errorf("write JSON: %w", err)
	}
	return twoForms{typeJSON, text}, nil
}

func (f twoForms) write(w http.ResponseWriter) error {
	sum := sha256.Sum256(f.content)
	h := w.Header()
	h.Add("Vary", "Accept")
	h.Set("Cache-Control", revalidated)
	h.Set("Content-Security-Policy", docsui.CSP)
	h.Set("Content-Type", f.mediaType)
	h.Set("ETag", `"`+base64.RawURLEncoding.EncodeToString(sum[:18])+`"`)
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(f.content)
	return err
}

// VisitListProblemPagesResponse writes the answer.
func (f twoForms) VisitListProblemPagesResponse(w http.ResponseWriter) error { return f.write(w) }

// VisitGetProblemPageResponse writes the answer.
func (f twoForms) VisitGetProblemPageResponse(w http.ResponseWriter) error { return f.write(w) }

// ListProblemPages lists the codes of problems.
func (h *Handlers) ListProblemPages(ctx context.Context, _ gatewayapi.ListProblemPagesRequestObject) (gatewayapi.ListProblemPagesResponseObject, error) {
	pages, err := problempages.Load()
	if err != nil {
		return nil, err
	}
	list := gatewayapi.ProblemPageList{Items: make([]gatewayapi.ProblemPage, 0, len(pages.List))}
	for _, page := range pages.List {
		list.Items = append(list.Items, pageOf(page))
	}
	return inForm(ctx, pages.HTML, list)
}

// GetProblemPage returns the page of one code.
func (h *Handlers) GetProblemPage(ctx context.Context, request gatewayapi.GetProblemPageRequestObject) (gatewayapi.GetProblemPageResponseObject, error) {
	pages, err := problempages.Load()
	if err != nil {
		return nil, err
	}
	page := pages.Page(request.Code)
	if page == nil {
		return nil, problem.New(problem.NotFound, "There is no such code; /problems lists all.")
	}
	return inForm(ctx, page.HTML, pageOf(page))
}

func pageOf(page *problempages.Page) gatewayapi.ProblemPage {
	return gatewayapi.ProblemPage{
		Code: string(page.Code), Type: page.Code.TypeURI(), Title: page.Code.Title(), Status: int32(page.Code.Status()),
		Meaning: page.Meaning, Remedy: page.Remedy,
	}
}
