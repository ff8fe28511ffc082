package rotator

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/secret"
)

const keyHeader = "X-TYPESENSE-API-KEY"

// typesenseDriver stores values that the kms generated as keys of an engine. It finds keys by their description, so that no ID of the engine has to be stored
// between a call and the commit that follows it.
type typesenseDriver struct {
	door
	issuer string
}

// Check implements secret.Driver.
func (d typesenseDriver) Check(ctx context.Context, r secret.Rotation) error {
	u, err := url.Parse(r.URL)
	if err != nil || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return domain.Refuse(domain.ValidationFailed, "The URL must be the base URL of a search engine.").WithField("body", "/url", "format", "must be http[s]://HOST:PORT")
	}
	if len(r.Collections) == 0 {
		return domain.Refuse(domain.ValidationFailed, "The driver typesense needs the collections that its keys are for.").WithField("body", "/collections", "required", "is required by the driver typesense")
	}
	if !slices.Contains(r.Actions, "documents:search") && !slices.Contains(r.Actions, "documents:*") {
		return domain.Refuse(domain.ValidationFailed, "The driver typesense tests a new key with a search, which the actions must allow.").WithField("body", "/actions", "search", "must include documents:search or documents:*")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	host := u.Hostname()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return d.checkTarget(ctx, u.Scheme+"://"+host+":"+port)
}

// Do implements secret.Driver.
func (d typesenseDriver) Do(ctx context.Context, c secret.Call) error {
	c.URL = strings.TrimRight(c.URL, "/")
	switch c.Step {
	case secret.Set:
		return d.set(ctx, c)
	case secret.Test:
		return d.test(ctx, c)
	}
	return d.end(ctx, c)
}

// description returns the description of a version's key at the engine.
func (d typesenseDriver) description(c secret.Call) string {
	return fmt.Sprintf("%s secret %s version %d", d.issuer, c.Name, c.Version)
}

// admin makes a call with the current admin key, or with the previous one while the engine still accepts only that.
func (d typesenseDriver) admin(ctx context.Context, c secret.Call, method, path string, body []byte) (got answer, err error) {
	err = secret.NoCredential
	for _, key := range c.Credentials {
		if !httpguts.ValidHeaderFieldValue(key) { // for example with a line break
			continue
		}
		got, err = d.call(ctx, method, c.URL+path, body, map[string]string{keyHeader: key})
		if err != nil || got.status != http.StatusUnauthorized && got.status != http.StatusForbidden {
			break
		}
	}
	return got, err
}

// set stores the value as a key of the engine. A conflict counts as success: the value was generated for this version, so the key is already there.
func (d typesenseDriver) set(ctx context.Context, c secret.Call) error {
	body, err := json.Marshal(map[string]any{"description": d.description(c), "actions": c.Actions, "collections": c.Collections, "value": c.Value})
	if err != nil {
		return err
	}
	got, err := d.admin(ctx, c, http.MethodPost, "/keys", body)
	if err == nil && got.status/100 != 2 && got.status != http.StatusConflict {
		err = secret.Rejected
	}
	return err
}

// test searches each collection with the key.
func (d typesenseDriver) test(ctx context.Context, c secret.Call) error {
	if !httpguts.ValidHeaderFieldValue(c.Value) { // a value that a user stored, and that is rolled back to
		return secret.Rejected
	}
	for _, collection := range c.Collections {
		got, err := d.call(ctx, http.MethodGet, c.URL+"/collections/"+url.PathEscape(collection)+"/documents/search?q=*&per_page=1&include_fields=id", nil, map[string]string{keyHeader: c.Value})
		if err != nil {
			return err
		}
		if got.status != http.StatusOK {
			return secret.Rejected
		}
	}
	return nil
}

// end deletes the keys of the version. A key that does not exist counts as deleted.
func (d typesenseDriver) end(ctx context.Context, c secret.Call) error {
	got, err := d.admin(ctx, c, http.MethodGet, "/keys", nil)
	if err != nil {
		return err
	}
	var list struct {
		Keys []struct {
			ID          int64  `json:"id"`
			Description string `json:"description"`
		} `json:"keys"`
	}
	if got.status != http.StatusOK || json.Unmarshal(got.body, &list) != nil {
		return secret.Rejected
	}
	for _, key := range list.Keys {
		if key.Description != d.description(c) {
			continue
		}
		got, err := d.admin(ctx, c, http.MethodDelete, "/keys/"+strconv.FormatInt(key.ID, 10), nil)
		if err != nil {
			return err
		}
		if got.status/100 != 2 && got.status != http.StatusNotFound {
			return secret.Rejected
		}
	}
	return nil
}
