package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/rawjson"
	"github.com/fountainai/fountain/internal/httpserver"
)

// direct wraps the generated server with faster decoders for the operations whose bodies are frequent or large. encoding/json reads a body
// several times, decodes values that are only passed on, and copies them. A body that these decoders do not support is left to the
// generated code, which reads it again from the start.
type direct struct {
	searchapi.ServerInterface
	handlers *Handlers
}

// SearchDocuments implements searchapi.ServerInterface.
func (d direct) SearchDocuments(w http.ResponseWriter, r *http.Request, collection searchapi.CollectionName) {
	search, ok := plainSearch(httpserver.Body(r.Context()))
	if !ok {
		d.ServerInterface.SearchDocuments(w, r, collection)
		return
	}
	answer, err := d.handlers.SearchDocuments(r.Context(), searchapi.SearchDocumentsRequestObject{Collection: collection, Body: search})
	if err == nil {
		err = answer.VisitSearchDocumentsResponse(w)
	}
	if err != nil {
		httpserver.ResponseError(w, r, err)
	}
}

// SyncDocuments implements searchapi.ServerInterface.
func (d direct) SyncDocuments(w http.ResponseWriter, r *http.Request, collection searchapi.CollectionName, params searchapi.SyncDocumentsParams) {
	items, ok := []searchapi.SyncItem(nil), false
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		items, ok = plainItems(httpserver.Body(r.Context()))
	}
	if !ok {
		d.ServerInterface.SyncDocuments(w, r, collection, params)
		return
	}
	answer, err := d.handlers.SyncDocuments(r.Context(), searchapi.SyncDocumentsRequestObject{Collection: collection, Params: params, JSONBody: &searchapi.DocumentSync{Items: items}})
	if err == nil {
		err = answer.VisitSyncDocumentsResponse(w)
	}
	if err != nil {
		httpserver.ResponseError(w, r, err)
	}
}

// errNotPlain leaves a text to encoding/json, because it has escapes or an unexpected form.
var errNotPlain = errors.New("the text is not written plainly")

// plainItems decodes the body of a sync, which was validated against the contract, with the same result as encoding/json. It returns false
// if names, IDs or tenants have escapes. The documents are slices of the body.
func plainItems(body []byte) (items []searchapi.SyncItem, ok bool) {
	t := rawjson.New(body)
	err := t.Members(func(name []byte) error {
		if string(name) != "items" {
			return errNotPlain
		}
		return t.Each(func() error {
			items = append(items, searchapi.SyncItem{})
			return plainItem(&t, &items[len(items)-1])
		})
	})
	return items, err == nil && t.End() == nil
}

// plainItem reads one item.
func plainItem(t *rawjson.Text, item *searchapi.SyncItem) error {
	return t.Members(func(name []byte) error {
		value, err := t.Raw()
		if err != nil {
			return err
		}
		text, plain := rawjson.Plain(value)
		switch string(name) {
		case "op":
			item.Op = searchapi.SyncItemOp(text)
		case "id":
			item.ID = text
		case "tenant":
			item.Tenant = &text
		case "document":
			document := searchapi.Document(value)
			item.Document, plain = &document, value[0] == '{'
		case "ifVersion":
			version, err := strconv.ParseInt(string(value), 10, 64)
			item.IfVersion, plain = &version, err == nil
		default:
			plain = false
		}
		if !plain {
			return errNotPlain
		}
		return nil
	})
}

// readItem decodes an item from a line, which was validated against the contract. The item does not alias the line.
func readItem(line []byte) (item searchapi.SyncItem, err error) {
	t := rawjson.New(line)
	if plainItem(&t, &item) == nil && t.End() == nil {
		if item.Document != nil {
			*item.Document = bytes.Clone(*item.Document)
		}
		return item, nil
	}
	item = searchapi.SyncItem{}
	return item, json.Unmarshal(line, &item)
}

// plainSearch decodes the body of a search, which was validated against the contract, with the same result as encoding/json. It returns
// false if the body has escapes.
func plainSearch(body []byte) (*searchapi.DocumentSearch, bool) {
	b := &searchapi.DocumentSearch{}
	t := rawjson.New(body)
	err := t.Members(func(name []byte) (err error) {
		switch string(name) {
		case "q":
			b.Q, err = plainText(&t)
		case "queryBy":
			b.QueryBy, err = plainTexts(&t)
		case "facetBy":
			var names []string
			names, err = plainTexts(&t)
			b.FacetBy = &names
		case "filterBy":
			b.FilterBy, err = pointer(plainText(&t))
		case "preset":
			b.Preset, err = pointer(plainText(&t))
		case "stopwords":
			b.Stopwords, err = pointer(plainText(&t))
		case "maxFacetValues":
			b.MaxFacetValues, err = pointer(plainNumber(&t))
		case "page":
			b.Page, err = pointer(plainNumber(&t))
		case "perPage":
			b.PerPage, err = pointer(plainNumber(&t))
		case "filter":
			err = valued(&t, &b.Filter)
		case "sortBy":
			err = valued(&t, &b.SortBy)
		default:
			err = errNotPlain
		}
		return err
	})
	return b, err == nil && t.End() == nil
}

func pointer[T any](v T, err error) (*T, error) { return &v, err }

func plainText(t *rawjson.Text) (string, error) {
	value, err := t.Raw()
	if err != nil {
		return "", err
	}
	text, ok := rawjson.Plain(value)
	if !ok {
		return "", errNotPlain
	}
	return text, nil
}

func plainTexts(t *rawjson.Text) ([]string, error) {
	all := []string{}
	err := t.Each(func() error {
		text, err := plainText(t)
		all = append(all, text)
		return err
	})
	return all, err
}

func plainNumber(t *rawjson.Text) (int32, error) {
	value, err := t.Raw()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(value), 10, 32)
	if err != nil {
		return 0, errNotPlain
	}
	return int32(n), nil
}

// valued decodes a value with encoding/json.
func valued(t *rawjson.Text, into any) error {
	value, err := t.Raw()
	if err != nil {
		return err
	}
	return json.Unmarshal(value, into)
}
