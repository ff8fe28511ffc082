package tsclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/typesense/typesense-go/v3/typesense/api"
)

// repeat says what may be done with a call of which nobody knows whether it was carried out.
type repeat int

const (
	never  repeat = iota // it goes to another node only where nothing of it was sent
	always               // doing it twice does no more than doing it once: the next node gets it
	stream               // always, until the answer begins
)

// ErrNotSent wraps errors of calls of which nothing has reached the engine. It is an ErrUnavailable.
var ErrNotSent = fmt.Errorf("%w: nothing was sent", ErrUnavailable)

// ErrDoubt wraps an error of the last node that was asked, where one before may have carried the call out: whatever the error says of itself, something may have been changed.
var ErrDoubt = errors.New("a node asked before may have carried it out")

type (
	nodeValue struct{}
	keyValue  struct{}
)

// withNode directs the calls of a context to a node.
func withNode(ctx context.Context, n *node) context.Context {
	return context.WithValue(ctx, nodeValue{}, n)
}

// withKey has the calls of a context carry a key instead of the current one.
func withKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, keyValue{}, key)
}

// direct gives a request its node and its key, which are those of its context, or the first node and the current key.
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

// tries has once carry out a call at one node after the other, each at most once, as long as it may be repeated and its context goes on.
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
		case last || ctx.Err() != nil || !none && (may == never || !elsewhere(err)):
			return doubtful(err, doubt, none)
		}
		doubt = doubt || !none
	}
	return nil // not reached: there is a node, and the last one returns
}

// doubtful is the error of the last node that was asked, after one that may have carried the call out. That nothing was sent is not so then.
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

// attempt carries a call out at one node. A call that others may have ends when the node is found to hang.
func (c *Client) attempt(ctx context.Context, n *node, others bool, once func(ctx context.Context) error) error {
	at, changes := withNode(ctx, n), n.changes.Load()
	if others {
		watched, cancel := context.WithCancelCause(at)
		defer cancel(nil)
		defer context.AfterFunc(n.alive(), func() { cancel(errAway) })()
		at = watched
	}
	err := c.keyed(at, once)
	if err != nil && errors.Is(context.Cause(at), errAway) && ctx.Err() == nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, errAway) // and it is noted
	}
	if ctx.Err() == nil {
		c.note(n, changes, err)
	}
	return err
}

// keyed tries the key before once, where the engine does not take the current one yet. A refused key has changed nothing.
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

// note notes what a call has shown of its node, which had these changes when the call began.
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

// elsewhere reports whether another node may have an answer.
func elsewhere(err error) bool {
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

// notSent reports whether nothing of a call was sent: there was no connection. (net/http sends a request that changes something at most once, so that it is the first
// connection that was not made.)
func notSent(err error) bool {
	var op *net.OpError
	return errors.Is(err, ErrNotSent) || errors.Is(err, ErrUnavailable) && errors.As(err, &op) && op.Op == "dial"
}

// RefusesKey reports whether the engine does not take the key.
func RefusesKey(err error) bool {
	var said *Error
	return errors.As(err, &said) && said.Status == http.StatusUnauthorized
}
