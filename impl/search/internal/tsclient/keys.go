package tsclient

import (
	"context"
	"net/http"
	"strconv"
)

// CreateKey creates a key from a body in Typesense's format. The official client would hold the key's value in a type that may be printed.
func (c *Client) CreateKey(ctx context.Context, body []byte) error {
	_, _, err := c.call(ctx, c.times.Write, never, func(ctx context.Context) (*http.Response, error) {
		return c.plain(ctx, http.MethodPost, "/keys", body)
	})
	return err
}

// Keys lists the keys in Typesense's format.
func (c *Client) Keys(ctx context.Context) ([]byte, error) {
	body, _, err := c.call(ctx, c.times.Search, always, func(ctx context.Context) (*http.Response, error) {
		return c.plain(ctx, http.MethodGet, "/keys", nil)
	})
	return body, err
}

// DeleteKey deletes a key.
func (c *Client) DeleteKey(ctx context.Context, id int64) error {
	_, _, err := c.call(ctx, c.times.Write, never, func(ctx context.Context) (*http.Response, error) {
		return c.plain(ctx, http.MethodDelete, "/keys/"+strconv.FormatInt(id, 10), nil)
	})
	return err
}
