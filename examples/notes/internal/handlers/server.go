// Package handlers implements the contract (notes.yaml): decode the request, call the store once, encode the response.
package handlers

import (
	"context"
	"encoding/base64"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"

	"github.com/fountainai/fountain/clients/fountain/verify"
	"github.com/fountainai/fountain/examples/notes/internal/api"
	"github.com/fountainai/fountain/examples/notes/internal/domain"
	"github.com/fountainai/fountain/examples/notes/internal/store"
)

const (
	basePath    = "/v1" // servers of notes.yaml
	maxBody     = 64 << 10
	defaultPage = 50
	largestPage = 200
)

// Server implements the operations of the contract. Every note belongs to the subject of the token with which it was
// written.
type Server struct{ Store *store.Store }

// Handler returns the handler for the contract. The guard, which is made from the same contract, has let no request
// through without a principal.
func Handler(s *Server, guard func(http.Handler) http.Handler) http.Handler {
	strict := api.NewStrictHandlerWithOptions(s, nil, api.StrictHTTPServerOptions{RequestErrorHandlerFunc: refuseRequest, ResponseErrorHandlerFunc: refuse})
	router := chi.NewRouter()
	api.HandlerWithOptions(strict, api.ChiServerOptions{BaseURL: basePath, BaseRouter: router, ErrorHandlerFunc: refuseRequest})
	return guard(http.MaxBytesHandler(router, maxBody))
}

// caller returns the owner of the notes that the request is about.
func caller(ctx context.Context) string {
	p, ok := verify.FromContext(ctx)
	if !ok {
		panic("notes: a request without a principal: the guard is missing")
	}
	return p.Subject
}

// ListNotes implements listNotes.
func (s *Server) ListNotes(ctx context.Context, r api.ListNotesRequestObject) (api.ListNotesResponseObject, error) {
	limit, after := defaultPage, int64(0)
	if r.Params.Limit != nil {
		limit = min(max(int(*r.Params.Limit), 1), largestPage)
	}
	if r.Params.Cursor != nil {
		var ok bool
		if after, ok = decodeCursor(*r.Params.Cursor); !ok {
			return nil, errCursor
		}
	}
	notes, err := s.Store.List(ctx, caller(ctx), after, limit+1)
	if err != nil {
		return nil, err
	}
	out := api.ListNotes200JSONResponse{Items: []api.Note{}}
	if len(notes) > limit {
		notes = notes[:limit]
		out.NextCursor = new(encodeCursor(notes[limit-1].Seq))
	}
	for _, n := range notes {
		out.Items = append(out.Items, fromNote(n))
	}
	return out, nil
}

// CreateNote implements createNote.
func (s *Server) CreateNote(ctx context.Context, r api.CreateNoteRequestObject) (api.CreateNoteResponseObject, error) {
	d := domain.Draft{Title: r.Body.Title, Text: r.Body.Text}
	if err := d.Check(); err != nil {
		return nil, err
	}
	n, err := s.Store.Create(ctx, caller(ctx), d)
	if err != nil {
		return nil, err
	}
	return api.CreateNote201JSONResponse{Body: fromNote(n), Headers: api.CreateNote201ResponseHeaders{ETag: etag(n.Version)}}, nil
}

// GetNote implements getNote.
func (s *Server) GetNote(ctx context.Context, r api.GetNoteRequestObject) (api.GetNoteResponseObject, error) {
	n, err := s.Store.Get(ctx, caller(ctx), r.NoteID)
	if err != nil {
		return nil, err
	}
	return api.GetNote200JSONResponse{Body: fromNote(n), Headers: api.GetNote200ResponseHeaders{ETag: etag(n.Version)}}, nil
}

// UpdateNote implements updateNote.
func (s *Server) UpdateNote(ctx context.Context, r api.UpdateNoteRequestObject) (api.UpdateNoteResponseObject, error) {
	d := domain.Draft{Title: r.Body.Title, Text: r.Body.Text}
	if err := d.Check(); err != nil {
		return nil, err
	}
	n, err := s.Store.Update(ctx, caller(ctx), r.NoteID, versionOf(r.Params.IfMatch), d)
	if err != nil {
		return nil, err
	}
	return api.UpdateNote200JSONResponse{Body: fromNote(n), Headers: api.UpdateNote200ResponseHeaders{ETag: etag(n.Version)}}, nil
}

// DeleteNote implements deleteNote. The guard has already checked the second factor in the token.
func (s *Server) DeleteNote(ctx context.Context, r api.DeleteNoteRequestObject) (api.DeleteNoteResponseObject, error) {
	if err := s.Store.Delete(ctx, caller(ctx), r.NoteID); err != nil {
		return nil, err
	}
	return api.DeleteNote204Response{}, nil
}

func fromNote(n domain.Note) api.Note {
	return api.Note{ID: n.ID, Title: n.Draft.Title, Text: n.Draft.Text, Version: n.Version, CreatedAt: n.CreatedAt, UpdatedAt: n.UpdatedAt}
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// versionOf returns the version that an ETag names. For a tag that is not ours it returns 0, which no note has.
func versionOf(tag string) int64 {
	if len(tag) < 3 || tag[0] != '"' || tag[len(tag)-1] != '"' {
		return 0
	}
	version, err := strconv.ParseInt(tag[1:len(tag)-1], 10, 64)
	if err != nil || etag(version) != tag {
		return 0
	}
	return version
}

// A cursor is a position in the list and grants nothing. A caller who makes one up sees only their own notes.
func encodeCursor(seq int64) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(seq, 10)))
}

func decodeCursor(cursor string) (seq int64, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return 0, false
	}
	seq, err = strconv.ParseInt(string(raw), 10, 64)
	return seq, err == nil && encodeCursor(seq) == cursor
}
