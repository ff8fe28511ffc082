// Package egress decides where a program of the family may connect when someone other than its operator names the target. Such targets are the
// upstreams of adopted services and every other address that comes from a request.
//
// Only connections that the operator's list allows are possible, and the deny list (the family's own listeners and stores) overrides that list. These
// rules apply to every address that is actually connected to, after names were resolved:
//
//   - An entry NAME:PORT allows the name on that port, at public addresses.
//   - An entry NAME:PORT@CIDR allows it at the addresses of the CIDR. localhost:PORT means loopback addresses.
//   - An entry ADDRESS:PORT, CIDR or CIDR:PORT allows addresses, whichever name they have. PORT is a number or a range FROM-TO.
//   - Addresses that are not public are allowed only by a CIDR that lies within their range: 10.0.0.0/8 allows private addresses,
//     0.0.0.0/0 does not, and no name does. Not public are private networks, loopback, link-local, the metadata services of clouds,
//     IPv6 addresses that contain an IPv4 address, and reserved ranges.
//   - The unspecified address, multicast and broadcast are never allowed.
//
// An IPv4 address mapped into IPv6 is treated as IPv4. Names are ASCII: programs convert other names differently, so the xn-- form must be given.
// Whoever controls the DNS of a listed name can choose among the addresses that its entry allows, and no others.
package egress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"
)

// Reasons of refusals. They are the values of the metric's label.
const (
	Malformed = "malformed" // not written as a target
	Unlisted  = "unlisted"  // no entry allows it
	Special   = "special"   // not public, and no CIDR names its range
	Denied    = "denied"    // a listener or a store of the family
)

// RefusedError means that the policy does not allow a connection to the target. Its text contains no address, so it may be returned to the caller who
// named the target.
type RefusedError struct {
	Reason string // one of the reasons above
	text   string
}

func (e *RefusedError) Error() string { return e.text }

func malformed(format string, args ...any) *RefusedError {
	return &RefusedError{Malformed, fmt.Sprintf(format, args...)}
}

var (
	errUnlisted = &RefusedError{Unlisted, "the operator's list of targets does not allow this address"}
	errSpecial  = &RefusedError{Special, "the address is not public, and the operator's list of targets does not name its range"}
	errDenied   = &RefusedError{Denied, "the address is one of the family's own"}
)

// Resolver looks up the addresses of names; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Options configure a Policy.
type Options struct {
	Purpose string   // of the connections, for the log and the metric: "upstream"
	Allow   []string // entries; see the package comment. None allows nothing
	// Deny lists the host:port of the family's own listeners and stores. A name means the addresses that it has when a connection is made; 0.0.0.0,
	// [::] and an empty host mean all addresses of this machine.
	Deny       []string
	Resolver   Resolver // nil: net.DefaultResolver
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Policy decides which targets may be connected to. It is safe for concurrent use.
type Policy struct {
	purpose  string
	rules    []rule
	deny     denied
	resolver Resolver
	log      *slog.Logger
	refused  *prometheus.CounterVec
}

// New returns a Policy. Errors name the faulty entry by its position.
func New(o Options) (*Policy, error) {
	rules, err := parseRules(o.Allow)
	if err != nil {
		return nil, err
	}
	resolver := o.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	deny, err := parseDenied(o.Deny, resolver)
	if err != nil {
		return nil, err
	}
	p := &Policy{purpose: o.Purpose, rules: rules, deny: deny, resolver: resolver, log: o.Log}
	p.refused = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fountain_egress_refused_total", Help: "Targets that were not connected to, by reason: malformed, unlisted, special or denied.",
		ConstLabels: prometheus.Labels{"purpose": o.Purpose},
	}, []string{"reason"})
	for _, reason := range []string{Malformed, Unlisted, Special, Denied} {
		p.refused.WithLabelValues(reason)
	}
	if err := o.Registerer.Register(p.refused); err != nil {
		return nil, fmt.Errorf("register the metric of refused targets: %w", err)
	}
	return p, nil
}

// Validate checks the syntax of the lists, without any access outside the process. Errors name the faulty entry by its position.
func (o Options) Validate() error {
	_, err := parseRules(o.Allow)
	_, denyErr := parseDenied(o.Deny, nil)
	return errors.Join(err, denyErr)
}

// judge decides about one address to connect to. name is the name that resolved to it, "" when the target was an address.
func (p *Policy) judge(ctx context.Context, name string, to netip.AddrPort) error {
	addr := to.Addr().Unmap()
	to = netip.AddrPortFrom(addr, to.Port())
	if addr.Zone() != "" || never(addr) {
		return errSpecial
	}
	if err := p.deny.check(ctx, to); err != nil {
		return err
	}
	for _, r := range p.rules {
		if r.allows(name, to) {
			return nil
		}
	}
	if rangeOf(addr).IsValid() {
		return errSpecial
	}
	return errUnlisted
}

// mayName reports whether any entry could allow a name on a port. Other names are not resolved at all.
func (p *Policy) mayName(name string, port uint16) bool {
	for _, r := range p.rules {
		if r.ports.has(port) && (r.name == "" || r.name == name) {
			return true
		}
	}
	return false
}

// refuse counts and logs a refusal. The target is logged only when it is well-formed: otherwise it may be anything, even a password.
func (p *Policy) refuse(ctx context.Context, target, address string, why *RefusedError) error {
	p.refused.WithLabelValues(why.Reason).Inc()
	p.log.WarnContext(ctx, "a target is refused", "purpose", p.purpose, "reason", why.Reason, "target", target, "address", address, "why", why.text)
	return why
}
