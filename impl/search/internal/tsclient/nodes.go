package tsclient

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fountainai/fountain/internal/clock"
)

// avoidFor is how long a failed node is called only if no other node is left, unless a health check finds earlier that it is back.
const avoidFor = 5 * time.Second

// probeLimit is the timeout of a health check. A node that hangs counts as away.
const probeLimit = 2 * time.Second

// errNodeDown cancels a call at a node that was found to hang, so that another node gets the call.
var errNodeDown = errors.New("the node of the search engine is away")

// NodeState is what is known about a node.
type NodeState struct {
	Address string // its base URL
	Healthy bool
	Since   time.Time // of the last change of Healthy
	Cause   error     // of the last finding, if the node is not healthy
}

// Nodes are the addresses of one engine. Calls are distributed over the healthy ones in turn. It is safe for concurrent use.
type Nodes struct {
	list    []*node
	turn    atomic.Uint64
	clock   clock.Clock
	changed func(NodeState)
}

// NewNodes returns the nodes at the addresses. There must be at least one, and they may differ in scheme and host only. All are considered
// healthy at first. changed is called when a node is found to be away or back; it may be nil.
func NewNodes(addresses []*url.URL, c clock.Clock, changed func(NodeState)) *Nodes {
	ns := &Nodes{clock: c, changed: changed}
	for _, a := range addresses {
		n := &node{address: a.String(), scheme: a.Scheme, host: a.Host, healthy: true, since: c.Now()}
		n.life, n.end = context.WithCancel(context.Background())
		ns.list = append(ns.list, n)
	}
	return ns
}

// node is one address.
type node struct {
	address, scheme, host string

	changes  atomic.Uint64 // of healthy; a call's result counts only if there was none since the call began
	troubled atomic.Bool   // avoid is set or it is not healthy, so that a successful call must be recorded
	mu       sync.Mutex
	healthy  bool
	since    time.Time
	cause    error
	avoid    time.Time       // other nodes are preferred until then; zero: they are not
	life     context.Context // ends when the node is found to hang
	end      context.CancelFunc
}

// States returns what is known about the nodes, in the order of their addresses.
func (ns *Nodes) States() []NodeState {
	out := make([]NodeState, len(ns.list))
	for i, n := range ns.list {
		n.mu.Lock()
		out[i] = n.state()
		n.mu.Unlock()
	}
	return out
}

func (n *node) state() NodeState {
	return NodeState{Address: n.address, Healthy: n.healthy, Since: n.since, Cause: n.cause}
}

// order returns the order in which one call tries the nodes: first, in turn, those that are not avoided, and then the others, starting with
// the one that has been avoided for the longest.
func (ns *Nodes) order() []*node {
	now, all := ns.clock.Now(), len(ns.list)
	from := int(ns.turn.Add(1) % uint64(all))
	out := make([]*node, 0, all)
	var last []*node
	until := map[*node]time.Time{}
	for i := range all {
		n := ns.list[(from+i)%all]
		if !n.troubled.Load() {
			out = append(out, n)
			continue
		}
		n.mu.Lock()
		until[n] = n.avoid
		n.mu.Unlock()
		if now.Before(until[n]) {
			last = append(last, n)
		} else {
			out = append(out, n)
		}
	}
	slices.SortStableFunc(last, func(a, b *node) int { return until[a].Compare(until[b]) })
	return append(out, last...)
}

// answered records that a node has answered a call. changes is the node's counter when the call began.
func (ns *Nodes) answered(n *node, changes uint64) {
	if n.troubled.Load() {
		ns.set(n, changes, finding{healthy: true})
	}
}

// busy records that a node refused a call as unavailable. Other nodes are preferred for a while. Whether the node is healthy is left to its
// health check.
func (ns *Nodes) busy(n *node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.avoid = ns.clock.Now().Add(avoidFor)
	n.troubled.Store(true)
}

// failed records that a node could not be reached, or closed the connection. hangs cancels the calls under way at it. changes is the node's
// counter when the call began.
func (ns *Nodes) failed(n *node, changes uint64, cause error, hangs bool) {
	ns.set(n, changes, finding{avoid: ns.clock.Now().Add(avoidFor), cause: cause, hangs: hangs})
}

// finding is what a call has shown about a node.
type finding struct {
	healthy bool
	avoid   time.Time
	cause   error
	hangs   bool
}

// set applies a finding, unless the node has changed since the call began. An answer that was in flight when the node died does therefore
// not mark it healthy again, and a call that the node dropped then does not mark it away once it is back. A finding that the node hangs is
// applied in any case if the node is already unhealthy, to cancel the calls under way.
func (ns *Nodes) set(n *node, changes uint64, f finding) {
	n.mu.Lock()
	if n.changes.Load() != changes && (n.healthy || !f.hangs) {
		n.mu.Unlock()
		return
	}
	changed := n.healthy != f.healthy
	n.healthy, n.avoid, n.cause = f.healthy, f.avoid, f.cause
	n.troubled.Store(!f.healthy || !f.avoid.IsZero())
	if changed {
		n.since = ns.clock.Now()
		n.changes.Add(1)
	}
	if f.hangs {
		n.end()
		n.life, n.end = context.WithCancel(context.Background())
	}
	state := n.state()
	n.mu.Unlock()
	if changed && ns.changed != nil {
		ns.changed(state)
	}
}

// alive returns a context that ends when the node is found to hang.
func (n *node) alive() context.Context {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.life
}

// Examine checks the health of all nodes at the same time and records it. If no node can work, the error is that of the last one.
func (c *Client) Examine(ctx context.Context) error {
	found := make([]error, len(c.nodes.list))
	var group sync.WaitGroup
	for i, n := range c.nodes.list {
		group.Go(func() { found[i] = c.examine(ctx, n) })
	}
	group.Wait()
	if slices.Contains(found, nil) {
		return nil
	}
	return found[len(found)-1]
}

func (c *Client) examine(ctx context.Context, n *node) error {
	limited, cancel := context.WithTimeout(withNode(ctx, n), probeLimit)
	defer cancel()
	changes := n.changes.Load()
	err := c.health(limited)
	var said *Error
	switch {
	case ctx.Err() != nil: // the caller's context has ended
	case err == nil:
		c.nodes.answered(n, changes)
	default:
		c.nodes.failed(n, changes, err, !errors.As(err, &said))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", n.host, err)
	}
	return nil
}

// Nodes returns what is known about the engine's nodes.
func (c *Client) Nodes() []NodeState { return c.nodes.States() }
