package tsclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/typesense/typesense-go/v3/typesense/api"
)

// repeat says what may be done with a call whose outcome is unknown.
type repeat int

const (
	never  repeat = iota // another node gets it only if nothing of it was sent
	always               // it may be repeated: the next node gets it
	stream               // like always, until the response begins
)

// ErrNotSent wraps errors of calls of which nothing was sent. It is an ErrUnavailable.
var ErrNotSent = fmt.Errorf("%w: nothing was sent", ErrUnavailable)

// ErrDoubt wraps an error of the last node that was called, if an earlier one may have carried out the call. Something may have been
// changed, whatever the wrapped error says.
var ErrDoubt = errors.New("a node asked before may have carried it out")

type (
	nodeValue struct{}
	keyValue  struct{}
)

// withNode returns a context whose calls go to a node.
func withNode(ctx context.Context, n *node) context.Context {
	return context.WithValue(ctx, nodeValue{}, n)
}

// withKey returns a context whose calls use this key instead of the current one.
func withKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, keyValue{}, key)
}

// direct sets the node and the key of a request: those of its context, or else the first node and the current key.
func (c *Client) direct(ctx context.Context, r *http.Request) error {
	if n, ok := ctx.Value(nodeValue{}).(*node); ok {
		r.URL.Scheme, r.URL.Host, r.Host = n.scheme, n.host, n.host
	}
	key, ok := ctx.Value(keyValue{}).(string)
	if !ok {
		key = c.keys.Key()
	}
	r.Header.Set(api.APIKeyHeader, key)
	return nil
}

// tries runs once for one node after the other, each at most once, as far as repeat permits and until ctx ends.
func (c *Client) tries(ctx context.Context, may repeat, once func(ctx context.Context) error) error {
	if len(c.nodes.list) == 1 {
		return c.single(ctx, once)
	}
	nodes, doubt := c.nodes.order(), false
	for i, n := range nodes {
		last := i == len(nodes)-1
		err := c.attempt(ctx, n, may == always && !last, once)
		none := notSent(err)
		switch {
		case err == nil:
			return nil
		case last || ctx.Err() != nil || !none && (may == never || !canFailOver(err)):
			return doubtful(err, doubt, none)
		}
		doubt = doubt || !none
	}
	return nil // not reached: there is at least one node, and the last one returns
}

// doubtful returns the error of the last node that was called. doubt reports that an earlier node may have carried out the call, so that
// the error must not claim that nothing was sent.
func doubtful(err error, doubt, none bool) error {
	switch {
	case doubt && none:
		return fmt.Errorf("%w: %w", ErrDoubt, ErrUnavailable)
	case doubt:
		return fmt.Errorf("%w: %w", ErrDoubt, err)
	}
	return err
}

// single is tries for an engine with one address.
func (c *Client) single(ctx context.Context, once func(ctx context.Context) error) error {
	n := c.nodes.list[0]
	changes := n.changes.Load()
	err := c.keyed(ctx, once)
	if ctx.Err() == nil {
		c.note(n, changes, err)
	}
	return err
}

// attempt runs a call at one node. If others may get the call, it is cancelled when the node is found to hang.
func (c *Client) attempt(ctx context.Context, n *node, others bool, once func(ctx context.Context) error) error {
	at, changes := withNode(ctx, n), n.changes.Load()
	if others {
		watched, cancel := context.WithCancelCause(at)
		defer cancel(nil)
		defer context.AfterFunc(n.alive(), func() { cancel(errNodeDown) })()
		at = watched
	}
	err := c.keyed(at, once)
	if err != nil && errors.Is(context.Cause(at), errNodeDown) && ctx.Err() == nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, errNodeDown) // already recorded
	}
	if ctx.Err() == nil {
		c.note(n, changes, err)
	}
	return err
}

// keyed runs once, and again with the previous key if the engine does not accept the current one yet. A call with a refused key has changed
// nothing.
func (c *Client) keyed(ctx context.Context, once func(ctx context.Context) error) error {
	err := once(ctx)
	if !RefusesKey(err) {
		return err
	}
	before := c.keys.Previous()
	if before == "" {
		return err
	}
	return once(withKey(ctx, before))
}

// note records what a call has shown about its node. changes is the node's counter when the call began.
func (c *Client) note(n *node, changes uint64, err error) {
	var said *Error
	switch {
	case errors.Is(err, ErrUnavailable):
		c.nodes.failed(n, changes, err, false)
	case errors.As(err, &said) && said.Status == http.StatusServiceUnavailable:
		c.nodes.busy(n)
	case err == nil || said != nil:
		c.nodes.answered(n, changes)
	}
}

// canFailOver reports whether another node may be able to answer.
func canFailOver(err error) bool {
	var said *Error
	if !errors.As(err, &said) {
		return errors.Is(err, ErrUnavailable)
	}
	switch said.Status {
	case http.StatusRequestTimeout, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return !errors.Is(err, errBadAnswer)
	}
	return false
}

// notSent reports whether nothing of a call was sent, because no connection was made. net/http sends a request that is not idempotent at
// most once, so that the failed dial is the only attempt.
func notSent(err error) bool {
	var op *net.OpError
	return errors.Is(err, ErrNotSent) || errors.Is(err, ErrUnavailable) && errors.As(err, &op) && op.Op == "dial"
}

// RefusesKey reports whether the engine refused the key.
func RefusesKey(err error) bool {
	var said *Error
	return errors.As(err, &said) && said.Status == http.StatusUnauthorized
}
