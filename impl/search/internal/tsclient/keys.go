package tsclient

import (
	"context"
	"net/http"
	"strconv"
)

// CreateKey makes a key from a body in Typesense's form. The official client can't send one with a value of ours that it does not keep in a type which is printed.
func (c *Client) CreateKey(ctx context.Context, body []byte) error {
	_, _, err := c.call(ctx, c.times.Write, never, func(ctx context.Context) (*http.Response, error) {
		return c.plain(ctx, http.MethodPost, "/keys", body)
	})
	return err
}

// Keys reads the keys in Typesense's form.
func (c *Client) Keys(ctx context.Context) ([]byte, error) {
	body, _, err := c.call(ctx, c.times.Search, always, func(ctx context.Context) (*http.Response, error) {
		return c.plain(ctx, http.MethodGet, "/keys", nil)
	})
	return body, err
}

// DeleteKey removes a key.
func (c *Client) DeleteKey(ctx context.Context, id int64) error {
	_, _, err := c.call(ctx, c.times.Write, never, func(ctx context.Context) (*http.Response, error) {
		return c.plain(ctx, http.MethodDelete, "/keys/"+strconv.FormatInt(id, 10), nil)
	})
	return err
}
